"""Agents over HTTP, as AG-UI's clients talk to them: a run is begun or joined, or a client is given what there is."""

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from runfold.access.accept import prefers
from runfold.access.limits import SMALL_BODY
from runfold.commands.caller import Caller
from runfold.domain.json_text import parse_json
from runfold.domain.values import whole_number
from runfold.errors import AgentNotFound, InvalidEvent, ThreadNotFound, UsageError, VersionConflict
from runfold.feed.shared import Feed
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http.listing import Listed
from runfold.http.routing import Handler, NamedRoute, Operation, answer, route_of
from runfold.http.server_state import ServerState
from runfold.http.turns import Turns

if TYPE_CHECKING:
    from runfold.http.agents.intake import Begun
    from runfold.http.agents.work import Job, Work

MEDIA_TYPE = "text/event-stream"
_STREAM = {MEDIA_TYPE: {"description": "Server-sent events; the data of each is an event of AG-UI as JSON."}}


class RunAsked(BaseModel):
    """AG-UI's `RunAgentInput`, as its clients send it."""

    thread_id: str
    """The conversation; the first run of one makes it."""
    run_id: str
    """The run to begin. The same id with the same body joins the run that is there."""
    messages: list[dict[str, Any]]
    """All that the client has, or what is new; where its ids leave the thread's, a branch begins."""
    parent_run_id: str | None = None
    """The run that this one comes from; a branch, unless that is where the thread is."""
    state: Any = None
    tools: list[dict[str, Any]] = Field(default_factory=list)
    context: list[dict[str, Any]] = Field(default_factory=list)
    forwarded_props: Any = None
    """`runfold.parentRunId` and `runfold.forkFromMessageId` are for clients that cannot send `parentRunId`."""
    resume: list[dict[str, Any]] | None = None
    """The answers to all open interrupts."""
    protocol_version: str | None = None

    model_config = ConfigDict(alias_generator=to_camel, extra="allow", use_attribute_docstrings=True)


class AgentView(BaseModel):
    """An agent that this server serves."""

    name: str

    model_config = ConfigDict(use_attribute_docstrings=True)


_WORDS = """

The answer is a stream of AG-UI's events, of what is recorded, as it is recorded; where each stands in the ledger is in
`metadata.runfold`. The run goes on when the client hangs up: the same body joins it again, wherever it is, in the middle of a
text too. `POST /threads/{thread_id}/runs` with `Accept: text/event-stream` does the same, with the thread's agent.
"""
LIST = Operation("agents.list", "GET", "/agents", "The agents that this server serves, by name.", Listed[AgentView], "runs:read")
RUN = Operation(
    "agents.run",
    "POST",
    "/agents/{agent}",
    "Let an agent run, as AG-UI's clients ask for it." + _WORDS,
    dict[str, Any],
    "runs:write",
    body=RunAsked,
    media_types=_STREAM,
)
CONNECT = Operation(
    "agents.connect",
    "POST",
    "/agents/{agent}/connect",
    "Give an AG-UI client what there is of its thread.\n\nThe messages and the state, and the run that is at work, from where it"
    " is; open interrupts are open for the client, too. No run is begun.",
    dict[str, Any],
    "runs:read",
    body=RunAsked,
    media_types=_STREAM,
)
OPERATIONS = (LIST, RUN, CONNECT)
BESIDE = "runs.create_and_start"
"""The command whose path takes an AG-UI client's request for a run too."""


