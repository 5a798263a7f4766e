"""How a run comes into being: where it hangs in its thread's tree, and what is put beside all its events."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from runfold.commands.caller import Envelope
from runfold.commands.plan import HeadName
from runfold.commands.session import Session
from runfold.domain.context import Context
from runfold.domain.event import Event
from runfold.domain.json_text import canonical
from runfold.domain.run import ENDED
from runfold.domain.run import Run as RunState
from runfold.domain.run_events import Goal, Parent, ParentKind, RunCreated
from runfold.domain.thread import MAIN
from runfold.domain.thread import Thread as ThreadState
from runfold.domain.values import RunId, digest
from runfold.errors import InvalidEvent, RunNotFound
from runfold.handles.calling.arguments import checked
from runfold.handles.calling.executor import Executor
from runfold.handles.calling.handle import Handle
from runfold.ids import stable_id

_SAID = (
    "agent_id",
    "parent",
    "kind",
    "at_version",
    "goal",
    "request_config",
    "background",
    "callback_url",
    "callback_result",
    "metadata",
)


class RunRequest(Envelope, total=False):
    """Says how a run is asked for, beside its input."""

    agent_id: str
    """Who runs; else the parent's agent, else the thread's."""
    run_id: str
    key: str
    """Asking twice for the same under one key (of an agent, in a thread) asks once."""
    parent: "Handle | str | None"
    """A head's name (default `main`: the run it points at, or a root where there is none), a run, or None for a root."""
    kind: ParentKind
    """continues (the default), branches, resumes, retries or spawned_by."""
    at_version: int
    """The parent's version at which this run leaves it; its present one if not given."""
    expected_head: str
    """The run that the caller believes the head to be at, where `parent` is a head; refused where it is not."""
    goal: Goal | Mapping[str, Any]
    request_config: dict[str, Any]
    background: bool
    callback_url: str
    """Is called once the run has ended, with how it ended. It must lead to a public host."""
    callback_result: bool
    """Whether that call holds the messages, the stop reason and the usage too."""
    metadata: dict[str, Any]
    auto_deny: bool
    """Continue a run that waits for approval by cancelling it; else that is refused."""


