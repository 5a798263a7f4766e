"""One read model at work: its fold, its table, its claim, and the rows it has at hand."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast
from zlib import crc32

import psycopg

from runfold.domain.recorded import Recorded
from runfold.errors import ImpureProjection, PoisonEvent, ProjectionStopped, WrongPartition
from runfold.projections.fold import FoldFailed, Standings, fold, reason_of, touched
from runfold.projections.partition import Touchers, require_own_part
from runfold.projections.projection import AnyProjection, Key, Row
from runfold.projector.checking.purity import SAMPLE, require_pure
from runfold.projector.checking.trial import is_own
from runfold.projector.checkpoints import Applied, Claim, digest_of
from runfold.projector.folding.marks import Marked, Marks
from runfold.projector.folding.page import Page
from runfold.projector.tables.invalid_rows import InvalidRow
from runfold.projector.tables.table import NOTHING, Changes, Table
from runfold.store.datastore import Connection

T = TypeVar("T")

ROWS_AT_HAND = 50_000
"""How many rows of a read model are kept in memory, unless its projection says that it is fewer."""
LOOKED_AT_FIRST, LOOKED_AT_EVERY = 4, 64
"""Of the pages that hold something for it: those after a claim or a fault are looked at closely, then one now and then. Of a
projection that comes with Runfold, which its tests try, only the latter: who waits for the first events is not to wait longer."""
LOOKED_AT_EVENTS, LOOKED_AT_PART = 10, 4
"""Of a page that is looked at closely, so many events are folded again, or one in so many where that is more."""
LOOKED_AT_ROWS = 100
"""How many of a page's rows are read back, where it is looked at closely."""
TRIED_AGAIN_AT = 20
"""With how many events a version that was first tried with fewer is tried again."""
PAUSES = (0.1, 0.5, 2.0)
"""Seconds before each new try at an event that fails; after the last one the projection stops."""
FAULTS = (
    FoldFailed,
    InvalidRow,
    ProjectionStopped,
    RecursionError,
    TypeError,
    ValueError,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
)
"""What is the projection's doing, and not the database's."""
FOR_GOOD = (ImpureProjection, WrongPartition)
"""Those of them that are of no single event: trying again might only hide them."""


FOLD_SECONDS = 2.0
"""After so long no further event of a page is begun, so that a slow fold keeps others waiting for no more than that."""
SLOW_EVENTS_A_SECOND, WARNING_SECONDS = 100, 60.0
"""Who takes in fewer is warned about, so often at most."""
LARGEST_PAGE = 8_000
"""Positions read at once, at most."""


class Folded(NamedTuple):
    """What a page comes to: the rows that change, what the receipt says of it, and up to where it was folded.

    `changes` are the rows as they are sent. `closely`: some of them are to be read back when they are written.
    """

    changed: Standings
    applied: Applied
    up_to: int
    seconds: float
    changes: Changes
    closely: bool


class _Pace:
    """Lets the events of a page through, and marks each, until time is out."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._spent = 0.0
        self._began = time.monotonic()
        self.reached: int | None = None
        """The last event that came through, where not all did."""

    def begin(self) -> None:
        """Measure from now on, what was measured before counts too."""
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Return how long the projection's code took."""
        return self._spent

    def through(self, items: Iterable[T], positions: Iterable[int]) -> Iterator[T]:
        """Yield items, whose events are at these positions, of as many events as time allows, at least of one."""
        last, end, now, at = 0, self._began + FOLD_SECONDS, time.monotonic, self._marks.at
        try:
            for position, item in zip(positions, items, strict=True):
                if position != last:
                    if last and now() > end:
                        self.reached = last
                        return
                    last = position
                    at(position)
                yield item
        finally:
            self._spent += time.monotonic() - self._began


