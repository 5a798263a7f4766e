"""Ask all benchmarks, one after the other, on one server: `make bench`. What is given goes to each of them.

In short it is asked whether they run at all, and print their ratios: two go on at a time, and nothing waits for a disk.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from measuring import HOME, own_home

QUESTIONS = ("append", "read", "tail", "project", "rebuild", "search", "over_http", "agui", "evidence", "pages")
ALONE = ("growth",)
"""Takes its time, and is asked by itself; of it only a run in short is asked here."""
INTERRUPTED = 130
"""The exit code, as shells report SIGINT."""
_PATIENCE_SECONDS = 20.0
MEMORY = Path("/dev/shm")  # noqa: S108  a folder for a server, made as any temporary one


def main() -> int:
    """Return the exit code of the first that fails; how long each took is said on stderr."""
    given, took = sys.argv[1:], {}
    short = "--short" in given
    place = MEMORY if short and os.access(MEMORY, os.W_OK) else None
    homes: SimpleQueue[Path] = SimpleQueue()
    at_once = 2 if short else 1
    asking: set[subprocess.Popen[bytes]] = set()

    def ask(question: str) -> int:
        home, began = homes.get(), time.monotonic()
        command = [sys.executable, str(Path(__file__).with_name(f"{question}.py")), *given]
        with subprocess.Popen(command, env={**os.environ, HOME: str(home)}, process_group=0) as process:
            asking.add(process)
            code = process.wait()
        asking.remove(process)
        homes.put(home)
        took[question] = time.monotonic() - began
        return code

    began = time.monotonic()
    try:
        with contextlib.ExitStack() as stack, ThreadPoolExecutor(at_once) as pool:
            for _ in range(at_once):
                homes.put(stack.enter_context(own_home(place)))
            try:
                for code in pool.map(ask, (*QUESTIONS, *(ALONE if short else ()))):
                    if code:
                        pool.shutdown(cancel_futures=True)
                        return code
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                _end(tuple(asking))
                raise
    except KeyboardInterrupt:
        print("interrupted; everything was cleaned up", file=sys.stderr)
        return INTERRUPTED
    said = ", ".join(f"{question} {seconds:.0f} s" for question, seconds in took.items())
    print(f"all in {time.monotonic() - began:.0f} s: {said}", file=sys.stderr)
    return 0


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End them, with all that they started. Ctrl-C reaches none of these: a program that loads is ended by it with a trace."""
    for process in processes:
        os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
