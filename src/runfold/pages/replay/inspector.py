"""One event whole: who recorded it, when by both clocks, what it comes from, what came of it, and how to ask for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from runfold.domain.raw_event import RawEvent
from runfold.domain.recorded import Recorded
from runfold.errors import UsageError
from runfold.feed.event_json import disclosed_data
from runfold.history.items import ThreadItem, ThreadItems
from runfold.history.said import Said, redactions
from runfold.pages.asking import Past

RAW_CHARACTERS = 6_000


class Cause(NamedTuple):
    """An item that another one comes from."""

    position: int
    name: str


@dataclass
class Selected:
    """The event that the inspector shows."""

    recorded: Recorded
    raw: str
    raw_length: int
    facts: Mapping[str, Any]
    item: ThreadItem | None
    causes: Sequence[Cause] = ()


def event_at(asked: Past, thread_id: str, position: int) -> Recorded:
    """The event of a thread at a position. Raises UsageError where there is none, or it is of something else."""
    found: list[Recorded] = []
    if 0 < position <= asked.position:
        found = asked.ledger.events(after=position - 1, up_to=position, thread_id=thread_id)
    if not found:
        raise UsageError(f"position {position} holds no event of this thread as of {asked.position}")
    return found[0]


def selected(asked: Past, items: ThreadItems, position: int) -> Selected:
    recorded = event_at(asked, items.thread_id, position)
    item = next((each for each in items.items if each.position == position), None)
    text = orjson.dumps(orjson.loads(disclosed_data(recorded)), option=orjson.OPT_INDENT_2).decode()
    if _is_hidden(asked, items, recorded):
        text = ""
    facts = {
        "type": recorded.type,
        "stream": recorded.stream,
        "version": recorded.version,
        "actor": str(recorded.metadata.actor),
        "on behalf of": recorded.metadata.actor.on_behalf_of,
        "event id": str(recorded.event_id),
        "caused by": recorded.metadata.causation_id,
        "correlation": recorded.metadata.correlation_id,
        "trace": recorded.metadata.traceparent,
        "known by a newer Runfold only": "yes" if isinstance(recorded.event, RawEvent) else None,
    }
    return Selected(
        recorded,
        text[:RAW_CHARACTERS],
        len(text),
        {name: said for name, said in facts.items() if said},
        item,
        _causes(items, item),
    )


def _is_hidden(asked: Past, items: ThreadItems, recorded: Recorded) -> bool:
    """Return whether an event holds words of which something may no longer be shown."""
    said, runs = Said(), {*items.path, recorded.stream}
    if recorded.type.startswith("message."):
        for redacted in redactions(asked.reading.reader, items.thread_id, runs):
            said.take_in(redacted)
    return said.hides(recorded.event)


def _causes(items: ThreadItems, item: ThreadItem | None) -> list[Cause]:
    """The items of the window that an item says it belongs to."""
    if item is None:
        return []
    call, approval, problem = item.tool_call, item.approval, item.problem
    message_id = call.message_id if call else None
    call_id = approval.call_id if approval else item.message.tool_call_id if item.message else None
    decision_id = approval.decision_id if approval else problem.decision_id if problem else None
    found = []
    for each in items.items:
        if message_id and each.message and each.message.id == message_id:
            found.append(Cause(each.position, f"message of {each.message.role}"))
        if call_id and each.tool_call and each.tool_call.id == call_id:
            found.append(Cause(each.position, f"call of {each.tool_call.name}"))
        if decision_id and each.decision and each.decision.decision_id == decision_id:
            found.append(Cause(each.position, "decision"))
    return found
