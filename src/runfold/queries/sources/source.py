"""Where questions are answered: the port, and the database behind it.

A question (`queries/question.py`) is handed as a call to the source of its reading. The database makes the call; a client of a
server sends the request that stands for it.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from runfold.domain.recorded import Recorded
from runfold.domain.run import Run
from runfold.domain.streams import StreamState, is_id
from runfold.domain.thread import Thread
from runfold.domain.values import texts
from runfold.errors import NotFound, ReadModelBehind, RunNotFound, ThreadNotFound, UsageError
from runfold.history.path import History
from runfold.method_call import MethodCall
from runfold.projections.fold import Standings
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import find
from runfold.queries.sources.past import MOST_EVENTS, Past, Whole, not_of_a_handle
from runfold.queries.sources.read_models import ReadModels
from runfold.queries.sources.snapshot import Snapshot
from runfold.store.reading.reader import LATEST, Reader
from runfold.store.reading.tenant_reader import HAPPENED_OF_THREADS, TenantReader

T = TypeVar("T")
S = TypeVar("S", bound="Source")


class Source(Protocol):
    """What answers the questions of a `Reading`: the database, or a server."""

    @property
    def up_to(self) -> int:
        """The position as of which it answers; `LATEST` for the present. Raises UsageError where only a server knows it."""

    @property
    def reader(self) -> TenantReader:
        """The log itself. Raises UsageError where there is no database."""

    @property
    def read_models(self) -> ReadModels:
        """The read models themselves. Raises UsageError where there is no database."""

    def at(self: S, moment: int | datetime | None, most_events: int, whole: Whole | None) -> S:
        """Return the same source as of a position or a time. Raises UsageError."""

    def happened_at(self: S, moment: datetime) -> S:
        """Return the same source without what happened later by the producers' clocks. Raises UsageError."""

    def answer(self, call: MethodCall[T]) -> T:
        """Answer a question. Raises LedgerError."""


def checked_moment(moment: int | datetime) -> int | datetime:
    """Return a position, or a time that has a zone. Raises UsageError for anything else."""
    return moment if isinstance(moment, int) and not isinstance(moment, bool) else with_zone(moment)


def with_zone(moment: Any) -> datetime:
    """Return a time that has a zone. Raises UsageError for anything else."""
    if not isinstance(moment, datetime):
        raise UsageError(f"{repr(moment)[:60]} is no moment; give a position (an int) or a datetime, or text to `ledger.at`")
    if moment.tzinfo is None:
        raise UsageError(f"the time {moment.isoformat()} has no zone; add one, as in {moment.isoformat()}Z")
    return moment


_NAMING = ("thread_id", "run_id", "parent_run_id", "thread", "run")
"""Parameters that name threads or runs: who names one asks for it, whatever stands for it now."""


def _of_threads_only(_names: Sequence[str], _position: int, _most_events: int) -> str:
    raise UsageError(HAPPENED_OF_THREADS)


Fold = Callable[[Iterable[AnyProjection]], bool]
"""Brings read models on, if that is little, for who owns the ledger; whether it did."""


def fold_nothing(_projections: Iterable[AnyProjection]) -> bool:
    """Leave read models to the workers, as for everybody who asks over HTTP."""
    return False


