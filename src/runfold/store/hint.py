"""The wake-up after a commit. Only ever a hint: whoever waits also polls, so a lost one costs a moment and never an event.

It goes out after the commit and coalesced, because a NOTIFY inside the commit would serialise the whole database.
"""

import contextlib
import threading
import time

import psycopg

from runfold.store.datastore import Connection, Datastore, is_standby
from runfold.store.unlocked import Unlocked

CHANNEL = "runfold"
COALESCE_SECONDS = 0.005


class Hint:
    """Tells everybody on this database that there is something new."""

    def __init__(self, datastore: Datastore) -> None:
        self._datastore = datastore
        self._rung = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Ask for a hint. Cheap: many rings in a moment are one hint."""
        self._rung.set()
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="runfold-hint", daemon=True)
            thread.start()
            self._thread = thread  # once it runs: an interrupt before that leaves nothing to be waited for

    def close(self) -> None:
        """Send what was asked for, then stop."""
        self._closing.set()
        self._rung.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        asking: Unlocked | None = None
        while not self._closing.is_set() or self._rung.is_set():
            self._rung.wait()
            self._rung.clear()
            asking = self._send(asking)
            self._closing.wait(COALESCE_SECONDS)
        if asking is not None:
            asking.connection.close()

    def _send(self, asking: Unlocked | None) -> Unlocked | None:
        try:
            if asking is None:
                asking = Unlocked(self._datastore.connect())
                asking.execute("SET synchronous_commit = off")  # a hint need not outlive a crash
            asking.execute(f"NOTIFY {CHANNEL}")
        except psycopg.Error:
            if asking is not None:
                with contextlib.suppress(psycopg.Error):
                    asking.connection.close()
            return None  # they poll
        return asking


class Listener:
    """Waits for hints, on a connection of its own. A standby gives none: there it waits for the time to be over."""

    def __init__(self, datastore: Datastore) -> None:
        self._datastore = datastore
        self._connection: Connection | None = None
        self._asking: Unlocked | None = None
        self._listens = False

    def connected(self) -> Connection:
        """Return the connection, over which the same thread may ask other things meanwhile. Raises psycopg.Error."""
        if self._connection is None:
            self._connection = self._datastore.connect()
        return self._connection

    def asking(self) -> Unlocked:
        """Return what asks other things over the same connection while other threads compute. Raises psycopg.Error."""
        connection = self.connected()
        if self._asking is None or self._asking.connection is not connection:
            self._asking = Unlocked(connection)
        return self._asking

    def wait(self, timeout: float) -> None:
        """Until a hint comes, or the time is over. The first time it only begins to listen: look again at what came before.

        Raises psycopg.Error; it then listens anew the next time.
        """
        try:
            connection = self.connected()
            if not self._listens:
                self._begin(connection, timeout)
                return
            if not self._has_come(connection):
                for _ in connection.notifies(timeout=timeout, stop_after=1):
                    pass  # of several one is enough
        except psycopg.Error:
            self.close()
            raise

    def _has_come(self, connection: Connection) -> bool:
        """Return whether hints came while something else was asked over the connection, and take them."""
        has_come = False
        while connection.pgconn.notifies() is not None:
            has_come = True
        return has_come

    def _begin(self, connection: Connection, timeout: float) -> None:
        if is_standby(connection):  # until it takes over; it would refuse to listen
            time.sleep(timeout)
            return
        connection.execute(f"LISTEN {CHANNEL}")
        self._listens = True

    def close(self) -> None:
        """Listen no more."""
        self._listens, self._asking = False, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
