"""Asking PostgreSQL without the interpreter's lock, for a thread that reads while others compute.

psycopg takes the lock anew for every few kilobytes that arrive, and who computes gives it up only every 5 ms: a page that is read
beside a thread that computes took longer than one after the other. Here the lock is taken once all of it is there. Nothing
interrupts such a question, so it is for threads in which no interrupt arrives.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, overload

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

from runfold.store.unread import named

Row = tuple[Any, ...]
MOST_STATEMENTS = 100
"""Prepared on a connection: as many as psycopg prepares."""


class Rows(Sequence[Row]):
    """What was asked, and is made rows when they are looked at, by who looks: so who computes need not be interrupted for it."""

    def __init__(self, result: PGresult, connection: psycopg.Connection[Any], told: Callable[[psycopg.Error], Exception]) -> None:
        """`told` says what is raised of a row that cannot be read."""
        self._count, self._told = result.ntuples, told
        self._result: PGresult | None = result
        self._converting = Transformer(connection)
        self._converting.set_pgresult(result, format=Format.BINARY)
        self._rows: list[Row] = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        return iter(self.all())

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | Sequence[Row]:
        if at == -1 and self._result is not None and self._count:
            return self._made(self._count - 1)[0]
        return self.all()[at]

    def all(self) -> list[Row]:
        """Return all rows."""
        if self._result is not None:
            self._rows = self._made(0)
            self._result = None
            self._converting.set_pgresult(None)
        return self._rows

    def _made(self, first: int) -> list[Row]:
        try:
            return self._converting.load_rows(first, self._count, tuple)
        except psycopg.DataError as error:
            raise self._told(named(error, self._result)) from None


class Unlocked:
    """Asks over a connection in autocommit, which nobody else uses meanwhile."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._converting = Transformer(connection)
        self._prepared: OrderedDict[tuple[str, tuple[int, ...]], bytes] = OrderedDict()
        self._numbers = count(1)

    def rows(self, query: str, parameters: Sequence[Any]) -> list[Row]:
        """Return all rows of a query, with `%b` for each parameter. Raises psycopg.Error."""
        return self.unmade_rows(query, parameters).all()

    def unmade_rows(
        self, query: str, parameters: Sequence[Any], *, told: Callable[[psycopg.Error], Exception] = lambda error: error
    ) -> Rows:
        """Return the same, not made yet; they may be looked at in another thread. Raises psycopg.Error."""
        values = self._converting.dump_sequence(parameters, [PyFormat.BINARY] * len(parameters))
        try:
            result = self._asked(query, values)
        except InvalidSqlStatementName:  # psycopg gives back all that is prepared once something was rolled back
            self._prepared.clear()
            result = self._asked(query, values)
        return Rows(result, self.connection, told)

    def check(self) -> None:
        """See that the connection lives. Raises psycopg.Error."""
        self._require(self.connection.pgconn.exec_(b""), ExecStatus.EMPTY_QUERY)

    def execute(self, statement: str) -> None:
        """Have a statement done that gives no rows. Raises psycopg.Error."""
        self._require(self.connection.pgconn.exec_(statement.encode()), ExecStatus.COMMAND_OK)

    def _asked(self, query: str, values: Sequence[Any]) -> PGresult:
        name, formats = self._prepare(query, self._converting.types or ()), self._converting.formats
        result = self.connection.pgconn.exec_prepared(name, values, formats, Format.BINARY)
        self._require(result, ExecStatus.TUPLES_OK)
        return result

    def _prepare(self, query: str, types: tuple[int, ...]) -> bytes:
        if (name := self._prepared.get((query, types))) is not None:
            self._prepared.move_to_end((query, types))
            return name
        if len(self._prepared) >= MOST_STATEMENTS:
            _, oldest = self._prepared.popitem(last=False)
            self._require(self.connection.pgconn.exec_(b"DEALLOCATE %b" % oldest), ExecStatus.COMMAND_OK)
        name = b"runfold_%d" % next(self._numbers)
        self._require(self.connection.pgconn.prepare(name, _numbered(query), types), ExecStatus.COMMAND_OK)
        self._prepared[query, types] = name
        return name

    def _require(self, result: PGresult, wanted: ExecStatus) -> None:
        if result.status == wanted:
            return
        if self.connection.pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError(result.get_error_message())
        raise error_from_result(result)


@lru_cache(maxsize=1024)
def _numbered(query: str) -> bytes:
    """Return a query with its parameters as the server knows them, by number."""
    numbers = count(1)
    return re.sub("%[%b]", lambda found: "%" if found[0] == "%%" else f"${next(numbers)}", query).encode()
