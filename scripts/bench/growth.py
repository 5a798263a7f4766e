"""What grows with the log? The same work in a log of ten thousand events and in one of a million, folded, on one server.

The large log is a hundred small ones of the same thirty days: a story that the SDK recorded, each copy under ids of its own, the
copies mixed event by event, as where a hundred times as many agents work. So each question is about as much as in the small
log, and nothing but the rest of the log can make it slower.

Of appends the time is compared that they take; of questions, and of one command, what they take of a processor, here and in the
server, which hardly depends on what else the machine does. What takes more than 1.3 times as much is named at the end.
"""

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from append import TEXT, Runfold
from measuring import Report, arguments, server

from runfold import Ledger, Run
from runfold.projections.registry import known
from runfold.projector.rebuilding.rebuild import Rebuild
from runfold.store.datastore import Datastore

SMALL, LARGE, LONG = 10_000, 1_000_000, 5_000_000
WANTED = 1.3
DAYS = 30
LOADERS = 2
TAIL = 20

_SEED: LiteralString = "CREATE TEMPORARY TABLE seed AS SELECT * FROM runfold.log LIMIT 0"
_OWN: LiteralString = r"regexp_replace({}, '([a-z]_[0-9a-f]{{12}})7[0-9a-f]{{3}}([0-9a-f]{{16}})', '\1' || p.own || '\2', 'g')"
"""An id under the number of its copy: what a UUIDv7 has after its time."""


def _copied(column: str) -> str:
    return _OWN.format(column)


_LOAD = f"""
INSERT INTO runfold.log (
    notification_id, originator_id, originator_version, topic, schema_version, state, tenant_id, thread_id, event_id, recorded_at,
    context, metadata)
SELECT p.position, {_copied("e.originator_id")}, e.originator_version, e.topic, e.schema_version,
       convert_to({_copied("convert_from(e.state, 'UTF8')")}, 'UTF8'), e.tenant_id, {_copied("e.thread_id")},
       overlay(e.event_id::text PLACING p.own FROM 15 FOR 4)::uuid,
       now() - make_interval(days => %(days)s) + p.position * make_interval(days => %(days)s) / %(total)s,
       {_copied("e.context::text")}::jsonb, {_copied("e.metadata::text")}::jsonb
  FROM seed AS e
 CROSS JOIN generate_series(%(first)s::int, %(last)s::int) AS n
 CROSS JOIN LATERAL (SELECT (e.notification_id - 1) * %(copies)s + n + 1 AS position, '7' || lpad(to_hex(n), 3, '0') AS own) AS p
"""
_HEAD: LiteralString = (
    "UPDATE runfold.head SET (position, recorded_at) ="
    " (SELECT e.notification_id, e.recorded_at FROM runfold.log AS e ORDER BY e.notification_id DESC LIMIT 1)"
)