class Creation:
    """Follows a request for a run on its way through the executor."""

    def __init__(
        self,
        executor: Executor,
        thread_id: str | None,
        input: Any,
        request: RunRequest,
        start: Callable[[RunState], list[Event]] | None = None,
    ) -> None:
        """`start` begins the run in the same transaction."""
        self._executor, self._thread_id, self._start = executor, thread_id, start
        goal = request.get("goal")
        self._goal = Goal.model_validate(goal, strict=False) if isinstance(goal, Mapping) else goal
        said = self._said(request, input)
        self._request = request = _given(request)
        if isinstance(url := request.get("callback_url"), str):
            executor.require_address(url, "callback_url")
        checked(ParentKind, "kind", request.get("kind", "continues"))
        self._wanted = RunCreated(
            thread_id=thread_id or "thread_0",
            agent_id=request.get("agent_id", "-"),
            key=request.get("key"),
            request_digest=digest(canonical(said)),
            input=input,
            goal=self._goal,
            request_config=request.get("request_config"),
            background=request.get("background", False),
            callback_url=request.get("callback_url"),
            callback_result=request.get("callback_result"),
            metadata=request.get("metadata", {}),
        )
        given = request.get("run_id")
        self.run_id = checked(RunId, "run_id", given) if given is not None else self._id_for_key() or self._executor.new_id("run")

    def decide(self, session: Session) -> None:
        """Create the run, and begin it if that was asked too."""
        run = session.new(RunState, self.run_id)
        if run.exists:
            run.create(self._wanted)  # always raises: the executor compares the two requests
        thread = session.thread(self._thread_id or self._parents_thread(session))
        session.expect(thread, self._request.get("expected_version"))
        thread.require_open("start_run")
        origin = self._origin(session, thread)
        parent = self._parent(session, origin) if origin else None
        created = self._wanted.model_copy(
            update={"thread_id": thread.id, "parent": parent, "agent_id": self._agent(origin, thread)}
        )
        session.begin(run, run.create(created), thread.id, self._context(created, thread))
        if self._start is not None:
            session.record(run, self._start(run))

    def _said(self, request: RunRequest, input: Any) -> dict[str, Any]:
        """Return what a request under the same id must say again, to the letter."""
        said: dict[str, Any] = {name: request[name] for name in _SAID if name in request}  # type: ignore[literal-required]
        if isinstance(said.get("parent"), Handle):
            said["parent"] = said["parent"].id
        if self._goal is not None:
            said["goal"] = self._goal.model_dump(mode="json")
        return {**said, "input": input, "thread_id": self._thread_id}

    @property
    def expects(self) -> HeadName | None:
        """Return the head that the caller expects to be somewhere."""
        if self._thread_id is None or self._request.get("expected_head") is None:
            return None
        return HeadName(self._thread_id, _id_of(self._request.get("parent", MAIN)))

    def _id_for_key(self) -> str | None:
        key = self._request.get("key")
        return stable_id("run", self._thread_id or "", self._request.get("agent_id", ""), key) if key else None

    def _parents_thread(self, session: Session) -> str:
        return session.thread_of(session.run(_id_of(self._request.get("parent"))))

    def _origin(self, session: Session, thread: ThreadState) -> RunState | None:
        """Return the run that the new one comes from; None for a root."""
        asked = self._request.get("parent", MAIN)
        expected = self._request.get("expected_head")
        run_id = _id_of(asked)
        is_head = asked is not None and not run_id.startswith("run_")
        if expected is not None and not is_head:
            raise InvalidEvent("expected_head", "says where a head is; let `parent` be a head, or leave it out", "run.created")
        if asked is None:
            self._require_nothing_of_a_parent()
            return None
        if is_head:
            head = session.heads(thread.id).get(run_id)
            if head is None and run_id != MAIN:
                thread.refuse("start_run", f"head {run_id!r} does not exist; `name_head()` it first, or give a run (`parent=`)")
            if expected is not None and expected != head:
                thread.refuse("start_run", f"head {run_id!r} is at {head or 'no run'}, not {expected}")
            run_id = head or ""
        if not run_id:
            return None
        origin = session.run(run_id)
        if (actual := session.thread_of(origin)) != thread.id:
            raise RunNotFound.in_thread(run_id, thread.id, actual)
        return origin

    def _require_nothing_of_a_parent(self) -> None:
        """Raises InvalidEvent where a root, which comes from no run, is said to come from one in some way."""
        has_kind = self._request.get("kind", "continues") != "continues"
        for name, is_said in (("kind", has_kind), ("at_version", "at_version" in self._request)):
            if is_said:
                fact = "says how a run comes from another one, and `parent` (null) that it comes from none"
                raise InvalidEvent(name, f"{fact}; name the run, or leave this out", "run.created")

    def _parent(self, session: Session, origin: RunState) -> Parent:
        kind = self._request.get("kind", "continues")
        if kind == "continues" and origin.waiting_for:
            self._clear(session, origin)
        asked = self._request.get("at_version")
        parent = Parent(run_id=origin.id, kind=kind, at_version=origin.version if asked is None else asked)
        if parent.at_version > origin.version:
            origin.refuse(
                "start_run",
                f"it cannot be left at version {asked}, which it has not reached; `at_version` is at most {origin.version}",
            )
        if kind == "retries" and origin.status not in ENDED:
            origin.refuse("start_run", 'only an ended run is retried; end it first, or continue it (`kind="continues"`)')
        return parent

    def _clear(self, session: Session, origin: RunState) -> None:
        if not self._request.get("auto_deny"):
            origin.refuse(
                "start_run", "decide its approvals first (`grant()`, `deny()`), `branch()` it, or start with `auto_deny=True`"
            )
        approvals = [session.approval(approval_id) for approval_id in origin.waiting_for]
        session.look_up_calls(origin, origin.calls.open_ids)
        session.record(origin, origin.cancel("new input came before its approvals were decided"))
        for approval in approvals:
            session.record(approval, approval.withdraw("new_input"))

    def _agent(self, origin: RunState | None, thread: ThreadState) -> str:
        inherited = origin.created.agent_id if origin and origin.created else None
        agent = self._request.get("agent_id") or inherited or (thread.created.agent_id if thread.created else None)
        if agent is None:
            raise InvalidEvent("agent_id", "nobody is named to run: give agent_id here, or on the thread", "run.created")
        return agent

    def _context(self, created: RunCreated, thread: ThreadState) -> Context:
        return Context(
            run_id=self.run_id,
            parent_run_id=created.parent.run_id if created.parent else None,
            agent_id=created.agent_id,
            user_id=thread.created.user_id if thread.created else None,
            goal_id=created.goal.id if created.goal else None,
        )


def _given(request: RunRequest) -> RunRequest:
    """Return a request without what is None, which says nothing, but for a parent: a run without one is a root."""
    return cast("RunRequest", {name: value for name, value in request.items() if value is not None or name == "parent"})


def _id_of(parent: Handle | str | None) -> str:
    return parent.id if isinstance(parent, Handle) else parent or ""


def request_envelope(request: RunRequest) -> Envelope:
    """Return the part of a request that any command may carry."""
    return cast("Envelope", {name: value for name, value in request.items() if name in Envelope.__annotations__})
