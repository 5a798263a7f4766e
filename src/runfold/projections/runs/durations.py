"""How long something took, in nanoseconds as read models keep them."""

from datetime import datetime

from runfold.domain import durations
from runfold.projections.runs.reported import MOST


def nanoseconds(began: datetime | None, ended: datetime) -> int | None:
    """The time between two moments; None where nobody knows, or the end is before the beginning.

    It is never more than a column takes, which is 292 years: a zero time, such as that of the year 1, stops no read model.
    """
    took = durations.nanoseconds(began, ended)
    return None if took is None else min(took, MOST)
