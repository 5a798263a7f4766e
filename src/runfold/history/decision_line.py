"""A decision in one line, as hive shows it: whether it came out well, where it was made, what for, and what was chosen."""

from runfold.domain.decision import DecisionMade
from runfold.projections.decision_log import DecisionRow

_MARKS = {True: "✓", False: "✗", None: "?"}
UNKNOWN_NODE, UNKNOWN_ACTION = "unknown", "unknown action"


def decision_line(row: DecisionRow, made: DecisionMade) -> str:
    """`✓ [router] classify the ticket → how-to [quality: 0.9]`; the words are those of the event at `made_position`.

    ✗ stands for a decision that failed, ? for one of which nobody said what came. The quality is there once somebody judged
    it. Where the words have several lines they are put on one.
    """
    mark = _MARKS[row.outcome_success]
    quality = "" if row.outcome_quality is None else f" [quality: {row.outcome_quality:.1f}]"
    line = f"{mark} [{made.node_id or UNKNOWN_NODE}] {made.intent} → {made.choice or UNKNOWN_ACTION}{quality}"
    return " ".join(line.split())
