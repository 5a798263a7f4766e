"""The process that stops the embedded PostgreSQL after its last user is gone, and what it and its starter share.

It runs as a script, by file name and on the standard library alone, so it starts in milliseconds whatever the starter
could import. It holds no share itself: the operating system gives up the share of a process that exits or is killed,
and that is what the watchdog waits for. A `psql` or a notebook has no share; the server itself tells of their sessions.
"""

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SHARE, TURN, WATCHDOG = "share.lock", "turn.lock", "watchdog.lock"
PATIENT_LOOKS = 5
"""How often a server that does not tell of its sessions is left running."""
_ASK_SECONDS = 15.0


def is_alive(pid: int) -> bool:
    """False also for a zombie: where process 1 reaps nobody, a killed server stays one for ever."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):  # it ended just now, or there is no /proc (and launchd reaps)
        return Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[0] != "Z"
    return not Path("/proc/self").exists()


def recorded_pid(data: Path) -> int | None:
    """The process id in postmaster.pid, alive or not."""
    try:
        first = (data / "postmaster.pid").read_text("latin-1").partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else None


def postmaster_pid(data: Path) -> int | None:
    """The process id of the live server of this folder. A process that merely has the id now does not count."""
    pid = recorded_pid(data)
    if pid is None or not is_alive(pid):
        return None
    try:
        return pid if Path(f"/proc/{pid}/cwd").samefile(data) else None
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else pid
    except PermissionError:
        return pid


def stop_server(data: Path, patience: float = 60.0) -> None:
    """Fast shutdown; after `patience` seconds an immediate one, which the next start recovers from."""
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, 10.0)):
        pid = postmaster_pid(data)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + seconds
        while is_alive(pid) and time.monotonic() < until:
            time.sleep(0.01)


def try_lock(file: int) -> bool:
    """Take the exclusive lock if nobody holds any."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_current(file: int, path: Path) -> bool:
    """False once the folder was deleted: who comes now locks another file of the same name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _stays_free(share: int, linger: float) -> bool:
    """Nobody came during `linger` seconds; who came and went left a newer time at the file."""
    seen = os.fstat(share).st_mtime_ns
    until = time.monotonic() + linger
    while time.monotonic() < until:
        time.sleep(min(0.5, linger / 5))
        if os.fstat(share).st_mtime_ns != seen or not try_lock(share):
            return False
        fcntl.flock(share, fcntl.LOCK_UN)
    return True


class Sessions:
    """The sessions of a server, of those who have no share."""

    def __init__(self, folder: Path, url: str) -> None:
        self._data, self._url = folder / "data", url
        self._were_there, self._untold = False, 0

    def have_ended(self) -> bool:
        """Whether there are none, and were none when this was last asked: who left just now may come back in a moment.

        Where the server does not tell, some are assumed for some time.
        """
        were_there, number = self._were_there, self._count()
        if number is None:
            self._untold += 1
            return self._untold > PATIENT_LOOKS
        self._untold, self._were_there = 0, number > 0
        if self._were_there != were_there:
            logging.info("sessions of others: %d", number)
        return not (self._were_there or were_there)

    def _count(self) -> int | None:
        if postmaster_pid(self._data) is None:
            return 0
        command = [sys.executable, "-P", "-m", "runfold.embedded.sessions_of_others", self._url]
        try:
            asked = subprocess.run(  # noqa: S603  our own words
                command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
            )
            return int(asked.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            said = getattr(error, "stderr", None) or str(error)
            logging.warning("the server does not tell of its sessions: %s", said.strip().splitlines()[-1:])
            return None


def watch(folder: Path, own_lock: int, linger: float, url: str) -> None:
    """Return after the server is stopped, or after the folder is gone (PostgreSQL then ends by itself in a minute)."""
    share, sessions = os.open(folder / SHARE, os.O_RDWR), Sessions(folder, url)
    while True:
        fcntl.flock(share, fcntl.LOCK_EX)
        fcntl.flock(share, fcntl.LOCK_UN)
        if not is_current(share, folder / SHARE):
            logging.info("%s was deleted; nothing left to watch", folder)
            return
        if _stays_free(share, linger) and _stop_in_turn(folder, share, own_lock, sessions):
            return


def _stop_in_turn(folder: Path, share: int, own_lock: int, sessions: Sessions) -> bool:
    turn = os.open(folder / TURN, os.O_RDWR)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_current(share, folder / SHARE) or not try_lock(share) or not sessions.have_ended():
            return False
        logging.info("nobody uses the server any more; stopping it")
        stop_server(folder / "data")
        # Before the turn ends: who takes the next one must not believe that this watchdog still watches.
        os.close(own_lock)
        return True
    finally:
        os.close(turn)


def main() -> None:
    """Arguments: the folder, the number of the inherited descriptor that holds our lock, the seconds to linger, the server."""
    folder, own_lock, linger, url = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    if os.fork():
        os._exit(0)
    os.write(own_lock, f"{os.getpid()}\n".encode())
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s [%(process)d] %(message)s")
    logging.info("watching %s, lingering %g s", folder, linger)
    watch(folder, own_lock, linger, url)
    logging.info("done")


if __name__ == "__main__":
    main()