def tell(ledger: Ledger, events: int) -> int:
    """Record a story: threads whose runs talk, call tools, decide, ask for approvals, fail; returns how many events it has."""
    number = 0
    while ledger.position() < events:
        with ledger.batch() as batch:
            runs = []
            for _ in range(max(1, min(100, events // 100))):
                thread = batch.create_thread(agent_id=f"agent-{number % 7}", user_id=f"user-{number % 50}")
                runs.append(thread.start_run(goal={"id": f"goal-{number % 10}"}))
                number += 1
            for turn in range(3):
                for run in runs:
                    _take_a_turn(run, turn)
            for nth, run in enumerate(runs):
                _end(run, nth)
    return ledger.position()


def _take_a_turn(run: Any, turn: int) -> None:
    run.add_message("user", TEXT)
    run.call_tool("look_up_order", arguments={"order": turn}).succeed({"status": "sent"})
    decision = run.decide("answer", options=[{"id": "a", "description": "say where it is"}], chosen="a", node_id="reply")
    decision.outcome(success=turn != 2, summary="said it", tokens_used=64)
    run.usage(provider="openai", model=("gpt-4o", "gpt-4o-mini")[turn % 2], node_id="reply", input_tokens=812, output_tokens=64)
    run.add_message("assistant", TEXT)


def _end(run: Any, number: int) -> None:
    if number % 10 == 0:
        run.report_problem("critical", "the carrier does not answer")
        run.fail("no answer")
    elif number % 10 == 1:
        run.request_approval("refund", arguments={"order": number})
    else:
        run.complete(output={"category": "howto"})


def multiply(source: str, into: str, copies: int) -> int:
    """Load so many copies of the events of one database into another, which has none; returns how many these are."""
    with psycopg.connect(source) as seed:
        (count,) = seed.execute("SELECT count(*) FROM runfold.log").fetchone() or (0,)
    each = -(-copies // LOADERS)
    with ThreadPoolExecutor(LOADERS) as pool:
        parts = [(first, min(first + each, copies) - 1) for first in range(0, copies, each)]
        list(pool.map(partial(_load, source, into, copies, count * copies), parts))
    with psycopg.connect(into, autocommit=True) as admin:
        admin.execute(_HEAD)
        admin.execute("VACUUM ANALYZE runfold.log")
    return int(count) * copies


def _load(source: str, into: str, copies: int, total: int, part: tuple[int, int]) -> None:
    first, last = part
    with psycopg.connect(source) as seed, psycopg.connect(into) as admin:
        admin.execute("SET synchronous_commit = off")
        admin.execute(_SEED)
        with seed.cursor().copy("COPY runfold.log TO STDOUT") as out, admin.cursor().copy("COPY seed FROM STDIN") as copy:
            for data in out:
                copy.write(data)
        asked = {"copies": copies, "total": total, "days": DAYS, "first": first, "last": last}
        admin.execute(_LOAD.encode(), asked)


@dataclass
class Site:
    """A ledger, and of whom to ask."""

    ledger: Ledger
    threads: Iterator[str]
    runs: Iterator[str]
    calls: Iterator[str]
    middle: int
    rival: Runfold
    run: Run
    admin: psycopg.Connection[tuple[Any, ...]]

    @classmethod
    def of(cls, ledger: Ledger, url: str) -> "Site":
        """Fold all read models, and choose threads from all over the log."""
        projector = ledger.settings.projector_url
        assert projector is not None
        Rebuild(Datastore(projector.get_secret_value()), known()).run()
        admin = psycopg.connect(url, autocommit=True)
        admin.execute("VACUUM ANALYZE")
        admin.execute("CHECKPOINT")
        middle = ledger.position() // 2
        query = "SELECT thread_id, run_id, call_id FROM runfold_read.tool_calls WHERE position < %s ORDER BY md5(run_id) LIMIT 40"
        threads, runs, calls = zip(*admin.execute(query, [middle]).fetchall(), strict=True)
        rival = Runfold(ledger)
        return cls(ledger, cycle(threads), cycle(runs), cycle(calls), middle, rival, rival.runs(1)[0], admin)

    def backends(self) -> list[Path]:
        """Where the system counts what the ledger's sessions take of a processor."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = 'runfold_app'"
        return [Path(f"/proc/{pid}/schedstat") for (pid,) in self.admin.execute(query)]

    def tail(self) -> float:
        """Seconds from before an append until a subscriber has it; the median."""
        run, arrived = self.rival.runs(1)[0], threading.Event()
        after, took = self.ledger.position(), []

        def follow() -> None:
            with self.ledger.subscribe(after=after) as feed:
                for number, _ in enumerate(feed, 1):
                    arrived.set()
                    if number == TAIL:
                        return

        following = threading.Thread(target=follow)
        following.start()
        for _ in range(TAIL):
            arrived.clear()
            began = time.perf_counter()
            run.add_message("assistant", TEXT)
            assert arrived.wait(30)
            took.append(time.perf_counter() - began)
        following.join()
        return statistics.median(took)

    def append(self, callers: int, each: int) -> float:
        """Seconds for one command of so many callers."""
        return 1 / (self.rival.async_rate(callers, each) if callers > 1 else self.rival.thread_rate(1, each))


Work = Callable[[Site], object]
ASKED: dict[str, Work] = {
    "command_of_one_caller": lambda site: site.run.add_message("assistant", TEXT),
    "page_of_a_thread": lambda site: site.ledger.events(thread_id=next(site.threads), limit=100),
    "runs_of_an_agent_that_failed": lambda site: site.ledger.now.runs(agent_id="agent-3", status="failed", limit=10),
    "open_approvals": lambda site: site.ledger.now.approvals(status="open", limit=10),
    "attention": lambda site: site.ledger.now.attention(limit=10),
    "conversation": lambda site: site.ledger.now.messages(next(site.threads)),
    "call_by_its_id": lambda site: site.ledger.now.tool_calls(call_id=next(site.calls)),
    "usage_of_a_run": lambda site: site.ledger.now.usage("model", run=next(site.runs)),
    "usage_of_a_thread": lambda site: site.ledger.now.usage("model", thread=next(site.threads)),
    "usage_by_model": lambda site: site.ledger.now.usage("model"),
    "usage_by_day_and_agent": lambda site: site.ledger.now.usage("day,agent"),
    "usage_by_goal": lambda site: site.ledger.now.usage("goal"),
    "thread_as_of": lambda site: site.ledger.at(site.middle).runs(thread_id=next(site.threads)),
    "feed_of_a_type_that_never_came": lambda site: site.ledger.events(types=["security.key_revoked"]),
    "feed_of_a_rare_kind": lambda site: site.ledger.events(types=["approval.*"], limit=10),
    "feed_of_some_types": lambda site: site.ledger.events(types=["security.*", "problem.resolved", "thread.archived"]),
    "end_of_the_log": lambda site: site.ledger.events(after=site.ledger.position() - 100),
}


def measured(site: Site, work: Work, times: int) -> float:
    """Seconds of a processor for one of them."""
    work(site)
    backends = [path for path in site.backends() if path.exists()]
    if not backends:
        raise SystemExit("processor time is read from /proc/PID/schedstat, which this system does not have")
    began = _spent(backends)
    for _ in range(times):
        work(site)
    return (_spent(backends) - began) / times


def _spent(backends: list[Path]) -> float:
    server = sum(int(path.read_text().split()[0]) for path in backends if path.exists())
    return time.process_time() + server / 1e9


def measures(each: int, times: int) -> dict[str, Callable[[Site], float]]:
    """All that is measured."""
    return {
        "append_64_callers": lambda site: site.append(64, max(each // 8, 2)),
        "append_one_caller": lambda site: site.append(1, each),
        "tail": lambda site: site.tail(),
        **{name: partial(measured, work=work, times=times) for name, work in ASKED.items()},
    }


def main() -> None:
    """Measure, and print."""
    long = "--long" in sys.argv
    sys.argv = [each for each in sys.argv if each != "--long"]
    asked = arguments(
        f"{__doc__ or ''} --long: {LONG:,} events.",
        events=(LONG if long else LARGE, "events in the large log, some more"),
        each=(400, "commands of the one caller"),
        times=(30, "questions of each kind in a round"),
    )
    small, large = (SMALL // 10, SMALL) if asked.short else (SMALL, asked.events)
    report = Report("growth")
    with server() as own, own.ledger("seed") as seed:
        began = time.perf_counter()
        told = tell(seed, small)
        sites = {}
        with own.ledger("small") as one, own.ledger("large") as other:
            for ledger, name, copies in ((one, "small", 1), (other, "large", max(2, large // told))):
                url = own.embedded.url("postgres", name)
                report.figures[f"events_{name}"] = multiply(own.embedded.url("postgres", "seed"), url, copies)
                sites[name] = Site.of(ledger, url)
            report.figures["seconds_to_build"] = round(time.perf_counter() - began)
            _measure(report, sites, asked.rounds, measures(asked.each, asked.times))
    report.print(as_json=asked.json)


def _measure(report: Report, sites: dict[str, Site], rounds: int, wanted: dict[str, Callable[[Site], float]]) -> None:
    found: dict[str, dict[str, list[float]]] = {name: {place: [] for place in sites} for name in wanted}
    for _ in range(rounds):
        for name, measure in wanted.items():
            for place, site in sites.items():
                found[name][place].append(measure(site))
    for name, places in found.items():
        small, large = min(places["small"]), min(places["large"])
        report.figures[f"{name}_ms"] = f"{small * 1000:.2f} → {large * 1000:.2f}"
        report.ratios[name] = large / small
        report.wanted[name] = f"≤ {WANTED}"
    growing = {name: round(ratio, 2) for name, ratio in report.ratios.items() if ratio > WANTED}
    report.figures["grows"] = ", ".join(f"{name} ({ratio})" for name, ratio in growing.items()) or "nothing"


if __name__ == "__main__":
    main()
