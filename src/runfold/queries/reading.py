"""Questions answered straight from the log, now or at any position or time of the past."""

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Unpack, get_args

from runfold.domain.approval import Approval
from runfold.domain.event import Recorded
from runfold.domain.message import Role
from runfold.domain.run import Run
from runfold.domain.streams import State, is_id
from runfold.domain.thread import MAIN, Thread
from runfold.domain.values import whole_number
from runfold.errors import ApprovalNotFound, NotFound, RunNotFound, ThreadNotFound, UsageError
from runfold.history.heads import HeadView, head_list
from runfold.history.path import TOOL_CALL_EVENTS, History, fold_tool_calls, thread_tree
from runfold.history.step_list import TYPES as STEP_TYPES
from runfold.history.step_list import Order, StepView, step_list
from runfold.history.tree import Tree
from runfold.history.views import ApprovalView, Message, RunView, ThreadView, ToolCallView
from runfold.projections.approval_queue import ApprovalRow
from runfold.projections.problems import ProblemRow
from runfold.projections.registry import chosen
from runfold.projections.run_summary import RunSummary
from runfold.projections.threads import ThreadRow
from runfold.projections.tool_calls import ToolCallRow
from runfold.queries.analytics import Analytics
from runfold.queries.approval_list import ApprovalsAsked, ApprovalWords, approval_list, approval_words
from runfold.queries.call_list import CallsAsked, call_list
from runfold.queries.difference import RunDiff, run_diff
from runfold.queries.paging import DEFAULT_LIMIT
from runfold.queries.past import MOST_EVENTS, Past, Whole, not_of_a_handle
from runfold.queries.problem_list import ProblemsAsked, ProblemWords, problem_list, problem_words
from runfold.queries.read_models import Page, ReadModels, Snapshot
from runfold.queries.row_list import row_list
from runfold.queries.run_figures import RunFigures, run_figures
from runfold.queries.run_list import RunsAsked, run_list
from runfold.queries.summary import MODELS as SUMMARY_MODELS
from runfold.queries.summary import RunSummaryView, run_row, run_summary, summary_rows
from runfold.queries.thread_list import ThreadsAsked, thread_list
from runfold.queries.usage_report import Scope, UsageAsked, UsageReport, usage_question, usage_report
from runfold.queries.where import OneOrMore, texts, words
from runfold.store.filter import Filter
from runfold.store.reader import LATEST, Reader


