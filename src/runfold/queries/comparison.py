"""Two runs side by side, by hive's rules: how they ended, how they decided, and the first decision that went another way."""

from typing import NamedTuple

from runfold.domain.event import Recorded
from runfold.domain.run_events import Status
from runfold.history.views import View
from runfold.projections.decision_log import DecisionLog, DecisionRow
from runfold.projections.run_summary import RunSummary
from runfold.queries.decision_list import DecisionWords, decision_words
from runfold.queries.read_models import Snapshot, Standing
from runfold.queries.summary import run_row
from runfold.store.reader import Reader

MODELS = ("run_summaries", "decision_log")

# `action` is the only option of many decisions: what they chose is in its description.
_FIRST_DIVERGENCE = """
SELECT min(a.ordinal)
  FROM {decision_log} AS a
  JOIN {decision_log} AS b ON b.tenant_id = a.tenant_id AND b.ordinal = a.ordinal
 WHERE a.tenant_id = %b AND a.run_id = %b AND b.run_id = %b
   AND (a.chosen_option_id <> b.chosen_option_id OR a.choice_digest <> b.choice_digest)
"""


class ComparedRun(View):
    """One of the two."""

    run_id: str
    status: Status
    decisions: int
    success_rate: float
    """Successes among all decisions; 0 without any."""


class Choice(View):
    """What one of the two chose."""

    decision_id: str
    option_id: str
    description: str
    line: str
    position: int


class Divergence(View):
    """The first decision, counted from 1, at which the two chose differently."""

    ordinal: int
    a: Choice
    b: Choice


class Comparison(View):
    """How two runs differ. Without any difference of a kind, what tells it is null or empty."""

    a: ComparedRun
    b: ComparedRun
    status_differs: bool
    decisions_differ: bool
    """Whether they made a different number."""
    divergence: Divergence | None
    """Null while they chose the same: one may still have gone on to decide more."""
    nodes_only_in_a: tuple[str, ...]
    nodes_only_in_b: tuple[str, ...]
    standing: Standing


class Compared(NamedTuple):
    """What the read models hold of the two."""

    a: RunSummary
    b: RunSummary
    diverged: tuple[DecisionRow, DecisionRow] | None
    standing: Standing


def compared(snapshot: Snapshot, a: Recorded, b: Recorded) -> Compared:
    """Two runs that were created so. Raises ReadModelBehind."""
    runs = run_row(snapshot, a), run_row(snapshot, b)
    ((ordinal,),) = snapshot.query(_FIRST_DIVERGENCE, [snapshot.tenant_id, a.stream, b.stream])
    diverged = None
    if ordinal is not None:
        diverged = _decision(snapshot, a.stream, ordinal), _decision(snapshot, b.stream, ordinal)
    return Compared(*runs, diverged, snapshot.standing)


def comparison(reader: Reader, found: Compared) -> Comparison:
    """How they differ, with the words of the decision where they part. Raises UnreadableEvent."""
    a, b = found.a, found.b
    return Comparison(
        a=_compared(a),
        b=_compared(b),
        status_differs=a.status != b.status,
        decisions_differ=a.decisions != b.decisions,
        divergence=_divergence(reader, *found.diverged) if found.diverged else None,
        nodes_only_in_a=tuple(node for node in a.nodes_executed if node not in b.nodes_executed),
        nodes_only_in_b=tuple(node for node in b.nodes_executed if node not in a.nodes_executed),
        standing=found.standing,
    )


def _decision(snapshot: Snapshot, run_id: str, ordinal: int) -> DecisionRow:
    return snapshot.rows(DecisionLog(), "t.run_id = %b AND t.ordinal = %b", [run_id, ordinal])[0]


def _compared(run: RunSummary) -> ComparedRun:
    return ComparedRun(run_id=run.run_id, status=run.status, decisions=run.decisions, success_rate=run.success_rate)


def _divergence(reader: Reader, a: DecisionRow, b: DecisionRow) -> Divergence:
    words = decision_words(reader, (a, b))
    return Divergence(
        ordinal=a.ordinal, a=_choice(a, words[a.run_id, a.decision_id]), b=_choice(b, words[b.run_id, b.decision_id])
    )


def _choice(row: DecisionRow, words: DecisionWords) -> Choice:
    described = next((option.description for option in words.options if option.id == row.chosen_option_id), "")
    return Choice(
        decision_id=row.decision_id,
        option_id=row.chosen_option_id,
        description=described,
        line=words.line,
        position=row.made_position,
    )
