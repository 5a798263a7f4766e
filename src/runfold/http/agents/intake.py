"""A client's request → a run: checked, hung into its thread's tree, and recorded whole or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from runfold.agui.content import parts_of
from runfold.agui.conversation import Conversation, Spoken
from runfold.domain.event import Recorded, refusal
from runfold.domain.json_text import canonical
from runfold.domain.run import ENDED
from runfold.domain.values import digest
from runfold.errors import CommandRefused, InvalidEvent, NotFound, RunInProgress, RunNotFound, ThreadNotFound
from runfold.handles.batch import Batch
from runfold.handles.run import Run
from runfold.handles.tenant_ledger import TenantLedger
from runfold.history.path import thread_tree
from runfold.history.tree import Tree
from runfold.history.views import RunView
from runfold.http.agents.ids import message_id_of, run_id_of, thread_id_of
from runfold.http.agents.lineage import Lineage, Origin
from runfold.http.agents.past import path_events
from runfold.http.agents.resuming import Answers
from runfold.store.reader import TenantReader

KEY = "ag_ui"
"""The key of what AG-UI says of a run or thread, in the metadata of those."""
INTERRUPTED = "interrupted"
"""The code of a run whose server died with its agent."""


@dataclass(frozen=True)
class Claimant:
    """Who will work on a run that is begun, and for how long it is its own unless that is said again."""

    worker: str
    lease: timedelta


@dataclass(frozen=True)
class Begun:
    """A run that is there for a client."""

    thread_id: str
    run_id: str
    shown_thread: str
    shown_run: str
    is_new: bool
    is_moved: bool = False
    """Whether the client has other messages than those that the run goes on from, or has some that the run would tell it of."""
    past: tuple[Recorded, ...] = ()
    """Of a new run: the events of its path before it."""
    first_position: int = 0
    """Of a new run: where it begins in the ledger."""
    execution: str = ""
    """Of a new run: under which id it is claimed."""


class Intake:
    """Takes requests of one caller for one agent."""

    def __init__(self, ledger: TenantLedger, agent_name: str, claimant: Claimant) -> None:
        self._ledger, self._agent, self._claimant = ledger, agent_name, claimant
        self._reader: TenantReader = ledger.now.reader

    def begin(self, asked: dict[str, Any], thread: str | None = None) -> Begun:
        """Record a run, or find the one that was recorded under the same id for the same request.

        Raises InvalidEvent, ThreadNotFound, RunNotFound, ApprovalNotFound, CommandRefused, and Conflict where the id is used.
        """
        _validate(asked)
        shown = asked["threadId"]
        if thread is not None and thread_id_of(shown) != thread_id_of(thread):
            raise InvalidEvent("threadId", f"is {shown!r}, and the path names {thread!r}; send the same")
        thread_id = thread_id_of(shown)
        run_id = run_id_of(thread_id, asked["runId"])
        tree = self._own(thread_id)
        wanted = digest(canonical({"": asked}))
        may_be_known = tree is not None or run_id == asked["runId"]  # the id of any other is made of its thread's
        if may_be_known and (found := self._known(thread_id, run_id, wanted)) is not None:
            return Begun(thread_id, run_id, shown, asked["runId"], found)
        return self._record(asked, thread_id, run_id, tree, wanted)

    def connect(self, asked: dict[str, Any], thread: str | None = None) -> Begun:
        """Find the run that a thread's main head is at. Raises ThreadNotFound, RunNotFound."""
        _validate(asked)
        thread_id = thread_id_of(thread or asked["threadId"])
        tree = self._own(thread_id)
        if tree is None:
            raise ThreadNotFound(thread_id)
        run_id = Lineage(self._reader, tree, asked).current()
        if run_id is None:
            raise RunNotFound(asked["runId"])
        return Begun(thread_id, run_id, asked["threadId"], asked["runId"], is_new=False)

    def _own(self, thread_id: str) -> Tree | None:
        """Return the thread's tree; None where there is no thread yet. Raises ThreadNotFound for somebody else's."""
        try:
            found = self._ledger.now.thread(thread_id)
        except ThreadNotFound:
            return None
        owner = (found.metadata.get(KEY) or {}).get("owner") if isinstance(found.metadata.get(KEY), dict) else None
        if found.state == "deleted" or (owner is not None and owner != self._person and not self._ledger.caller.may("admin")):
            raise ThreadNotFound(thread_id)
        return thread_tree(self._reader, thread_id)

    @property
    def _person(self) -> str:
        """Return whom the caller acts for, or the caller."""
        actor = self._ledger.caller.actor
        return actor.on_behalf_of or str(actor)

    def _known(self, thread_id: str, run_id: str, wanted: str) -> bool | None:
        """Return False where the run is there, for the same request. Raises CommandRefused where it is for another."""
        try:
            found = self._ledger.now.run(run_id)
        except NotFound:
            return None
        told = found.metadata.get(KEY)
        if found.thread_id != thread_id or not isinstance(told, dict) or told.get("digest") != wanted:
            rule = "its id was sent with another request; send the same body to join it, or another runId for another run"
            raise CommandRefused("run", run_id, rule, found.status)
        return False

    def _record(self, asked: dict[str, Any], thread_id: str, run_id: str, tree: Tree | None, wanted: str) -> Begun:
        lineage = Lineage(self._reader, tree, asked) if tree is not None else None
        answers = Answers(self._ledger, thread_id, tree, asked.get("resume") or [])
        origin = answers.origin or (lineage.origin() if lineage is not None else Origin(None))
        parent = self._ledger.now.run(origin.run_id) if origin.run_id is not None else None
        origin = self._allowed(origin, parent, answers)
        events = (
            path_events(self._reader, tree, origin.run_id, *([origin.at_version] if origin.at_version else []))
            if (tree is not None and origin.run_id is not None)
            else []
        )
        conversation = Conversation()
        for recorded in events:
            conversation.take(recorded)
        with self._ledger.batch(new_thread=thread_id if tree is None else None) as batch:
            if tree is None:
                about = {"threadId": asked["threadId"], "owner": self._person}
                batch.create_thread(thread_id=thread_id, agent_id=self._agent, user_id=self._person, metadata={KEY: about})
            answers.give(batch, f"exec_{run_id}", self._agent)
            run = self._created(batch, asked, thread_id, run_id, origin, answers, wanted)
            sent_along = _Sent(run, conversation, origin.elsewhere)
            sent_along.take(asked)
            run.start()
            execution = run.claim(self._claimant.worker, lease=self._claimant.lease, actor=f"agent:{self._agent}")
        sent = {message_id_of(str(message.get("id"))) for message in asked["messages"]}
        is_moved = any(spoken.id not in sent for spoken in conversation.messages.values() if spoken.role != "activity")
        receipt = batch.receipt
        assert receipt is not None, "a run was recorded"  # noqa: S101
        return Begun(
            thread_id,
            run_id,
            asked["threadId"],
            asked["runId"],
            is_new=True,
            is_moved=is_moved or sent_along.has_answers or origin.kind == "branches",
            past=tuple(events),
            first_position=receipt.position - batch.appended + 1,
            execution=execution,
        )

    def _allowed(self, origin: Origin, parent: RunView | None, answers: Answers) -> Origin:
        """Check that a run may go on from another. Raises CommandRefused."""
        if parent is None or origin.kind == "branches" or answers.origin is not None:
            return origin
        if parent.waiting_for:
            open_ones = ", ".join(parent.waiting_for)
            rule = f"its interrupts are open ({open_ones}): answer each of them with `resume`, or branch before them"
            raise CommandRefused("run", parent.id, rule, parent.status)
        if parent.status not in ENDED:
            raise RunInProgress("run", parent.id, "it is at work: join it (connect), cancel it, or branch", parent.status)
        is_interrupted = parent.error is not None and parent.error.code == INTERRUPTED
        return replace(origin, kind="resumes") if is_interrupted else origin

    def _created(
        self, batch: Batch, asked: dict[str, Any], thread_id: str, run_id: str, origin: Origin, answers: Answers, wanted: str
    ) -> Run:
        given = {name: asked[name] for name in ("tools", "context", "forwardedProps") if asked.get(name)}
        about: dict[str, Any] = {"threadId": asked["threadId"], "runId": asked["runId"], "digest": wanted}
        if answers.entries:
            about["resume"] = answers.entries
        request: dict[str, Any] = {"kind": origin.kind} if origin.run_id is not None else {}
        if origin.at_version is not None:
            request["at_version"] = origin.at_version
        return batch.thread(thread_id).create_run(
            given or None, run_id=run_id, agent_id=self._agent, parent=origin.run_id, metadata={KEY: about}, **request
        )


