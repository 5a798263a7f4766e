"""The process that stops the embedded PostgreSQL after its last user is gone, and what it and its starter share.

It runs as a script, by file name and on the standard library alone, so it starts in milliseconds whatever the starter
could import. It holds no share itself: the operating system gives up the share of a process that exits or is killed,
and that is all the watchdog waits for.
"""

import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path

SHARE, TURN, WATCHDOG = "share.lock", "turn.lock", "watchdog.lock"


def is_alive(pid: int) -> bool:
    """False also for a zombie: where process 1 reaps nobody, a killed server stays one for ever."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):  # it ended just now, or there is no /proc (and launchd reaps)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return not Path("/proc/self").exists()


def recorded_pid(data: Path) -> int | None:
    """The process id in postmaster.pid, alive or not."""
    try:
        first = (data / "postmaster.pid").read_text().partition("\n")[0].strip()
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


def watch(folder: Path, own_lock: int, linger: float) -> None:
    """Return after the server is stopped, or after the folder is gone (PostgreSQL then ends by itself in a minute)."""
    share = os.open(folder / SHARE, os.O_RDWR)
    while True:
        fcntl.flock(share, fcntl.LOCK_EX)
        fcntl.flock(share, fcntl.LOCK_UN)
        if not is_current(share, folder / SHARE):
            logging.info("%s was deleted; nothing left to watch", folder)
            return
        if _stays_free(share, linger) and _stop_in_turn(folder, share, own_lock):
            return


def _stop_in_turn(folder: Path, share: int, own_lock: int) -> bool:
    turn = os.open(folder / TURN, os.O_RDWR)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_current(share, folder / SHARE) or not try_lock(share):
            return False
        logging.info("nobody uses the server any more; stopping it")
        stop_server(folder / "data")
        # Before the turn ends: who takes the next one must not believe that this watchdog still watches.
        os.close(own_lock)
        return True
    finally:
        os.close(turn)


def main() -> None:
    """Arguments: the folder, the number of the inherited descriptor that holds our lock, the seconds to linger."""
    folder, own_lock, linger = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    if os.fork():
        os._exit(0)
    os.write(own_lock, f"{os.getpid()}\n".encode())
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s [%(process)d] %(message)s")
    logging.info("watching %s, lingering %g s", folder, linger)
    watch(folder, own_lock, linger)
    logging.info("done")


if __name__ == "__main__":
    main()
