"""Questions about how agents do: what went wrong and why, what repeats, how far goals have come, what needs a person."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TypedDict, Unpack

from runfold.domain.event import Recorded
from runfold.errors import RunNotFound, ThreadNotFound
from runfold.projections.attention import AttentionRow
from runfold.projections.decision_log import DecisionRow
from runfold.projections.goals import GoalRow
from runfold.queries import comparison, decision_list, failure, goal_progress, patterns
from runfold.queries.attention_list import AttentionAsked, attention_list
from runfold.queries.comparison import Comparison
from runfold.queries.decision_list import DecisionsAsked, DecisionWords, TraceLine
from runfold.queries.failure import FailureAnalysis, FailuresAsked
from runfold.queries.goal_progress import GoalProgress
from runfold.queries.paging import Paging
from runfold.queries.patterns import Improvement, NodePerformance, Patterns
from runfold.queries.read_models import Page, Snapshot
from runfold.queries.summary import MODELS as SUMMARY_MODELS
from runfold.queries.summary import RunSummaryView, run_row
from runfold.queries.where import OneOrMore
from runfold.store.reader import TenantReader


class Waiting(TypedDict, total=False):
    """The position that an answer must hold, and for how many seconds to wait until the read models do."""

    min_position: int | None
    wait_seconds: float | None


class Analytics(ABC):
    """What `Reading` answers about how agents do. Every answer is from read models, and says as of when."""

    reader: TenantReader

    @abstractmethod
    def _snapshot(
        self, *names: str, within: Iterable[str] | None = None, min_position: int | None = None, wait_seconds: float | None = None
    ) -> AbstractContextManager[Snapshot]: ...

    @abstractmethod
    def _threads_of(self, threads: OneOrMore | None, runs: OneOrMore | None = None) -> list[str] | None: ...

    @abstractmethod
    def _first(self, stream: str, missing: type[ThreadNotFound | RunNotFound]) -> Recorded: ...

    def failures(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[FailuresAsked]
    ) -> Page[RunSummaryView]:
        """Summaries of the runs that failed last, newest first, ten to a page. Raises UsageError, ReadModelBehind."""
        within = self._threads_of(asked.get("thread_id"))
        with self._snapshot(*SUMMARY_MODELS, within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            page = failure.failed_runs(snapshot, asked)
        return failure.failures(self.reader, page)

    def analyze_failure(self, run_id: str, **waiting: Unpack[Waiting]) -> FailureAnalysis:
        """Why a run failed, as far as its record tells. Raises RunNotFound, UsageError where it has not, ReadModelBehind."""
        created = self._first(run_id, RunNotFound)
        with self._snapshot(*SUMMARY_MODELS, within=[created.thread_id], **waiting) as snapshot:
            found = failure.failed_run(snapshot, run_row(snapshot, created))
        return failure.analysis(self.reader, found)

    def trace(self, run_id: str, **waiting: Unpack[Waiting]) -> Page[TraceLine]:
        """All decisions of a run in the order in which they were made, each in one line. Raises RunNotFound, ReadModelBehind."""
        created = self._first(run_id, RunNotFound)
        with self._snapshot("decision_log", within=[created.thread_id], **waiting) as snapshot:
            rows, standing = decision_list.decisions_of_run(snapshot, run_id), snapshot.standing
        return Page(items=tuple(decision_list.trace(self.reader, rows)), next_cursor=None, standing=standing)

    def decisions(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[DecisionsAsked]
    ) -> Page[DecisionRow]:
        """A page of decisions of all runs, newest first, ten to a page. Raises UsageError, ReadModelBehind."""
        within = self._threads_of(asked.get("thread_id"), asked.get("run_id"))
        with self._snapshot("decision_log", within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return decision_list.decision_list(snapshot, asked)

    def decision_words(self, decisions: Iterable[DecisionRow]) -> dict[tuple[str, str], DecisionWords]:
        """What decisions of a page say, by their runs and ids: intent, options, reasoning, outcome, evaluation."""
        return decision_list.decision_words(self.reader, decisions)

    def compare(self, run_a: str, run_b: str, **waiting: Unpack[Waiting]) -> Comparison:
        """How two runs differ, and at which decision they part. Raises RunNotFound, ReadModelBehind."""
        created = self._first(run_a, RunNotFound), self._first(run_b, RunNotFound)
        within = [each.thread_id for each in created]
        with self._snapshot(*comparison.MODELS, within=within, **waiting) as snapshot:
            found = comparison.compared(snapshot, *created)
        return comparison.comparison(self.reader, found)

    def patterns(self, goal_id: str, **waiting: Unpack[Waiting]) -> Patterns:
        """What repeats over all runs towards a goal: failures, nodes, choices. Raises GoalNotFound, ReadModelBehind."""
        with self._snapshot(*patterns.MODELS, **waiting) as snapshot:
            found = patterns.counted(snapshot, goal_id)
        return patterns.patterns(self.reader, found)

    def improvements(self, goal_id: str, **waiting: Unpack[Waiting]) -> list[Improvement]:
        """What a goal's patterns suggest to make better. Raises GoalNotFound, ReadModelBehind."""
        return patterns.improvements(self.patterns(goal_id, **waiting))

    def node_performance(self, node_id: str, **waiting: Unpack[Waiting]) -> NodePerformance:
        """How a node does, over all runs. Raises ReadModelBehind."""
        with self._snapshot("decision_log", **waiting) as snapshot:
            return patterns.node_performance(snapshot, node_id)

    def goals(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[Paging]
    ) -> Page[GoalRow]:
        """A page of goals, those with the newest runs first. Raises UsageError, ReadModelBehind."""
        with self._snapshot("goals", min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return goal_progress.goal_list(snapshot, asked)

    def goal_progress(self, goal_id: str, **waiting: Unpack[Waiting]) -> GoalProgress:
        """How far a goal has come, criterion by criterion, and what to do. Raises GoalNotFound, ReadModelBehind."""
        with self._snapshot(*goal_progress.MODELS, **waiting) as snapshot:
            record = goal_progress.goal_record(snapshot, goal_id)
        return goal_progress.goal_progress(self.reader, record)

    def attention(
        self, *, min_position: int | None = None, wait_seconds: float | None = None, **asked: Unpack[AttentionAsked]
    ) -> Page[AttentionRow]:
        """A page of runs that a person should look at, with the reasons, newest first. Raises UsageError, ReadModelBehind."""
        within = self._threads_of(asked.get("thread_id"), asked.get("run_id"))
        with self._snapshot("attention", within=within, min_position=min_position, wait_seconds=wait_seconds) as snapshot:
            return attention_list(snapshot, asked)
