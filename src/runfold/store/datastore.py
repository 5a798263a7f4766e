"""Connections to PostgreSQL: a whole URL, a pool for readers, whose rows they show, and what errors mean for us.

Row-level security shows each connection the rows of the tenant that its setting `runfold.tenant` names. It is the second
wall: every query asks for its tenant itself, and this is for the one that forgets. It is no wall against SQL of other
people's making, which could change the setting; so no query is made from a caller's text. The setting is made here and
nowhere else, for a session and not for a transaction: a pooler between us and PostgreSQL has to keep sessions apart, and
one that does not is refused.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import orjson
import psycopg
import psycopg_pool
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import set_json_loads

from runfold.errors import LedgerClosed, LedgerError, LedgerUnavailable, UnreadableTime
from runfold.sessions import BEGIN_SESSION, require_own_session
from runfold.store.address import libpq_seconds
from runfold.store.unlocked import Unlocked
from runfold.store.unread import ReadingCursor, ReadingServerCursor, UnreadRow

Connection = psycopg.Connection[Any]
EVERY_TENANT = "*"
"""The tenant setting of the service's own work: appending, following the log, checking it, folding it."""

_PLANNING = "; ".join(
    f"SET {name} = off" for name in ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort", "jit")
)
"""Each of our queries is written for one index of its table, which gives its order too. What PostgreSQL prefers instead hangs
on the size that the table had when it made the plan, which it keeps for as long as the connection lives, and on statistics
that may be old or absent: then it reads or sorts everything for one page. These switches leave it no other way where there is
an index with the order. A query that finds first and sorts then says so, with OFFSET 0. Compiling a plan costs more than it."""
KEEPALIVES: dict[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000}

for _name in ("psycopg", "psycopg.pool"):  # that a connection fails is said by whoever waits for it
    logging.getLogger(_name).setLevel(logging.ERROR)


class Pooled(psycopg.Connection[Any]):
    """A connection that many use in turn, and whose rows it shows just now; None while nobody can say."""

    tenant: str | None = EVERY_TENANT

    @cached_property
    def unlocked(self) -> Unlocked:
        """Return what asks over it while other threads compute."""
        return Unlocked(self)


class Datastore:
    """A database by its URL: connections of one's own, and a pool for who reads.

    `revive` starts the server again where it is ours to start; it is called when a connection fails.
    """

    def __init__(
        self, url: str, connect_timeout: float = 5.0, max_connections: int = 8, revive: Callable[[], object] | None = None
    ) -> None:
        self.url = url
        self.connect_timeout = connect_timeout
        self._revive = revive
        self._keeps_sessions = False
        self.pool = psycopg_pool.ConnectionPool(
            url,
            connection_class=Pooled,
            kwargs={"row_factory": dict_row, **self._options()},
            min_size=0,  # with 1, who asks before that one is there makes the pool open another beside it
            max_size=max_connections,
            timeout=connect_timeout,
            reconnect_timeout=connect_timeout,
            configure=_configure,
            open=False,
        )

    def close(self) -> None:
        """Give the pool's connections back."""
        self.pool.close()

    def __del__(self) -> None:
        """One that nobody closed leaves no connections behind."""
        with contextlib.suppress(AttributeError):  # it was never made
            self.close()

    def connect(self) -> Connection:
        """A connection of one's own, in autocommit. Raises TransactionPooling, psycopg.OperationalError."""
        connection = psycopg.connect(self.url, **self._options())
        try:
            self._require_sessions(connection)
            _configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def can_revive(self) -> bool:
        """Tell whether the server is ours to start."""
        return self._revive is not None

    def revive(self) -> None:
        """Start our own server again, if it is ours and it is down."""
        if self._revive is not None:
            with contextlib.suppress(LedgerError):  # the next try to connect says what is wrong
                self._revive()

    @contextlib.contextmanager
    def reading(self, tenant: str = EVERY_TENANT, *, is_unlocked: bool = False, is_believed: bool = False) -> Iterator[Pooled]:
        """A pooled connection that shows the rows of one tenant, or everybody's.

        Unlocked, whether it lives is asked for as what comes then: while other threads compute, and nothing interrupts it. It is
        not asked for where it is believed to: by who asks again where it turns out that it does not.
        Raises LedgerUnavailable, TransactionPooling, and UnreadableTime for rows that nobody can read.
        """
        try:
            self.pool.open()
            with contextlib.ExitStack() as stack:
                connection = self._take(stack, tenant, partial(_make_ready, is_unlocked=is_unlocked, is_believed=is_believed))
                self._require_sessions(connection)
                yield connection
        except psycopg_pool.PoolTimeout as error:
            self.revive()
            raise unavailable(self._why_not() or error) from error
        except psycopg.Error as error:
            raise unavailable(error) from error

    @contextlib.contextmanager
    def asking(self, connection: Connection) -> Iterator[Connection]:
        """Ask over a connection of one's own. Raises LedgerUnavailable."""
        try:
            yield connection
        except psycopg.Error as error:
            raise unavailable(error) from error

    def _require_sessions(self, connection: Connection) -> None:
        """Before anything else is asked, once: the address does not become another's meanwhile."""
        if not self._keeps_sessions:
            require_own_session(connection, lambda: psycopg.connect(self.url, **self._options()))
            self._keeps_sessions = True

    def _take(self, stack: contextlib.ExitStack, tenant: str, make_ready: Callable[[Pooled, str], None]) -> Pooled:
        connection = self._living(tenant, make_ready)
        stack.callback(self.pool.putconn, connection)
        stack.enter_context(connection)
        if getattr(connection, "tenant", None) != tenant:
            fact = f"a connection for tenant {tenant} came from the pool as one for another"
            raise LedgerUnavailable(fact, "this is a defect; please report it", retriable=False)
        return connection

    def _living(self, tenant: str, make_ready: Callable[[Pooled, str], None]) -> Pooled:
        """Take a connection that lives and shows the rows of a tenant, however many have ended since they were put back.

        The pool itself would pause longer after each that has ended, and give up where there are four: as after a restart.
        """
        until = time.monotonic() + self.pool.timeout
        while True:
            connection = self.pool.getconn(until - time.monotonic())
            try:
                make_ready(connection, tenant)
            except BaseException as error:
                has_ended = isinstance(error, psycopg.OperationalError) and connection.closed
                self.pool.putconn(connection)  # which makes another in place of one that has ended
                if not has_ended:
                    raise
            else:
                return connection

    def _why_not(self) -> psycopg.OperationalError | None:
        """Return why a connection fails, which the pool does not tell."""
        try:
            self.connect().close()
        except psycopg.OperationalError as error:
            return error
        return None

    def _options(self) -> dict[str, Any]:
        """Return the connection options, for those that the URL does not set."""
        wanted = {"connect_timeout": libpq_seconds(self.connect_timeout), "application_name": "runfold", **KEEPALIVES}
        said = conninfo_to_dict(self.url)
        return {"autocommit": True, **{name: value for name, value in wanted.items() if name not in said}}


