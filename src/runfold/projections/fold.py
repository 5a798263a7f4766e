"""Folding: events → rows, in memory. The one place where a projection's methods are called."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

from runfold.domain.raw_event import RawEvent
from runfold.domain.recorded import Recorded
from runfold.errors import Damage, PoisonEvent, UnknownEventType
from runfold.projections.partition import Touchers, require_own_part
from runfold.projections.projection import AnyProjection, Key, Row

MOST_OF_A_REASON = 1_000
"""So many characters are told of what an error says."""


class Standing(NamedTuple):
    """A row, and the position of the last event that changed it. No row: it went away."""

    row: Row | None
    position: int


Standings = dict[Key, Standing]
"""By whole key: the tenant, then the projection's key."""


class FoldFailed(Exception):
    """A projection raised, or answered with what is no row, at an event."""

    def __init__(self, projection: str, recorded: Recorded, cause: BaseException) -> None:
        super().__init__(f"{projection} failed at position {recorded.position} ({recorded.type}): {reason_of(cause)}")
        self.projection, self.recorded, self.cause = projection, recorded, cause


def is_of_the_process(error: BaseException) -> bool:
    """Return whether an error that came amid somebody's code says something of the process, and nothing of their code.

    So does what the program raises where a signal is handled, which may be amid anything.
    """
    if isinstance(error, MemoryError | KeyboardInterrupt):
        return True
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {getattr(getattr(handler, "func", handler), "__code__", None) for handler in handlers}
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code not in codes:
        at = at.tb_next
    return at is not None


def reason_of(error: BaseException) -> str:
    """Return what an error of somebody's code is and says, as much of it as is told."""
    return f"{type(error).__name__}: {words_of(error)}"


def words_of(error: BaseException) -> str:
    """Return what an error of somebody's code says, in one line of characters that any text can hold, and any terminal."""
    try:
        said = str(error)
    except Exception as fault:  # it is code of theirs, too
        said = f"nothing, for its own __str__ raised {type(fault).__name__}"
    line = " ".join(said.split())[:MOST_OF_A_REASON] or "no reason given"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)


def touched(projection: AnyProjection, events: Iterable[Recorded]) -> list[tuple[Key, Recorded]]:
    """Each event that a projection looks at, with the whole key of each row it touches.

    Raises FoldFailed, UnknownEventType.
    """
    wanted, width, keys = {event.type for event in projection.events}, len(projection.key), projection.keys
    found: list[tuple[Key, Recorded]] = []
    for recorded in events:
        if recorded.type not in wanted:
            continue
        if type(recorded.event) is RawEvent:
            raise UnknownEventType(recorded.type, recorded.event.schema_version, recorded.position)
        try:
            for key in keys(recorded):
                if type(key) is not tuple or len(key) != width:
                    _refuse(f"keys gave {key!r}; it gives tuples of {', '.join(projection.key)}")
                hash(key)  # raises TypeError for what no row can be found by
                found.append(((recorded.tenant_id, *key), recorded))
        except BaseException as error:  # also what would end the process, such as a parser of options at a loss
            if is_of_the_process(error):
                raise
            raise FoldFailed(projection.name, recorded, error) from error
    return found


def fold(projection: AnyProjection, touches: Iterable[tuple[Key, Recorded]], before: Callable[[Key], Row | None]) -> Standings:
    """The rows that events change, as they are afterwards; `before` knows how they were. Raises FoldFailed."""
    row_class, evolve = projection.row, projection.evolve
    changed: dict[Key, tuple[Row | None, int]] = {}
    for key, recorded in touches:
        known = changed.get(key)
        row = before(key) if known is None else known[0]
        try:
            start = projection.initial(key[1:]) if row is None else row
            after = evolve(start, recorded)
            if after is start:
                continue
            if type(after) is not row_class and after is not None:
                _refuse(f"evolve returned {type(after).__name__}; it returns {row_class.__name__}, or None to remove the row")
        except BaseException as error:
            if is_of_the_process(error):
                raise
            raise FoldFailed(projection.name, recorded, error) from error
        if after is not None or row is not None:
            changed[key] = after, recorded.position
    return {key: Standing(*standing) for key, standing in changed.items()}


def take_in(projection: AnyProjection, events: Iterable[Recorded], known: Standings, touchers: Touchers | None = None) -> None:
    """Go on from rows in memory, which are all that there are. Raises FoldFailed.

    With `touchers`, who touched each row is noted, and WrongPartition is raised where a row is touched from two parts.
    """

    def before(key: Key) -> Row | None:
        standing = known.get(key)
        return standing.row if standing else None

    touches = touched(projection, events)
    if touchers is not None:
        require_own_part(projection, touches, touchers)
    known.update(fold(projection, touches, before))


@contextmanager
def naming_the_event() -> Iterator[None]:
    """Say of a fold that failed at which event. Raises PoisonEvent, and Damage where the event is one that cannot be read."""
    try:
        yield
    except FoldFailed as error:
        if isinstance(error.cause, Damage):
            raise error.cause from error
        raise PoisonEvent(error.projection, error.recorded.position, error.recorded.type, reason_of(error.cause)) from error


def fold_all(projection: AnyProjection, events: Iterable[Recorded]) -> Standings:
    """Every row that events lead to, from nothing: the definition of what a read model holds.

    Raises PoisonEvent, Damage.
    """
    standings: Standings = {}
    with naming_the_event():
        for recorded in events:
            take_in(projection, [recorded], standings)
    return {key: standing for key, standing in standings.items() if standing.row is not None}


def _refuse(what: str) -> NoReturn:
    raise TypeError(what)
