"""Making moments in a process of their own, one at a time, so that whoever serves goes on serving.

What a killed process left half made is found by whoever looks next, and begun again.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time

import psycopg

from runfold.child import run_module
from runfold.errors import LedgerError, LedgerUnavailable, RebuildRefused
from runfold.logs import configure_unless_done, logger
from runfold.projections.registry import known
from runfold.projector.connection import connect, end_without_memory
from runfold.projector.filling import NICE
from runfold.projector.past import as_of, moments
from runfold.store.datastore import Datastore

LOOK_SECONDS = 0.1
WANTED_SECONDS = 1.0
ELSEWHERE_SECONDS = 2.0
"""After which to look whether another process, which is at work on what somebody waits for, has died."""
PATIENCE_SECONDS = 5.0


class Preparer:
    """Makes what was asked for, one after the other, and drops what nobody uses, in a thread that waits most of the time."""

    def __init__(self, datastore: Datastore, sweep_seconds: float = moments.SWEEP_SECONDS) -> None:
        self._datastore = datastore
        self._sweep_seconds = sweep_seconds
        self._said = ""
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="runfold-moments", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        self._thread.start()

    def wake(self) -> None:
        """Something was asked for, or dropped."""
        self._woken.set()

    def stop(self) -> None:
        """End. What is at work ends too, and is begun again by whoever looks next."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        configure_unless_done("warning")
        while not self._stopping.is_set():
            self._woken.clear()
            seconds = self._sweep_seconds
            try:
                seconds = self._prepare_next()
            except (LedgerError, psycopg.Error) as error:
                self._say(" ".join(str(error).split()), lasts=isinstance(error, LedgerUnavailable) and not error.retriable)
            except OSError as error:  # the system has no room for a process now
                seconds = ELSEWHERE_SECONDS
                logger("runfold.moments").warning("a moment cannot be made yet", error=str(error), after_seconds=seconds)
            self._woken.wait(seconds)

    def _say(self, error: str, *, lasts: bool) -> None:
        """A database that is away comes back; that we may not fold is said once: moments that are asked for here are not made."""
        if lasts and error != self._said:
            self._said = error
            logger("runfold.moments").warning("moments are not prepared or dropped here", error=error)
        else:
            logger("runfold.moments").debug("moments cannot be looked after", error=error)

    def _prepare_next(self) -> float:
        """Drop what is unused, and make one that somebody waits for; after how many seconds to look again."""
        with contextlib.closing(connect(self._datastore)) as connection:
            for schema in moments.sweep(connection):
                logger("runfold.moments").info("moment dropped", moment=moments.id_of(schema))
            waiting = moments.waiting(connection)
        if any(self._prepare(schema) for schema, being_made in waiting.items() if not being_made):
            return 0.0
        return ELSEWHERE_SECONDS if any(waiting.values()) else self._sweep_seconds

    def _prepare(self, schema: str) -> bool:
        process = _start(self._datastore, schema)
        try:
            look_at = time.monotonic() + WANTED_SECONDS
            while process.poll() is None:
                if self._stopping.wait(LOOK_SECONDS):
                    return False
                if time.monotonic() > look_at:
                    if not self._is_wanted(schema):
                        return True
                    look_at = time.monotonic() + WANTED_SECONDS
            return process.returncode == 0
        finally:
            _end(process)

    def _is_wanted(self, schema: str) -> bool:
        with contextlib.closing(connect(self._datastore)) as connection:
            return schema in moments.waiting(connection)


def _start(datastore: Datastore, schema: str) -> "subprocess.Popen[str]":
    """A process that makes a schema, and ends when its standard input does, which the operating system sees to."""
    process = run_module("runfold.projector.past.preparing", stdout=subprocess.DEVNULL, start_new_session=True)
    assert process.stdin is not None, "it was asked for"  # noqa: S101
    told = {"url": datastore.url, "timeout": datastore.connect_timeout, "schema": schema}
    with contextlib.suppress(BrokenPipeError):  # it died at once, which its exit code says
        process.stdin.write(f"{json.dumps(told)}\n")
        process.stdin.flush()
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# In a process of its own


def prepare(datastore: Datastore, schema: str) -> None:
    """Make a schema that was asked for. Raises LedgerError, psycopg.Error."""
    with contextlib.closing(connect(datastore)) as connection:
        asked = next((each for each in as_of.schemas(connection) if each.schema == schema), None)
        if asked is None or asked.ready:
            return
        projections = {name: known()[name] for name in asked.names if name in known()}
        try:
            as_of.make(datastore, projections, schema, asked.position)
        except LedgerUnavailable:
            raise  # another time
        except Exception as error:
            made = next((each for each in as_of.schemas(connection) if each.schema == schema), None)
            if isinstance(error, RebuildRefused) and made is not None and made.ready:
                return  # another process was quicker
            moments.fail(connection, schema, str(error))
            raise


def main() -> None:
    """The body of the process. It ends with whoever started it."""
    configure_unless_done("warning")
    os.nice(NICE)
    end_without_memory()
    told = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        prepare(Datastore(told["url"], told["timeout"]), told["schema"])
    except (LedgerError, psycopg.Error) as error:
        logger("runfold.moments").warning(
            "a moment cannot be prepared", schema=told["schema"], error=" ".join(str(error).split())
        )
        sys.exit(1)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
