"""Why runs failed: the failed runs, newest first, and one of them looked at closely. The questions are hive's builder's."""

from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple, Unpack

from runfold.domain.decision import DecisionMade
from runfold.domain.problem import ProblemReported
from runfold.domain.run_events import RunFailed
from runfold.domain.tool_call import Failure
from runfold.errors import RunNotFound, UsageError
from runfold.history.decision_line import UNKNOWN_ACTION
from runfold.history.views import View
from runfold.projections.decision_log import DecisionRow
from runfold.projections.problems import ProblemRow, Problems
from runfold.projections.runs.summary import RunSummary
from runfold.queries.decisions import decisions_of_run, made_of, outcome_in, trace_lines
from runfold.queries.lists.paging import Direction, Paging, Waiting, direction, limit
from runfold.queries.lists.parameters import Parameter, checked
from runfold.queries.lists.where import OneOrMore
from runfold.queries.page import Page, Standing, page_of
from runfold.queries.question import question
from runfold.queries.runs.failed_parts import TYPES as PART_TYPES
from runfold.queries.runs.failed_parts import FailedPart, failed_parts
from runfold.queries.runs.list import run_page
from runfold.queries.runs.summary import MODELS as SUMMARY_MODELS
from runfold.queries.runs.summary import RunSummaryView, run_row, run_summary, summary_rows
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.tenant_reader import TenantReader

RECENT = 10
"""How many failures are listed where nobody says, as in hive."""
NOTHING_BEFORE = "its end: nothing that it did before is recorded as failed"


class FailureParameters(Paging, total=False):
    """What a list of failed runs can be narrowed by. Where several values are given, any of them will do."""

    goal_id: Annotated[OneOrMore | None, Parameter("Only runs towards this goal.")]
    agent_id: Annotated[OneOrMore | None, Parameter("Only runs of this agent.")]
    thread_id: Annotated[OneOrMore | None, Parameter("Only runs in this thread.")]
    user_id: Annotated[OneOrMore | None, Parameter("Only runs in threads of this user.")]
    node_id: Annotated[OneOrMore | None, Parameter("Only runs that came to this node.")]
    order: Annotated[Direction | None, direction("desc")]
    limit: Annotated[int | None, limit(RECENT)]


class FailureAnalysis(View):
    """Why one run failed, as far as its record tells."""

    run_id: str
    error: Failure
    """What the run itself said when it failed."""
    failure_point: str
    """What failed, in one line: the last tool call, step or model call of whose error the run speaks; else the first decision
    that failed; else the last of those calls and steps; else the first decision of which nobody said what came."""
    root_cause: str
    """The error of that; what the run said where it has none."""
    failed_parts: tuple[FailedPart, ...]
    """All tool calls, steps and model calls that failed, in their order."""
    decision_chain: tuple[str, ...]
    """The decisions up to the first that failed, or of which nobody said what came, each in one line; where none is, all."""
    problems: tuple[str, ...]
    """All that it reported, resolved or not: `[severity] description`."""
    suggestions: tuple[str, ...]
    """For each such decision what could be tried instead, then how problems were said to be fixed."""
    standing: Standing


class FailedRun(NamedTuple):
    """What the read models hold of a failed run."""

    run: RunSummary
    decisions: Sequence[DecisionRow]
    problems: Sequence[ProblemRow]
    standing: Standing


@question
def failures(source: LocalSource, **asked: Unpack[FailureParameters]) -> Page[RunSummaryView]:
    """Summaries of the runs that failed last, newest first, ten to a page. Raises UsageError, ReadModelBehind."""
    wanted = {"limit": RECENT, **checked(asked, FailureParameters), "status": ("failed",), "order_by": "finished_at"}
    with source.snapshot(*SUMMARY_MODELS, within=source.threads_of(wanted), asked=wanted) as snapshot:
        page = run_page(snapshot, wanted)
        rows = [summary_rows(snapshot, run) for run in page.items]
    found = tuple(run_summary(each, source.reader) for each in rows)
    return page_of(RunSummaryView, found, page.next_cursor, page.standing)


@question
def analyze_failure(source: LocalSource, run_id: str, **waiting: Unpack[Waiting]) -> FailureAnalysis:
    """Why a run failed, as far as its record tells. Raises RunNotFound, UsageError where it has not, ReadModelBehind."""
    created = source.first(run_id, RunNotFound)
    with source.snapshot(*SUMMARY_MODELS, within=[created.thread_id], asked=waiting) as snapshot:
        found = failed_run(snapshot, run_row(snapshot, created))
    return analysis(source.reader, found)


