"""What becomes of a command that was given to the appender: its receipt, or another try."""

from functools import partial

from runfold.commands.cached_streams import CachedStream
from runfold.commands.plan import Attempt
from runfold.commands.submitted import Receipt
from runfold.errors import AlreadyAppended, LedgerError, VersionConflict
from runfold.store.appending.appends import Append
from runfold.store.appending.told import told_of_rows

MOST_TRIES = 100


def attempt_of(append: Append) -> Attempt:
    """Return the attempt that an append belongs to."""
    attempt: Attempt = append.facts  # type: ignore[assignment]  # the executor put it there
    return attempt


def receipt_of(append: Append) -> Receipt:
    """Return the receipt of an append that is durable, and note in the cached streams how far they are stored."""
    rows, recorded_at, first_position = append.rows, append.recorded_at, append.first_position
    assert recorded_at is not None, "it is durable"  # noqa: S101
    appended, last = len(rows), rows[-1]
    position, stream, last_version = first_position + appended - 1, last.stream, last.version
    versions = {stream: last_version} if appended == 1 else {row.stream: row.version for row in rows}
    for cached in append.cached:
        if isinstance(cached, CachedStream) and (version := versions.get(cached.state.id)) is not None:
            cached.position, cached.stored = position, version
    told_by = partial(told_of_rows, rows, append.salts, first_position, recorded_at)
    return Receipt(stream, position, last_version, recorded_at, appended, tuple(append.events), told_by)


def may_retry(attempt: Attempt, error: LedgerError) -> bool:
    """Return whether a command whose append failed may be decided anew."""
    if isinstance(error, AlreadyAppended):
        return attempt.plan.caller is not None  # what was recorded under its key is its answer
    asked = attempt.plan.envelope.get("expected_version")
    return isinstance(error, VersionConflict) and asked is None and attempt.tries < MOST_TRIES