class LocalSource:
    """A tenant's part of a ledger in the database, as it stood at a position."""

    def __init__(
        self,
        reader: Reader,
        tenant_id: str,
        up_to: int = LATEST,
        whole: Whole = not_of_a_handle,
        most_events: int = MOST_EVENTS,
        moment: datetime | None = None,
        fold: Fold = fold_nothing,
    ) -> None:
        self.reader = TenantReader.of(reader, tenant_id)
        self.up_to = up_to
        self.read_models = ReadModels(reader.datastore, tenant_id)
        self._tenant_id, self._whole, self._most_events, self._moment = tenant_id, whole, most_events, moment
        self._fold = fold
        self._past = Past(self.reader, self.read_models, up_to, whole, most_events)

    def at(self, moment: int | datetime | None, most_events: int = MOST_EVENTS, whole: Whole | None = None) -> "LocalSource":
        """Return the same source at a position, or at a time of the store. Raises UsageError for a position beyond the head."""
        if moment is None:
            return self
        asked = None
        moment = checked_moment(moment)
        if isinstance(moment, int):
            head = self.reader.head().position
            if not 0 <= moment <= head:
                raise UsageError(f"position {moment} is not in the ledger, which holds 1 to {head}")
        else:
            asked = moment
            moment = self.reader.position_at(asked)
        return LocalSource(self.reader, self._tenant_id, moment, whole or self._whole, most_events, asked)

    def happened_at(self, moment: datetime) -> "LocalSource":
        """Return the same source as of now, or as of its position, without what happened later by the producers' clocks.

        Questions about one thread are answered. Raises UsageError for a time without a zone.
        """
        pinned = self.pinned()
        reader = pinned.reader.happened_by(with_zone(moment), pinned.up_to)
        return LocalSource(reader, self._tenant_id, pinned.up_to, _of_threads_only, self._most_events, moment)

    def answer(self, call: MethodCall[T]) -> T:
        """Answer a question from the database."""
        return call.make()

    # What questions are answered from

    def pinned(self, min_position: int | None = None) -> "LocalSource":
        """Return the source as of the position where the log ends now. Raises UsageError for a position beyond that."""
        head = min(self.up_to, self.reader.head().position)
        if min_position is not None and min_position > head:
            raise UsageError(f"min_position {min_position} is beyond the ledger, which ends at {head}")
        return LocalSource(self.reader, self._tenant_id, head, self._whole, self._most_events, self._moment)

    def moment(self) -> datetime:
        """The moment that is asked about: now, the time that was given, or when the last event up to a position was recorded."""
        if self._moment is not None:
            return self._moment
        recorded_at = self.reader.recorded_at(self.up_to) if self.up_to != LATEST else None
        return recorded_at or datetime.now(UTC)

    @contextlib.contextmanager
    def snapshot(
        self,
        *names: str,
        within: Iterable[str] | None = None,
        asked: Mapping[str, Any] | None = None,
        own: AnyProjection | None = None,
    ) -> Iterator[Snapshot]:
        """Read models as they are now, or as they stood; of the past, `within` are the threads that the answer is about.

        `asked` says with `min_position` and `wait_seconds` what an answer of the present waits for. Threads that others stand
        for are left out, unless it asks for them (`include_superseded`) or names threads or runs. `own` is a projection that is
        not found by its name.
        """
        asked = asked or {}
        is_named = within is not None or any(asked.get(name) for name in _NAMING)
        with self._snapshot(names, within, asked, own) as snapshot:
            yield snapshot if is_named or asked.get("include_superseded") else snapshot.without_superseded()

    @contextlib.contextmanager
    def _snapshot(
        self, names: Sequence[str], within: Iterable[str] | None, asked: Mapping[str, Any], own: AnyProjection | None
    ) -> Iterator[Snapshot]:
        if self.up_to == LATEST:
            with self._present(names, asked, own) as snapshot:
                yield snapshot
        elif within is not None:
            with self._past.of_threads(names, tuple(within)) as snapshot:
                yield snapshot
        else:
            with self._past.of_all(names) as snapshot:
                yield snapshot

    @contextlib.contextmanager
    def _present(self, names: Sequence[str], asked: Mapping[str, Any], own: AnyProjection | None) -> Iterator[Snapshot]:
        """Read models as they are now. Where they cannot answer as asked, they are brought on, if that may be done here."""
        waiting = {"min_position": asked.get("min_position"), "wait_seconds": asked.get("wait_seconds")}
        projections = [own] if own is not None else [found for name in names if (found := find(name))]
        if waiting["min_position"] is not None:
            self._fold(projections)
        with contextlib.ExitStack() as stack:
            try:
                snapshot = stack.enter_context(self.read_models.reading(*names, **waiting))
            except ReadModelBehind as behind:
                is_of_another_version = behind.fact is not None  # and no question replaces the table of that
                if is_of_another_version or not self._fold(projections):
                    raise
                snapshot = stack.enter_context(self.read_models.reading(*names, **waiting))
            yield snapshot

    def snapshot_of(self, projection: AnyProjection, rows: Standings) -> contextlib.AbstractContextManager[Snapshot]:
        """Rows that were folded from the log. The source must be `pinned`."""
        return self._past.of_rows(projection, rows)

    def threads_of(self, asked: Mapping[str, Any]) -> list[str] | None:
        """The threads that a question about some `thread_id` or `run_id` is about; None where it is about all."""
        threads, runs = asked.get("thread_id"), asked.get("run_id")
        if self.up_to == LATEST or not (threads or runs):
            return None
        found = list(texts("thread_id", threads))
        for thread_id in found:
            self._check_known(Thread, thread_id, ThreadNotFound)
        for run_id in texts("run_id", runs) if not found else ():
            first = self._check_known(Run, run_id, RunNotFound)
            found += [first.thread_id] if first else []
        return found

    def _check_known(self, kind: type[StreamState], stream: str, missing: type[NotFound]) -> Recorded | None:
        """Return the event that a stream began with. Raises the error given where it began later; None where there is none."""
        first = next(self.stream(kind, stream, 1), None)
        if first is None and (later := self._known_later(kind, stream)):
            raise missing(stream, later)
        return first

    def tolerant(self) -> "LocalSource":
        """Return the same source, whose events are to be handed on: what only a newer Runfold knows is given as it is stored."""
        other = copy(self)
        other.reader = self.reader.tolerant()
        return other

    def first(self, stream: str, missing: type[ThreadNotFound | RunNotFound]) -> Recorded:
        """The event that a thread or run began with. Raises the error given where there is none."""
        kind = Thread if missing is ThreadNotFound else Run
        first = next(self.stream(kind, stream, 1), None)
        if first is None:
            raise missing(stream, self._known_later(kind, stream))
        return first

    def fold(self, state: StreamState, missing: type[NotFound], at_version: int | None = None) -> tuple[Recorded, Recorded]:
        """Take in a stream's events; return the first and the last of them. Raises the error given where there is none."""
        first = last = None
        for recorded in self.stream(type(state), state.id, at_version):
            state.evolve(recorded.event)
            first, last = first or recorded, recorded
        if first is None or last is None:
            raise missing(state.id, self._known_later(type(state), state.id))
        return first, last

    def _known_later(self, kind: type[StreamState], stream: str) -> str | None:
        """Return what to say of a stream that the ledger holds, and that was not there at the time asked for."""
        if self.up_to == LATEST or not is_id(kind, stream):
            return None
        present = LocalSource(self.reader.present, self._tenant_id)
        first = next(present.stream(kind, stream, 1), None)
        if first is None:
            return None
        recorded = f"{first.recorded_at.isoformat()} (position {first.position})"
        if first.position > self.up_to:
            other = "" if self.reader.happened else "; ask by when things happened with `happened_at` (--happened-at)"
            return f"was not in the ledger as of position {self.up_to}: it is recorded since {recorded}{other}"
        clock = " by its producer's clock" if first.metadata.occurred_at else ""
        happened = f"it began {first.happened_at.isoformat()}{clock} and is recorded since {recorded}"
        return f"had not happened by then: {happened}; ask by the clock of the ledger with `at` (--at, over HTTP `at`)"

    def stream(self, kind: type[StreamState], stream: str, at_version: int | None = None) -> Iterator[Recorded]:
        """A stream's events up to a version; none where no such stream can have this id."""
        if not is_id(kind, stream):
            return
        up_to_version = LATEST if at_version is None else at_version
        yield from self.reader.stream(stream, up_to_version=up_to_version, up_to=self.up_to)

    def history(self, run_id: str, thread_id: str | None = None, *, at_version: int | None = None) -> History:
        """The path root → run. Raises RunNotFound, also where the run is not of that thread."""
        first = self.first(run_id, RunNotFound)
        if thread_id is not None and thread_id != first.thread_id:
            raise RunNotFound.in_thread(run_id, thread_id, first.thread_id)
        up_to_version = LATEST if at_version is None else at_version
        return History(self.reader, first.thread_id, run_id, at_version=up_to_version, up_to=self.up_to)
