"""Ask all benchmarks, one after the other, on one server: `make bench`. What is given goes to each of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

from measuring import HOME, own_home

QUESTIONS = ("append", "read", "tail", "project", "rebuild", "search", "over_http", "agui", "evidence", "pages")
ALONE = ("growth",)
"""Takes its time, and is asked by itself; of it only a run in short is asked here."""
MEMORY = Path("/dev/shm")  # noqa: S108  a folder for a server, made as any temporary one


def main() -> int:
    """Return the exit code of the first that fails; how long each took is said on stderr."""
    given, took = sys.argv[1:], {}
    # In short it is asked whether they run at all, which is known sooner where nothing waits for a disk.
    short = "--short" in given
    place = MEMORY if short and os.access(MEMORY, os.W_OK) else None
    with own_home(place) as home:
        for question in (*QUESTIONS, *(ALONE if short else ())):
            began = time.monotonic()
            command = [sys.executable, str(Path(__file__).with_name(f"{question}.py")), *given]
            done = subprocess.run(command, env={**os.environ, HOME: str(home)}, check=False)
            if done.returncode:
                return done.returncode
            took[question] = time.monotonic() - began
    said = ", ".join(f"{question} {seconds:.0f} s" for question, seconds in took.items())
    print(f"all in {sum(took.values()):.0f} s: {said}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
