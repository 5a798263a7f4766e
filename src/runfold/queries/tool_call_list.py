"""Tool calls, listed: those of all runs from their read model, those of one run straight from the log."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Unpack, get_args

from runfold.domain.event import Event
from runfold.domain.run_events import RunFailed
from runfold.domain.tool_call import CallStatus, Failure, ToolCalled, ToolFailed, ToolSucceeded
from runfold.errors import RunNotFound
from runfold.projections.tool_calls import ToolCallRow, ToolCalls
from runfold.queries.page import Page
from runfold.queries.paging import Direction, Listing, Paging, Sort, direction, limit, ordered_by
from runfold.queries.parameters import Parameter, checked, column, narrowed
from runfold.queries.read_models import Snapshot
from runfold.queries.source import LocalSource, question
from runfold.queries.where import OneOrMore
from runfold.store.reader import Reader


class ToolCallParameters(Paging, total=False):
    """What a list of tool calls can be narrowed and sorted by. Where several values are given, any of them will do."""

    name: Annotated[OneOrMore | None, column("Only calls of this tool.")]
    status: Annotated[OneOrMore | None, column("Only calls with this status.", get_args(CallStatus))]
    run_id: Annotated[
        OneOrMore | None,
        column("Only calls that this run asked for or answered. Those of one run alone are read from the log, and never behind."),
    ]
    thread_id: Annotated[OneOrMore | None, column("Only calls in this thread.")]
    agent_id: Annotated[OneOrMore | None, column("Only calls of this agent's runs.")]
    goal_id: Annotated[OneOrMore | None, column("Only calls of runs towards this goal.")]
    call_id: Annotated[OneOrMore | None, column("Only these calls.")]
    message_id: Annotated[OneOrMore | None, column("Only calls that the model asked for in this message.")]
    provider_call_id: Annotated[OneOrMore | None, column("Only calls with this id to the provider.")]
    error_code: Annotated[OneOrMore | None, column("Only calls that failed with this code.")]
    waiting: Annotated[bool | None, Parameter("Only calls that wait for a person, or only calls that do not.")]
    content: Annotated[
        bool | None,
        Parameter("Whether each call comes with its arguments, result and error, from the log; if not given, for one run alone."),
    ]
    order_by: Annotated[
        Literal["requested_position", "resolved_position", "duration"] | None,
        ordered_by(
            "requested_position",
            "Calls that a run of the past asked for come after the others; by duration, calls that have none are left out.",
        ),
    ]
    order: Annotated[Direction | None, direction("desc", ", and asc for one run alone")]
    limit: Annotated[int | None, limit(100)]


_CALLS = Listing(
    ToolCalls(),
    ToolCallParameters,
    {
        "requested_position": (Sort("requested_position", nullable=True),),
        "resolved_position": (Sort("resolved_position", nullable=True),),
        "duration": (Sort("duration_ns", nullable=True, is_required=True),),
    },
)


class ListedToolCall(ToolCallRow):
    """A tool call of a list. What is of the log is null where the list was asked for without it."""

    arguments_text: str | None = None
    """The arguments to the letter, as the model wrote them."""
    arguments: Any = None
    """The same as JSON, where they are any."""
    result: Any = None
    """What it answered."""
    error: Failure | None = None
    """What it failed with, or the run under it."""


@question
def tool_calls(source: LocalSource, **asked: Unpack[ToolCallParameters]) -> Page[ListedToolCall]:
    """A page of tool calls: of all runs the newest first, without their content; of one run the oldest first, with it.

    Those of one run alone are read from the log: they are never behind, and need no read model. Raises UsageError,
    ReadModelBehind; RunNotFound where one run is asked for that does not exist.
    """
    wanted = checked(asked, ToolCallParameters)
    if len(wanted.get("run_id", ())) == 1:
        wanted = {"order": "asc", "content": True, **wanted}
        (run_id,) = wanted["run_id"]
        source.first(run_id, RunNotFound)
        with source.pinned(wanted.get("min_position")).snapshot_of_run("tool_calls", run_id) as snapshot:
            page = _page(snapshot, wanted)
    else:
        with source.snapshot("tool_calls", within=source.threads_of(wanted), asked=wanted) as snapshot:
            page = _page(snapshot, wanted)
    items = _with_content(source.reader, page.items) if wanted.get("content") else _without_content(page.items)
    return Page(items=tuple(items), next_cursor=page.next_cursor, standing=page.standing)


def _page(snapshot: Snapshot, wanted: Mapping[str, Any]) -> Page[ToolCallRow]:
    where = narrowed(wanted, ToolCallParameters)
    if "waiting" in wanted:
        where.add('(t."open_approvals" > 0) = %b', wanted["waiting"])
    return _CALLS.page(snapshot, where, wanted)


class _Content(NamedTuple):
    """What of a call is in the log alone."""

    arguments_text: str | None = None
    arguments: Any = None
    result: Any = None
    error: Failure | None = None


def _without_content(rows: Sequence[ToolCallRow]) -> list[ListedToolCall]:
    return [ListedToolCall(**row.__dict__) for row in rows]


def _with_content(reader: Reader, rows: Sequence[ToolCallRow]) -> list[ListedToolCall]:
    """One look into the log for all of them. Raises UnreadableEvent."""
    positions = [position for row in rows for position in (row.requested_position, row.resolved_position) if position is not None]
    events = {position: recorded.event for position, recorded in reader.at_positions(positions).items()}
    return [ListedToolCall(**row.__dict__, **_content(row, events)._asdict()) for row in rows]


def _content(row: ToolCallRow, events: Mapping[int, Event]) -> _Content:
    content = _Content()
    called, ended = events.get(row.requested_position or 0), events.get(row.resolved_position or 0)
    if isinstance(called, ToolCalled):
        content = content._replace(arguments_text=called.arguments_text, arguments=called.arguments)
    if isinstance(ended, ToolSucceeded | ToolFailed):
        content = content._replace(result=ended.result)
    if isinstance(ended, ToolFailed | RunFailed):
        content = content._replace(error=ended.error)
    return content