class Shard:
    """A read model that this worker has claimed."""

    def __init__(self, projection: AnyProjection, claim: Claim, *, building: bool = False, marks: Marks | None = None) -> None:
        self.projection = projection
        self.table: Table[Any] = Table(projection, claim.generation)
        self.types = frozenset(event.type for event in projection.events)
        self.claim = claim
        self.building = building
        self.served = 0.0
        self.attempts = 0
        self.not_before = 0.0
        self.switch_not_before = 0.0
        self.indexed_at: int | None = None
        """Where its table lacks indexes: the position at which they are made, the end of the log when it was claimed."""
        self.suspect = 0
        """The event that it failed at last, which it is given alone; 0 where none did."""
        self.page_size = LARGEST_PAGE
        """How many positions it is given at once: few where it is slow."""
        self._marks = marks or Marks()
        self._marked = cast("AnyProjection", Marked(projection, self._marks))
        self._seconds_an_event = 0.0
        self._warned = -WARNING_SECONDS
        self._rows: OrderedDict[Key, Row | None] = OrderedDict()
        self._has_all = claim.position == 0
        """Whether every row of the table is at hand, so that none has to be looked for: from the beginning on, and while few."""
        self._touchers: Touchers = {}
        self._pages = 0
        self._looked_at_first = LOOKED_AT_FIRST if is_own(projection) else 0
        self._turn = crc32(projection.name.encode()) % LOOKED_AT_EVERY
        """Which page of so many is looked at closely: not the same as for others, since those who wait are given all at once."""
        self._seen, self._tried_from = 0, 1 if claim.position == 0 else None

    @property
    def name(self) -> str:
        """The read model's name."""
        return self.projection.name

    @property
    def position(self) -> int:
        """Return how far it is."""
        return self.claim.position

    @property
    def is_indexed(self) -> bool:
        """Return whether its table has all its indexes."""
        return self.indexed_at is None

    def fold(self, connection: Connection, page: Page) -> Folded:
        """Work out what a page changes; nothing is written. Raises FoldFailed, InvalidRow, ProjectionStopped, psycopg.Error."""
        for unread in page.unread:
            if unread.type in self.types:
                raise PoisonEvent(self.name, unread.position, unread.type, str(unread.error))
        pace, events = _Pace(self._marks), self._own(page)
        if not events:  # as of most read models, where a page is small
            return Folded({}, Applied(self.claim, 0, 0), page.up_to, 0.0, NOTHING, closely=False)
        with self._marks.folding(self.name, self.claim.generation):
            touches = touched(self.projection, pace.through(events, [recorded.position for recorded in events]))
        missing = {key for key, _ in touches if key not in self._rows}
        before: dict[Key, Row | None] = dict.fromkeys(missing)
        if missing and not self._has_all:
            before.update(self.table.load(connection, missing))
        self._keep(before)
        with self._marks.folding(self.name, self.claim.generation):
            if self._looks_closely:
                require_own_part(self.projection, touches, self._touchers)
                self._require_pure(events[: self._sample_of(len(events))])
            pace.begin()
            positions = [recorded.position for _, recorded in touches]
            changed = fold(self.projection, pace.through(touches, positions), self._rows.__getitem__)
        up_to = page.up_to if pace.reached is None else pace.reached
        looked_at = events if pace.reached is None else [recorded for recorded in events if recorded.position <= up_to]
        self._seconds_an_event = pace.seconds() / max(1, len(looked_at))
        applied, changes = Applied(self.claim, len(looked_at), digest_of(looked_at)), self.table.changes(changed)
        return Folded(changed, applied, up_to, pace.seconds(), changes, self._looks_closely)

    def _own(self, page: Page) -> list[Recorded]:
        """Return the events of a page that the projection looks at: others are passed over by their names."""
        return [recorded for recorded in page.events if recorded.type in self.types]

    def _sample_of(self, events: int) -> int:
        """Return how many events of a page are folded again: of a small one not so many that somebody waits for it."""
        return min(SAMPLE, max(LOOKED_AT_EVENTS, events // LOOKED_AT_PART))

    def _require_pure(self, sample: list[Recorded]) -> None:
        """Fold some events twice, as many as a moment allows."""
        if self._seconds_an_event == 0.0:
            began = time.monotonic()
            require_pure(self._marked, sample[:1], self._rows)
            self._seconds_an_event = (time.monotonic() - began) / 2
        few = max(1, int(FOLD_SECONDS / max(self._seconds_an_event, FOLD_SECONDS / SAMPLE)))
        require_pure(self._marked, sample[:few], self._rows)

    def is_to_be_tried(self, page: Page) -> bool:
        """Return whether a version is first used here, so that its fold is to be tried elsewhere before more is stored.

        That is once at its first events, and where these are few again at twenty.
        """
        return self._tried_from is not None and self._seen + len(self._own(page)) >= self._tried_from

    def note_tried(self, page: Page) -> None:
        """Say that its fold was tried with the events up to the end of a page, and came to the same rows."""
        self._tried_from = None if self._seen + len(self._own(page)) >= TRIED_AGAIN_AT else TRIED_AGAIN_AT

    def write(self, connection: Connection, folded: Folded) -> None:
        """Store the rows that change. Raises InvalidRow, psycopg.Error."""
        self.table.store(connection, folded.changes)
        if folded.closely:
            self.table.require_kept(connection, dict(islice(folded.changed.items(), LOOKED_AT_ROWS)))

    def settle(self, folded: Folded) -> None:
        """Keep rows that were stored at hand, and move the claim on to the position that they are of."""
        self._keep({key: standing.row for key, standing in folded.changed.items()})
        while len(self._rows) > self._most_at_hand:
            self._rows.popitem(last=False)
            self._has_all = False
        if len(self._touchers) > self._most_at_hand:
            self._touchers.clear()
        if self.ends_trouble(folded):
            self.attempts = self.suspect = 0
        taken = folded.up_to - self.claim.position
        if folded.seconds > FOLD_SECONDS:
            self.page_size = max(1, taken)
        elif taken >= self.page_size:
            self.page_size = min(LARGEST_PAGE, self.page_size * 2)
        self.claim = self.claim._replace(position=folded.up_to)
        self.served = time.monotonic()
        self._pages += folded.applied.events > 0
        self._seen += folded.applied.events

    def may_be_ahead(self, folded: Folded) -> bool:
        """Return whether it can go on before a page is stored: nothing is wrong, and all its rows stay at hand."""
        return self.attempts == 0 and len(folded.changed) <= self._most_at_hand

    def go_back(self, claim: Claim) -> None:
        """Be where a claim is: what was settled since turns out not to be stored. `forget` follows."""
        self.claim = claim

    def ends_trouble(self, folded: Folded) -> bool:
        """Return whether the event that it failed at is behind it now."""
        return self.attempts > 0 and folded.up_to >= self.suspect

    def slow_rate(self, folded: Folded) -> float | None:
        """Return how many events it takes in a second where that is few; now and then, for each warning is read by somebody."""
        now, rate = time.monotonic(), folded.applied.events / max(folded.seconds, 1e-9)
        if folded.seconds < FOLD_SECONDS / 4 or rate > SLOW_EVENTS_A_SECOND or now < self._warned + WARNING_SECONDS:
            return None
        self._warned = now
        return rate

    def most(self, position: int) -> int:
        """Return up to where it may be given events at once: the event that it failed at comes alone."""
        end = self.position + self.page_size
        if self.suspect > self.position:
            end = min(end, max(self.suspect - 1, self.position + 1))
        return min(end, position)

    def forget(self) -> None:
        """Believe no row that is at hand: it is not known what was stored."""
        self._rows.clear()
        self._has_all = self.claim.position == 0
        self._touchers.clear()
        self._pages = 0

    def put_off(self, suspect: int) -> bool:
        """Wait before the next attempt at an event; return whether there is one."""
        self.attempts += 1
        self.suspect = suspect
        if self.attempts > len(PAUSES):
            return False
        self.not_before = time.monotonic() + PAUSES[self.attempts - 1]
        return True

    def explain(self, error: Exception, page: Page) -> ProjectionStopped:
        """Return what stopped it, at a page of one position. Raises the error itself where there is no event that it could be."""
        if isinstance(error, ProjectionStopped):
            return error
        if not page.events:
            raise error
        recorded = error.recorded if isinstance(error, FoldFailed) else page.events[-1]
        cause = error.cause if isinstance(error, FoldFailed) else error
        return PoisonEvent(self.name, recorded.position, recorded.type, reason_of(cause))

    @property
    def _most_at_hand(self) -> int:
        return min(ROWS_AT_HAND, self.projection.rows_at_hand)

    @property
    def _looks_closely(self) -> bool:
        return self._pages < self._looked_at_first or self._pages % LOOKED_AT_EVERY == self._turn

    def _keep(self, rows: dict[Key, Row | None]) -> None:
        self._rows.update(rows)
        for key in rows:
            self._rows.move_to_end(key)
