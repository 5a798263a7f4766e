"""Appends whose transaction stays open: through Runfold's own writer, on a connection that does not commit by itself."""

import contextlib
from random import Random
from types import TracebackType
from typing import Self
from uuid import uuid4

import psycopg

from faults.clients import Work
from faults.journal import Ack
from runfold import Settings
from runfold.domain.thread import ThreadCreated, ThreadRenamed
from runfold.store.appending.append_call import Placed
from runfold.store.appending.writer import Writer
from runfold.store.codec import Limits, Row, encode
from runfold.store.datastore import Connection, Datastore


class Held:
    """A session that appends a small thread and then commits, rolls back, or does nothing."""

    def __init__(self, work: Work) -> None:
        assert work.url is not None, "it connects by itself"
        self.rng = Random(work.seed)
        self._writer = Writer(Datastore(work.url))
        self._writer.when_connected = self._begin
        self._held: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.reset()

    def append(self, stream: str, command: str) -> list[Ack]:
        """Take the lock and write; nothing of it is promised before `commit`. Raises LedgerUnavailable."""
        events = [ThreadCreated(agent_id="faults"), *(ThreadRenamed(title=f"{n}") for n in range(self.rng.randint(0, 4)))]
        rows = [
            Row(
                stream,
                version,
                event.type,
                event.schema_version,
                encode(event, Limits(1000, 10_000)),
                None,
                Settings().tenant,
                stream,
                uuid4().bytes,
                "{}",
                f'{{"actor":{{"kind":"service","id":"faults"}},"correlation_id":"{command}.{version}"}}',
            )
            for version, event in enumerate(events, 1)
        ]
        if self._held is not None and not self._held.closed:
            with contextlib.suppress(psycopg.Error):  # one that is lost is found by the writer, which connects anew
                self._begin(self._held)
        placed = self._writer.append(rows)
        assert isinstance(placed, Placed), f"{stream} is new: {placed}"
        first = placed.first_position
        return [Ack(stream, n, first + n - 1, f"{command}.{n}") for n in range(1, len(rows) + 1)]

    def commit(self) -> None:
        """Make it durable."""
        self._connection().commit()

    def roll_back(self) -> None:
        """Give the positions back."""
        self._connection().rollback()

    def is_open(self) -> bool:
        """Whether the server still lets the session be; asked without sending anything."""
        connection = self._connection()
        with contextlib.suppress(psycopg.Error):
            connection.pgconn.consume_input()
            return not connection.closed
        return False

    def reset(self) -> None:
        """Begin with another connection."""
        self._writer.close()

    def _begin(self, connection: Connection) -> None:
        connection.execute("BEGIN")
        self._held = connection

    def _connection(self) -> Connection:
        assert self._held is not None, "something was appended first"
        return self._held
