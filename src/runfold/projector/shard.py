"""One read model at work: its fold, its table, its claim, and the rows it has at hand."""

import time
from collections import OrderedDict
from itertools import islice
from typing import Any, NamedTuple

import psycopg

from runfold.errors import ImpureProjection, PoisonEvent, ProjectionStopped, WrongPartition
from runfold.projections.fold import FoldFailed, Standings, fold, touched
from runfold.projections.partition import Touchers, require_own_part
from runfold.projections.projection import AnyProjection, Key, Row
from runfold.projector.checkpoints import Applied, Claim, digest_of
from runfold.projector.page import Page
from runfold.projector.purity import require_pure
from runfold.projector.tables import InvalidRow, Table
from runfold.store.datastore import Connection

ROWS_AT_HAND = 50_000
LOOKED_AT_FIRST, LOOKED_AT_EVERY = 4, 64
"""Of the pages that hold something for it: those after a claim or a fault are looked at closely, then one now and then."""
LOOKED_AT_ROWS = 100
"""How many of a page's rows are read back, where it is looked at closely."""
PAUSES = (0.1, 0.5, 2.0)
"""Seconds before each new try at an event that fails; after the last one the projection stops."""
FAULTS = (
    FoldFailed,
    InvalidRow,
    ProjectionStopped,
    TypeError,
    ValueError,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
)
"""What is the projection's doing, and not the database's."""
FOR_GOOD = (ImpureProjection, WrongPartition)
"""Those of them that are of no single event: trying again might only hide them."""


class Folded(NamedTuple):
    """What a page comes to: the rows that change, and what the receipt says of it."""

    changed: Standings
    applied: Applied


class Shard:
    """A read model that this worker has claimed."""

    def __init__(self, projection: AnyProjection, claim: Claim, *, building: bool = False) -> None:
        self.projection = projection
        self.table: Table[Any] = Table(projection, claim.generation)
        self.types = frozenset(event.type for event in projection.events)
        self.claim = claim
        self.building = building
        self.served = 0.0
        self.attempts = 0
        self.not_before = 0.0
        self.switch_not_before = 0.0
        self._classes = frozenset(projection.events)
        self._rows: OrderedDict[Key, Row | None] = OrderedDict()
        self._touchers: Touchers = {}
        self._pages = 0

    @property
    def name(self) -> str:
        """The read model's name."""
        return self.projection.name

    @property
    def position(self) -> int:
        """Return how far it is."""
        return self.claim.position

    def fold(self, connection: Connection, page: Page) -> Folded:
        """Work out what a page changes; nothing is written. Raises FoldFailed, ProjectionStopped, psycopg.Error."""
        for unread in page.unread:
            if unread.type in self.types:
                raise PoisonEvent(self.name, unread.position, unread.type, str(unread.error))
        touches = touched(self.projection, page.events)
        missing = {key for key, _ in touches if key not in self._rows}
        before: dict[Key, Row | None] = dict.fromkeys(missing)
        if missing:
            before.update(self.table.load(connection, missing))
        self._keep(before)
        if self._looks_closely:
            require_own_part(self.projection, touches, self._touchers)
            require_pure(self.projection, page.events, self._rows)
        changed = fold(self.projection, touches, self._rows.__getitem__)
        looked_at = [recorded for recorded in page.events if type(recorded.event) in self._classes]
        return Folded(changed, Applied(self.claim, len(looked_at), digest_of(looked_at)))

    def write(self, connection: Connection, folded: Folded) -> None:
        """Store the rows that change. Raises InvalidRow, psycopg.Error."""
        self.table.write(connection, folded.changed)
        if self._looks_closely:
            self.table.require_kept(connection, dict(islice(folded.changed.items(), LOOKED_AT_ROWS)))

    def settle(self, folded: Folded, up_to: int) -> None:
        """Keep rows that were stored at hand, and move the claim on to the position that they are of."""
        self._keep({key: standing.row for key, standing in folded.changed.items()})
        while len(self._rows) > ROWS_AT_HAND:
            self._rows.popitem(last=False)
        if len(self._touchers) > ROWS_AT_HAND:
            self._touchers.clear()
        self.claim = self.claim._replace(position=up_to)
        self.attempts = 0
        self.served = time.monotonic()
        self._pages += folded.applied.events > 0

    def forget(self) -> None:
        """Believe no row that is at hand: it is not known what was stored."""
        self._rows.clear()
        self._touchers.clear()
        self._pages = 0

    def put_off(self) -> bool:
        """Wait before the next attempt; return whether there is one."""
        self.attempts += 1
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
        reason = " ".join(str(cause).split()) or "no reason given"
        return PoisonEvent(self.name, recorded.position, recorded.type, f"{type(cause).__name__}: {reason}"[:1000])

    @property
    def _looks_closely(self) -> bool:
        return self._pages < LOOKED_AT_FIRST or self._pages % LOOKED_AT_EVERY == 0

    def _keep(self, rows: dict[Key, Row | None]) -> None:
        self._rows.update(rows)
        for key in rows:
            self._rows.move_to_end(key)
