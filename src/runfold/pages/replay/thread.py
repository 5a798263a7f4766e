"""The replay of a thread: the conversation as of a moment along a path, the runs, the whole of it as a strip, and one event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from runfold.domain.values import whole_number
from runfold.errors import UsageError
from runfold.history.items import ThreadItem, ThreadItems
from runfold.history.views import ThreadView
from runfold.pages.asking import Past, past
from runfold.pages.drawing import HEADERS, draw
from runfold.pages.replay.cutting import Cutter, named_values, outcome_words, part_words, plain, texts_of
from runfold.pages.replay.inspector import Selected, event_at, selected
from runfold.pages.replay.model_sight import ModelSight, model_sight
from runfold.pages.replay.runs_tree import RunsTree, runs_tree
from runfold.pages.replay.strip import Strip, strip
from runfold.pages.replay.when import position_when
from runfold.pages.screen import Screen
from runfold.queries.threads.items import FEW_ITEMS
from runfold.queries.threads.run_states import RunState

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


@dataclass
class Replay:
    """All that the screen shows."""

    wanted: Wanted
    thread: ThreadView
    tree: RunsTree
    states: Mapping[str, RunState]
    items: ThreadItems
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
    later_run: RunState | None = None
    """The run that was asked for, where it began later; what it goes on from is shown instead."""

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
    if when := request.query_params.get("when"):
        position = await asked.ask(lambda: position_when(asked, wanted.thread_id, when))
        said = {name: value for name, value in request.query_params.items() if name in {"run", "head", "to"} and value}
        return RedirectResponse(f"?{urlencode({**said, 'at': position})}", 303, HEADERS)
    found = await asked.ask(lambda: _found(asked, wanted))
    helpers: dict[str, Any] = {
        "part_words": part_words,
        "named_values": named_values,
        "outcome_words": outcome_words,
    }
    return await draw(request, "replay.html", replay=found, origin=str(request.base_url).rstrip("/"), few=FEW_ITEMS, **helpers)


def _found(asked: Past, wanted: Wanted) -> Replay:
    reading = asked.reading if asked.at is not None else asked.ledger.at(asked.position)
    thread = reading.thread(wanted.thread_id)
    states = reading.run_states(wanted.thread_id)
    run_id, later_run = _present_run(asked, wanted, states)
    items = reading.items(
        wanted.thread_id,
        run_id,
        head=wanted.head,
        first=wanted.first,
        around=wanted.item if wanted.first is None else None,
    )
    end = min(asked.head.position if wanted.to is None else max(wanted.to, asked.position), asked.head.position)
    asked.pinned = {"to": str(end)}
    whole = asked.ledger.at(end)
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
        later_run=later_run,
    )
    if wanted.item is not None:
        found.selected = selected(asked, items, wanted.item)
    if wanted.see is not None:
        found.sight = model_sight(asked, event_at(asked, wanted.thread_id, wanted.see))
    return found


def _present_run(asked: Past, wanted: Wanted, states: Sequence[RunState]) -> tuple[str | None, RunState | None]:
    """The run that is asked for; where it began later, the run that it goes on from and that was there, and itself."""
    there = {state.run_id for state in states}
    if wanted.run_id is None or wanted.run_id in there:
        return wanted.run_id, None
    known = {state.run_id: state for state in asked.ledger.at(asked.head.position).run_states(wanted.thread_id)}
    later = state = known.get(wanted.run_id)
    if later is None:
        return wanted.run_id, None
    while state is not None and state.run_id not in there:
        state = known.get(state.parent.run_id) if state.parent else None
    return (state.run_id if state else None), later


def _steps(asked: Past, items: ThreadItems, thread: ThreadView, wanted: Wanted) -> Steps:
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


def _repeats(items: Sequence[ThreadItem]) -> dict[int, str]:
    """The messages in which a model was given the result of a call, word for word, each with the tool."""
    calls = {item.tool_call.id: item.tool_call for item in items if item.tool_call}
    found = {}
    for item in items:
        message = item.message
        call = calls.get(message.tool_call_id or "") if message and message.role == "tool" else None
        results = call.result.values() if call and isinstance(call.result, dict) else ()
        told = {plain(call.result), call.error.message if call.error else None, *map(plain, results)} if call else set()
        if message and call and message.text and message.text in told:
            found[item.position] = call.name
    return found


def _left(items: ThreadItems, states: list[RunState]) -> dict[int, list[RunState]]:
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


async def _latest(request: Request) -> Response:
    """Tell where the thread ends now: a page that shows the present asks for it while somebody looks."""
    asked = await past(request)
    thread_id = request.path_params["thread_id"]
    last = await asked.ask(lambda: asked.ledger.events(thread_id=thread_id, order="desc", limit=1))
    return JSONResponse({"position": last[0].position if last else 0}, headers=HEADERS)


SCREENS = (
    Screen("pages.thread", "/ui/threads/{thread_id}", _page),
    Screen("pages.thread_latest", "/ui/threads/{thread_id}/latest", _latest),
)
