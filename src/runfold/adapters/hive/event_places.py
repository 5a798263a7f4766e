"""Of which stream, execution and node an event is, in hive's words."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from runfold.adapters.hive.event_words import AgentEvent, word_of
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCreated
from runfold.domain.step import EdgeTraversed, NodeEntered, StepStarted
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.remote.ledger import RemoteLedger

MOST_RUNS = 10_000
"""Of so many runs, those heard of last, it is kept where they are; of others it is looked up again."""
_AT_NODES = ("node.entered", "node.edge_traversed", "step.started")


@dataclass
class _Place:
    stream_id: str
    execution_id: str | None
    graph_id: str | None
    node_id: str | None = None


class EventPlaces:
    """Turns events as they come, in order, into hive's. It asks the ledger about runs whose beginning it did not see."""

    def __init__(self, ledger: TenantLedger | RemoteLedger) -> None:
        self._ledger = ledger
        self._places: OrderedDict[str, _Place] = OrderedDict()

    def knows(self, recorded: Recorded) -> bool:
        """Return whether nothing has to be looked up for an event."""
        run_id = recorded.context.run_id
        return run_id is None or run_id in self._places

    def look_up(self, recorded: Recorded) -> None:
        """Learn of the run that an event is of, as it stood with that event. Raises LedgerError."""
        run_id = recorded.context.run_id
        if run_id is not None:
            self._places[run_id] = self._looked_up(run_id, recorded)
            if len(self._places) > MOST_RUNS:
                self._places.popitem(last=False)

    def follow(self, recorded: Recorded) -> None:
        """Go where an event of a known run goes."""
        if (run_id := recorded.context.run_id) is not None:
            self._places.move_to_end(run_id)
            if recorded.type in _AT_NODES:
                self._places[run_id].node_id = _node_of(recorded) or self._places[run_id].node_id

    def told(self, recorded: Recorded) -> AgentEvent:
        """Return an event that was followed in hive's words."""
        run_id = recorded.context.run_id
        place = _Place(recorded.thread_id, None, None) if run_id is None else self._places[run_id]
        return AgentEvent(
            type=word_of(recorded),
            stream_id=place.stream_id,
            node_id=recorded.context.node_id or place.node_id,
            execution_id=place.execution_id,
            data={**recorded.event.model_dump(mode="json", exclude_none=True), "event": recorded.type},
            timestamp=recorded.happened_at,
            correlation_id=recorded.metadata.correlation_id,
            run_id=run_id,
            graph_id=place.graph_id,
            seq=recorded.position,
        )

    def told_of_the_past(self, recorded: Recorded) -> AgentEvent:
        """Return an event in hive's words, looking up what it needs. Raises LedgerError."""
        if not self.knows(recorded):
            self.look_up(recorded)
        self.follow(recorded)
        return self.told(recorded)

    def _looked_up(self, run_id: str, recorded: Recorded) -> _Place:
        created = recorded.event if isinstance(recorded.event, RunCreated) else None
        node_id: str | None = None
        if created is None:
            (first,) = self._ledger.events(run_id=run_id, types="run.created", limit=1)
            assert isinstance(first.event, RunCreated), "a run begins with its creation"  # noqa: S101
            created = first.event
            before = self._ledger.events(run_id=run_id, types=_AT_NODES, up_to=recorded.position, limit=1, order="desc")
            node_id = _node_of(before[0]) if before else None
        said = created.metadata
        execution_id = _text(said.get("execution_id")) or run_id
        stream_id = _text(said.get("stream_id")) or recorded.thread_id
        return _Place(stream_id, execution_id, _text(said.get("graph_id")), node_id)


def _node_of(recorded: Recorded) -> str | None:
    match recorded.event:
        case NodeEntered(node_id=node_id) | EdgeTraversed(to_node_id=node_id) | StepStarted(node_id=node_id):
            return node_id
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
