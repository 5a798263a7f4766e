"""Decisions of all runs, listed; and the decisions of one run, each in one line."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, Unpack, get_args

from runfold.domain.decision import (
    DecisionEvaluated,
    DecisionMade,
    DecisionType,
    Option,
    Outcome,
    OutcomeCorrected,
    OutcomeRecorded,
)
from runfold.domain.event import Event
from runfold.errors import RunNotFound
from runfold.history.decision_line import decision_line
from runfold.history.views import View
from runfold.projections.decision_log import DecisionLog, DecisionRow
from runfold.queries.lists.paging import Direction, Listing, Paging, Sort, Waiting, direction, limit
from runfold.queries.lists.parameters import Parameter, checked, column, narrowed
from runfold.queries.lists.where import OneOrMore
from runfold.queries.page import Page, page_of
from runfold.queries.question import question
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.reader import Reader

_BATCH = 1000
_OUTCOMES = {"success": "t.outcome_success", "failure": "NOT t.outcome_success", "unknown": "t.outcome_success IS NULL"}


class DecisionParameters(Paging, total=False):
    """What a list of decisions can be narrowed by. Where several values are given, any of them will do.

    hive's stream is a thread here, and its execution a run.
    """

    run_id: Annotated[OneOrMore | None, column("Only decisions of this run.")]
    thread_id: Annotated[OneOrMore | None, column("Only decisions in this thread.")]
    goal_id: Annotated[OneOrMore | None, column("Only decisions of runs towards this goal.")]
    node_id: Annotated[OneOrMore | None, column("Only decisions made at this node.")]
    agent_id: Annotated[OneOrMore | None, column("Only decisions of this agent's runs.")]
    decision_id: Annotated[OneOrMore | None, column("Only these decisions.")]
    decision_type: Annotated[OneOrMore | None, column("Only decisions of this type.", get_args(DecisionType))]
    outcome: Annotated[
        Literal["success", "failure", "unknown"] | None,
        Parameter("Only decisions that came out so, by the last word; unknown while nobody has said."),
    ]
    order: Annotated[Direction | None, direction("desc")]
    limit: Annotated[int | None, limit(10)]  # as in hive


_DECISIONS = Listing(DecisionLog(), DecisionParameters, {"made_position": (Sort("made_position"),)})


class DecisionWords(View):
    """What a decision says, from the log; its row has the rest."""

    line: str
    """All of it in one line."""
    intent: str
    options: tuple[Option, ...]
    chosen_option_ids: tuple[str, ...]
    """All that were chosen at once."""
    reasoning: str
    active_constraints: tuple[str, ...]
    input_context: dict[str, Any]
    outcome: Outcome | None
    """The one that counts; null while it is not known."""
    evaluation: DecisionEvaluated | None
    """The last judgement; null where there is none."""

    @property
    def was_good(self) -> bool:
        """Judged to serve the goal, and better than half; where nobody judged, whether it came out well."""
        if self.evaluation is None:
            return self.outcome is not None and self.outcome.success
        return self.evaluation.goal_aligned and self.evaluation.outcome_quality > 0.5


class TraceLine(View):
    """One decision of a run, in one line."""

    ordinal: int
    decision_id: str
    node_id: str | None
    was_successful: bool
    """Whether it is known to have come out well."""
    line: str
    position: int
    """The event that holds its words."""


@question
def decisions(source: LocalSource, **asked: Unpack[DecisionParameters]) -> Page[DecisionRow]:
    """A page of decisions of all runs, newest first, ten to a page. Raises UsageError, ReadModelBehind."""
    wanted = checked(asked, DecisionParameters)
    where = narrowed(wanted, DecisionParameters)
    if "outcome" in wanted:
        where.add(_OUTCOMES[wanted["outcome"]])
    with source.snapshot("decision_log", within=source.threads_of(wanted), asked=wanted) as snapshot:
        return _DECISIONS.page(snapshot, where, wanted)


@question
def decision_words(source: LocalSource, decisions: Iterable[DecisionRow]) -> dict[tuple[str, str], DecisionWords]:
    """What decisions of a page say, by their runs and ids: intent, options, reasoning, outcome, evaluation.

    Raises UnreadableEvent.
    """
    rows = list(decisions)
    positions = [at for row in rows for at in (row.made_position, row.outcome_position, row.evaluation_position) if at]
    events = {position: recorded.event for position, recorded in source.reader.at_positions(positions).items()}
    return {(row.run_id, row.decision_id): _words(row, events) for row in rows}


@question
def trace(source: LocalSource, run_id: str, **waiting: Unpack[Waiting]) -> Page[TraceLine]:
    """All decisions of a run in the order in which they were made, each in one line. Raises RunNotFound, ReadModelBehind."""
    created = source.first(run_id, RunNotFound)
    with source.snapshot("decision_log", within=[created.thread_id], asked=waiting) as snapshot:
        rows, standing = decisions_of_run(snapshot, run_id), snapshot.standing
    return page_of(TraceLine, trace_lines(source.reader, rows), None, standing)


def decisions_of_run(snapshot: Snapshot, run_id: str) -> list[DecisionRow]:
    """All of them, in the order in which they were made."""
    return snapshot.rows(DecisionLog(), "t.run_id = %b", [run_id], order_by="t.ordinal")


def trace_lines(reader: Reader, rows: Sequence[DecisionRow]) -> Iterator[TraceLine]:
    """Each of some decisions in one line. Raises UnreadableEvent."""
    for row, made in made_of(reader, rows):
        yield TraceLine(
            ordinal=row.ordinal,
            decision_id=row.decision_id,
            node_id=row.node_id,
            was_successful=bool(row.outcome_success),
            line=decision_line(row, made),
            position=row.made_position,
        )


def made_of(reader: Reader, rows: Sequence[DecisionRow]) -> Iterator[tuple[DecisionRow, DecisionMade]]:
    """Some decisions with what they said when they were made, in their order. Raises UnreadableEvent."""
    return zip(rows, made_at(reader, [row.made_position for row in rows]), strict=True)


def made_at(reader: Reader, positions: Sequence[int]) -> Iterator[DecisionMade]:
    """What decisions said when they were made; read batch by batch, so that there may be any number. Raises UnreadableEvent."""
    for first in range(0, len(positions), _BATCH):
        batch = positions[first : first + _BATCH]
        events = reader.at_positions(batch)
        yield from (_made(events[position].event) for position in batch)


def outcome_in(event: Event | None) -> Outcome | None:
    """The outcome that an event tells."""
    match event:
        case OutcomeRecorded():
            return event.outcome
        case OutcomeCorrected():
            return event.replacement
    return None


def _words(row: DecisionRow, events: dict[int, Event]) -> DecisionWords:
    made, judged = _made(events[row.made_position]), events.get(row.evaluation_position or 0)
    return DecisionWords(
        line=decision_line(row, made),
        intent=made.intent,
        options=made.options,
        chosen_option_ids=made.chosen_option_ids,
        reasoning=made.reasoning,
        active_constraints=made.active_constraints,
        input_context=made.input_context,
        outcome=outcome_in(events.get(row.outcome_position or 0)),
        evaluation=judged if isinstance(judged, DecisionEvaluated) else None,
    )


def _made(event: Event) -> DecisionMade:
    assert isinstance(event, DecisionMade), "made_position is that of the decision"  # noqa: S101
    return event
