"""A client's request → a run: checked, hung into its thread's tree, and recorded whole or not at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple

from pydantic import ValidationError

from runfold.agui.conversation import Conversation
from runfold.commands.submitted import Submitted
from runfold.domain.event import refusal
from runfold.domain.json_text import canonical
from runfold.domain.recorded import Recorded
from runfold.domain.run import ENDED
from runfold.domain.values import digest
from runfold.errors import CommandRefused, Conflict, InvalidEvent, NotFound, RunInProgress, RunNotFound, ThreadNotFound
from runfold.handles.calling.local import BatchExecutor
from runfold.handles.ledgers.batch import Batch
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.handles.run import Run
from runfold.history.path import thread_tree
from runfold.history.tree import Tree
from runfold.history.views import RunView
from runfold.http.agents.ids import message_id_of, run_id_of, thread_id_of
from runfold.http.agents.lineage import Lineage, Origin, own_words
from runfold.http.agents.past import path_events
from runfold.http.agents.resuming import Answers
from runfold.http.agents.sent import Sent
from runfold.store.reading.tenant_reader import TenantReader

KEY = "ag_ui"
"""The key of what AG-UI says of a run or thread, in the metadata of those."""
INTERRUPTED = "interrupted"
"""The code of a run whose server died with its agent."""
_FIRST_ROLES = frozenset({"user", "system", "developer"})


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
    is_moved: bool = False
    """Whether the client has other messages than those that the run goes on from, or has some that the run would tell it of."""
    past: tuple[Recorded, ...] = ()
    """Of a new run: the events of its path before it."""
    own: tuple[Recorded, ...] = ()
    """Of a new run: what was recorded for it; of another none."""
    execution: str = ""
    """Of a new run: under which id it is claimed."""

    @property
    def is_new(self) -> bool:
        """Return whether it was recorded just now, so that its agent is to begin."""
        return bool(self.own)

    @property
    def path(self) -> list[Recorded]:
        """Return the events of a new run's path, and its own."""
        return [*self.past, *(recorded for recorded in self.own if recorded.stream == self.run_id)]


class _Wanted(NamedTuple):
    """A request that can be one: the ids of its thread and its run as the ledger has them, and its digest."""

    asked: dict[str, Any]
    thread_id: str
    run_id: str
    digest: str


