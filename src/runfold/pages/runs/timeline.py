"""What a run did over time: steps, model calls, tool calls, sub-agents and waits as bars, in tracks, and as lines of a table."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunCompleted, RunFailed, RunResumed, RunWaiting
from runfold.history.step_list import StepView
from runfold.history.tree import Node
from runfold.pages.runs.scale import Fold, Scale, Tick
from runfold.projections.runs.summary import RunSummary
from runfold.queries.tool_calls import ListedToolCall

WAIT_TYPES = ("run.waiting", "run.resumed", "run.completed", "run.failed", "run.cancelled")
"""The types that tell of waits."""

Kind = Literal["step", "model_call", "tool_call", "sub_agent", "wait"]
TRACKS: dict[Kind, str] = {
    "step": "Steps",
    "model_call": "Model calls",
    "tool_call": "Tools",
    "sub_agent": "Sub-agents",
    "wait": "Waits",
}
MOST_ROWS = 6
"""Of a track: what overlaps more than that is drawn over what ends first, and the table has each."""
_WAITS = {"approval": "waits for approval", "input": "waits for input", "external": "waits for something outside"}
_TRACK, _TITLE, _ROW = 24, 16, 12
"""Heights in the drawing: between tracks, of a track's title, of a row of bars."""


class Bar(NamedTuple):
    """Something that took time, or has not ended."""

    kind: Kind
    id: str
    label: str
    status: str
    began_at: datetime
    ended_at: datetime | None
    position: int
    """The event that began it."""
    ended_position: int | None = None
    under: "_Key | None" = None
    """The bar in which it happened."""
    run_id: str | None = None
    """Of a sub-agent: its run."""
    heard_at: datetime | None = None
    """Of a sub-agent: when it was last heard of."""
    depth: int = 0

    @property
    def key(self) -> "_Key":
        """Return what tells it apart: a step, a model call and a tool call may have the same id."""
        return self.kind, self.id

    @property
    def is_open(self) -> bool:
        """Whether no end is recorded."""
        return self.ended_position is None


_Key = tuple[Kind, str]


class Drawn(NamedTuple):
    """A bar with its place in the drawing: from where, how wide, in percent; how far down, in pixels."""

    bar: Bar
    number: int
    x: float
    width: float
    y: int


class Track(NamedTuple):
    """The bars of one kind, in as many rows as overlap."""

    kind: Kind
    title: str
    y: int
    bars: tuple[Drawn, ...]


class Timeline(NamedTuple):
    """A stretch of a run, drawn."""

    tracks: tuple[Track, ...]
    folds: tuple[Fold, ...]
    ticks: tuple[Tick, ...]
    height: int


def bars_of(
    steps: Iterable[StepView],
    calls: Iterable[ListedToolCall],
    waits: Iterable[Bar],
    sub_agents: Iterable[Bar],
) -> list[Bar]:
    """Return all bars, each under the one in which it happened, in the order in which they began."""
    found = [*map(_step, steps), *map(_call, calls), *waits]
    known = {bar.key for bar in found}
    found += (_under_call(bar, found) for bar in sub_agents)
    below: dict[_Key | None, list[Bar]] = {}
    for bar in sorted(found, key=lambda bar: (bar.position, bar.kind != "step")):
        below.setdefault(bar.under if bar.under in known else None, []).append(bar)
    return list(_in_order(below, None, 0))


def _in_order(below: dict[_Key | None, list[Bar]], under: _Key | None, depth: int) -> Iterable[Bar]:
    for bar in below.get(under, ()):
        yield bar._replace(depth=depth)
        yield from _in_order(below, bar.key, depth + 1)


def _step(step: StepView) -> Bar:
    named = step.name if step.kind == "step" else step.response_model or step.request_model
    return Bar(
        kind=step.kind,
        id=step.id,
        label=named or step.node_id or step.id,
        status=step.status,
        began_at=step.started_at,
        ended_at=step.finished_at,
        position=step.started_position,
        ended_position=step.finished_position,
        under=None if step.step_id is None else ("step", step.step_id),
    )


def _call(call: ListedToolCall) -> Bar:
    began = call.requested_at or call.resolved_at
    position = call.requested_position or call.started_position or call.resolved_position
    assert began is not None and position is not None, "a call of a run was asked for, or ended, in it"  # noqa: S101, PT018
    return Bar(
        kind="tool_call",
        id=call.call_id,
        label=call.name or call.call_id,
        status=call.status,
        began_at=began,
        ended_at=call.resolved_at,
        position=position,
        ended_position=call.resolved_position,
    )


