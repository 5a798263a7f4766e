"""Five consumers share a subscription and are killed again and again: is every event acknowledged, in order within its stream?

    python scripts/faults/consumers.py --events 50000 --kills 40

First, three times in turn, the plain feed reads all events, and the consumers take and acknowledge all of them undisturbed, for
the rates. Then the same once more, with kill -9: one each time that so many events more are acknowledged, from the first to the
last, of a consumer that has events at that moment. Each consumer writes down what it was given before it acknowledges it, and
then that it did. It fails where an event was given to nobody, or twice without being marked, or again after its acknowledgement
was answered; where a stream was given out of order; where fewer kills struck a consumer that had events, or what they left was
not given again; or where the group makes less than half of the feed.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.servers import Connection, OwnServer
from runfold import Ledger, Run
from runfold.subscriptions.views import Delivery

NAME, CONSUMERS, STREAMS, BATCH = "group", 5, 5000, 500
ROUNDS = 3
"""In which the feed and the group are measured in turn: the best of each counts."""
LEASE_SECONDS = 1.0
"""Short, so that what a killed consumer held is soon given to another."""
BATCH_KILLED, PAUSE_SECONDS = 100, 0.02
"""While they are killed consumers take fewer at a time, and need so long to handle half of them."""
PATIENCE = 120.0
"""For so long nothing may go on."""
ACKNOWLEDGED = """SELECT s.looked_up_to
       - (SELECT coalesce(sum(l.events), 0) FROM runfold.subscription_leases AS l WHERE l.name = s.name)
       - (SELECT count(*) FROM runfold.subscription_waiting AS w WHERE w.name = s.name)
  FROM runfold.subscriptions AS s WHERE s.name = %s"""
_PROCESSES = multiprocessing.get_context("spawn")
HOLDS = "SELECT sum(events)::int FROM runfold.subscription_leases WHERE name = %s AND consumer = %s AND due > clock_timestamp()"


class Given(NamedTuple):
    """An event as a consumer was given it, or acknowledged it, at a time of the machine's own clock."""

    at: int
    position: int
    stream: str
    is_redelivery: bool
    is_answered: bool
    """Its acknowledgement was answered."""


class Report(NamedTuple):
    """How it went. Rates are events a second."""

    events: int
    kills_wanted: int
    kills: int
    """Those that struck a consumer while it had events."""
    struck: int
    """Events that they had."""
    feed_rate: float
    group_rate: float
    redelivered: int
    never_given: int
    unmarked_doubles: int
    given_after_answer: int
    out_of_order: int
    left: int
    """Positions that the subscription has not acknowledged in the end."""

    def faults(self, least_share: float) -> list[str]:
        """What was promised and not kept."""
        never = ("never_given", "unmarked_doubles", "given_after_answer", "out_of_order", "left")
        found = [name for name in never if getattr(self, name)]
        found += ["kills"] if self.kills < self.kills_wanted else []
        found += ["redelivered"] if self.redelivered < self.kills else []
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


def consume(url: str, file: Path, batch: int, pause: float, together: Barrier) -> None:
    """The body of a consumer: until nothing is left. Those that are started first begin together."""
    with Ledger.open(url) as ledger, file.open("a", buffering=1) as said:
        subscription = ledger.subscription(NAME)
        with contextlib.suppress(BrokenBarrierError):
            together.wait(PATIENCE)
        while True:
            taken = subscription.take(batch, consumer=str(os.getpid()), wait_seconds=0.2)
            if not taken.deliveries and not subscription.view().lag:
                return
            said.write(_lines(taken.deliveries, is_answered=False))
            half = len(taken.deliveries) // 2 if pause else 0
            for some in filter(None, (taken.deliveries[:half], taken.deliveries[half:])):
                time.sleep(pause)
                done = {*subscription.acknowledge(taken.lease, [each.recorded.position for each in some]).acknowledged}
                if pause:
                    said.write(_lines([each for each in some if each.recorded.position in done], is_answered=True))


def _lines(deliveries: Iterable[Delivery], *, is_answered: bool) -> str:
    """What a consumer writes down of events, each of which it has read."""
    now = time.monotonic_ns()
    told = (
        [now, each.recorded.position, each.recorded.stream, each.is_redelivery, is_answered]
        for each in deliveries
        if each.recorded.event is not None
    )
    return "".join(f"{json.dumps(each)}\n" for each in told)