class Intake:
    """Takes requests of one caller for one agent."""

    def __init__(self, ledger: TenantLedger, agent_name: str, claimant: Claimant) -> None:
        self._ledger, self._agent, self._claimant = ledger, agent_name, claimant
        self._reader: TenantReader = ledger.now.reader

    async def begin_first(self, asked: dict[str, Any], thread: str | None = None) -> Begun | None:
        """Record the first run of a thread, which asks the database for nothing before: whatever is there already, is told
        by the append. None where the thread, or the run, is there, or the request looks as if. Raises InvalidEvent.
        """
        wanted = _wanted(asked, thread)
        known = self._ledger.command_executor.states
        if not _looks_first(asked) or known.peek((self._reader.tenant, wanted.thread_id)) is not None:
            return None
        try:
            begun, submitted = self._record(wanted, None)
            return begun(await submitted)
        except (Conflict, CommandRefused):  # said again, and then with the reason, by who looks before
            return None

    def begin(self, asked: dict[str, Any], thread: str | None = None) -> Begun:
        """Record a run, or find the one that was recorded under the same id for the same request.

        Raises InvalidEvent, ThreadNotFound, RunNotFound, ApprovalNotFound, CommandRefused, and Conflict where the id is used.
        """
        wanted = _wanted(asked, thread)
        tree = self._own(wanted.thread_id)
        may_be_known = tree is not None or wanted.run_id == asked["runId"]  # the id of any other is made of its thread's
        if may_be_known and self._is_known(wanted):
            return Begun(wanted.thread_id, wanted.run_id, asked["threadId"], asked["runId"])
        begun, submitted = self._record(wanted, tree)
        return begun(submitted.result())

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
        return Begun(thread_id, run_id, asked["threadId"], asked["runId"])

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

    def _is_known(self, wanted: _Wanted) -> bool:
        """Return whether the run is there, for the same request. Raises CommandRefused where it is for another."""
        try:
            found = self._ledger.now.run(wanted.run_id)
        except NotFound:
            return False
        told = found.metadata.get(KEY)
        if found.thread_id != wanted.thread_id or not isinstance(told, dict) or told.get("digest") != wanted.digest:
            rule = "its id was sent with another request; send the same body to join it, or another runId for another run"
            raise CommandRefused("run", wanted.run_id, rule, found.status)
        return True

    def _record(self, wanted: _Wanted, tree: Tree | None) -> tuple[Callable[[list[Recorded]], Begun], Submitted[list[Recorded]]]:
        """Have a run recorded; return what makes of the events what it is for its client, and when they are there."""
        asked, thread_id = wanted.asked, wanted.thread_id
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
        collected = BatchExecutor(
            self._ledger.command_executor, self._ledger.caller, new_thread=thread_id if tree is None else None
        )
        batch = Batch(collected)
        if tree is None:
            about = {"threadId": asked["threadId"], "owner": self._person}
            batch.create_thread(thread_id=thread_id, agent_id=self._agent, user_id=self._person, metadata={KEY: about})
        answers.give(batch, f"exec_{wanted.run_id}", self._agent)
        run = self._created(batch, wanted, origin, answers)
        sent_along = Sent(run, conversation, origin.elsewhere)
        sent_along.take(asked)
        run.start()
        execution = run.claim(self._claimant.worker, lease=self._claimant.lease, actor=f"agent:{self._agent}")
        sent = {message_id_of(str(message.get("id"))) for message in asked["messages"]}
        is_moved = any(spoken.id not in sent for spoken in conversation.messages.values() if spoken.role != "activity")

        def begun(own: list[Recorded]) -> Begun:
            return Begun(
                thread_id,
                wanted.run_id,
                asked["threadId"],
                asked["runId"],
                is_moved=is_moved or sent_along.has_answers or origin.kind == "branches",
                past=tuple(events),
                own=tuple(own),
                execution=execution,
            )

        return begun, collected.submit_all()

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

    def _created(self, batch: Batch, wanted: _Wanted, origin: Origin, answers: Answers) -> Run:
        asked = wanted.asked
        given = {name: asked[name] for name in ("tools", "context", "forwardedProps") if asked.get(name)}
        about: dict[str, Any] = {"threadId": asked["threadId"], "runId": asked["runId"], "digest": wanted.digest}
        if answers.entries:
            about["resume"] = answers.entries
        request: dict[str, Any] = {"kind": origin.kind} if origin.run_id is not None else {}
        if origin.at_version is not None:
            request["at_version"] = origin.at_version
        return batch.thread(wanted.thread_id).create_run(
            given or None, run_id=wanted.run_id, agent_id=self._agent, parent=origin.run_id, metadata={KEY: about}, **request
        )


def _wanted(asked: dict[str, Any], thread: str | None) -> _Wanted:
    """Return a request as one for a run. Raises InvalidEvent where it can be none."""
    _validate(asked)
    shown = asked["threadId"]
    if thread is not None and thread_id_of(shown) != thread_id_of(thread):
        raise InvalidEvent("threadId", f"is {shown!r}, and the path names {thread!r}; send the same")
    thread_id = thread_id_of(shown)
    return _Wanted(asked, thread_id, run_id_of(thread_id, asked["runId"]), digest(canonical({"": asked})))


def _looks_first(asked: Mapping[str, Any]) -> bool:
    """Return whether a request speaks of nothing that an agent did before."""
    if asked.get("resume") or asked.get("parentRunId") or own_words(asked):
        return False
    return all(message.get("role") in _FIRST_ROLES for message in asked["messages"])


def _validate(asked: Mapping[str, Any]) -> None:
    from ag_ui.core import RunAgentInput  # noqa: PLC0415  only who serves agents has it

    try:
        RunAgentInput.model_validate(asked)
    except ValidationError as error:
        raise refusal(error) from None
    for name in ("threadId", "runId"):
        if not asked[name]:
            raise InvalidEvent(name, "is empty; send an id")
