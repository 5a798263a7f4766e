"""Follow Runfold's log with the `eventsourcing` library: a projection counts how often each tool was called.

The library's `ProjectionRunner` reads the log and never writes to it; what the projection derives is kept where its own
persistence module says, in memory unless TOOLCOUNTS_PERSISTENCE_MODULE names another.
"""

from collections import Counter

from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner

from runfold import Ledger
from runfold.adapters.eventsourcing import RecordedEvent, RunfoldLog
from runfold.domain.tool_call import ToolCalled


class ToolCountsView(POPOTrackingRecorder):
    """How often each tool was called, and how far the log was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def count(self, tool: str, tracking: Tracking) -> None:
        """Count a call once: an event that was tracked before is refused."""
        with self._database_lock:
            self._assert_tracking_uniqueness(tracking)
            self._insert_tracking(tracking)
            self.calls[tool] += 1


class ToolCounts(Projection[ToolCountsView]):
    """Tool calls by tool."""

    topics = (ToolCalled.type,)

    @singledispatchmethod
    def process_event(self, recorded: RecordedEvent, tracking: Tracking) -> None:
        """Only the topics above come here, and all of them have a method of their own."""
        raise NotImplementedError(f"{recorded.type} at {tracking.notification_id}")

    @process_event.register(RecordedEvent.of(ToolCalled))
    def _(self, recorded: RecordedEvent, tracking: Tracking) -> None:
        self.view.count(recorded.event.name, tracking)


def main() -> None:
    """Record a run, and see what the projection makes of it."""
    with (
        Ledger.open() as ledger,
        ProjectionRunner(application_class=RunfoldLog, projection_class=ToolCounts, view_class=ToolCountsView) as runner,
    ):
        run = ledger.create_thread(agent_id="support").start_run()
        for order in ("A-1", "A-2"):
            run.call_tool("find_order", {"order": order}).succeed("sent on Tuesday")
        last = run.call_tool("notify", {"text": "It arrives tomorrow."})
        runner.wait(last.receipt.position, timeout=30)
        for tool, calls in runner.projection.view.calls.most_common():
            print(f"{tool}: {calls}")


if __name__ == "__main__":
    main()
