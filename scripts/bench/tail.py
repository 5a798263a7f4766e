"""How long from an append to its arrival at subscribers, one and a hundred, each in order and without a miss?

And at a steady rate of appends, by async callers: from before each append, and from when it was acknowledged.
"""

import asyncio
import threading
import time
from itertools import islice

from measuring import Report, arguments, percentiles, server

from runfold import Ledger, Run


def delays(ledger: Ledger, run: Run, subscribers: int, events: int, pause: float) -> tuple[list[float], int]:
    """Seconds from before each append to each arrival, and how many events were missed or out of order."""
    first = ledger.position()
    sent: dict[int, float] = {}
    got: list[list[tuple[int, float]]] = [[] for _ in range(subscribers)]
    ready = threading.Barrier(subscribers + 1)

    def follow(into: list[tuple[int, float]]) -> None:
        with ledger.subscribe(after=first) as feed:
            ready.wait()
            for recorded in feed:
                into.append((recorded.position, time.perf_counter()))
                if recorded.position == first + events:
                    return

    threads = [threading.Thread(target=follow, args=(into,)) for into in got]
    for thread in threads:
        thread.start()
    ready.wait()
    time.sleep(0.5)
    for _ in range(events):
        started = time.perf_counter()
        receipt = run.add_message("assistant", "where it is").receipt
        assert receipt
        sent[receipt.position] = started
        time.sleep(pause)
    for thread in threads:
        thread.join()
    expected = list(range(first + 1, first + events + 1))
    wrong = sum([position for position, _ in into] != expected for into in got)
    return [at - sent[position] for into in got for position, at in into], wrong


async def steadily(runs: list[Run], count: int, rate: int) -> tuple[dict[int, float], dict[int, float]]:
    """Append so many a second; when each position was asked for, and when it was acknowledged."""
    asked: dict[int, float] = {}
    acknowledged: dict[int, float] = {}

    async def append(run: Run) -> None:
        began = time.perf_counter()
        receipt = (await run.submit_add_message("assistant", "where it is")).receipt
        assert receipt
        asked[receipt.position], acknowledged[receipt.position] = began, time.perf_counter()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as appending:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            appending.create_task(append(runs[number % len(runs)]))
    return asked, acknowledged


def at_a_rate(ledger: Ledger, rate: int, seconds: int) -> dict[str, object]:
    """What one subscriber sees of so many appends a second."""
    runs = [ledger.create_thread(agent_id="support").start_run() for _ in range(64)]
    count, got = rate * seconds, list[tuple[int, float]]()
    with ledger.subscribe(after=ledger.position()) as feed:
        taken = ((each.position, time.perf_counter()) for each in islice(feed, count))
        following = threading.Thread(target=got.extend, args=(taken,))
        following.start()
        asked, acknowledged = asyncio.run(steadily(runs, count, rate))
        following.join()
    return {
        "appends_a_second": round(count / (max(acknowledged.values()) - min(asked.values()))),
        "append": percentiles([acknowledged[position] - at for position, at in asked.items()]),
        "arrival": percentiles([at - asked[position] for position, at in got]),
        "arrival_after_acknowledged": percentiles([at - acknowledged[position] for position, at in got]),
        "wrong": [position for position, _ in got] != sorted(asked),
    }


def main() -> None:
    """Measure, and print."""
    asked = arguments(
        __doc__ or "",
        events=(500, "events appended, one at a time"),
        rate=(2000, "appends a second by async callers"),
        seconds=(10, "how long at that rate"),
    )
    report = Report("tail", wanted={"p50_ms_1": "≤ 5", "p99_ms_at_the_rate": "≤ 50"})
    with server() as own, own.ledger("runfold_sdk") as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        for subscribers, pause in ((1, 0.01), (1, 0.3), (100, 0.1)):
            found, wrong = delays(ledger, run, subscribers, max(asked.events // (1 if pause < 0.1 else 10), 5), pause)
            name = f"{subscribers}_subscribers_every_{round(pause * 1000)}_ms"
            report.figures[name] = percentiles(found)
            report.figures[f"{name}_wrong"] = wrong
        steady = at_a_rate(ledger, asked.rate, asked.seconds)
        report.figures |= {f"at_the_rate_{name}": value for name, value in steady.items()}
        report.ratios = {
            "p50_ms_1": report.figures["1_subscribers_every_10_ms"]["p50_ms"],
            "p99_ms_at_the_rate": report.figures["at_the_rate_arrival"]["p99_ms"],
        }
    report.print(as_json=asked.json)


if __name__ == "__main__":
    main()
