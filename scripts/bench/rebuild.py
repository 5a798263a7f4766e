"""How fast is a read model folded anew, what does that cost those who append meanwhile, and what does a look at the past cost?

Rebuilding one and all projections with two processes, against eventsourcing's ProjectionRunner doing the same fold (on fewer
events: its rate) and against decoding alone; appends a second with and without a rebuild beside them; and the past of one
thread, read in a small and in a large log.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from measuring import Report, Server, arguments, in_turn, percentiles, server
from project import ONE, SHORT_EVENTS, TEXT, by_library, catch_up, decode_only, fill

from runfold import Ledger
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import known
from runfold.projector.rebuilding.rebuild import Rebuild
from runfold.store.datastore import Datastore

SMALL = 10_000


def rebuild(url: str, projections: Mapping[str, AnyProjection], processes: int) -> float:
    """Events a second, from the command to the switch."""
    started = time.perf_counter()
    found = Rebuild(Datastore(url), projections, processes).run()
    seconds = time.perf_counter() - started
    assert all(each.switched for each in found)
    assert not any(each.compared.different for each in found if each.compared)
    return max(each.position for each in found) / seconds


def appending(ledger: Ledger, seconds: float, done: threading.Event) -> tuple[float, dict[str, float]]:
    """Appends a second by four callers, and how long each took; until the time is over or, without one, until told."""
    runs = [ledger.create_thread(agent_id="support").start_run() for _ in range(4)]
    found: list[list[float]] = [[] for _ in runs]
    started = time.perf_counter()

    def append(number: int) -> None:
        while not found[number] or (not done.is_set() and (not seconds or time.perf_counter() - started < seconds)):
            before = time.perf_counter()
            runs[number].add_message("assistant", TEXT)
            found[number].append(time.perf_counter() - before)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = [each for times in found for each in times]
    return len(took) / (time.perf_counter() - started), percentiles(took)


def beside(ledger: Ledger, url: str, seconds: int) -> tuple[float, dict[str, float]]:
    """The same while `runfold rebuild` is at work in this machine, for so many seconds, or until it is over.

    As long as somebody appends it gives way, and has more to fold; so it is over only after the appends are.
    """
    done = threading.Event()
    words = ["-m", "runfold.cli.main", "--json", "rebuild", "--all", "--workers", "2"]
    environment = {**os.environ, "RUNFOLD_DATABASE_URL": url, "RUNFOLD_LOG_LEVEL": "warning"}
    rebuilding = subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.PIPE, text=True)

    def wait() -> None:
        try:
            said = json.loads(rebuilding.communicate()[0])
            assert all(each["switched"] for each in said["read_models"])
            assert not said["different"]
        finally:
            done.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    answer = appending(ledger, seconds, done)
    waiting.join()
    return answer


def look_back(ledger: Ledger, rounds: int) -> float:
    """Seconds to read the past of one thread: its runs, one's summary, its usage. The median over some threads."""
    took = []
    for recorded in ledger.events(types=["run.created"], limit=rounds):
        past = ledger.at(recorded.position + 5)
        started = time.perf_counter()
        past.runs(thread_id=recorded.thread_id)
        past.summary(recorded.stream)
        past.usage(thread=recorded.thread_id)
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def small_and_large(own: Server, ledger: Ledger, events: int) -> tuple[float, float]:
    """The same look in a log of so many events and in this one."""
    with own.ledger("small") as small:
        fill(small, events)
        look_back(small, 5)
        look_back(ledger, 5)
        return look_back(small, 40), look_back(ledger, 40)


def main() -> None:
    """Measure, and print."""
    asked = arguments(__doc__ or "", events=(100_000, "events in the log"), library=(4000, "events that the library folds"))
    wanted = {"rebuild_library": "≥ 100", "rebuild_decode": "≥ 0.5", "append_during_rebuild": "≥ 0.5", "as_of_growth": "≤ 1.5"}
    report = Report("rebuild", wanted=wanted)
    with server() as own, own.ledger("runfold_sdk") as ledger:
        count = fill(ledger, min(asked.events, SHORT_EVENTS) if asked.short else asked.events)
        url = own.embedded.url("postgres", "runfold_sdk")
        everything = dict(known())
        one = {ONE: everything[ONE]}
        catch_up(url, everything)
        rates = in_turn(
            asked.rounds,
            {
                "decode_only": lambda _: decode_only(ledger),
                "one_projection": lambda _: rebuild(url, one, 2),
                "library": lambda number: by_library(ledger, own, asked.library, f"library_{number}"),
                "all_projections": lambda _: rebuild(url, everything, 2),
            },
        )
        small, large = small_and_large(own, ledger, min(SMALL, count // 2))
        alone, alone_times = appending(ledger, 1 if asked.short else 5, threading.Event())
        during, during_times = beside(ledger, url, 2 if asked.short else 20)
    report.figures = {
        "events": count,
        "projections": len(everything),
        **{name: round(value) for name, value in rates.items()},
        "appends_alone": round(alone),
        **{f"alone_{name}": value for name, value in alone_times.items()},
        "appends_during_rebuild": round(during),
        **{f"during_{name}": value for name, value in during_times.items()},
        "thread_as_of_small_ms": round(small * 1000, 2),
        "thread_as_of_large_ms": round(large * 1000, 2),
    }
    report.ratios = {
        "rebuild_library": rates["one_projection"] / rates["library"],
        "rebuild_decode": rates["one_projection"] / rates["decode_only"],
        "all_decode": rates["all_projections"] / rates["decode_only"],
        "append_during_rebuild": during / alone,
        "as_of_growth": large / small,
    }
    report.print(as_json=asked.json)


if __name__ == "__main__":
    main()
