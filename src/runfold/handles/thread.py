"""The handle of a thread."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Literal, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import HeadName, Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded
from runfold.domain.run import Run as RunState
from runfold.domain.thread import Thread as ThreadState
from runfold.domain.thread import ThreadImported
from runfold.errors import RunNotFound
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.handle import Handle
from runfold.handles.creation import Creation, RunRequest, request_envelope
from runfold.handles.run import Run
from runfold.history.compactions import ModelContext
from runfold.history.tree import Tree
from runfold.history.views import Message, ThreadView


class Thread(Handle):
    """Names a conversation: a tree of runs, with named heads."""

    @command
    def create_run(self, input: Any = None, **request: Unpack[RunRequest]) -> Plan[Run]:
        """Ask for a run without beginning it."""
        return self._creation(Creation(self.executor, self.id, input, request), request)

    @command
    def start_run(
        self,
        input: Any = None,
        *,
        agent_version: str | None = None,
        code_version: str | None = None,
        **request: Unpack[RunRequest],
    ) -> Plan[Run]:
        """Ask for a run and begin it, in one transaction."""
        start = partial(RunState.start, agent_version=agent_version, code_version=code_version)
        return self._creation(Creation(self.executor, self.id, input, request, start), request)

    @command
    def rename(self, title: str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Give it another title."""
        return self._plan(lambda thread: thread.rename(title), envelope)

    @command
    def archive(self, reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Put it away. It takes no new runs until it is restored."""
        return self._plan(lambda thread: thread.archive(reason), envelope)

    @command
    def restore(self, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Take it out again."""
        return self._plan(lambda thread: thread.restore(), envelope)

    @command
    def delete(self, reason: str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Set the tombstone. Nothing is erased by it."""
        return self._plan(lambda thread: thread.delete(reason), envelope)

    @command
    def name_head(self, name: str, run: Run | str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Let a name point at a run of this thread. It follows the runs that continue it."""
        run_id = run.id if isinstance(run, Run) else run

        def work(session: Session) -> None:
            thread = self._state(session, envelope)
            self._own_run(session, run_id)
            session.record(thread, thread.name_head(name, run_id))

        return Plan(self.id, work, itself, envelope)

    @command
    def move_head(
        self,
        name: str,
        run: Run | str,
        *,
        expected: str | None = None,
        reason: Literal["checked_out", "rewound"] = "checked_out",
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Point a head at another run of this thread; refused where it is not at `expected`."""
        run_id = run.id if isinstance(run, Run) else run

        def work(session: Session) -> None:
            thread = self._state(session, envelope)
            self._own_run(session, run_id)
            current = session.heads(self.id).get(name)
            session.record(thread, thread.move_head(name, run_id, current, reason, expected))

        return Plan(self.id, work, itself, envelope, expects=HeadName(self.id, name) if expected is not None else None)

    @command
    def put_head(self, name: str, run: Run | str, *, expected: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Let a name point at a run of this thread, whether the head exists or not; refused where it is not at `expected`."""
        run_id = run.id if isinstance(run, Run) else run

        def work(session: Session) -> None:
            thread = self._state(session, envelope)
            self._own_run(session, run_id)
            current = session.heads(self.id).get(name)
            session.record(thread, thread.put_head(name, run_id, current, expected))

        return Plan(self.id, work, itself, envelope, expects=HeadName(self.id, name) if expected is not None else None)

    @command
    def record_import(self, imported: ThreadImported, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Say that all of a source is in."""
        return self._plan(lambda thread: thread.record_import(imported), envelope)

    @command
    def supersede(self, by_thread_ids: Iterable[str], reason: str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Say that other threads stand for this one: lists and totals leave it out, unless they are asked for it."""
        others = tuple(by_thread_ids)
        return self._plan(lambda thread: thread.supersede(others, reason), envelope)

    submit_create_run = submitting(create_run)
    submit_start_run = submitting(start_run)
    submit_rename = submitting(rename)
    submit_archive = submitting(archive)
    submit_restore = submitting(restore)
    submit_delete = submitting(delete)
    submit_name_head = submitting(name_head)
    submit_move_head = submitting(move_head)
    submit_put_head = submitting(put_head)
    submit_record_import = submitting(record_import)
    submit_supersede = submitting(supersede)

    # Reading

    def view(self, at: int | datetime | None = None) -> ThreadView:
        """Return the thread at a glance, now or at a position or time. Raises ThreadNotFound."""
        return self.executor.reading(at).thread(self.id)

    def tree(self, at: int | datetime | None = None) -> Tree:
        """Return the thread's runs and heads. Raises ThreadNotFound."""
        return self.executor.reading(at).tree(self.id)

    def messages(
        self, *, at_run: str | None = None, head: str = "main", at: int | datetime | None = None, at_version: int | None = None
    ) -> list[Message]:
        """Return the conversation as of a run (of a head's run, if none is given), along its path.

        `at` is a position or an aware datetime; `at_version` a version of the run. Raises ThreadNotFound, RunNotFound.
        """
        return self.executor.reading(at).messages(self.id, at_run, head=head, at_version=at_version)

    def context(
        self, *, at_run: str | None = None, head: str = "main", at: int | datetime | None = None, at_version: int | None = None
    ) -> ModelContext:
        """Return what the model of a run (of a head's run, if none is given) saw. Raises ThreadNotFound, RunNotFound."""
        return self.executor.reading(at).context(self.id, at_run, head=head, at_version=at_version)

    def events(self, at: int | datetime | None = None) -> Iterator[Recorded]:
        """Return every event of the thread, its runs and approvals, in the order of the ledger."""
        return self.executor.reading(at).thread_events(self.id)

    # How commands are made

    def _creation(self, creation: Creation, request: RunRequest) -> Plan[Run]:
        def answer(receipt: Receipt) -> Run:
            return Run(creation.run_id, self.executor, receipt)

        return Plan(creation.run_id, creation.decide, answer, request_envelope(request), expects=creation.expects)

    def _state(self, session: Session, envelope: Envelope) -> ThreadState:
        thread = session.thread(self.id)
        session.expect(thread, envelope.get("expected_version"))
        return thread

    def _plan(self, decide: Callable[[ThreadState], list[Event]], envelope: Envelope) -> Plan[Receipt]:
        def work(session: Session) -> None:
            thread = self._state(session, envelope)
            session.record(thread, decide(thread))

        return Plan(self.id, work, itself, envelope)

    def _own_run(self, session: Session, run_id: str) -> None:
        if (actual := session.thread_of(session.run(run_id))) != self.id:
            raise RunNotFound.in_thread(run_id, self.id, actual)
