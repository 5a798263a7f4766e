"""One source thread on its way into the ledger: what is in already is told apart from what is new, and where that goes.

Every id is made from the source's own, so an import that was killed, or a source that has grown, is imported by giving
all its commands again: those that are recorded add nothing. What an ended run cannot take goes into a run that continues it.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from runfold.domain.approval_events import ApprovalDenied, ApprovalExpired, ApprovalGranted, ApprovalRequested, ApprovalWithdrawn
from runfold.domain.compaction import ContextCompacted
from runfold.domain.decision import DecisionMade, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.message import MessageAdded, MessageRevised
from runfold.domain.parts import Part, TextPart
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunCompleted, RunCreated, RunFailed, RunStarted
from runfold.domain.step import ModelCallStarted, StatePatched, StateSnapshotTaken, StepStarted
from runfold.domain.thread import ThreadImported, ThreadRenamed
from runfold.domain.tool_call import ToolCalled, ToolCancelled, ToolFailed, ToolSucceeded
from runfold.domain.usage import CostReported, Tokens, UsageRecorded
from runfold.domain.values import LABEL_LENGTH
from runfold.errors import CommandRefused, DuplicateWithDifferentContent, ThreadNotFound
from runfold.handles.calling.local import BatchExecutor
from runfold.handles.ledgers.batch import Batch
from runfold.handles.message import Message
from runfold.handles.run import Run
from runfold.handles.thread import Thread
from runfold.handles.tool_call import ToolCall
from runfold.ids import stable_id
from runfold.importers.omissions import OMITTED, amended, reduced
from runfold.importers.sources import OF_A_RECORD, Report, why
from runfold.importers.tally import Note, Problem, Tally
from runfold.ledger import Ledger
from runfold.method_call import MethodCall

STORE_AFTER = 5000
"""Events that are collected before they are stored: a thread with more goes in in several transactions."""

_IDS: dict[type[Event], str] = {
    UsageRecorded: "usage_id",
    CostReported: "cost_id",
    ContextCompacted: "compaction_id",
    ModelCallStarted: "model_call_id",
    StepStarted: "step_id",
}
"""Events of things that stay in the run where they were recorded, and how they name them."""


_LABELS = ("provider", "model", "service_tier")
"""What a usage says in words."""


@dataclass
class ImportedBefore:
    """The part of a thread that the ledger held before the import."""

    exists: bool = False
    renamed_by: str | None = None
    """Who gave the thread the title that it has; None where it has that of its beginning."""
    counts: Tally = field(default_factory=Tally)
    runs: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    continued: set[str] = field(default_factory=set)
    """Runs that another one continues."""
    branches: Counter[str] = field(default_factory=Counter)
    """How many branches leave each run."""
    approvals: set[str] = field(default_factory=set)
    decided: set[str] = field(default_factory=set)
    """Approvals that were granted, denied or withdrawn."""
    home: dict[str, str] = field(default_factory=dict)
    """The run that a message, tool call, decision, step, approval, usage or cost is in; a call's end under `end` and its id."""
    scored: set[str] = field(default_factory=set)
    """Decisions that have an outcome."""
    wording: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    """The latest content of each message."""
    states: Counter[str] = field(default_factory=Counter)
    """How often the shared state of each run was recorded or changed."""
    added_at: dict[str, tuple[str, int]] = field(default_factory=dict)
    """The run and the version at which a message was added, or a tool called."""
    source_ids: set[str] = field(default_factory=set)
    """Of all that was imported into it."""
    active_at: dict[str, datetime] = field(default_factory=dict)
    """When the last message of each run was said."""

    @classmethod
    def of(cls, ledger: Ledger, thread_id: str) -> "ImportedBefore":
        """Read the thread; nothing is known of one that does not exist."""
        known = cls()
        try:
            for recorded in ledger.thread(thread_id).events():
                known.exists = True
                known.take_in(recorded)
        except ThreadNotFound:
            return known
        return known

    def take_in(self, recorded: Recorded) -> None:
        """Note what an event tells."""
        run_id, event = recorded.stream, recorded.event
        self.states[run_id] += isinstance(event, StateSnapshotTaken | StatePatched)
        if (name := _IDS.get(type(event))) is not None:
            self.home[getattr(event, name)] = run_id
        self.renamed_by = str(recorded.metadata.actor) if isinstance(event, ThreadRenamed) else self.renamed_by
        self.counts.count(event)
        match event:
            case ThreadImported():
                self.source_ids.update(event.source_ids)
            case RunCreated():
                self.runs.add(run_id)
                if event.parent is not None and event.parent.kind == "continues":
                    self.continued.add(event.parent.run_id)
                elif event.parent is not None and event.parent.kind == "branches":
                    self.branches[event.parent.run_id] += 1
            case RunStarted():
                self.started.add(run_id)
            case ApprovalRequested():
                self.approvals.add(run_id)
                self.home[run_id] = event.run_id
            case ApprovalGranted() | ApprovalDenied() | ApprovalWithdrawn() | ApprovalExpired():
                self.decided.add(run_id)
            case RunCompleted() | RunFailed() | RunCancelled():
                self.ended.add(run_id)
            case MessageAdded():
                moment = recorded.happened_at
                self.active_at[run_id] = max(moment, self.active_at.get(run_id, moment))
                self.home[event.message_id] = run_id
                self.added_at[event.message_id] = (run_id, recorded.version)
                self.wording[event.message_id] = event.content
            case MessageRevised():
                self.wording[event.message_id] = event.content
            case ToolCalled():
                self.home[event.call_id] = run_id
                self.added_at[event.call_id] = (run_id, recorded.version)
            case ToolSucceeded() | ToolFailed() | ToolCancelled():
                self.home[f"end {event.call_id}"] = run_id
            case DecisionMade():
                self.home[event.decision_id] = run_id
            case OutcomeRecorded():
                self.scored.add(event.decision_id)
            case _:
                return


