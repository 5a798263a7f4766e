"""A run for a client: from its beginning as it happens, or from where it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from runfold.agui.conversation import Hidden, hidden_by
from runfold.agui.run_events import RunEvents
from runfold.agui.wire import WireEvent
from runfold.domain.message import REDACTIONS
from runfold.domain.recorded import Recorded
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.history.path import thread_tree
from runfold.http.agents.intake import Begun
from runfold.http.agents.paging import paged
from runfold.http.agents.past import path_events
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Head
from runfold.store.reading.tenant_reader import TenantReader

_STARTS = frozenset(f"{what}_START" for what in ("TEXT_MESSAGE", "REASONING_MESSAGE", "REASONING", "TOOL_CALL")) | {
    "STEP_STARTED",
    "SUBAGENT_STARTED",
}


@dataclass
class Shown:
    """What a client is told of a run at once, and what makes the rest."""

    events: RunEvents
    first: list[WireEvent]
    head: Head


def first_shown(begun: Begun, epoch: UUID, after: int | None = None) -> Shown:
    """Return what the client of a new run is told of it, from what was recorded for it just now, in a history."""
    last = begun.own[-1]
    head = Head(last.position, last.recorded_at, epoch)
    return _shown(begun, head, begun.own[0].position, begun.past, begun.own, hidden=None, is_hydrated=False, after=after)


def shown(ledger: TenantLedger, begun: Begun, *, is_hydrated: bool = False, after: int | None = None) -> Shown:
    """Return what a client is told of a run: all of it, or where it is, for one that has not seen it begin.

    A client that is hydrated is not told again of an error that is past. One that has a stream up to a position is told what
    comes `after` it.
    """
    reader, head = ledger.now.reader, ledger.head()
    created_at, past = _past(reader, begun, head)
    of_thread = Filter(tenant_id=reader.tenant, thread_id=begun.thread_id)
    own = list(reader.tolerant().events(of_thread, after=created_at - 1, up_to=head.position))
    hidden = hidden_by(reader.tolerant().events(replace(of_thread, types=REDACTIONS), up_to=head.position))
    return _shown(begun, head, created_at, past, own, hidden=hidden, is_hydrated=is_hydrated, after=after)


def _shown(
    begun: Begun,
    head: Head,
    created_at: int,
    past: tuple[Recorded, ...],
    own: Sequence[Recorded],
    *,
    hidden: Hidden | None,
    is_hydrated: bool,
    after: int | None,
) -> Shown:
    events = RunEvents(
        begun.run_id,
        past=past,
        shown_as=begun.shown_run,
        thread_shown_as=begun.shown_thread,
        hidden=hidden,
    )
    first: list[WireEvent] = []
    for recorded in own:
        if after is not None and recorded.position > after:
            break
        first += events.take(recorded)
    first += events.settle()
    if after is not None:
        return Shown(events, [], head._replace(position=max(created_at - 1, min(after, head.position))))
    if not begun.is_new or begun.is_moved:
        first = events.join()
    if begun.is_moved and first:
        first.insert(1, {"type": "MESSAGES_SNAPSHOT", "messages": []})  # what it has of others keeps no place among these
    if is_hydrated and first and first[-1]["type"] == "RUN_ERROR":
        first = [event for event in first if event["type"] not in _STARTS]
        first[-1] = {
            "type": "RUN_FINISHED",
            "threadId": begun.shown_thread,
            "runId": begun.shown_run,
            "outcome": {"type": "success"},
            "metadata": first[-1].get("metadata") or {},
        }
    return Shown(events, paged(first), head)


def _past(reader: TenantReader, begun: Begun, head: Head) -> tuple[int, tuple[Recorded, ...]]:
    """Return where a run begins in the ledger, and the events of its path before it."""
    tree = thread_tree(reader, begun.thread_id, head.position)
    created_at = tree.node(begun.run_id).position
    whole = path_events(reader, tree, begun.run_id, up_to=head.position)
    return created_at, tuple(recorded for recorded in whole if recorded.position < created_at)
