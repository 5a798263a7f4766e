"""The decisions of two runs themselves side by side, without their pasts, by hive's rules: the first that went another way."""

from runfold.domain.decision import DecisionMade
from runfold.history.decision_line import decision_line
from runfold.history.path import Segment
from runfold.history.views import View
from runfold.projections.decision_log import DecisionLog, DecisionRow
from runfold.projections.fold import fold_all
from runfold.store.reading.tenant_reader import TenantReader


class ChosenOption(View):
    """What one of the two chose."""

    decision_id: str
    option_id: str
    description: str
    line: str
    """The whole decision in one line."""
    position: int


class OwnDivergence(View):
    """The first decision, counted from 1 in each of two runs, at which they chose differently."""

    ordinal: int
    a: ChosenOption
    b: ChosenOption


def own_divergence(reader: TenantReader, a: Segment, b: Segment, up_to: int) -> OwnDivergence | None:
    """Where the decisions of two runs part, as of a position; None while they chose the same."""
    rows_a, rows_b = (_decisions(reader, run, up_to) for run in (a, b))
    for ordinal in sorted(rows_a.keys() & rows_b.keys()):
        one, other = rows_a[ordinal], rows_b[ordinal]
        # `action` is the only option of many decisions: what they chose is in its description.
        if (one.chosen_option_id, one.choice_digest) != (other.chosen_option_id, other.choice_digest):
            return OwnDivergence(ordinal=ordinal, a=_chosen(reader, one), b=_chosen(reader, other))
    return None


def _decisions(reader: TenantReader, run: Segment, up_to: int) -> dict[int, DecisionRow]:
    """A run's decisions by their ordinals."""
    types = tuple(event.type for event in DecisionLog.events)
    events = reader.stream(run.run_id, up_to_version=run.up_to_version, up_to=up_to, types=types)
    rows = (standing.row for standing in fold_all(DecisionLog(), events).values())
    return {row.ordinal: row for row in rows if isinstance(row, DecisionRow)}


def _chosen(reader: TenantReader, row: DecisionRow) -> ChosenOption:
    made = reader.at_positions([row.made_position])[row.made_position].event
    assert isinstance(made, DecisionMade), "made_position is that of the decision"  # noqa: S101
    return ChosenOption(
        decision_id=row.decision_id,
        option_id=row.chosen_option_id,
        description=made.choice,
        line=decision_line(row, made),
        position=row.made_position,
    )
