"""Where questions are answered: the port, and the database behind it.

A question is a function of a `LocalSource` under `@question`. `Reading` has it as a method; called, the method hands the call
to the source of that reading. The database makes the call; a client of a server sends the request that stands for it.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from runfold.domain.event import Recorded
from runfold.domain.run import Run
from runfold.domain.streams import StreamState, is_id
from runfold.domain.thread import Thread
from runfold.errors import NotFound, RunNotFound, ThreadNotFound, UsageError
from runfold.history.path import History
from runfold.method_call import MethodCall
from runfold.queries.past import MOST_EVENTS, Past, Whole, not_of_a_handle
from runfold.queries.read_models import ReadModels, Snapshot
from runfold.queries.where import texts
from runfold.store.reader import LATEST, Reader, TenantReader

P = ParamSpec("P")
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

    def answer(self, call: MethodCall[T]) -> T:
        """Answer a question. Raises LedgerError."""


class Asks(Protocol):
    """What has questions as its methods."""

    @property
    def source(self) -> Source:
        """Where they are answered."""


def question(answered: Callable[Concatenate["LocalSource", P], T]) -> Callable[Concatenate[Asks, P], T]:
    """Make a method of what answers a question: called, it hands the call to the source of its reading."""

    @wraps(answered)
    def ask(self: Asks, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.source.answer(MethodCall(answered, self.source, args, kwargs))

    return ask


class LocalSource:
    """A tenant's part of a ledger in the database, as it stood at a position."""

    def __init__(
        self, reader: Reader, tenant_id: str, up_to: int = LATEST, whole: Whole = not_of_a_handle, most_events: int = MOST_EVENTS
    ) -> None:
        self.reader = reader.of(tenant_id)
        self.up_to = up_to
        self.read_models = ReadModels(reader.datastore, tenant_id)
        self._tenant_id, self._whole, self._most_events = tenant_id, whole, most_events
        self._past = Past(self.reader, self.read_models, up_to, whole, most_events)

    def at(self, moment: int | datetime | None, most_events: int = MOST_EVENTS, whole: Whole | None = None) -> "LocalSource":
        """Return the same source at a position, or at a time of the store. Raises UsageError for a position beyond the head."""
        if moment is None:
            return self
        if isinstance(moment, int):
            head = self.reader.head().position
            if not 0 <= moment <= head:
                raise UsageError(f"position {moment} is not in the ledger, which holds 1 to {head}")
        elif moment.tzinfo is None:
            raise UsageError(f"the time {moment.isoformat()} has no zone; add one, as in {moment.isoformat()}Z")
        else:
            moment = self.reader.position_at(moment)
        return LocalSource(self.reader, self._tenant_id, moment, whole or self._whole, most_events)

    def answer(self, call: MethodCall[T]) -> T:
        """Answer a question from the database."""
        return call.make()

    # What questions are answered from

    def pinned(self, min_position: int | None = None) -> "LocalSource":
        """Return the source as of the position where the log ends now. Raises UsageError for a position beyond that."""
        head = min(self.up_to, self.reader.head().position)
        if min_position is not None and min_position > head:
            raise UsageError(f"min_position {min_position} is beyond the ledger, which ends at {head}")
        return LocalSource(self.reader, self._tenant_id, head, self._whole, self._most_events)

    @contextlib.contextmanager
    def snapshot(
        self, *names: str, within: Iterable[str] | None = None, asked: Mapping[str, Any] | None = None
    ) -> Iterator[Snapshot]:
        """Read models as they are now, or as they stood; of the past, `within` are the threads that the answer is about.

        `asked` says with `min_position` and `wait_seconds` what an answer of the present waits for.
        """
        if self.up_to == LATEST:
            asked = asked or {}
            waiting = {"min_position": asked.get("min_position"), "wait_seconds": asked.get("wait_seconds")}
            with self.read_models.reading(*names, **waiting) as snapshot:
                yield snapshot
        elif within is not None:
            with self._past.of_threads(names, tuple(within)) as snapshot:
                yield snapshot
        else:
            with self._past.of_all(names) as snapshot:
                yield snapshot

    def snapshot_of_run(self, name: str, run_id: str) -> contextlib.AbstractContextManager[Snapshot]:
        """The rows of a read model that a run and its approvals lead to, folded from the log. The source must be `pinned`."""
        return self._past.of_run(name, run_id)

    def threads_of(self, asked: Mapping[str, Any]) -> list[str] | None:
        """The threads that a question about some `thread_id` or `run_id` is about; None where it is about all."""
        threads, runs = asked.get("thread_id"), asked.get("run_id")
        if self.up_to == LATEST or not (threads or runs):
            return None
        found = list(texts("thread_id", threads))
        for run_id in texts("run_id", runs) if not found else ():
            first = next(self.stream(Run, run_id, 1), None)
            found += [first.thread_id] if first else []
        return found

    def first(self, stream: str, missing: type[ThreadNotFound | RunNotFound]) -> Recorded:
        """The event that a thread or run began with. Raises the error given where there is none."""
        first = next(self.stream(Thread if missing is ThreadNotFound else Run, stream, 1), None)
        if first is None:
            raise missing(stream)
        return first

    def fold(self, state: StreamState, missing: type[NotFound], at_version: int | None = None) -> tuple[Recorded, Recorded]:
        """Take in a stream's events; return the first and the last of them. Raises the error given where there is none."""
        first = last = None
        for recorded in self.stream(type(state), state.id, at_version):
            state.evolve(recorded.event)
            first, last = first or recorded, recorded
        if first is None or last is None:
            raise missing(state.id)
        return first, last

    def stream(self, kind: type[StreamState], stream: str, at_version: int | None = None) -> Iterator[Recorded]:
        """A stream's events up to a version; none where no such stream can have this id."""
        if not is_id(kind, stream):
            return
        up_to_version = LATEST if at_version is None else at_version
        yield from self.reader.stream(stream, up_to_version=up_to_version, up_to=self.up_to)

    def history(self, run_id: str, thread_id: str | None = None, *, at_version: int | None = None) -> History:
        """The path root → run. Raises RunNotFound, also where the run is not of that thread."""
        first = self.first(run_id, RunNotFound)
        if thread_id not in {None, first.thread_id}:
            raise RunNotFound(run_id)
        up_to_version = LATEST if at_version is None else at_version
        return History(self.reader, first.thread_id, run_id, at_version=up_to_version, up_to=self.up_to)
