"""What does a request cost beside a bare route, a batch beside the SDK's, and how soon does an event reach a hundred subscribers?

`runfold serve` as it is started by anybody, one process and then several, on one database with its rivals: a bare route of the
same server library that reads the same body and calls the SDK (`bare_route.py`), and the SDK itself. The clients are in a
process of their own, and write and read their sockets plainly, so that it is not them who are measured.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec
from urllib.parse import urlsplit

import uvloop
from append import TEXT, Runfold
from measuring import Report, Server, arguments, in_turn, percentiles, server

P = ParamSpec("P")

MESSAGE = {"role": "assistant", "content": TEXT}
BODY = json.dumps(MESSAGE).encode()
BATCH = 100
"""Commands in one request."""
CONNECTIONS = (1, 16, 64)
PAUSE_SECONDS = 0.05
SERVE = ("-m", "runfold.cli.main", "--json", "serve", "--port", "0", "--no-work")
BARE = (str(Path(__file__).with_name("bare_route.py")),)


class Place(NamedTuple):
    """Where a service is, and what opens it."""

    host: str
    port: int
    key: str

    def request(self, verb: str, path: str, body: bytes = b"", accept: str = "application/json") -> bytes:
        """A request as it goes over the wire."""
        head = (
            f"{verb} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAuthorization: Bearer {self.key}\r\n"
            f"Accept: {accept}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@contextlib.contextmanager
def service(own: Server, name: str, *words: str) -> Iterator[Place]:
    """A service on a database, in a process of its own."""
    environment = {
        **os.environ,
        "RUNFOLD_DATABASE_URL": own.embedded.url("runfold_app", name),
        "RUNFOLD_LOG_LEVEL": "warning",
        "RUNFOLD_REQUESTS_A_SECOND": "0",
    }
    process = subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        said = json.loads(process.stdout.readline())
        where = urlsplit(said["address"])
        assert where.hostname
        assert where.port
        yield Place(where.hostname, where.port, said["key"])
    finally:
        process.terminate()
        process.wait()


# The clients, in a process of their own


class Connection:
    """One connection that stays open, and one request on it at a time."""

    def __init__(self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._place, self._reader, self._writer = place, reader, writer

    @classmethod
    async def open(cls, place: Place) -> "Connection":
        """Connect."""
        return cls(place, *await asyncio.open_connection(place.host, place.port))

    async def record(self, request: bytes) -> bytes:
        """Send a command and take its answer, which must be that it was recorded."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), head
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return await self._reader.readexactly(int(length))

    async def follow(self, after: int, last: int, got: list[tuple[int, float]]) -> None:
        """Take a stream's events and when they came, up to a position."""
        self._writer.write(self._place.request("GET", f"/events?after={after}", accept="text/event-stream"))
        position = 0
        while not got or got[-1][0] < last:
            line = await self._reader.readline()
            if line.startswith(b"id:"):
                position = int(line[3:].partition(b"@")[0])
            elif line.startswith(b"data:") and position > after:
                got.append((position, time.perf_counter()))

    async def catch_up(self, last: int) -> None:
        """Take a stream from the beginning up to a position."""
        self._writer.write(self._place.request("GET", "/events?follow=false", accept="text/event-stream"))
        taken, end = b"", b"\nid: %d@" % last
        while end not in taken:
            more = await self._reader.read(2**18)
            assert more, "the stream ended early"
            taken = taken[-len(end) :] + more


async def catching_up(place: Place, last: int) -> dict[str, Any]:
    """Take all there is, and say how long that took."""
    connection = await Connection.open(place)
    started = time.perf_counter()
    await connection.catch_up(last)
    return {"seconds": time.perf_counter() - started}


async def commands(place: Place, runs: list[str], each: int, path: str, body: str) -> dict[str, Any]:
    """Send a body so often over one connection for each run, and say how long it took."""
    connections = [await Connection.open(place) for _ in runs]

    async def work(connection: Connection, run: str) -> None:
        request = place.request("POST", f"/runs/{run}/{path}", body.encode())
        for _ in range(each):
            await connection.record(request)

    started = time.perf_counter()
    await asyncio.gather(*(work(*pair) for pair in zip(connections, runs, strict=True)))
    return {"seconds": time.perf_counter() - started}


