"""The replay of a thread: the conversation as of a moment along a path, the runs, the whole of it as a strip, and one event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from runfold.domain.event import Recorded
from runfold.domain.raw_event import RawEvent
from runfold.domain.values import whole_number
from runfold.errors import UsageError
from runfold.feed.event_json import disclosed_data
from runfold.history.items import Item, Items
from runfold.history.views import ThreadView
from runfold.pages.asking import Past, past
from runfold.pages.cutting import Cutter, named_values, outcome_words, part_words, plain, texts_of
from runfold.pages.drawing import draw
from runfold.pages.model_sight import ModelSight, model_sight
from runfold.pages.runs_tree import RunsTree, runs_tree
from runfold.pages.screen import Screen
from runfold.pages.strip import Strip, strip
from runfold.pages.word_diff import word_diff
from runfold.queries.thread_items import FEW_ITEMS, RunState

RAW_CHARACTERS = 6_000
_MESSAGE = ("message.added",)


class Steps(NamedTuple):
    """Where one can go from the moment: positions, or None where there is nothing."""

    first: int
    previous_event: int | None
    next_event: int | None
    previous_message: int | None
    next_message: int | None
    last: int


@dataclass(frozen=True)
class Wanted:
    """What the address asks for, beside the moment."""

    thread_id: str
    run_id: str | None
    head: str
    first: int | None
    item: int | None
    whole: int | None
    see: int | None
    to: int | None

    @classmethod
    def of(cls, request: Request) -> "Wanted":
        """Read an address. Raises UsageError for what is no number."""
        said = request.query_params
        return cls(
            thread_id=request.path_params["thread_id"],
            run_id=said.get("run") or None,
            head=said.get("head") or "main",
            **{name: _number(name, said.get(name)) for name in ("first", "item", "whole", "see", "to")},
        )


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
    item: Item | None
    causes: Sequence[Cause] = ()


@dataclass
class Replay:
    """All that the screen shows."""

    wanted: Wanted
    thread: ThreadView
    tree: RunsTree
    states: Mapping[str, RunState]
    items: Items
    strip: Strip
    steps: Steps
    cutter: Cutter
    selected: Selected | None = None
    sight: ModelSight | None = None
    spawned: Mapping[int, list[RunState]] = field(default_factory=dict)
    """The runs that left the path at an item, by its position."""
    repeats: Mapping[int, str] = field(default_factory=dict)
    """The messages that only repeat what came of a call of the window, by their positions, each with the tool."""
    said: Mapping[str, str] = field(default_factory=dict)
    """What the address says."""

    def go(self, **changed: Any) -> str:
        """Return the address of the same screen with other parameters; None takes one away."""
        found = {name: value for name, value in {**self.said, **changed}.items() if value is not None}
        return f"?{urlencode(found)}"

    @property
    def last_number(self) -> int:
        """The number of the window's last item."""
        return self.items.first + len(self.items.items) - 1


async def _page(request: Request) -> Response:
    asked = await past(request)
    wanted = Wanted.of(request)
    found = await asked.ask(lambda: _found(asked, wanted))
    helpers: dict[str, Any] = {
        "part_words": part_words,
        "named_values": named_values,
        "outcome_words": outcome_words,
        "word_diff": word_diff,
    }
    return await draw(request, "replay.html", replay=found, origin=str(request.base_url).rstrip("/"), few=FEW_ITEMS, **helpers)


def _found(asked: Past, wanted: Wanted) -> Replay:
    reading = asked.reading if asked.at is not None else asked.ledger.at(asked.position)
    thread = reading.thread(wanted.thread_id)
    states = reading.run_states(wanted.thread_id)
    items = reading.items(
        wanted.thread_id,
        wanted.run_id,
        head=wanted.head,
        first=wanted.first,
        around=wanted.item if wanted.first is None else None,
    )
    whole = asked.ledger.at(asked.head.position if wanted.to is None else max(wanted.to, asked.position))
    texts = [text for item in items.items for text in texts_of(item)]
    found = Replay(
        wanted=wanted,
        thread=thread,
        tree=runs_tree(states, items.path, items.run_id),
        states={state.run_id: state for state in states},
        items=items,
        strip=strip(whole.stretches(wanted.thread_id), asked.position),
        steps=_steps(asked, items, thread, wanted),
        cutter=Cutter(texts, wanted.whole),
        spawned=_left(items, states),
        repeats=_repeats(items.items),
        said={name: value for name, value in asked.request.query_params.items() if value},
    )
    if wanted.item is not None:
        found.selected = _selected(asked, items, wanted.item)
    if wanted.see is not None:
        found.sight = model_sight(asked, _event(asked, wanted.thread_id, wanted.see))
    return found