class Placed(Protocol):
    """Says where in a source a problem is."""

    def problem(self, reason: str) -> Problem:
        """A problem with what stands there."""


class Recording:
    """A batch for one source thread."""

    def __init__(
        self, ledger: Ledger, batch: Batch, thread_id: str, report: Report, *, is_trial: bool = False, is_new: bool = False
    ) -> None:
        """Nothing of a trial is stored, and nothing of what is new is in."""
        self.ledger = ledger
        self.batch = batch
        self.known = ImportedBefore() if is_new else ImportedBefore.of(ledger, thread_id)
        self.thread: Thread = batch.thread(thread_id)
        self.in_one_go = False
        """Whether no part of the thread may be stored without the rest: where its commands carry no ids."""
        self.was_refused = False
        """Whether a command was refused, by how things stand in the ledger."""
        self._is_trial = is_trial
        self._is_stored_in_part = False
        self._report = report
        self._at: Placed | None = None
        self._limits = ledger.command_executor.limits
        if isinstance(batch.executor, BatchExecutor):
            batch.executor.amend = self._amended

    @property
    def has_news(self) -> bool:
        """Return whether anything was recorded."""
        return self._is_stored_in_part or len(self.batch) > 0

    def begin(self, **created: Any) -> None:
        """Create the thread where it does not exist."""
        if not self.known.exists:
            self.batch.create_thread(thread_id=self.thread.id, **created)

    def rename(self, title: str, actor: str) -> None:
        """Give the thread the source's title, unless somebody else has named it since."""
        if self.known.renamed_by in {None, actor}:
            self.thread.rename(title, actor=actor)

    @contextlib.contextmanager
    def of(self, piece: Placed) -> Iterator[None]:
        """Commands for one record of the source: where one is refused, that is a problem, and the rest goes in."""
        before, self._at = self._at, piece
        try:
            yield
        except OF_A_RECORD as error:
            self.was_refused |= isinstance(error, CommandRefused)
            self._report(piece.problem(why(error)))
        finally:
            self._at = before
        if len(self.batch) > STORE_AFTER and not (self.in_one_go or self._is_trial):
            self.count()
            self.batch.submit_store()
            self._is_stored_in_part = True

    def tell(self, reason: str) -> None:
        """Report a problem with the record that is worked on."""
        self._report(self._place(reason))

    def _place(self, reason: str) -> Problem:
        return Problem(self.thread.id, None, reason) if self._at is None else self._at.problem(reason)

    def count(self) -> None:
        """Count what is collected, before it is stored."""
        for recorded in self.batch.collected():
            self.known.counts.count(recorded.event)

    def source_run(self, run_id: str, **request: Any) -> "SourceRun":
        """A run of the source, begun where it is not in yet. `request` is what `start_run` takes."""
        if run_id not in self.known.runs:
            self.thread.start_run(run_id=run_id, **request)
        return SourceRun(self, run_id)

    def fitting(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Return the content of a message as it is kept: with omissions where it is too large."""
        return reduced(parts, self._limits)

    def _amended(self, call: MethodCall[Any]) -> MethodCall[Any] | None:
        """The same command with omissions, where it was too large."""
        instead = amended(call, self._limits)
        if instead is not None:
            place = self._place("")
            self._report(Note(place.file, place.line, OMITTED))
        return instead

    def finish(self, imported: ThreadImported) -> None:
        """Say that all of the source is in."""
        self.thread.record_import(imported)


class SourceRun:
    """One run of the source, and the runs that continue it here because it had ended before the source went on."""

    def __init__(self, recording: Recording, run_id: str) -> None:
        self._recording = recording
        self._known = recording.known
        self.first_id = self._tip = run_id
        while (following := _continuation(self._tip)) in self._known.runs:
            self._tip = following

    @property
    def tip(self) -> Run:
        """The run that new things go to; opened now where the last one has ended."""
        if self._tip in self._known.ended:
            self._continue()
        return self._recording.batch.run(self._tip)

    @property
    def is_open(self) -> bool:
        """Return whether its last run has not ended."""
        return self._tip not in self._known.ended

    @property
    def last_id(self) -> str:
        """The run that the source's run goes on in here: its own, or the last that continues it."""
        return self._tip

    def run(self, item_id: str) -> Run:
        """The run that has this item of the source, or that it goes to."""
        if home := self._known.home.get(item_id):
            return self._recording.batch.run(home)
        run = self.tip
        self._known.home[item_id] = run.id
        return run

    def bill(self, item_id: str, of: str | None = None) -> Run:
        """The run that has this usage or cost, or that it goes to: that of its model call or usage, or the last, ended or not."""
        home = self._known.home
        return self._recording.batch.run(home.setdefault(item_id, home.get(of or "", self._tip)))

    def add_message(self, role: Any, content: str | tuple[Part, ...], *, message_id: str, **rest: Any) -> None:
        """Add a message, or revise it where the source has another wording now.

        One of a user makes room for itself where an approval was left open.
        """
        parts = (TextPart(text=content),) if isinstance(content, str) else content
        wording = self._known.wording.get(message_id)
        if wording is None:
            run = self.run(message_id)
            rest.setdefault("auto_deny", role == "user" and not rest.get("keep_approvals"))
            self._note(message_id, run.add_message(role, parts, message_id=message_id, **rest))
        elif wording != parts and wording != (parts := self._recording.fitting(parts)):
            envelope = {name: rest[name] for name in ("actor", "occurred_at") if name in rest}
            self.tip.message(message_id).revise(parts, reason="the source has another wording now", **envelope)

    def call_tool(self, name: str, arguments: Any, *, call_id: str, **rest: Any) -> ToolCall:
        """Call a tool."""
        call = self.run(call_id).call_tool(name, arguments, call_id=call_id, **rest)
        self._note(call_id, call)
        return call

    def use(self, usage_id: str, **used: Any) -> None:
        """Record what a model call used, or correct it where the source has other figures now."""
        run, used = self.bill(usage_id, used.get("model_call_id")), _labelled(used)
        try:
            run.usage(usage_id=usage_id, **used)
        except DuplicateWithDifferentContent:
            tokens = {name: used[name] for name in Tokens.model_fields if name in used}
            envelope = {name: used[name] for name in ("actor", "occurred_at") if name in used}
            recorded = run.recorded_usage(usage_id)
            recorded.correct(reason="the source has other figures now", **tokens, **envelope)

    def conclude(self, decision_id: str, **outcome: Any) -> None:
        """Record the outcome of a decision, or correct it where the source has another one now."""
        decision = self.run(decision_id).decision(decision_id)
        if decision_id in self._known.scored:
            decision.correct_outcome(reason="the source has another outcome now", **outcome)
        else:
            decision.outcome(**outcome)

    def ending(self, call_id: str) -> ToolCall:
        """The handle on which a call of this run ends: in its own run, or in one that continues it."""
        return self.run(f"end {call_id}").tool_call(call_id)

    def end(self) -> Run | None:
        """The run to end now, or None where it has ended."""
        if not self.is_open:
            return None
        self._known.ended.add(self._tip)
        return self._recording.batch.run(self._tip)

    def _note(self, item_id: str, made: Message | ToolCall) -> None:
        self._known.added_at.setdefault(item_id, (made.receipt.stream, made.receipt.version))

    def _continue(self) -> None:
        following = _continuation(self._tip)
        self._recording.thread.start_run(run_id=following, parent=self._tip, kind="continues")
        self._known.runs.add(following)
        self._tip = following


def _labelled(used: dict[str, Any]) -> dict[str, Any]:
    """What was used, with labels as they can be kept: one that is empty names nothing, and a long one is cut."""
    labels = {name: used[name][:LABEL_LENGTH] or None for name in _LABELS if isinstance(used.get(name), str)}
    return {**used, **labels}


def _continuation(run_id: str) -> str:
    return stable_id("run", "continued by an import", run_id)
