"""Reading one tenant's part of the log: what is asked of streams and of threads."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from runfold.domain.recorded import Recorded
from runfold.errors import UsageError
from runfold.store.codec import COLUMNS
from runfold.store.datastore import EVERY_TENANT, Datastore
from runfold.store.queries import named_queries
from runfold.store.reading import filter as filtering
from runfold.store.reading.filter import LAST_CHARACTER, Filter, bounded_query, is_all, like
from runfold.store.reading.happened import HappenedBy
from runfold.store.reading.reader import LATEST, PAGE, Reader
from runfold.store.reading.stream_parts import FEW, StreamPart, parts_query, together
from runfold.store.unlocked import Row

_QUERIES = named_queries("runfold.store.reading", "tenant_reader.sql")

HAPPENED_OF_THREADS = (
    "what had happened by a time is answered for one thread at a time, since every producer has a clock of its own;"
    " name a thread or a run, or ask by the clock of the ledger (`at`)"
)
TREE_TYPES = frozenset({"run.created", "thread.head_named", "thread.head_moved"})
"""As in the index `log_tenant_tree`."""


class TenantReader(Reader):
    """One tenant's part of the log: every question asks for the tenant, and of others' events the database shows none."""

    def __init__(self, datastore: Datastore, tenant_id: str) -> None:
        """Raises UsageError for what is no tenant."""
        if tenant_id in {"", EVERY_TENANT}:
            raise UsageError(f"{tenant_id!r} is no tenant; give the name of one")
        super().__init__(datastore)
        self.tenant = tenant_id
        self.happened: HappenedBy | None = None
        """Where given, what had happened later by the producers' clocks is not shown."""

    @staticmethod
    def of(reader: Reader, tenant_id: str) -> "TenantReader":
        """Return one tenant's part of what a reader reads: itself, where it is that. Raises UsageError for what is no tenant."""
        if isinstance(reader, TenantReader) and reader.tenant == tenant_id:
            return reader
        bound = TenantReader(reader.datastore, tenant_id)
        bound.when_short = reader.when_short
        return bound

    def happened_by(self, moment: datetime, up_to: int) -> "TenantReader":
        """The same as of a position, without what had happened later; it is asked about one thread at a time."""
        bound = TenantReader(self.datastore, self.tenant)
        bound.when_short = self.when_short

        def events_of(thread_id: str) -> Iterator[Recorded]:
            return self.events(Filter(thread_id=thread_id, tenant_id=self.tenant), up_to=up_to)

        def thread_of(stream: str) -> str | None:
            first = next(self.stream(stream, up_to_version=1, up_to=up_to), None)
            return first.thread_id if first else None

        bound.happened = HappenedBy(moment, events_of, thread_of)
        return bound

    @property
    def present(self) -> "TenantReader":
        """The same with all that is recorded."""
        return TenantReader(self.datastore, self.tenant) if self.happened else self

    def raw_stretch(
        self, wanted: Filter | None, after: int, up_to: int, limit: int, *, descending: bool = False
    ) -> tuple[Sequence[Row], int]:
        """Return rows, and the position up to which these are all; descending, from which on."""
        found, end = super().raw_stretch(wanted, after, up_to, limit, descending=descending)
        if self.happened is None:
            return found, end
        if wanted is None or wanted.thread_id is None:
            raise UsageError(HAPPENED_OF_THREADS)
        last = self.happened.of_thread(wanted.thread_id)
        return [row for row in found if row[2] <= last.get(row[1], 0)], end

    def stream(
        self,
        stream: str,
        *,
        after_version: int = 0,
        up_to_version: int = LATEST,
        up_to: int = LATEST,
        types: tuple[str, ...] = (),
    ) -> Iterator[Recorded]:
        """A stream's events in order, page by page."""
        where = "originator_id = %b AND tenant_id = %b AND originator_version > %b AND originator_version <= %b"
        where += " AND (notification_id <= %b) IS TRUE"
        query = bounded_query(where + (" AND topic LIKE ANY(%b)" if types else ""), ["originator_version"])
        likes = [[like(name) for name in types]] if types else []
        if self.happened is not None:
            up_to_version = min(up_to_version, self.happened.last_version(stream))
        is_last = False
        while not is_last:
            found = self.rows(query, [stream, self.tenant, after_version, up_to_version, up_to, *likes, PAGE])
            for row in found:
                yield self._read(row)
            is_last = is_all(found, PAGE)
            after_version = found[-1][2] if found else after_version

    def streams(self, parts: Iterable[StreamPart], types: tuple[str, ...] = ()) -> Iterator[Recorded]:
        """Parts of streams, one after the other, each in order: many short ones with one question, a long one page by page."""
        if self.happened is not None:
            last = self.happened.last_version
            parts = [part._replace(up_to_version=min(part.up_to_version, last(part.stream))) for part in parts]
        left = deque(part for part in parts if part.after_version < part.up_to_version)
        while left:
            asked = together(left, PAGE)
            if len(asked) == 1:
                yield from self._of_part(asked[0], types)
                continue
            columns = [list(column) for column in zip(*asked, strict=True)]
            likes = [[like(name) for name in types]] if types else []
            rows = self.rows(parts_query(of_types=bool(types)), [*columns, self.tenant, *likes, FEW])
            cut = rows[-1][0] if sum(len(row[6]) for row in rows) >= filtering.PAGE_BYTES else None
            for place, found in groupby(rows, key=itemgetter(0)):
                events = [row[1:] for row in found]
                yield from map(self._read, events)
                if len(events) == FEW or place == cut:
                    yield from self._of_part(asked[place - 1]._replace(after_version=events[-1][2]), types)
            left.extendleft(reversed(asked[cut:]) if cut else ())

    def _of_part(self, part: StreamPart, types: tuple[str, ...]) -> Iterator[Recorded]:
        stream, after_version, up_to_version, up_to = part
        return self.stream(stream, after_version=after_version, up_to_version=up_to_version, up_to=up_to, types=types)

    def tree(self, thread_id: str, *, after: int = 0, up_to: int = LATEST) -> list[Recorded]:
        """The events that shape a thread's tree: runs created, heads named and moved."""
        query = (
            f"SELECT {COLUMNS} FROM runfold.log WHERE (thread_id, tenant_id, notification_id) > (%b, %b, %b)"
            " AND (thread_id, tenant_id, notification_id) <= (%b, %b, %b)"
            " AND topic IN ('run.created', 'thread.head_named', 'thread.head_moved')"
            " ORDER BY thread_id, tenant_id, notification_id"
        )
        found = self.rows(query, [thread_id, self.tenant, after, thread_id, self.tenant, up_to])
        if self.happened is not None:
            last = self.happened.of_thread(thread_id)
            found = [row for row in found if row[2] <= last.get(row[1], 0)]
        return [self._read(row) for row in found]

    def streams_beginning_with(self, text: str, *, up_to: int | None = None, limit: int) -> list[str]:
        """The ids of streams that begin with a text, in order, at most `limit` of them."""
        last, known = text + LAST_CHARACTER, LATEST if up_to is None else up_to
        bounds = [last, self.tenant, known]
        return [stream for (stream,) in self.rows(_QUERIES["streams beginning with"], [text, *bounds, *bounds, limit])]

    def ends(self, streams: Sequence[str]) -> dict[str, tuple[int, int]]:
        """The last version of each stream, and its position. Streams without events are left out."""
        rows = self.rows(_QUERIES["ends"], [list(streams), self.tenant])
        return {stream: (version, position) for stream, version, position in rows}