def failed_run(snapshot: Snapshot, run: RunSummary) -> FailedRun:
    """What there is to look at in one. Raises UsageError for a run that has not failed."""
    if run.status != "failed":
        raise UsageError(
            f"{run.run_id} is {run.status}, and only a failed run has a failure to explain; ask for its summary or trace",
            run_id=run.run_id,
            status=run.status,
        )
    problems = snapshot.rows(Problems(), "t.run_id = %b", [run.run_id], order_by="t.reported_position", apart=True)
    return FailedRun(run, decisions_of_run(snapshot, run.run_id), problems, snapshot.standing)


def analysis(reader: TenantReader, failed: FailedRun) -> FailureAnalysis:
    """Its failure, looked at closely. Raises UnreadableEvent."""
    decisions, error = failed.decisions, _error(reader, failed.run)
    parts = tuple(failed_parts(reader.stream(failed.run.run_id, up_to=failed.run.ended_position or 0, types=PART_TYPES)))
    first = next((index for index, row in enumerate(decisions) if row.outcome_success is False), None)
    unknown = next((index for index, row in enumerate(decisions) if row.outcome_success is None), None)
    last = first if first is not None else unknown
    chain = tuple(line.line for line in trace_lines(reader, decisions if last is None else decisions[: last + 1]))
    problems = _problems(reader, failed.problems)
    unsuccessful = [row for row in decisions if not row.outcome_success]
    tried = [text for row, made in made_of(reader, unsuccessful) for text in _instead(row, made)]
    fixes = [problem.suggested_fix for problem in problems if problem.suggested_fix]
    point, cause = _point(parts, error)
    if point is None and first is not None:
        point, cause = chain[-1], _cause(reader, decisions[first], error)
    elif point is None and parts:
        point, cause = parts[-1].line, parts[-1].message or _as_the_run_said(error)
    elif point is None and unknown is not None:
        point, cause = chain[-1], f"{_as_the_run_said(error)}; nobody said what came of that decision"
    return FailureAnalysis(
        run_id=failed.run.run_id,
        error=error,
        failure_point=point or NOTHING_BEFORE,
        root_cause=cause or _as_the_run_said(error),
        failed_parts=parts,
        decision_chain=chain,
        problems=tuple(f"[{problem.severity}] {problem.description}" for problem in problems),
        suggestions=(*tried, *fixes),
        standing=failed.standing,
    )


def _point(parts: Sequence[FailedPart], error: Failure) -> tuple[str | None, str | None]:
    """The last of the parts of whose error the run speaks, and that error."""
    for part in reversed(parts):
        if part.message and not part.closed_with_run and part.message in error.message:
            return part.line, part.message
    return None, None


def _as_the_run_said(error: Failure) -> str:
    return error.message or error.code


def _error(reader: TenantReader, run: RunSummary) -> Failure:
    ended = reader.at_positions([run.ended_position or 0])[run.ended_position or 0].event
    assert isinstance(ended, RunFailed), "a failed run's end is its failure"  # noqa: S101
    return ended.error


def _cause(reader: TenantReader, row: DecisionRow, error: Failure) -> str:
    position = row.outcome_position or 0
    outcome = outcome_in(reader.at_positions([position])[position].event)
    return (outcome.error if outcome else None) or f"{_as_the_run_said(error)}; the decision's outcome names no error"


def _problems(reader: TenantReader, rows: Iterable[ProblemRow]) -> list[ProblemReported]:
    positions = [row.reported_position for row in rows]
    events = reader.at_positions(positions)
    return [event for position in positions if isinstance(event := events[position].event, ProblemReported)]


def _instead(row: DecisionRow, made: DecisionMade) -> Iterable[str]:
    """What could be tried instead of one decision."""
    described = {option.id: option.description for option in made.options}
    if row.first_alternative_option_id is not None:
        yield f"Try {described[row.first_alternative_option_id]!r} instead of {made.choice or UNKNOWN_ACTION!r}"
    if not made.input_context:
        yield f"Give {made.intent!r} the context that it was decided without"
    if made.active_constraints:
        yield f"Look whether these constraints are too restrictive: {', '.join(made.active_constraints)}"
