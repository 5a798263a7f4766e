"""Tool calls of all runs, listed."""

from typing import Annotated, Literal, get_args

from runfold.domain.tool_call import CallStatus
from runfold.projections.tool_calls import ToolCallRow, ToolCalls
from runfold.queries.paging import Listing, Paging, Sort
from runfold.queries.read_models import Page, Snapshot
from runfold.queries.where import OneOrMore, Where, Within, given, texts, truth, words

_CALLS = Listing(
    ToolCalls(),
    {
        "requested_position": (Sort("requested_position", nullable=True),),
        "resolved_position": (Sort("resolved_position", nullable=True),),
        "duration": (Sort("duration_ns", nullable=True, is_required=True),),
    },
)
_BY_TEXT = ("name", "run_id", "thread_id", "agent_id", "goal_id", "call_id", "message_id", "provider_call_id", "error_code")


class CallsAsked(Paging, total=False):
    """What a list of tool calls can be narrowed and sorted by. Where several values are given, any of them will do."""

    name: OneOrMore | None
    status: Annotated[OneOrMore | None, Within(get_args(CallStatus))]
    """called, started, succeeded, failed or cancelled."""
    run_id: OneOrMore | None
    thread_id: OneOrMore | None
    agent_id: OneOrMore | None
    goal_id: OneOrMore | None
    call_id: OneOrMore | None
    message_id: OneOrMore | None
    provider_call_id: OneOrMore | None
    error_code: OneOrMore | None
    waiting: bool | None
    """Whether it waits for a person."""
    order_by: Literal["requested_position", "resolved_position", "duration"] | None
    """requested_position where nothing is said. By duration, calls that have none are left out.

    Calls that a run of the past asked for and this run answered come after those that it asked for itself.
    """


def call_list(snapshot: Snapshot, asked: CallsAsked) -> Page[ToolCallRow]:
    """A page of tool calls, newest first unless it says otherwise. Raises UsageError."""
    wanted = given(asked, CallsAsked)
    where = Where()
    where.one_of("status", words("status", wanted.get("status"), get_args(CallStatus)))
    for name in _BY_TEXT:
        where.one_of(name, texts(name, wanted.get(name)))
    if "waiting" in wanted:
        where.add('(t."open_approvals" > 0) = %b', truth("waiting", wanted["waiting"]))
    return _CALLS.page(snapshot, where, wanted, order_by="requested_position", order="desc")
