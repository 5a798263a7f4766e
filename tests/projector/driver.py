"""A worker in a process of its own, to be killed, paused and taken over from.

python -m tests.projector.driver URL NAME|MODULE:CLASS … [--once] [--host HOST] [--take-over SECONDS] [--page POSITIONS]
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from runfold import failpoint
from runfold.projections.registry import chosen
from runfold.projector import worker
from runfold.projector.connection import end_without_memory
from runfold.projector.folding import team
from runfold.projector.tables import generations
from runfold.projector.worker import Worker
from runfold.store.datastore import Datastore

TOYS = tuple(f"tests.projector.toys:{name}" for name in ("Tally", "Tools", "OpenCalls", "Ended"))
BEAT_SECONDS = 0.1


def started(
    url: str, *arguments: str, projections: tuple[str, ...] = TOYS, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A worker process that has begun."""
    root, paths = str(Path(__file__).parents[2]), filter(None, [os.environ.get("PYTHONPATH")])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.projector.driver", url, *projections, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *paths]), "RUNFOLD_LOG_LEVEL": "error", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def fold_until(url: str, point: str, times: int, sources: tuple[str, ...] = TOYS) -> None:
    """What a process does that dies at a point. Of what it begins, indexes are made at the end."""
    failpoint._left = {point: times}
    generations.LATER_FROM = 1
    worker.FIRST_PAGE = worker.LARGEST_PAGE = 12
    Worker(Datastore(url), chosen(sources)).catch_up()


def keep_folding(url: str, page: int, sources: tuple[str, ...]) -> None:
    """What a process does that is going to be killed."""
    team.BEAT_SECONDS = 0.02
    worker.FIRST_PAGE = worker.LARGEST_PAGE = page
    Worker(Datastore(url), chosen(sources)).run(threading.Event())


def fold_within(url: str, sources: tuple[str, ...], room: int, told: Connection) -> None:
    """What a process does that may take so many bytes more than it has when it begins. It tells how many it took."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room
    end_without_memory()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Worker(Datastore(url), chosen(sources)).catch_up()
    told.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def main() -> None:
    """Fold until told to stop, or until all is folded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("projections", nargs="+")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--host")
    parser.add_argument("--take-over", type=float, default=0.5)
    parser.add_argument("--page", type=int, default=500)
    asked = parser.parse_args()
    team.BEAT_SECONDS = BEAT_SECONDS
    worker.FIRST_PAGE = worker.LARGEST_PAGE = asked.page
    if asked.host:
        team._host = lambda: asked.host  # type: ignore[assignment]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    work = Worker(Datastore(asked.url), chosen(asked.projections), take_over_seconds=asked.take_over)
    if asked.once:
        print(work.catch_up())  # noqa: T201
        work.close()
    else:
        work.run(stop)


if __name__ == "__main__":
    main()
