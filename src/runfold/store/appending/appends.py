"""What one command appends, and how the commands of a batch fail with each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from runfold.domain.event import Event
from runfold.errors import AlreadyAppended, LedgerError, VersionConflict
from runfold.store.appending.append_call import SALT_BYTES, Conflicts, Placed, new_salts
from runfold.store.appending.writer import Repeated
from runfold.store.codec import Row, StreamKey


class Cached(Protocol):
    """What a process holds of a stream in memory. Once an append on it failed, it is dead, and so is all that was built on it."""

    dead: bool


@dataclass(eq=False, slots=True)
class Append:
    """The events of one command, and what became of them.

    `watched` are streams that the command looked at and did not write to, with the version it saw. `facts` are for
    whoever settles it.
    """

    rows: Sequence[Row]
    cached: Sequence[Cached]
    watched: Mapping[StreamKey, int]
    events: Sequence[Event] = ()
    """What the rows hold, where that is at hand."""
    facts: object = None
    first_position: int = 0
    salts: bytes = b""
    recorded_at: datetime | None = None
    error: LedgerError | None = None

    def fail(self, error: LedgerError) -> None:
        """Fail the command, and all commands built on it."""
        self.error = error
        for cached in self.cached:
            cached.dead = True


class Ready(NamedTuple):
    """The commands of a batch that may be stored, as they are sent."""

    appends: Sequence[Append]
    rows: Sequence[Row]
    watched: Mapping[StreamKey, int]
    salts: bytes

    def take(self, answer: Placed | Conflicts | Repeated) -> bool:
        """Tell each command what became of it. False where some failed, and the others are to be sent again without them."""
        if isinstance(answer, Placed):
            position, at = answer.first_position, 0
            for append in self.appends:
                append.first_position, append.recorded_at = position, answer.recorded_at
                position += len(append.rows)
                append.salts = self.salts[at : (at := at + SALT_BYTES * len(append.rows))]
            return True
        if isinstance(answer, Repeated):
            _fail_repeated(self.appends, answer)
        else:
            _fail_conflicting(self.appends, answer)
        return False


def ready(batch: Sequence[Append]) -> Ready | None:
    """Fail the commands that cannot be stored whatever the log holds, and return the others."""
    while waiting := still_valid(batch):
        rows = [row for append in waiting for row in append.rows]
        watched = {key: at for append in waiting if append.watched for key, at in append.watched.items()}
        written = {(row.tenant_id, row.stream) for row in rows} if watched else frozenset()
        if not written.isdisjoint(watched):  # a neighbour may write to what another only looked at
            _fail_conflicting(waiting, {})
            if any(append.error for append in waiting):
                continue
            watched = {key: at for key, at in watched.items() if key not in written}
        return Ready(waiting, rows, watched, new_salts(len(rows)))
    return None


def still_valid(batch: Sequence[Append]) -> list[Append]:
    """Return the commands that build on nothing that failed, and fail the others, in order."""
    valid = []
    for append in batch:
        if append.error is not None:
            continue
        for cached in append.cached:
            if cached.dead:
                first = append.rows[0]
                append.fail(VersionConflict(first.stream, first.version - 1, max(first.version - 2, 0)))
                break
        else:
            valid.append(append)
    return valid


def _fail_conflicting(waiting: Sequence[Append], actual: Conflicts) -> None:
    """Fail the commands with a version conflict, in order: what one writes, the next may build on."""
    at = dict(actual)
    for append in waiting:
        expected = {**append.watched, **{(row.tenant_id, row.stream): row.version - 1 for row in reversed(append.rows)}}
        if key := next((key for key, version in expected.items() if at.get(key, version) != version), None):
            append.fail(VersionConflict(key[1], expected[key], at[key]))
        elif not any(cached.dead for cached in append.cached):
            at.update(((row.tenant_id, row.stream), row.version) for row in append.rows)


def _fail_repeated(waiting: Sequence[Append], repeated: Repeated) -> None:
    """Fail the commands of which an event is already stored."""
    for append in waiting:
        if any(row.event_id in repeated.event_ids for row in append.rows):
            append.fail(AlreadyAppended(append.rows[0].stream))


def fail_all(batch: Sequence[Append], error: LedgerError) -> None:
    """Fail all commands that have not failed yet."""
    for append in batch:
        if append.error is None:
            append.fail(error)
