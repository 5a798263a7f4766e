"""By whose clock it is judged whether a command comes in time: the ledger's, or the producer's where it is history."""

from datetime import UTC, datetime
from typing import Literal, NamedTuple

from runfold.commands.caller import TimedEnvelope
from runfold.errors import InvalidEvent
from runfold.handles.calling.arguments import checked
from runfold.handles.calling.executor import Executor

UNKNOWN = datetime.min.replace(tzinfo=UTC)
"""When something happened of which an import tells no time: nothing says that it was late."""


class Judgement(NamedTuple):
    """What time it is to a command, and whether its producer says so."""

    at: datetime
    times_judged_by: Literal["producer"] | None = None


def judgement(executor: Executor, envelope: TimedEnvelope) -> Judgement:
    """Return by what time a command is judged. No producer's time is believed that is still to come.

    Raises ScopeMissing for a caller who may not import, and InvalidEvent where a command that says that it is history does not
    say when it happened.
    """
    now, happened_at = executor.clock(), envelope.get("occurred_at")
    if (whose := envelope.get("times_judged_by")) is not None:
        checked(Literal["producer"], "times_judged_by", whose)
        executor.require_scope("import")
        if happened_at is None:
            raise InvalidEvent("occurred_at", "is needed with times_judged_by: it is the producer's time")
    elif not executor.is_import:
        return Judgement(now)
    if happened_at is None:
        return Judgement(UNKNOWN, "producer")
    if happened_at.tzinfo is None:
        raise InvalidEvent("occurred_at", f"{happened_at.isoformat()} has no zone; write {happened_at.isoformat()}Z for UTC")
    return Judgement(min(happened_at, now), "producer")