class Agents:
    """The agents of a server, and whoever talks to them."""

    def __init__(self, server: ServerState, feed: Feed) -> None:
        self._server, self._feed, self._turns = server, feed, Turns()
        if server.work is not None:
            _load()

    async def list(self, request: Request) -> Response:
        """Answer with their names."""
        await self._server.caller(request, "runs:read")
        found = [AgentView(name=name) for name in sorted(self._served())]
        return answer(TypeAdapter(Listed[AgentView]), Listed(items=found, next_cursor=None), {})

    async def run(self, request: Request) -> Response:
        """Begin a run, or join it."""
        await self._turns.mine()
        caller = await self._server.caller(request, "runs:write")
        name = self._named(str(request.path_params["agent"]))
        async with self._server.body(request, caller) as raw:
            asked = await self._server.parsed(request, raw, _read)
            return await self._begin(caller, name, _Asked(asked, None, _resumed(request), len(raw)))

    async def run_in_thread(self, request: Request) -> Response:
        """Begin a run in the thread that the path names."""
        await self._turns.mine()
        caller = await self._server.caller(request, "runs:write")
        async with self._server.body(request, caller) as raw:
            asked = await self._server.parsed(request, raw, _read)
            thread = str(request.path_params["thread_id"])
            ledger = self._server.seen_by(caller)
            name = await self._server.pools.questions.run(self._name_for, ledger, thread, asked)
            asked = {**asked, "threadId": asked.get("threadId") or thread}
            return await self._begin(caller, name, _Asked(asked, thread, _resumed(request), len(raw)))

    async def connect(self, request: Request) -> Response:
        """Give a client what there is."""
        from runfold.http.agents.intake import Intake  # noqa: PLC0415  only who serves agents has what it needs

        caller = await self._server.caller(request, "runs:read")
        name = self._named(str(request.path_params["agent"]))
        async with self._server.body(request, caller) as raw:
            asked = await self._server.parsed(request, raw, _read)
        work = self._server.work
        assert work is not None, "there is an agent of that name"  # noqa: S101
        intake = Intake(self._server.seen_by(caller), name, work.claimant)
        begun = await self._server.pools.questions.run(intake.connect, asked)
        return await self._stream(caller, name, begun, is_hydrated=True)

    async def _begin(self, caller: Caller, name: str, asked: "_Asked") -> Response:
        from runfold.http.agents.intake import Intake  # noqa: PLC0415

        work = self._server.work
        assert work is not None, "there is an agent of that name"  # noqa: S101
        intake = Intake(self._server.seen_by(caller), name, work.claimant)
        begin = partial(intake.begin, asked.body, asked.thread)
        with contextlib.nullcontext() if _is_at_work(work, caller, asked.body) else work.room():
            first = await intake.begin_first(asked.body, asked.thread) if asked.is_small else None
            try:
                begun = await self._server.pools.commands.run(begin) if first is None else first
            except VersionConflict:  # somebody else was first: perhaps with the same request
                begun = await self._server.pools.commands.run(begin)
            if begun.is_new:  # whatever becomes of its client
                work.begin(_job(caller, name, begun), begun.execution, begun.path)
        return await self._stream(caller, name, begun, after=asked.after, is_small=asked.is_small)

    async def _stream(
        self,
        caller: Caller,
        name: str,
        begun: Any,
        *,
        is_hydrated: bool = False,
        after: int | None = None,
        is_small: bool = False,
    ) -> Response:
        from runfold.http.agents.following import ThreadEvents  # noqa: PLC0415
        from runfold.http.agents.showing import first_shown, shown  # noqa: PLC0415
        from runfold.http.agents.stream import AgentStream  # noqa: PLC0415

        server, work = self._server, self._server.work
        assert work is not None, "there is an agent of that name"  # noqa: S101
        ledger, epoch = server.seen_by(caller), server.ledger.history.epoch
        show, is_at_hand = partial(shown, ledger, begun, is_hydrated=is_hydrated, after=after), False
        if begun.is_new and epoch is not None:
            show, is_at_hand = partial(first_shown, begun, epoch, after), is_small and not begun.past
        if is_at_hand:
            await self._turns.mine()  # after the agent, who has begun by then, and after others whose runs are to be recorded
        found = show() if is_at_hand else await server.pools.questions.run(show)
        reader = ledger.now.reader.tolerant()
        events = ThreadEvents(self._feed, server.pools, reader, begun.thread_id, found.head.position)
        events.join(ledger.tail, found.head)
        look_after = partial(work.revive, _job(caller, name, begun))
        seconds = max(0.2, work.claimant.lease.total_seconds() / 5)
        return AgentStream(events, found.events, found.first, server.limits, partial(server.watch, caller), look_after, seconds)

    def _served(self) -> dict[str, Any]:
        return dict(self._server.work.agents) if self._server.work is not None else {}

    def _named(self, name: str) -> str:
        if name not in self._served():
            raise AgentNotFound(name)
        return name

    def _name_for(self, ledger: TenantLedger, thread: str, asked: dict[str, Any]) -> str:
        """Return the agent that a thread is for: what the client says, the thread's own, or the only one there is."""
        from runfold.http.agents.ids import thread_id_of  # noqa: PLC0415

        props = asked.get("forwardedProps")
        own = props.get("runfold") if isinstance(props, dict) else None
        if isinstance(own, dict) and isinstance(own.get("agent"), str):
            return self._named(own["agent"])
        try:
            found = ledger.now.thread(thread_id_of(thread)).agent_id
        except ThreadNotFound:
            found = None
        served = sorted(self._served())
        if found in served:
            return str(found)
        if len(served) == 1 and found is None:
            return served[0]
        raise AgentNotFound(found or "-")


