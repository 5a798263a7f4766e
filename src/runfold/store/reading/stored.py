"""Rows of the log as they are stored, for who reads payloads by themselves or hands them on unread."""

from datetime import datetime
from typing import NamedTuple

from runfold.domain.recorded import Recorded
from runfold.store.codec import COLUMNS, decode
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import LATEST
from runfold.store.reading.tenant_reader import TenantReader


class Stored(NamedTuple):
    """A row of the log, with its columns in the order that `decode` takes."""

    position: int
    stream: str
    version: int
    type: str
    schema_version: int
    state: bytes
    tenant_id: str
    thread_id: str
    event_id: bytes
    recorded_at: datetime
    context: str
    metadata: str
    salt: bytes | None

    def read(self) -> Recorded:
        """Read the event. Raises UnknownEventType, UnreadableEvent."""
        return decode(self)


def stored_stretch(
    reader: TenantReader, wanted: Filter, *, after: int, up_to: int = LATEST, limit: int
) -> tuple[list[Stored], int]:
    """Return at most `limit` rows in order, and the position up to which these are all, as `Reader.stretch` does."""
    rows, position = reader.raw_stretch(wanted, after, up_to, limit)
    return [Stored(*row) for row in rows], position


def stored_page(
    reader: TenantReader, wanted: Filter, *, after: int = 0, up_to: int = LATEST, limit: int, descending: bool = False
) -> list[Stored]:
    """Return at most `limit` rows after one position and up to another, however far apart, as `Reader.page` does."""
    return [Stored(*row) for row in reader.raw_page(wanted, after, up_to, limit, descending=descending)]


def stored_stream(
    reader: TenantReader,
    stream: str,
    *,
    after_version: int = -1,
    up_to_version: int = LATEST,
    limit: int = LATEST,
    descending: bool = False,
) -> list[Stored]:
    """Return rows of a stream by version, the last ones first if `descending`."""
    query = (
        f"SELECT {COLUMNS} FROM runfold.log"
        " WHERE originator_id = %b AND tenant_id = %b AND originator_version > %b AND originator_version <= %b"
        f" ORDER BY originator_version {'DESC' if descending else 'ASC'} LIMIT %b"
    )
    return [Stored(*row) for row in reader.rows(query, [stream, reader.tenant, after_version, up_to_version, limit])]
