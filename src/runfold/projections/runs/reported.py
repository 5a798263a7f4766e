"""Sums of what nobody may have reported: they stay null until somebody does, for null is not zero."""

from runfold.domain.values import INT_LIMIT

MOST = INT_LIMIT - 1
"""The largest sum that a column takes: what was reported beyond it, which nobody used, stops no read model."""


def replaced(total: int | None, reports: int, old: int | None, new: int | None) -> tuple[int | None, int]:
    """A sum and how many reports are in it, after one report took another's place; None is no report.

    It is never more than MOST. A correction that takes the last report back makes the sum null again, which is why the
    reports are counted.
    """
    reports += (new is not None) - (old is not None)
    return (min(max((total or 0) + (new or 0) - (old or 0), 0), MOST) if reports else None), reports