class _Asked(NamedTuple):
    """A request for a run: its body, the thread that its path names, what of the stream the client has, and the body's bytes."""

    body: dict[str, Any]
    thread: str | None
    after: int | None
    size: int

    @property
    def is_small(self) -> bool:
        """Return whether it takes so little that nobody else is kept waiting for it."""
        return self.size <= SMALL_BODY


def agent_routes(agents: Agents) -> list[NamedRoute]:
    """Return the routes of agents."""
    return [route_of(LIST, agents.list), route_of(RUN, agents.run), route_of(CONNECT, agents.connect)]


def or_agent(route: NamedRoute, agents: Agents) -> NamedRoute:
    """Return a route that lets an agent run for who asks for a stream of events, and is as it was for all others."""
    command: Handler = route.endpoint

    async def handle(request: Request) -> Response:
        return await (agents.run_in_thread(request) if prefers(request, MEDIA_TYPE) else command(request))

    (verb,) = route.methods
    return NamedRoute(route.name, verb, route.path, handle)


def _load() -> None:
    """Import what requests for runs need: no client is to wait for that, and what is there when the server begins is never
    looked through for cycles.
    """
    from runfold.http.agents import following, intake, showing, stream  # noqa: F401, PLC0415


def _is_at_work(work: "Work", caller: Caller, asked: dict[str, Any]) -> bool:
    """Return whether a client only joins a run, which needs no room."""
    from runfold.http.agents.ids import run_id_of, thread_id_of  # noqa: PLC0415

    thread_id, run_id = asked.get("threadId"), asked.get("runId")
    if not isinstance(thread_id, str) or not isinstance(run_id, str):
        return False
    return work.is_at_work(caller.tenant_id, run_id_of(thread_id_of(thread_id), run_id))


def _job(caller: Caller, name: str, begun: "Begun") -> "Job":
    """Return what somebody is to work on, of a run that is there for a client."""
    from runfold.http.agents.work import Job  # noqa: PLC0415  only who serves agents has what it needs

    return Job(caller.tenant_id, begun.thread_id, begun.run_id, name)


def _read(_: Request, raw: bytes) -> dict[str, Any]:
    found = parse_json(raw, "body")
    if not isinstance(found, dict):
        raise InvalidEvent("body", "is no JSON object; send AG-UI's RunAgentInput")
    return found


def _resumed(request: Request) -> int | None:
    """Return the position up to which a client has the stream. Raises UsageError."""
    last = request.headers.get("last-event-id", "").strip()
    if not last:
        return None
    position = whole_number(last)
    if position is None:
        raise UsageError(f"Last-Event-ID {last[:40]!r} is no position; send the id that came last, or none to begin")
    return position
