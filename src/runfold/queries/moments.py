"""Moments for a caller: asked for, listed, dropped; and questions about the whole past answered from those that are ready."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from runfold.domain.durations import duration
from runfold.errors import InvalidEvent, MomentNotFound, MomentNotPrepared
from runfold.history.views import View
from runfold.projections.registry import known, named
from runfold.projector.past import moments
from runfold.projector.past.moments import Limits, Moment, MomentState, Wanted
from runfold.store.datastore import Connection
from runfold.store.epochs import lineage_of
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader

EXPIRES_IN = timedelta(hours=1)
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=7)
FAILED = "its read models cannot be folded as of there; whoever runs the server finds the reason with `runfold schemas`"


class MomentView(View):
    """A moment as it stands: the whole ledger as of a position, prepared for questions, for as long as it is used."""

    id: str
    position: int
    """The last position that it holds; `at` of a question."""
    state: MomentState
    """waiting, running, ready or failed."""
    read_models: tuple[str, ...]
    done: int
    """Events folded so far. Some are gone through twice, so `total` may be more than the position."""
    total: int
    """0 until it is begun."""
    asked_by: str
    """As kind:id."""
    asked_at: datetime
    used_at: datetime
    """When a question was last answered from it, within a minute."""
    expires_in_seconds: float
    """For how long it is kept after its last use."""
    expires_at: datetime
    """When it is dropped, unless it is used before."""
    error: str | None = None
    """Why it failed. Asked for again, it is tried again."""

    @classmethod
    def of(cls, moment: Moment) -> "MomentView":
        """What its tenant may see: an error's own words may be about anybody's events."""
        return cls(
            id=moment.id,
            position=moment.position,
            state=moment.state,
            read_models=tuple(moment.names),
            done=moment.done,
            total=moment.total,
            asked_by=moment.asked_by,
            asked_at=moment.asked_at,
            used_at=moment.used_at,
            expires_in_seconds=moment.expires_in.total_seconds(),
            expires_at=moment.used_at + moment.expires_in,
            error=FAILED if moment.state == "failed" else None,
        )


class Moments:
    """The moments of one tenant. `connected` gives connections that may make read models."""

    def __init__(
        self, reader: Reader, tenant_id: str, limits: Limits, connected: Callable[[], AbstractContextManager[Connection]]
    ):
        self._reader = TenantReader.of(reader, tenant_id)
        self._tenant_id, self._limits, self._connected = tenant_id, limits, connected

    def ask(
        self,
        position: int,
        asked_by: str,
        expires_in: str | timedelta | None = None,
        *,
        names: Sequence[str] | None = None,
        automatic: bool = False,
    ) -> str:
        """Write down what is wanted, all read models where no names are given; returns its id. The same again is the same.

        Raises InvalidEvent, TooManyMoments, LedgerUnavailable.
        """
        projections = tuple(map(named, names)) if names is not None else tuple(known().values())
        wanted = Wanted(
            self._tenant_id, position, self._reader.head().epoch, projections, asked_by, _lasting(expires_in), automatic
        )
        with self._connected() as connection:
            return moments.id_of(moments.ask(connection, wanted, self._limits))

    def all(self) -> list[MomentView]:
        """Return the moments that this tenant asked for, by position."""
        with self._reader.datastore.reading(self._tenant_id) as connection:
            return [MomentView.of(moment) for moment in moments.of_tenant(connection, self._tenant_id)]

    def one(self, id: str) -> MomentView:
        """One of them. Raises MomentNotFound."""
        found = next((moment for moment in self.all() if moment.id == id), None)
        if found is None:
            raise MomentNotFound(id)
        return found

    def drop(self, id: str) -> None:
        """This tenant needs it no more. Raises MomentNotFound."""
        with self._connected() as connection:
            moments.drop(connection, self._tenant_id, id)

    def sweep(self) -> None:
        """Drop what nobody uses any more."""
        with self._connected() as connection:
            moments.sweep(connection)

    def find(self, names: Sequence[str], position: int, *, every: bool = False) -> str | None:
        """The schema that answers as of a position, where there is one; with `every`, also one that others asked for."""
        lineage = lineage_of(self._reader, self._reader.head())
        with self._reader.datastore.reading(self._tenant_id) as connection:
            return moments.serving(connection, self._tenant_id, position, map(named, names), lineage, every=every)

    def found(self, names: Sequence[str], position: int, _most_events: int = 0) -> str:
        """The same, for who may not make one by asking. Raises MomentNotPrepared."""
        schema = self.find(names, position)
        if schema is not None:
            return schema
        coming = [view for view in self.all() if view.position == position and view.state != "ready"]
        if coming:
            raise MomentNotPrepared(position, coming[0].id, coming[0].state)
        raise MomentNotPrepared(position)


def _lasting(expires_in: str | timedelta | None) -> timedelta:
    lasting = EXPIRES_IN if expires_in is None else duration("expires_in", expires_in)
    if not SHORTEST <= lasting <= LONGEST:
        raise InvalidEvent("expires_in", "must be from 1s to 7d; it counts from the last use, so 1h is a good choice")
    return lasting
