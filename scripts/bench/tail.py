"""How long from an append to its arrival at subscribers, one and a hundred, each in order and without a miss?"""

import threading
import time

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


def main() -> None:
    """Measure, and print."""
    asked = arguments(__doc__ or "", events=(500, "events appended, one at a time"))
    report = Report("tail", wanted={"p50_ms_1": "≤ 5"})
    with server() as own, own.ledger("runfold_sdk") as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        for subscribers, pause in ((1, 0.01), (1, 0.3), (100, 0.1)):
            found, wrong = delays(ledger, run, subscribers, max(asked.events // (1 if pause < 0.1 else 10), 5), pause)
            name = f"{subscribers}_subscribers_every_{round(pause * 1000)}_ms"
            report.figures[name] = percentiles(found)
            report.figures[f"{name}_wrong"] = wrong
        report.ratios = {"p50_ms_1": report.figures["1_subscribers_every_10_ms"]["p50_ms"]}
    report.print(as_json=asked.json)


if __name__ == "__main__":
    main()