class Group:
    """Consumers, each in a process of its own that is started again when it was killed."""

    def __init__(self, url: str, folder: Path, batch: int = BATCH, pause: float = 0.0) -> None:
        self._url, self.folder, self._batch, self._pause = url, folder, batch, pause
        folder.mkdir()
        self._together = _PROCESSES.Barrier(CONSUMERS)
        self._processes = {number: self._started(number) for number in range(CONSUMERS)}

    def _started(self, number: int) -> BaseProcess:
        given = (self._url, self.folder / f"{number}.jsonl", self._batch, self._pause, self._together)
        process = _PROCESSES.Process(target=consume, args=given)
        process.start()
        return process

    def kill(self, rng: random.Random, admin: Connection) -> int:
        """Kill one that has events, and start another in its place; how many it had, 0 where nobody was killed.

        It is stopped first, and looked whether it has any, so that none is killed between two takes.
        """
        living = [number for number, process in self._processes.items() if process.is_alive()]
        for number in rng.sample(living, len(living)):
            pid = self._processes[number].pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            if not _holds(admin, pid):
                os.kill(pid, signal.SIGCONT)
                continue
            os.kill(pid, signal.SIGKILL)
            self._processes[number].join()
            self._together.abort()  # whoever comes later waits for nobody
            self._processes[number] = self._started(number)
            return _holds(admin, pid)
        return 0

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


def _holds(admin: Connection, pid: int) -> int:
    """How many events a consumer has."""
    row = admin.execute(HOLDS, [NAME, str(pid)]).fetchone()
    return int(str(row[0] or 0)) if row else 0


def _acknowledged(admin: Connection) -> int:
    """How many events are acknowledged: all are wanted, and none is parked."""
    row = admin.execute(ACKNOWLEDGED, [NAME]).fetchone()
    return int(str(row[0])) if row else 0


def judged(given: list[Given], events: int) -> dict[str, int]:
    """What of the promises was not kept, counted."""
    seen: set[int] = set()
    answered: set[int] = set()
    last: dict[str, int] = defaultdict(int)
    doubles = unmarked = out_of_order = after_answer = 0
    for each in given:
        if each.is_answered:
            answered.add(each.position)
            continue
        after_answer += int(each.position in answered)
        if each.position in seen:
            doubles += 1
            unmarked += int(not each.is_redelivery)
            continue
        seen.add(each.position)
        out_of_order += int(each.position < last[each.stream])
        last[each.stream] = each.position
    found = {"redelivered": doubles, "never_given": events - len(seen), "unmarked_doubles": unmarked}
    return {**found, "given_after_answer": after_answer, "out_of_order": out_of_order}


def run(server: OwnServer, events: int, kills: int, seed: int) -> Report:
    """Do all of it."""
    with Ledger.open(server.url) as ledger, tempfile.TemporaryDirectory(prefix="runfold-consumers-") as made:
        record(ledger, events, seed)
        events = ledger.position()
        subscription, feed_rates, group_rates = ledger.subscription(NAME), list[float](), list[float]()
        for number in range(ROUNDS):
            feed_rates.append(events / _fed(ledger, Path(made, f"feed {number}.jsonl")))
            subscription.put(lease_seconds=30)
            group_rates.append(_undisturbed(server.url, Path(made, f"undisturbed {number}"), events))
            subscription.delete()
        subscription.put(lease_seconds=LEASE_SECONDS, most_attempts=1000)
        group = Group(server.url, Path(made, "killed"), BATCH_KILLED, PAUSE_SECONDS)
        struck = _killed(server, group, events, kills, random.Random(seed))
        group.wait()
        left = subscription.view().lag
        rates = round(max(feed_rates), 1), round(max(group_rates), 1)
        return Report(events, kills, len(struck), sum(struck), *rates, **judged(group.given(), events), left=left)


def _killed(server: OwnServer, group: Group, events: int, kills: int, rng: random.Random) -> list[int]:
    """Kill, each time that so many more are acknowledged; how many events each kill struck."""
    struck: list[int] = []
    until, before = time.monotonic() + PATIENCE, 0
    with server.admin() as admin:
        while len(struck) < kills and (done := _acknowledged(admin)) < events and time.monotonic() < until:
            until, before = (time.monotonic() + PATIENCE if done > before else until), max(done, before)
            if done * (kills + 1) >= events * (len(struck) + 1) and (had := group.kill(rng, admin)):
                struck.append(had)
            else:
                time.sleep(0.005)
    return struck


def _fed(ledger: Ledger, file: Path) -> float:
    """The seconds in which one reader of the plain feed reads all and writes it down as the consumers do."""
    began = time.monotonic()
    with ledger.subscribe(follow=False) as feed, file.open("a", buffering=1) as said:
        while some := [Delivery(recorded, 1, replayed=False) for recorded in itertools.islice(feed, BATCH)]:
            said.write(_lines(some, is_answered=False))
    return time.monotonic() - began


def _undisturbed(url: str, folder: Path, events: int) -> float:
    """The rate from the first event that a consumer was given to the last."""
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
