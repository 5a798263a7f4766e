"""Tool calls, listed: those of all runs from their read model, those of one run straight from the log."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, Unpack, get_args

from runfold.domain.approval_events import ApprovalGranted
from runfold.domain.event import Event
from runfold.domain.run_events import RunFailed
from runfold.domain.tool_call import CallStatus, Failure, ToolCalled, ToolFailed, ToolSucceeded
from runfold.errors import UsageError
from runfold.history.approvals import as_read, is_edited
from runfold.projections.fold import naming_the_event
from runfold.projections.tool_calls import ToolCallRow, ToolCalls
from runfold.queries.lists.paging import Direction, Listing, Paging, Sort, direction, limit, ordered_by
from runfold.queries.lists.parameters import Parameter, checked, column, narrowed
from runfold.queries.lists.where import OneOrMore
from runfold.queries.page import Page, page_of
from runfold.queries.question import question
from runfold.queries.runs.calls import CALLS, RunCalls, Scope
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader

_PIECE = 1_000
"""So many events are folded at once."""


class ToolCallParameters(Paging, total=False):
    """What a list of tool calls can be narrowed and sorted by. Where several values are given, any of them will do."""

    name: Annotated[OneOrMore | None, column("Only calls of this tool.")]
    status: Annotated[OneOrMore | None, column("Only calls with this status.", get_args(CallStatus))]
    run_id: Annotated[
        OneOrMore | None,
        column(
            "Only calls that this run asked for or carried on. Those of one run alone are read from the log and never behind,"
            " with what its past left open."
        ),
    ]
    scope: Annotated[
        Scope | None,
        Parameter("Of one run: its own calls with what its past left open, or all along its path from the root.", default="run"),
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

    requested_run_id: str | None = None
    """The run that asked for it; null where a run of the past did, in a list of several runs."""

    arguments_text: str | None = None
    """The arguments to the letter, as the model wrote them."""
    arguments: Any = None
    """The same as JSON, where they are any."""
    result: Any = None
    """What it answered."""
    error: Failure | None = None
    """What it failed with, or the run under it."""
    effective_arguments_text: str | None = None
    """What was allowed, and so executed, where that is something else than was asked; `arguments` stay what was asked."""
    effective_arguments: Any = None
    """The same as JSON, where they are any."""


@question
def tool_calls(source: LocalSource, **asked: Unpack[ToolCallParameters]) -> Page[ListedToolCall]:
    """A page of tool calls: of all runs the newest first, without their content; of one run the oldest first, with it.

    Those of one run alone are read from the log: they are never behind, and need no read model. What its past left open is
    among them; with `scope="path"` all calls along its path from the root are. Raises UsageError, ReadModelBehind; RunNotFound
    where one run is asked for that does not exist.
    """
    wanted = checked(asked, ToolCallParameters)
    asked_by: Mapping[str, str] = {}
    if len(wanted.get("run_id", ())) == 1:
        wanted = {"order": "asc", "content": True, **wanted}
        page, asked_by = _of_run(source.pinned(wanted.get("min_position")), wanted)
    elif (scope := wanted.get("scope", "run")) != "run":
        raise UsageError(f"the scope {scope} is that of one run; name the run", scope=scope)
    else:
        with source.snapshot("tool_calls", within=source.threads_of(wanted), asked=wanted) as snapshot:
            page = _page(snapshot, wanted)
    items = (_with_content if wanted.get("content") else _without_content)(source.reader, page.items, asked_by)
    allowed = [_as_allowed(source.reader, item) for item in items]
    return page_of(ListedToolCall, allowed, page.next_cursor, page.standing)


def _of_run(source: LocalSource, wanted: Mapping[str, Any]) -> tuple[Page[ToolCallRow], Mapping[str, str]]:
    """Return a page of the calls of one run, and which run asked for each call along its path."""
    (run_id,), scope = wanted["run_id"], wanted.get("scope", "run")
    calls, history = RunCalls(), source.history(run_id)
    approvals_of = [segment.run_id for segment in history.path if scope == "path" or segment.run_id == run_id]
    with naming_the_event():
        for each, events in history.by_run(tuple(event.type for event in CALLS.events), approvals_of):
            while piece := list(islice(events, _PIECE)):
                calls.take_in(each, piece)
    found = {name: value for name, value in wanted.items() if name != "run_id"}  # what its past left open is of another run
    with source.snapshot_of(CALLS, calls.rows(run_id, scope)) as snapshot:
        return _page(snapshot, found), calls.asked_by


def _page(snapshot: Snapshot, wanted: Mapping[str, Any]) -> Page[ToolCallRow]:
    where = narrowed(wanted, ToolCallParameters)
    if "waiting" in wanted:
        where.add('(t."open_approvals" > 0) = %b', wanted["waiting"])
    return _CALLS.page(snapshot, where, wanted)


def _as_allowed(reader: TenantReader, call: ListedToolCall) -> ListedToolCall:
    """The call with the arguments that its approval allowed, where these are others than it asked."""
    if not call.approved or call.approval_id is None or call.arguments_text is None:
        return call
    for recorded in reader.stream(call.approval_id, types=("approval.granted",)):
        event = recorded.event
        if isinstance(event, ApprovalGranted) and is_edited(call.arguments_text, event.effective_arguments_text):
            text = event.effective_arguments_text
            return call.model_copy(update={"effective_arguments_text": text, "effective_arguments": as_read(text)})
    return call


class _Content(NamedTuple):
    """What of a call is in the log alone."""

    arguments_text: str | None = None
    arguments: Any = None
    result: Any = None
    error: Failure | None = None


def _without_content(_: Reader, rows: Sequence[ToolCallRow], asked_by: Mapping[str, str]) -> list[ListedToolCall]:
    return [ListedToolCall(**row.__dict__, requested_run_id=_asked_by(row, asked_by)) for row in rows]


def _asked_by(row: ToolCallRow, asked_by: Mapping[str, str]) -> str | None:
    return asked_by.get(row.call_id, None if row.requested_position is None else row.run_id)


def _with_content(reader: Reader, rows: Sequence[ToolCallRow], asked_by: Mapping[str, str]) -> list[ListedToolCall]:
    """One look into the log for all of them. Raises UnreadableEvent."""
    positions = [position for row in rows for position in (row.requested_position, row.resolved_position) if position is not None]
    events = {position: recorded.event for position, recorded in reader.at_positions(positions).items()}
    return [
        ListedToolCall(**row.__dict__, **_content(row, events)._asdict(), requested_run_id=_asked_by(row, asked_by))
        for row in rows
    ]


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