def _configure(connection: Connection) -> None:
    set_json_loads(orjson.loads, connection)
    connection.cursor_factory, connection.server_cursor_factory = ReadingCursor, ReadingServerCursor
    connection.execute(
        f"{BEGIN_SESSION}; SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '5s'; SET TimeZone = 'UTC';"
        f" SET runfold.tenant = '{EVERY_TENANT}'; SET default_transaction_isolation = 'read committed'; {_PLANNING}"
    )


def is_standby(connection: Connection) -> bool:
    """Return whether the server follows another one, and so takes no writes. Raises psycopg.Error."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone() == (True,)


def _make_ready(connection: Pooled, tenant: str, *, is_unlocked: bool, is_believed: bool) -> None:
    """See that a connection lives, unless that is believed, and let it show what its taker may see.

    Either is one round trip, and one of them is enough: so a change of tenants costs no more than no change.
    """
    if connection.tenant == tenant:
        if is_believed:
            return
        if is_unlocked:
            connection.unlocked.check()
        else:
            psycopg_pool.ConnectionPool.check_connection(connection)
        return
    connection.tenant = None
    connection.execute("SELECT set_config('runfold.tenant', %s, false)", [tenant])  # in autocommit: no rollback undoes it
    connection.tenant = tenant


READ_ONLY = "the server accepts no writes (a standby, or set read-only); use the primary"
"""The next step when a write meets a read-only server."""
_NEXT_STEPS: list[tuple[type[Exception], str, bool]] = [
    (errors.DiskFull, "free space on the server's volume, then retry", True),
    (errors.ReadOnlySqlTransaction, READ_ONLY, False),
    (errors.LockNotAvailable, "another session blocks all appends; retry, and look at pg_stat_activity", True),
    (errors.QueryCanceled, "the query timed out; retry", True),
    (errors.SerializationFailure, "another session, or the standby's replication, came first; retry", True),
    (errors.DeadlockDetected, "a deadlock with another session; retry", True),
    (errors.TooManyConnections, "raise max_connections, or run fewer processes; retry", True),
    (errors.InsufficientPrivilege, "use a role that was granted runfold_app", False),
    (
        errors.DataCorrupted,
        "a page on the server's disk is damaged: run `runfold check`, and restore a backup elsewhere",
        False,
    ),
    (errors.IndexCorrupted, "an index is damaged: REINDEX it, run `runfold check`, and look at the server's disk", False),
    (errors.ProgramLimitExceeded, "make what was given shorter: it is more than the database takes", False),
    (errors.StatementTooComplex, "ask for less at once: it is more than the database takes", False),
    (errors.UndefinedTable, "run `runfold migrate`", False),
    (errors.InvalidSchemaName, "run `runfold migrate`", False),
    (psycopg_pool.PoolTimeout, "check that PostgreSQL runs and that RUNFOLD_DATABASE_URL is right, then retry", True),
]


def unavailable(error: Exception) -> LedgerUnavailable | UnreadableTime:
    """Translate an error of PostgreSQL into ours, with the next step."""
    fact = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, UnreadRow):
        return UnreadableTime(error.place, fact, is_event=error.is_event)
    if isinstance(error, psycopg_pool.PoolClosed):
        return LedgerClosed()
    for kind, next_step, retriable in _NEXT_STEPS:
        if isinstance(error, kind):
            return LedgerUnavailable(f"the database said: {fact}", next_step, retriable=retriable)
    if not isinstance(error, psycopg.OperationalError):
        return LedgerUnavailable(f"the database said: {fact}", "this is a defect; please report it", retriable=False)
    return LedgerUnavailable(
        f"the database cannot be reached ({fact})",
        "check that PostgreSQL runs and that RUNFOLD_DATABASE_URL is right, then retry",
    )