def waits_of(events: Iterable[Recorded]) -> list[Bar]:
    """Return the waits that a run's events tell of; each ends when the run goes on, or ends."""
    found: list[Bar] = []
    open_wait: Bar | None = None
    for recorded in events:
        match recorded.event:
            case RunWaiting() as waiting if open_wait is None:
                label = _WAITS[waiting.reason]
                open_wait = Bar(
                    "wait", f"wait-{recorded.position}", label, "waiting", recorded.happened_at, None, recorded.position
                )
            case RunResumed() | RunCompleted() | RunFailed() | RunCancelled() if open_wait is not None:
                ended = open_wait._replace(ended_at=recorded.happened_at, ended_position=recorded.position, status="over")
                found.append(ended)
                open_wait = None
            case _:
                continue
    return found if open_wait is None else [*found, open_wait]


def sub_agents_of(run_id: str, nodes: Iterable[Node], rows: Iterable[RunSummary]) -> list[Bar]:
    """Return the runs that a run spawned; what is not in `rows` yet is a run that has just been created."""
    known = {row.run_id: row for row in rows}
    spawned = [node for node in nodes if node.parent and node.parent.run_id == run_id and node.parent.kind == "spawned_by"]
    return [_sub_agent(node, known.get(node.run_id)) for node in spawned]


def _sub_agent(node: Node, row: RunSummary | None) -> Bar:
    ended = row is not None and row.ended_position is not None
    return Bar(
        kind="sub_agent",
        id=node.run_id,
        label=node.agent_id,
        status=row.status if row else "created",
        began_at=node.created_at,
        ended_at=row.finished_at if row and ended else None,
        position=node.position,
        ended_position=row.ended_position if row and ended else None,
        run_id=node.run_id,
        heard_at=row.last_event_at if row else None,
    )


def _under_call(agent: Bar, bars: Sequence[Bar]) -> Bar:
    """Put a sub-agent under the call in whose time it was spawned, where there is one such call and no other."""
    within = [
        bar
        for bar in bars
        if bar.kind == "tool_call" and bar.began_at <= agent.began_at and (bar.ended_at is None or agent.began_at <= bar.ended_at)
    ]
    return agent._replace(under=within[0].key) if len(within) == 1 else agent


def timeline(bars: Sequence[Bar], until: datetime, first_number: int = 1) -> Timeline | None:
    """Draw bars; those that have not ended go on `until` the last that is known of the run. None where there are none."""
    if not bars:
        return None
    scale = Scale([*(bar.began_at for bar in bars), *(_end(bar, until) for bar in bars)])
    tracks, y = [], _TRACK
    for kind, title in TRACKS.items():
        numbered = [(number, bar) for number, bar in enumerate(bars, first_number) if bar.kind == kind]
        if numbered:
            track = _track(kind, title, numbered, scale, until, y)
            tracks.append(track)
            y = max(drawn.y for drawn in track.bars) + _ROW + _TRACK - _TITLE
    return Timeline(tuple(tracks), tuple(scale.folds), tuple(scale.ticks()), y)


def _track(kind: Kind, title: str, bars: Sequence[tuple[int, Bar]], scale: Scale, until: datetime, y: int) -> Track:
    free: list[float] = []
    """Up to where each row is taken."""
    drawn = []
    for number, bar in sorted(bars, key=lambda each: each[1].began_at):
        x = min(scale.place(bar.began_at), 100 - _LEAST_WIDTH)
        width = max(scale.place(_end(bar, until)) - x, _LEAST_WIDTH)  # what has no width is not drawn at all
        row = next((index for index, taken in enumerate(free) if taken <= x), len(free))
        if row == MOST_ROWS:
            row = min(range(MOST_ROWS), key=free.__getitem__)
        free[row : row + 1] = [x + width]
        drawn.append(Drawn(bar, number, round(x, 3), round(width, 3), y + _TITLE + row * _ROW))
    return Track(kind, title, y, tuple(drawn))


_LEAST_WIDTH = 0.3
"""So much room a bar takes that is too short to be seen, in percent."""


def _end(bar: Bar, until: datetime) -> datetime:
    return max(bar.began_at, bar.ended_at or bar.heard_at or until)
