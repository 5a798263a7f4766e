"""A command that lost race after race makes the others wait, and goes first.

Without this, a person who wants to cancel a run could be kept out for ever by an agent in another process that writes to
it without a pause: by the time a long run has been read, it has moved on.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from runfold.commands.cached_streams import CachedStream, CachedStreams, LoadRequired
from runfold.commands.plan import Plan
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.errors import AlreadyAppended, VersionConflict
from runfold.store.appending.append_call import Conflicts, Placed, new_salts
from runfold.store.appending.told import told_of_rows
from runfold.store.appending.writer import Batch, Repeated, Writer


def execute_first(
    plan: Plan[Any], writer: Writer, new_states: Callable[[], CachedStreams], new_session: Callable[[CachedStreams], Session]
) -> Receipt | None:
    """Read what the command looks at; then hold up all appends, read what came since, decide and append.

    None when there is nothing to append, or something else must be read: then the executor decides in the ordinary way. Who
    expects something of a head reads that while the others wait. Raises what deciding raises, VersionConflict, AlreadyAppended,
    and LedgerUnavailable where the hold was lost.
    """
    states = new_states()
    for cached in _looked_at(plan, new_states(), new_session):
        states.put(states.read(type(cached.state), cached.key))
    session = new_session(states)
    salts = b""

    def decide() -> Batch | None:
        nonlocal salts
        for cached in states.all():
            states.catch_up(cached)
        try:
            _decide(plan, session) if plan.expects else plan.decide(session)
        except LoadRequired:
            return None
        salts = new_salts(len(session.rows))
        return Batch(session.rows, session.watched(), salts) if session.rows else None

    answer = writer.append_alone(decide)
    return None if answer is None else _receipt(session, answer, salts)


def append_alone(session: Session, writer: Writer, require: Callable[[], None]) -> Receipt:
    """Hold up all appends, see that what is required holds, and append what was decided before.

    Raises what `require` raises, VersionConflict, AlreadyAppended, and LedgerUnavailable where the hold was lost.
    """

    salts = new_salts(len(session.rows))

    def decide() -> Batch:
        require()
        return Batch(session.rows, session.watched(), salts)

    answer = writer.append_alone(decide)
    assert answer is not None, "there is something to append"  # noqa: S101
    return _receipt(session, answer, salts)


def _receipt(session: Session, answer: Placed | Conflicts | Repeated, salts: bytes) -> Receipt:
    if isinstance(answer, Repeated):
        raise AlreadyAppended(session.rows[0].stream)
    if not isinstance(answer, Placed):
        (_, stream), version = next(iter(answer.items()))
        raise VersionConflict(stream, session.seen.get(stream, 0), version)
    last = session.rows[-1]
    position = answer.first_position + len(session.rows) - 1
    told = partial(told_of_rows, session.rows, salts, answer.first_position, answer.recorded_at)
    return Receipt(last.stream, position, last.version, answer.recorded_at, len(session.rows), tuple(session.events), told)


def _looked_at(plan: Plan[Any], states: CachedStreams, new_session: Callable[[CachedStreams], Session]) -> list[CachedStream]:
    """Return what the command needs, found out by deciding it once on states that are then thrown away."""
    session = new_session(states)
    _decide(plan, session)
    return list(session.touched.values())


def _decide(plan: Plan[Any], session: Session) -> None:
    """Read whatever it takes."""
    while True:
        try:
            return plan.decide(session)
        except LoadRequired as missing:
            missing.load()
            session.undo()