async def arrivals(place: Place, run: str, subscribers: int, events: int) -> dict[str, Any]:
    """How long from before each append to its arrival at each subscriber, and how many of them missed or doubled something."""
    writing = await Connection.open(place)
    request = place.request("POST", f"/runs/{run}/messages", BODY)
    first = json.loads(await writing.record(request))["position"]
    got: list[list[tuple[int, float]]] = [[] for _ in range(subscribers)]
    following = [await Connection.open(place) for _ in got]
    tasks = [asyncio.create_task(one.follow(first, first + events, into)) for one, into in zip(following, got, strict=True)]
    await asyncio.sleep(1.0)
    sent: dict[int, float] = {}
    for _ in range(events):
        began = time.perf_counter()
        sent[json.loads(await writing.record(request))["position"]] = began
        await asyncio.sleep(PAUSE_SECONDS)
    await asyncio.gather(*tasks)
    wrong = sum([position for position, _ in into] != sorted(sent) for into in got)
    took = [at - sent[position] for into in got for position, at in into if position in sent]
    return {"took": percentiles(took), "wrong": wrong}


def clients(what: str, place: Place, *rest: Any) -> dict[str, Any]:
    """Have a process of its own do it."""
    asked = json.dumps([what, place, *rest])
    done = subprocess.run([sys.executable, __file__, "--clients"], input=asked, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def as_clients() -> None:
    """That process."""
    what, place, *rest = json.loads(sys.stdin.read())
    each: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]]
    each = {"commands": commands, "arrivals": arrivals, "catching_up": catching_up}
    work = each[what]
    print(json.dumps(uvloop.run(work(Place(*place), *rest))))


# What is measured


def rate(runfold: Runfold, place: Place, connections: int, each: int) -> float:
    """Commands a second over so many connections, one in each request."""
    runs = [run.id for run in runfold.runs(connections)]
    return connections * each / float(clients("commands", place, runs, each, "messages", BODY.decode())["seconds"])


def batch_rate(runfold: Runfold, place: Place, batches: int) -> float:
    """Commands a second over one connection, in batches."""
    runs = [run.id for run in runfold.runs(1)]
    body = json.dumps({"commands": [{"name": "messages.add", "body": MESSAGE}] * BATCH})
    return batches * BATCH / float(clients("commands", place, runs, batches, "events", body)["seconds"])


def always(measure: Callable[P, float], *given: P.args, **named: P.kwargs) -> Callable[[int], float]:
    """What is measured, the same in each round."""
    return lambda _: measure(*given, **named)


def main() -> None:
    """Measure, and print."""
    asked = arguments(
        __doc__ or "",
        each=(400, "commands of each client"),
        batches=(60, f"batches of {BATCH} commands"),
        events=(200, "events whose arrival is measured"),
        subscribers=(100, "how many follow the stream"),
        workers=(2, "server processes, to be compared with one"),
    )
    report = Report("http", wanted={f"bare_{count}": "≥ 0.7" for count in CONNECTIONS} | {f"sdk_batches_of_{BATCH}": "≥ 0.6"})
    database = "runfold_http"
    with server() as own, own.ledger(database) as ledger, contextlib.ExitStack() as stack:
        runfold = Runfold(ledger)
        place, bare = (stack.enter_context(service(own, database, *words)) for words in (SERVE, BARE))
        several = stack.enter_context(service(own, database, *SERVE, "--workers", str(max(2, asked.workers))))
        several = several._replace(key=place.key)
        measures: dict[str, Callable[[int], float]] = {}
        for count in CONNECTIONS:
            measures[f"http_{count}"] = always(rate, runfold, place, count, asked.each)
            measures[f"bare_{count}"] = always(rate, runfold, bare, count, asked.each)
            measures[f"sdk_{count}"] = always(runfold.async_rate, count, asked.each)
        measures["http_64_workers"] = always(rate, runfold, several, 64, asked.each)
        measures[f"http_batches_of_{BATCH}"] = always(batch_rate, runfold, place, asked.batches)
        measures[f"sdk_batches_of_{BATCH}"] = always(runfold.bulk_rate, asked.batches, BATCH)
        rates = in_turn(asked.rounds, measures)
        (run,) = runfold.runs(1)
        found = clients("arrivals", place, run.id, asked.subscribers, asked.events)
    report.figures = {name: round(value, 1) for name, value in rates.items()}
    report.figures[f"arrival_at_{asked.subscribers}_subscribers"] = found["took"]
    report.figures["subscribers_that_missed_or_doubled"] = found["wrong"]
    report.ratios = {f"bare_{count}": rates[f"http_{count}"] / rates[f"bare_{count}"] for count in CONNECTIONS}
    report.ratios |= {f"sdk_{count}": rates[f"http_{count}"] / rates[f"sdk_{count}"] for count in CONNECTIONS}
    report.ratios[f"sdk_batches_of_{BATCH}"] = rates[f"http_batches_of_{BATCH}"] / rates[f"sdk_batches_of_{BATCH}"]
    report.ratios["workers_to_one_64"] = rates["http_64_workers"] / rates["http_64"]
    report.print(as_json=asked.json)


if __name__ == "__main__":
    os.environ.pop("RUNFOLD_DATABASE_URL", None)
    if "--clients" in sys.argv:
        as_clients()
    else:
        main()
