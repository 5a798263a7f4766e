"""How fast are words found, and what does it cost to keep them?

Searches of every kind (rare and common words, words that seldom stand together, paths, phrases, beginnings, narrowed ones)
against a page of `runs`, one after the other, while 200 events a second are appended and a worker folds all read models. Then
how long an append takes, at the same pace, with the index being kept and without, in turn.
"""

import contextlib
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from measuring import Report, Server, arguments, percentiles, server

from runfold import Ledger
from runfold.projections.registry import known

PACE = 200
"""Appends a second."""
RUNS_AT_ONCE = 100
WORDS_EACH = 40
SHORT_EVENTS = 2_000
MODELS = sorted(known())


class Story:
    """Texts whose words are as frequent as those of a language: the nth word comes a part of 1/n as often as the first."""

    def __init__(self, events: int) -> None:
        self._chance = random.Random(1)
        self._words = [f"{'abcdefghijklmnopqrstuvwxyz'[number % 26]}word{number}" for number in range(20_000)]
        self._weights = list(itertools.accumulate(1 / (number + 1) for number in range(len(self._words))))
        self._count, self._every = 0, max(10, events // 100)

    def text(self) -> str:
        """Some words; now and then a rare one, and one half of the time `left`, the other half `right`, seldom both."""
        self._count += 1
        words = self._chance.choices(self._words, cum_weights=self._weights, k=WORDS_EACH)
        words.append(self._chance.choice(["left", "right"]))
        if self._count % self._every == 0:
            words += ["needle", "left", "right"]
        return " ".join(words)

    def path(self) -> str:
        """One of a thousand files."""
        number = self._chance.randrange(1000)
        return f"src/room_{number % 30}/file_{number}.py"


SEARCHES: dict[str, Callable[[Ledger, str], object]] = {
    "a rare word": lambda ledger, _: ledger.now.search("needle"),
    "a word of half of all": lambda ledger, _: ledger.now.search("left"),
    "two that seldom meet": lambda ledger, _: ledger.now.search("left right"),
    "no word at all": lambda ledger, _: ledger.now.search("nowhere"),
    "words of the middle": lambda ledger, _: ledger.now.search("aword26 bword27"),
    "a path": lambda ledger, _: ledger.now.search("src/room_7/file_37.py"),
    "a phrase": lambda ledger, _: ledger.now.search('"aword0 bword1"'),
    "a beginning": lambda ledger, _: ledger.now.search("file needl*"),
    "of a run": lambda ledger, run_id: ledger.now.search("left", run_id=run_id),
    "without a word": lambda ledger, _: ledger.now.search("aword26 -left"),
}


def fill(ledger: Ledger, events: int, story: Story) -> str:
    """Runs of messages and tool calls, a hundred at a time; returns the id of one of the first."""
    first = ""
    while ledger.position() < events:
        with ledger.batch() as batch:
            runs = [batch.create_thread(agent_id=f"agent-{number % 7}").start_run() for number in range(RUNS_AT_ONCE)]
            for run, _ in itertools.product(runs, range(5)):
                run.add_message("user", story.text())
                run.call_tool("read_file", arguments={"path": story.path()}).succeed({"lines": story.text()})
                run.add_message("assistant", story.text())
            for run in runs:
                run.complete()
        first = first or runs[0].id
    return first


@contextlib.contextmanager
def worker(own: Server, names: list[str]) -> Iterator[None]:
    """Fold some read models in a process of its own."""
    chosen = [word for name in names for word in ("--projection", name)]
    command = [sys.executable, "-m", "runfold.cli.main", "work", "--no-sweep", "--no-deliver", "--no-seal", *chosen]
    urls = {"RUNFOLD_DATABASE_URL": own.embedded.url("runfold_app", "words")}
    urls["RUNFOLD_PROJECTOR_URL"] = own.embedded.url("runfold_projector", "words")
    process = subprocess.Popen(command, env={**os.environ, **urls, "RUNFOLD_LOG_LEVEL": "warning"})
    try:
        yield
    finally:
        process.terminate()
        process.wait(120)


def append(ledger: Ledger, story: Story, seconds: float) -> list[float]:
    """How long appends took from the moment when each was due."""
    run = ledger.create_thread(agent_id="support").start_run()
    texts, took = [story.text() for _ in range(int(seconds * PACE))], []
    began = time.perf_counter()
    for number, text in enumerate(texts):
        due = began + number / PACE
        time.sleep(max(0.0, due - time.perf_counter()))
        run.add_message("assistant", text)
        took.append(time.perf_counter() - due)
    return took


def search(ledger: Ledger, run_id: str, times: int) -> dict[str, list[float]]:
    """How long each kind of search took, and a page of runs beside each."""
    took: dict[str, list[float]] = {"runs": [], **{name: [] for name in SEARCHES}}
    for _, (name, ask) in itertools.product(range(times), SEARCHES.items()):
        for each, asked in ((name, lambda ask=ask: ask(ledger, run_id)), ("runs", ledger.now.runs)):
            began = time.perf_counter()
            asked()
            took[each].append(time.perf_counter() - began)
    return took


def p95(seconds: list[float]) -> float:
    """In milliseconds."""
    return 1000 * sorted(seconds)[len(seconds) * 95 // 100]


def main() -> None:
    """Measure, and print."""
    asked = arguments(
        __doc__ or "",
        events=(100_000, "events in the log"),
        searches=(20, "searches of each kind"),
        seconds=(10, "seconds of appending in each round"),
    )
    report = Report("search", wanted={"search_runs": "≤ 5", "append_with_index": "≤ 1.2"})
    with server() as own, own.ledger("words") as ledger:
        story = Story(asked.events)
        run_id = fill(ledger, min(asked.events, SHORT_EVENTS) if asked.short else asked.events, story)
        began = time.perf_counter()
        ledger.fold()
        report.figures = {
            "events": ledger.position(),
            "events a second folded, all": ledger.position() / (time.perf_counter() - began),
        }
        with worker(own, MODELS), ThreadPoolExecutor(1) as others:
            appending = others.submit(append, ledger, story, asked.seconds)
            took = search(ledger, run_id, asked.searches)
            appending.result()
        every = [seconds for name, found in took.items() if name != "runs" for seconds in found]
        report.figures |= {f"p95 ms, {name}": p95(found) for name, found in took.items()}
        report.ratios["search_runs"] = p95(every) / p95(took["runs"])
        with_index, without = list(MODELS), [name for name in MODELS if name != "search"]
        p99: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(asked.rounds):
            for name, models in (("with", with_index), ("without", without)):
                with worker(own, models):
                    append(ledger, story, asked.seconds / 4)
                    p99[name].append(percentiles(append(ledger, story, asked.seconds))["p99_ms"])
        report.figures |= {f"p99 ms of an append, {name} the index": min(found) for name, found in p99.items()}
        report.ratios["append_with_index"] = min(p99["with"]) / min(p99["without"])
    report.print(as_json=asked.json)


if __name__ == "__main__":
    os.environ.pop("RUNFOLD_DATABASE_URL", None)
    main()