class Reading(Analytics):
    """The ledger as it stood at a position."""

    def __init__(
        self, reader: Reader, tenant_id: str, up_to: int = LATEST, whole: Whole = not_of_a_handle, most_events: int = MOST_EVENTS
    ) -> None:
        self.reader = reader.of(tenant_id)
        self.tenant_id = tenant_id
        self._whole = whole
        self.up_to = up_to
        self.read_models = ReadModels(reader.datastore, tenant_id)
        self._past = Past(self.reader, self.read_models, up_to, whole, most_events)

    def at(self, moment: int | datetime | None, most_events: int = MOST_EVENTS, whole: Whole | None = None) -> "Reading":
        """The same questions at a position, or at a time of the store: the last position recorded not after it.

        A question about the whole past folds at most `most_events`. Raises UsageError for a position beyond the head.
        """
        if moment is None:
            return self
        if isinstance(moment, int):
            head = self.reader.head().position
            if not 0 <= moment <= head:
                raise UsageError(f"position {moment} is not in the ledger, which holds 1 to {head}")
            return Reading(self.reader, self.tenant_id, moment, whole or self._whole, most_events)
        if moment.tzinfo is None:
            raise UsageError(f"the time {moment.isoformat()} has no zone; add one, as in {moment.isoformat()}Z")
        return Reading(self.reader, self.tenant_id, self.reader.position_at(moment), whole or self._whole, most_events)

    def threads(self, limit: int = 50, before: int | None = None) -> list[ThreadView]:
        """Threads, newest first; `before` is the `created_position` of the last one of the page before."""
        created = self.reader.threads_created(limit, min(self.up_to, (before or LATEST) - 1))
        return [self.thread(recorded.stream) for recorded in created]

    def thread_list(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[ThreadsAsked]
    ) -> Page[ThreadRow]:
        """A page of threads, those that were active last first unless it says otherwise. Raises UsageError, ReadModelBehind."""
        within = self._threads_of(asked.get("thread_id"))
        with self._snapshot("threads", within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return thread_list(snapshot, asked)

    def thread(self, thread_id: str) -> ThreadView:
        """A thread at a glance. Raises ThreadNotFound."""
        thread = Thread(thread_id)
        first, last = self._fold(thread, ThreadNotFound)
        tree = thread_tree(self.reader, thread_id, self.up_to)
        return ThreadView.of(thread, tree, first, max(last.position, tree.position))

    def tree(self, thread_id: str) -> Tree:
        """The runs and heads of a thread. Raises ThreadNotFound."""
        self._first(thread_id, ThreadNotFound)
        return thread_tree(self.reader, thread_id, self.up_to)

    def heads(self, thread_id: str) -> list[HeadView]:
        """The heads of a thread by name, and where each was last put by hand. Raises ThreadNotFound."""
        return head_list(self.tree(thread_id), self.reader.stream(thread_id, up_to=self.up_to, types=("thread.head_*",)))

    def run(self, run_id: str, at_version: int | None = None) -> RunView:
        """A run at a glance, at its present or an earlier version. Raises RunNotFound."""
        run = Run(run_id)
        return RunView.of(run, *self._fold(run, RunNotFound, at_version))

    def approval(self, approval_id: str) -> ApprovalView:
        """An approval at a glance. Raises ApprovalNotFound."""
        approval = Approval(approval_id)
        return ApprovalView.of(approval, *self._fold(approval, ApprovalNotFound))

    def messages(
        self, thread_id: str, run_id: str | None = None, *, head: str = MAIN, at_version: int | None = None
    ) -> list[Message]:
        """The conversation of a thread as of a run, or of a head's run, along its path; empty where there is no run.

        Raises ThreadNotFound, RunNotFound.
        """
        if run_id is None:
            run_id = self.tree(thread_id).heads.get(head)
        return [] if run_id is None else self.history(run_id, thread_id, at_version=at_version).messages()

    def conversation(
        self, run_id: str, *, at_version: int | None = None, role: OneOrMore | None = None, own: bool = False
    ) -> list[Message]:
        """The conversation as of a run, along its path: all of it, that of some roles, or what the run itself said.

        Raises RunNotFound, UsageError.
        """
        roles = words("role", role, get_args(Role))
        found = self.history(run_id, at_version=at_version).messages()
        return [message for message in found if (not own or message.run_id == run_id) and (not roles or message.role in roles)]

    def state(self, run_id: str, at_version: int | None = None) -> Any:
        """The shared state document as of a run, along its path. Raises RunNotFound."""
        return self.history(run_id, at_version=at_version).state()

    def history(self, run_id: str, thread_id: str | None = None, *, at_version: int | None = None) -> History:
        """The path root → run. Raises RunNotFound, also where the run is not of that thread."""
        first = self._first(run_id, RunNotFound)
        if thread_id not in {None, first.thread_id}:
            raise RunNotFound(run_id)
        return History(
            self.reader, first.thread_id, run_id, at_version=LATEST if at_version is None else at_version, up_to=self.up_to
        )

    def diff(self, run_a: str, run_b: str) -> RunDiff:
        """Two runs side by side along their paths: where they part, and what happened differently after that.

        Of runs that share nothing, as those of two threads, `common` is null. Raises RunNotFound.
        """
        up_to = min(self.up_to, self.reader.head().position)
        pinned = self.at(up_to)
        return run_diff(self.reader, pinned.history(run_a), pinned.history(run_b), up_to)

    def tool_calls(self, run_id: str) -> list[ToolCallView]:
        """The tool calls that a run asked for or answered, oldest first. Raises RunNotFound."""
        self._first(run_id, RunNotFound)
        return fold_tool_calls(self.reader.stream(run_id, up_to=self.up_to, types=TOOL_CALL_EVENTS))

    def steps(self, run_id: str, *, order: Order = "asc") -> list[StepView]:
        """The steps and model calls that a run began, oldest first unless it says otherwise. Raises RunNotFound."""
        self._first(run_id, RunNotFound)
        found = step_list(self.reader.stream(run_id, up_to=self.up_to, types=STEP_TYPES))
        return found if order == "asc" else found[::-1]

    def metrics(self, run_id: str, *, min_position: int | None = None, wait_seconds: float | None = None) -> RunFigures:
        """How long a run took and how much it did, in numbers. Raises RunNotFound, ReadModelBehind."""
        created = self._first(run_id, RunNotFound)
        within = [created.thread_id]
        with self._snapshot("run_summaries", within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return run_figures(run_row(snapshot, created), snapshot.standing)

    def runs(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[RunsAsked]
    ) -> Page[RunSummary]:
        """A page of runs, newest first unless it says otherwise. Raises UsageError, ReadModelBehind."""
        within = self._threads_of(asked.get("thread_id"), asked.get("run_id") or asked.get("parent_run_id"))
        with self._snapshot("run_summaries", within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return run_list(snapshot, asked)

    def summary(self, run_id: str, *, min_position: int | None = None, wait_seconds: float | None = None) -> RunSummaryView:
        """A run in a few sentences. Raises RunNotFound, ReadModelBehind."""
        created = self._first(run_id, RunNotFound)
        within = [created.thread_id]
        with self._snapshot(*SUMMARY_MODELS, within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            rows = summary_rows(snapshot, run_row(snapshot, created))
        return run_summary(rows, self.reader)

    def approvals(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[ApprovalsAsked]
    ) -> Page[ApprovalRow]:
        """A page of approvals: where only open ones are asked for the oldest first, else the newest.

        Raises UsageError, ReadModelBehind.
        """
        within = self._threads_of(asked.get("thread_id"), asked.get("run_id"))
        with self._snapshot("approval_queue", within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return approval_list(snapshot, asked)

    def approval_words(self, approvals: Iterable[ApprovalRow]) -> dict[str, ApprovalWords]:
        """What approvals of a page say, by their ids: questions, arguments, votes."""
        return approval_words(self.reader, approvals)

    def calls(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[CallsAsked]
    ) -> Page[ToolCallRow]:
        """A page of tool calls of all runs, newest first unless it says otherwise. Raises UsageError, ReadModelBehind."""
        within = self._threads_of(asked.get("thread_id"), asked.get("run_id"))
        with self._snapshot("tool_calls", within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return call_list(snapshot, asked)

    def problems(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[ProblemsAsked]
    ) -> Page[ProblemRow]:
        """A page of problems, the worst first unless it says otherwise. Raises UsageError, ReadModelBehind."""
        within = self._threads_of(asked.get("thread_id"), asked.get("run_id"))
        with self._snapshot("problems", within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return problem_list(snapshot, asked)

    def rows(
        self,
        name: str,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        min_position: int | None = None,
        wait_seconds: float | None = None,
        **equal: Any,
    ) -> Page[Any]:
        """A page of any read model's rows, as its own class, by name or as module:Class; `equal` are columns and values.

        Raises ProjectionNotFound, InvalidProjection, UsageError, ReadModelBehind.
        """
        (projection,) = chosen([name]).values()
        with self._snapshot(projection.name, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return row_list(snapshot, projection, equal, limit, cursor)

    def problem_words(self, problems: Iterable[ProblemRow]) -> dict[tuple[str, str], ProblemWords]:
        """What problems of a page say, by their runs and ids: description, cause, fix, resolution."""
        return problem_words(self.reader, problems)

    def thread_events(self, thread_id: str) -> Iterator[Recorded]:
        """Every event of a thread, its runs and approvals. Raises ThreadNotFound."""
        self._first(thread_id, ThreadNotFound)
        return self.reader.events(Filter(thread_id=thread_id, tenant_id=self.tenant_id), up_to=self.up_to)

    def run_events(self, run_id: str, at_version: int | None = None) -> Iterator[Recorded]:
        """Every event of a run's stream. Raises RunNotFound."""
        self._first(run_id, RunNotFound)
        return self._stream(Run, run_id, at_version)

    def usage(
        self,
        by: OneOrMore = (),
        *,
        scope: Scope = "run",
        min_position: int | None = None,
        wait_seconds: float | None = None,
        **asked: Unpack[UsageAsked],
    ) -> UsageReport:
        """What model calls used and cost, by day, thread, run, agent, user, provider, model, goal or node, or several of them.

        With one run, `scope` is the run alone, its `path` from the root, or the whole `tree` under it, sub-agents included.
        Raises UsageError, RunNotFound, ThreadNotFound, ReadModelBehind.
        """
        question = usage_question(by, scope, asked)
        for thread_id in question.equal.get("thread", ()):
            self._first(thread_id, ThreadNotFound)
        for run_id in (runs := question.equal.get("run", ())):
            self._first(run_id, RunNotFound)
        path = self.history(runs[0]).path if question.scope == "path" else ()
        within = self._threads_of(question.equal.get("thread"), question.equal.get("run"))
        models = question.read_models
        with self._snapshot(*models, within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return usage_report(snapshot, question, path)

    @contextlib.contextmanager
    def _snapshot(
        self, *names: str, within: Iterable[str] | None = None, min_position: int | None = None, wait_seconds: float | None = None
    ) -> Iterator[Snapshot]:
        """Read models as they are now, or as they stood; of the past, `within` are the threads that the answer is about."""
        if self.up_to == LATEST:
            with self.read_models.reading(*names, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
                yield snapshot
        elif within is not None:
            with self._past.of_threads(names, tuple(within)) as snapshot:
                yield snapshot
        else:
            with self._past.of_all(names) as snapshot:
                yield snapshot

    def _threads_of(self, threads: OneOrMore | None, runs: OneOrMore | None = None) -> list[str] | None:
        """The threads that a question about some threads or runs is about; None where it is about all."""
        if self.up_to == LATEST or not (threads or runs):
            return None
        found = list(texts("thread_id", threads))
        for run_id in texts("run_id", runs) if not found else ():
            first = next(self._stream(Run, run_id, 1), None)
            found += [first.thread_id] if first else []
        return found

    def _fold(self, state: State, missing: type[NotFound], at_version: int | None = None) -> tuple[Recorded, Recorded]:
        """Take in a stream's events; the first and the last of them."""
        first = last = None
        for recorded in self._stream(type(state), state.id, at_version):
            state.evolve(recorded.event)
            first, last = first or recorded, recorded
        if first is None or last is None:
            raise missing(state.id)
        return first, last

    def _stream(self, kind: type[State], stream: str, at_version: int | None = None) -> Iterator[Recorded]:
        if not is_id(kind, stream):
            return
        up_to_version = LATEST if at_version is None else at_version
        yield from self.reader.stream(stream, up_to_version=up_to_version, up_to=self.up_to)

    def _first(self, stream: str, missing: type[ThreadNotFound | RunNotFound]) -> Recorded:
        first = next(self._stream(Thread if missing is ThreadNotFound else Run, stream, 1), None)
        if first is None:
            raise missing(stream)
        return first


def parse_moment(text: str) -> int | datetime:
    """A position, or an RFC 3339 time with a zone. Raises UsageError."""
    if (position := whole_number(text)) is not None:
        return position
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is neither a position nor a time such as 2026-01-31T09:30:00Z") from None
    if moment.tzinfo is None:
        raise UsageError(f"the time {text!r} has no zone; write {text}Z for UTC")
    return moment.astimezone(UTC)