def _steps(asked: Past, items: Items, thread: ThreadView, wanted: Wanted) -> Steps:
    """Ask where the events beside the moment are: of the whole thread, and messages of the run at the end of the path."""
    here, ledger = asked.position, asked.ledger

    def beside(after: int, up_to: int | None, order: Any, **narrowed: Any) -> int | None:
        events = ledger.events(after=after, up_to=up_to, limit=1, order=order, **narrowed)
        return events[0].position if events else None

    of_thread, of_run = {"thread_id": wanted.thread_id}, {"run_id": items.run_id, "types": _MESSAGE}
    last = beside(0, wanted.to, "desc", **of_thread) or here
    current = beside(0, here, "desc", **of_thread) or thread.created_position
    messages = [item.position for item in items.items if item.kind == "message" and item.position < current]
    return Steps(
        first=thread.created_position,
        previous_event=None if current <= 1 else beside(0, current - 1, "desc", **of_thread),
        next_event=beside(here, wanted.to, "asc", **of_thread),
        previous_message=messages[-1] if messages else None,
        next_message=beside(here, wanted.to, "asc", **of_run) if items.run_id else None,
        last=last,
    )


def _event(asked: Past, thread_id: str, position: int) -> Recorded:
    """The event of a thread at a position. Raises UsageError where there is none, or it is of something else."""
    found: list[Recorded] = []
    if 0 < position <= asked.position:
        found = asked.ledger.events(after=position - 1, up_to=position, thread_id=thread_id)
    if not found:
        raise UsageError(f"position {position} holds no event of this thread as of {asked.position}")
    return found[0]


def _selected(asked: Past, items: Items, position: int) -> Selected:
    recorded = _event(asked, items.thread_id, position)
    item = next((each for each in items.items if each.position == position), None)
    text = orjson.dumps(orjson.loads(disclosed_data(recorded)), option=orjson.OPT_INDENT_2).decode()
    if item is not None and item.message is not None and item.message.is_redacted:
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


def _causes(items: Items, item: Item | None) -> list[Cause]:
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


def _repeats(items: Sequence[Item]) -> dict[int, str]:
    """The messages in which a model was given the result of a call, word for word, each with the tool."""
    calls = {item.tool_call.id: item.tool_call for item in items if item.tool_call}
    found = {}
    for item in items:
        message = item.message
        call = calls.get(message.tool_call_id or "") if message and message.role == "tool" else None
        told = {plain(call.result), call.error.message if call.error else None} if call else set()
        if message and call and message.text and message.text in told:
            found[item.position] = call.name
    return found


def _left(items: Items, states: list[RunState]) -> dict[int, list[RunState]]:
    """The runs that left runs of the path, each by the item that came last before."""
    found: dict[int, list[RunState]] = {}
    on_path = [item for item in items.items if item.kind != "approval"]
    for state in states:
        if state.parent is None or state.run_id in items.path:
            continue
        before = [item for item in on_path if item.run_id == state.parent.run_id and item.version <= state.parent.at_version]
        if before:
            found.setdefault(before[-1].position, []).append(state)
    return found


def _number(name: str, text: str | None) -> int | None:
    """A number of the address. Raises UsageError for text that is none."""
    if not text:
        return None
    found = whole_number(text.replace(",", ""))
    if found is None:
        raise UsageError(f"{name} takes a whole number, not {text[:40]!r}", name=name)
    return found


SCREENS = (Screen("pages.thread", "/ui/threads/{thread_id}", _page),)
