"""Does the replay of a thread open as fast in a long log as in a short one, and a long thread in as few questions as a short one?

The pages of `runfold serve` as a browser asks for them, signed in: the whole way to the last byte of HTML. Two ledgers, one of
10,000 events and one of many more, hold the same thread; each round opens it in both. A thread of 10,000 events is opened, too.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
from measuring import Report, Server, arguments, in_turn, server
from over_http import SERVE, Place, service
from read import TEXT, fill

from runfold import Ledger
from runfold.access.sessions import BrowserSessions, SignedIn
from runfold.store.reading.tenant_reader import TenantReader

SHOWN, LONG = "thread_shown", "thread_long"
OPENED = 20
"""How many times a page is opened for one figure."""
MOST_BYTES = 200_000


def told(ledger: Ledger, thread_id: str, messages: int) -> None:
    """A thread of one run, with what each of its model calls used."""
    run = ledger.create_thread(thread_id=thread_id, agent_id="support").start_run()
    for first in range(0, messages, 500):
        with ledger.batch() as batch:
            into = batch.run(run.id)
            for number in range(first, min(first + 500, messages)):
                into.add_message("assistant" if number % 2 else "user", TEXT)
                into.usage(model="gpt-4o", input_tokens=900 + number, output_tokens=40)


@contextlib.contextmanager
def signed_in(ledger: Ledger, place: Place) -> Iterator[httpx2.Client]:
    """A client with the session of a person who may read all."""
    key = ledger.create_key(owner="human:ada", scopes=["admin"], label="of a benchmark")
    token = BrowserSessions(ledger.recorder.store).sign_in_token(SignedIn("default", key.id))
    with httpx2.Client(base_url=f"http://{place.host}:{place.port}", timeout=120) as client:
        client.get("/ui/login", params={"token": token}, headers={"Accept": "text/html"})
        yield client


def opened(client: httpx2.Client, thread_id: str, times: int = OPENED) -> float:
    """Seconds for one page, the fastest of some: others share this machine."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        answer = client.get(f"/ui/threads/{thread_id}")
        found.append(time.perf_counter() - began)
        answer.raise_for_status()
    return min(found)


def questions(ledger: Ledger, thread_id: str) -> int:
    """How many statements the questions of the replay send to the database."""
    sent: list[str] = []
    rows = TenantReader.rows

    def counting(self: TenantReader, query: str, parameters: Any = ()) -> Sequence[tuple[Any, ...]]:
        sent.append(query)
        return rows(self, query, parameters)

    TenantReader.rows = counting  # type: ignore[method-assign,assignment]  # only to count
    try:
        reading = ledger.at(ledger.position())
        for ask in (reading.thread, reading.run_states, reading.items, reading.stretches):
            ask(thread_id)
        return len(sent)
    finally:
        TenantReader.rows = rows  # type: ignore[method-assign]


def ledgers(
    own: Server, stack: contextlib.ExitStack, sizes: dict[str, int], long: int
) -> dict[str, tuple[Ledger, httpx2.Client]]:
    """Each log with the thread that is opened in the midst of others, served."""
    found = {}
    for name, size in sizes.items():
        ledger = stack.enter_context(own.ledger(f"runfold_pages_{name}"))
        others = max((size - 600) // 2, 1)
        fill(ledger, 50, others // 50)
        told(ledger, SHOWN, 150)
        fill(ledger, 50, others // 50)
        if name == "small":
            told(ledger, LONG, long // 2)
        place = stack.enter_context(service(own, f"runfold_pages_{name}", *SERVE))
        found[name] = ledger, stack.enter_context(signed_in(ledger, place))
    return found


def main() -> None:
    """Measure, and print."""
    asked = arguments(__doc__ or "", events=(200_000, "events of the larger log"), long=(10_000, "events of the long thread"))
    wanted = {"long_log": "≤ 1.5", "questions": "1.00", "bytes": "≤ 1.00"}
    report = Report("pages", wanted=wanted)
    with server() as own, contextlib.ExitStack() as stack:
        sizes = {"small": 10_000 if not asked.short else 2_000, "large": asked.events}
        found = ledgers(own, stack, sizes, asked.long)
        (small, of_small), (large, of_large) = found["small"], found["large"]
        seconds = in_turn(
            asked.rounds,
            {
                "small_log": lambda _: opened(of_small, SHOWN),
                "large_log": lambda _: opened(of_large, SHOWN),
                "long_thread": lambda _: opened(of_small, LONG),
            },
        )
        sizes_of_pages = [
            len(client.get(f"/ui/threads/{name}").content) for client, name in ((of_large, SHOWN), (of_small, LONG))
        ]
        few, many = questions(small, SHOWN), questions(small, LONG)
        report.figures = {
            "events_small": small.position(),
            "events_large": large.position(),
            "bytes": sizes_of_pages[0],
            "bytes_long_thread": sizes_of_pages[1],
            "questions": few,
            "questions_long_thread": many,
            **{f"{name}_ms": 1000 * value for name, value in seconds.items()},
        }
        report.ratios = {
            "long_log": seconds["large_log"] / seconds["small_log"],
            "long_thread": seconds["long_thread"] / seconds["small_log"],
            "questions": many / few,
            "bytes": max(sizes_of_pages) / MOST_BYTES,
        }
    report.print(as_json=asked.json)


if __name__ == "__main__":
    os.environ.pop("RUNFOLD_DATABASE_URL", None)
    main()