class _Sent:
    """The messages and the state of a request: what is new of them is recorded."""

    def __init__(self, run: Run, known: Conversation, elsewhere: frozenset[str]) -> None:
        self._run, self._known, self._elsewhere = run, known, elsewhere
        self.has_answers = False
        """Whether something is recorded that only agents and tools say: a run tells of that, and the client has it."""
        self._calls = set(known.calls)
        self._answered = {spoken.call_id for spoken in known.messages.values() if spoken.role == "tool"}

    def take(self, asked: Mapping[str, Any]) -> None:
        for index, message in enumerate(asked["messages"]):
            if message.get("role") != "activity":
                self._message(message, f"messages.{index}")
        state = asked.get("state")
        if state not in (None, {}) and state != self._known.state:
            self._run.set_state(state)

    def _message(self, message: dict[str, Any], where: str) -> None:
        message_id, role = message_id_of(str(message["id"])), message["role"]
        parts = parts_of(message.get("content"), role)
        if (known := self._known.messages.get(message_id)) is not None:
            self._again(known, parts, message_id)
            return
        if message_id in self._elsewhere:
            return  # it is of another branch
        self.has_answers = self.has_answers or role in {"assistant", "reasoning", "tool"}
        if role == "tool":
            self._answer(message, message_id, where)
            return
        author = {"actor": self._agent_actor} if role in {"assistant", "reasoning"} else {}
        self._run.add_message(role, parts, message_id=message_id, name=message.get("name"), **author)  # type: ignore[arg-type]
        for call in message.get("toolCalls") or ():
            call_id = message_id_of(str(call["id"]))
            if call_id not in self._calls:
                self._calls.add(call_id)
                self._run.call_tool(
                    call["function"]["name"], call["function"].get("arguments") or "", call_id=call_id, message_id=message_id
                )

    @property
    def _agent_actor(self) -> str:
        return "agent:ag-ui"

    def _again(self, known: Spoken, parts: tuple[Any, ...], message_id: str) -> None:
        """A message that is known: only a person's own words may be said otherwise."""
        if known.role == "user" and parts and parts != known.parts:
            self._run.message(message_id).revise(parts, reason="sent again with other content")

    def _answer(self, message: dict[str, Any], message_id: str, where: str) -> None:
        call_id = message_id_of(str(message.get("toolCallId") or ""))
        if call_id not in self._calls:
            raise InvalidEvent(f"{where}.toolCallId", f"no tool call of this conversation is {call_id!r}; nothing was recorded")
        if call_id in self._answered:
            return  # what the client has of that is its own copy
        self._answered.add(call_id)
        content = message.get("content")
        self._run.add_message("tool", parts_of(content), message_id=message_id, tool_call_id=call_id)
        if (error := message.get("error")) is not None:
            self._run.tool_call(call_id).fail(str(error), code="tool_error")
        else:
            self._run.tool_call(call_id).succeed(content)


def _validate(asked: Mapping[str, Any]) -> None:
    from ag_ui.core import RunAgentInput  # noqa: PLC0415  only who serves agents has it

    try:
        RunAgentInput.model_validate(asked)
    except ValidationError as error:
        raise refusal(error) from None
    for name in ("threadId", "runId"):
        if not asked[name]:
            raise InvalidEvent(name, "is empty; send an id")
