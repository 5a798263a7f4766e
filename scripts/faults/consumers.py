"""Five consumers share a subscription and are killed again and again: is every event acknowledged, in order within its stream?

    python scripts/faults/consumers.py --events 50000 --kills 40

First the plain feed reads all events, and the consumers take and acknowledge all of them undisturbed, for the rates. Then the
same once more, with kill -9. Each consumer writes down what it was given before it acknowledges it. It fails where an event was
given to nobody, or twice without being marked, where a stream was given out of order, or where the group makes less than half of
the feed.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.servers import OwnServer
from runfold import Ledger, Run

NAME, CONSUMERS, STREAMS, BATCH = "group", 5, 5000, 500
LEASE_SECONDS = 1.0
"""Short, so that what a killed consumer held is soon given to another."""


class Given(NamedTuple):
    """An event as a consumer was given it, at a time of the machine's own clock."""

    at: int
    position: int
    stream: str
    is_redelivery: bool


class Report(NamedTuple):
    """How it went. Rates are events a second."""

    events: int
    kills: int
    feed_rate: float
    group_rate: float
    redelivered: int
    never_given: int
    unmarked_doubles: int
    out_of_order: int
    left: int
    """Positions that the subscription has not acknowledged in the end."""

    def faults(self, least_share: float) -> list[str]:
        """What was promised and not kept."""
        found = [name for name in ("never_given", "unmarked_doubles", "out_of_order", "left") if getattr(self, name)]
        return [*found, *(["group_rate"] if self.group_rate < least_share * self.feed_rate else [])]


def record(ledger: Ledger, events: int, seed: int) -> None:
    """Record so many events, in many streams that take turns at random."""
    rng, runs = random.Random(seed), list[Run]()
    for _ in range(STREAMS):
        runs.append(ledger.create_thread(agent_id="a").start_run())
    left = events - ledger.position()
    while left > 0:
        with ledger.batch() as batch:
            for _ in range(min(500, left)):
                batch.run(rng.choice(runs).id).add_message("user", "hello")
        left -= 500


def consume(url: str, file: Path, number: int) -> None:
    """The body of a consumer: until nothing is left."""
    with Ledger.open(url) as ledger, file.open("a", buffering=1) as said:
        subscription = ledger.subscription(NAME)
        while True:
            taken = subscription.take(BATCH, consumer=f"consumer {number}", wait_seconds=0.2)
            if not taken.deliveries and not subscription.view().lag:
                return
            for each in taken.deliveries:
                told = [time.monotonic_ns(), each.recorded.position, each.recorded.stream, each.is_redelivery]
                said.write(f"{json.dumps(told)}\n")
            subscription.acknowledge(taken.lease, [each.recorded.position for each in taken.deliveries])


class Group:
    """Consumers, each in a process of its own that is started again when it was killed."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self.folder = url, folder
        self._processes = {number: self._started(number) for number in range(CONSUMERS)}

    def _started(self, number: int) -> BaseProcess:
        process = multiprocessing.get_context("spawn").Process(
            target=consume, args=(self._url, self.folder / f"{number}.jsonl", number)
        )
        process.start()
        return process

    def kill(self, rng: random.Random) -> bool:
        """Kill one that lives, and start another in its place; false where all are done."""
        living = [number for number, process in self._processes.items() if process.is_alive()]
        if not living:
            return False
        number = rng.choice(living)
        pid = self._processes[number].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._processes[number].join()
        self._processes[number] = self._started(number)
        return True

    def wait(self) -> None:
        """Wait until all are done."""
        for number, process in self._processes.items():
            process.join()
            if process.exitcode:
                raise RuntimeError(f"consumer {number} ended with {process.exitcode}")

    def given(self) -> list[Given]:
        """Everything that they were given, in order of time; a line that a kill broke off was not acknowledged."""
        lines = (line for file in self.folder.iterdir() for line in file.read_text().splitlines() if line.endswith("]"))
        return sorted(Given(*json.loads(line)) for line in lines)


def judged(given: list[Given], events: int) -> dict[str, int]:
    """What of the promises was not kept, counted."""
    seen: set[int] = set()
    last: dict[str, int] = defaultdict(int)
    unmarked = out_of_order = 0
    for each in given:
        if each.position in seen:
            unmarked += int(not each.is_redelivery)
            continue
        seen.add(each.position)
        out_of_order += int(each.position < last[each.stream])
        last[each.stream] = each.position
    doubles = len(given) - len(seen)
    never = events - len(seen)
    return {"redelivered": doubles, "never_given": never, "unmarked_doubles": unmarked, "out_of_order": out_of_order}


def run(server: OwnServer, events: int, kills: int, seed: int) -> Report:
    """Do all of it."""
    with Ledger.open(server.url) as ledger, tempfile.TemporaryDirectory(prefix="runfold-consumers-") as made:
        record(ledger, events, seed)
        events = ledger.position()
        began = time.monotonic()
        with ledger.subscribe(follow=False) as feed:
            count = sum(recorded.event is not None for recorded in feed)
        feed_rate = count / (time.monotonic() - began)
        subscription = ledger.subscription(NAME)
        subscription.put(lease_seconds=30)
        group_rate = _undisturbed(server.url, Path(made, "undisturbed"), events)
        subscription.delete()
        subscription.put(lease_seconds=LEASE_SECONDS, most_attempts=1000)
        folder = Path(made, "killed")
        folder.mkdir()
        group, rng, killed = Group(server.url, folder), random.Random(seed), 0
        while killed < kills and subscription.view().lag:
            time.sleep(rng.uniform(0.2, 0.8))
            killed += group.kill(rng)
        group.wait()
        left = subscription.view().lag
        return Report(events, killed, round(feed_rate, 1), round(group_rate, 1), **judged(group.given(), events), left=left)


def _undisturbed(url: str, folder: Path, events: int) -> float:
    """The rate from the first event that a consumer was given to the last."""
    folder.mkdir()
    group = Group(url, folder)
    group.wait()
    given = group.given()
    return events / ((given[-1].at - given[0].at) / 1e9)


def main() -> int:
    """Run it as the command line says, and print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000, help="how many events (50,000)")
    parser.add_argument("--kills", type=int, default=40, help="how many kills at most (40)")
    parser.add_argument("--seed", type=int, default=20_261_129)
    asked = parser.parse_args()
    server = OwnServer.start()
    try:
        report = run(server, asked.events, asked.kills, asked.seed)
    finally:
        server.close()
    found: dict[str, Any] = {**report._asdict(), "share": round(report.group_rate / report.feed_rate, 2)}
    print(json.dumps({**found, "faults": report.faults(0.5)}, indent=2))
    return 5 if report.faults(0.0) else int(bool(report.faults(0.5)))


if __name__ == "__main__":
    sys.exit(main())
