"""How long something took, in nanoseconds as read models keep them."""

from datetime import datetime, timedelta

from runfold.domain.values import INT_LIMIT


def nanoseconds(began: datetime | None, ended: datetime) -> int | None:
    """The time between two moments; None where nobody knows, or the end is before the beginning.

    It is never more than a column takes, which is 292 years: a zero time, such as that of the year 1, stops no read model.
    """
    if began is None or ended < began:
        return None
    return min((ended - began) // timedelta(microseconds=1) * 1000, INT_LIMIT - 1)
