"""Attacks a served ledger in every way at once, beside clients that want nothing but to work, and says what they felt of it.

    python scripts/faults/attack.py --seconds 300

First the clients alone, then the same with: bodies that are hard to check, from a key that is good (1); floods from nobody,
of heads, URLs, silent connections and unfinished bodies (2); questions that wait for what nobody folds (3); and a process
that freezes while it holds up all appends (4). It fails where the clients' p99 is more than 10 times, or /healthz's more than
20 times, what it was undisturbed, or where the server's memory grows from the second third of the attack to the last.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.attackers import ATTACKS, Attack, Target, waiting
from faults.servers import OwnServer
from runfold import Ledger

MOST_CLIENTS, MOST_HEALTH = 10.0, 20.0
MOST_GROWTH = 1.25
FREEZE_EVERY = 60.0
GIVES_WAY = 19
"""How far the attackers' own work gives way to that of the server and of its clients."""
FILES = 512
"""Open files of the server: fewer than the attackers open connections."""
PAUSE = (0.05, 0.25)
"""Seconds that a client thinks between two requests."""


@dataclass
class Felt:
    """What the clients felt, in seconds a request, and the server's memory in bytes."""

    requests: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


class Report(NamedTuple):
    """How it went."""

    clients: int
    requests: int
    undisturbed_p99_ms: float
    attacked_p99_ms: float
    undisturbed_health_p99_ms: float
    attacked_health_p99_ms: float
    failures: int
    examples: list[str]
    memory_mib: list[int]
    """The most that the server had in each third of the attack."""

    @property
    def faults(self) -> list[str]:
        """What was promised and not kept."""
        found = []
        if self.attacked_p99_ms > MOST_CLIENTS * self.undisturbed_p99_ms:
            found.append("the clients' p99 is more than 10 times what it was undisturbed")
        if self.attacked_health_p99_ms > MOST_HEALTH * self.undisturbed_health_p99_ms:
            found.append("the p99 of /healthz is more than 20 times what it was undisturbed")
        if self.memory_mib[2] > MOST_GROWTH * self.memory_mib[1] + 16:
            found.append("memory grew")
        if self.failures > self.requests // 1000:
            found.append("more than one request in 1,000 failed")
        return found


def p99(values: list[float]) -> float:
    """In milliseconds."""
    return round(sorted(values)[min(len(values) - 1, len(values) * 99 // 100)] * 1000, 2) if values else 0.0


class Client:
    """One that works: on a connection that is kept, opened again where it ends."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: socket.socket | None = None

    def ask(self, verb: str, path: str, body: Any = None) -> int:
        """The status of an answer. Raises OSError where there is none."""
        text = b"" if body is None else json.dumps(body).encode()
        head = f"{verb} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._target.key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        for is_last in (self._connection is None, True):
            try:
                return self._exchange(head.encode() + text)
            except OSError:
                self.close()
                if is_last:
                    raise
        raise AssertionError("it returned or raised")

    def _exchange(self, data: bytes) -> int:
        if self._connection is None:
            self._connection = self._target.connect(60)
        self._connection.sendall(data)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, rest = answer.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        left = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0) - len(rest)
        while left > 0:
            left -= len(self._more())
        if b"connection: close" in lines:
            self.close()
        return int(head.split()[1])

    def _more(self) -> bytes:
        assert self._connection is not None
        if not (more := self._connection.recv(65536)):
            raise ConnectionResetError("it ended")
        return more

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def honest(target: Target, number: int, seed: int, until: float, results: Any) -> None:
    """Some clients in a process: each appends to its run, and reads it."""
    felt = Felt()
    turns = []
    for each in range(target.clients_each):
        run_id = f"run_{seed}_{number}_{each}"
        turns.append(threading.Thread(target=_work, args=(Client(target), run_id, random.Random(run_id), until, felt)))
    for turn in turns:
        turn.start()
    for turn in turns:
        turn.join()
    results.put(felt)


def _work(client: Client, run_id: str, rng: random.Random, until: float, felt: Felt) -> None:
    thread_id = f"thread_{run_id}"
    made: tuple[tuple[str, Any], ...] = (
        ("/threads", {"thread_id": thread_id, "agent_id": "honest"}),
        (f"/threads/{thread_id}/runs", {"run_id": run_id}),
    )
    for path, body in made:
        _timed(partial(client.ask, "POST", path, body), felt.requests, felt)
    for number in itertools.count():
        if time.time() > until:
            return
        time.sleep(rng.uniform(*PAUSE))
        read, written = partial(client.ask, "GET", f"/runs/{run_id}"), partial(client.ask, "PUT", f"/runs/{run_id}/state")
        _timed(read if number % 2 else partial(written, {"state": rng.random()}), felt.requests, felt)


def _timed(ask: Callable[[], int], times: list[float], felt: Felt) -> None:
    began = time.perf_counter()
    try:
        status = ask()
    except OSError as error:
        felt.failures.append(f"{type(error).__name__}: {error}")
        return
    times.append(time.perf_counter() - began)
    if status >= 400:
        felt.failures.append(f"status {status}")


def health(target: Target, until: float, results: Any) -> None:
    """Ask again and again whether the server is alive, on a new connection each time as a load balancer does."""
    felt = Felt()
    while time.time() < until:
        client = Client(target)
        _timed(partial(client.ask, "GET", "/healthz"), felt.health, felt)
        client.close()
        time.sleep(0.02)
    results.put(felt)


def freezing(url: str, until: float, every: float) -> None:
    """Hold up all appends and freeze, as a process that is stopped in the middle of it."""
    while time.time() < until - every / 2:
        time.sleep(every / 2)
        with contextlib.suppress(psycopg.Error), psycopg.connect(url) as connection:
            connection.execute("SELECT runfold.hold_appends()")
            time.sleep(every / 2)


def attacking(way: Attack, target: Target, seed: str, until: float) -> None:
    """Attack as from a machine of one's own: what it costs to attack is not taken from the server's processors."""
    os.nice(GIVES_WAY)
    way(target, seed, until)


def measured(target: Target, seed: int, seconds: float, processes: int, pid: int) -> Felt:
    """What clients feel for some seconds."""
    until = time.time() + seconds
    results: Any = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=honest, args=(target, each, seed, until, results)) for each in range(processes)]
    workers.append(multiprocessing.Process(target=health, args=(target, until, results)))
    for worker in workers:
        worker.start()
    felt = Felt()
    while time.time() < until:
        felt.memory.append(resident(pid))
        time.sleep(0.1)
    for _ in workers:
        one = results.get(timeout=120)
        felt.requests += one.requests
        felt.health += one.health
        felt.failures += one.failures
    for worker in workers:
        worker.join()
    return felt


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def serving(url: str) -> Iterator[tuple[str, int]]:
    """The server as people start it, with few open files; its address and process. Nothing folds beside it."""
    command = f"ulimit -n {FILES}; exec {sys.executable} -m runfold.cli.main serve --no-work --port 0 --json"
    environment = {**os.environ, "RUNFOLD_DATABASE_URL": url, "RUNFOLD_LOG_LEVEL": "error"}
    process = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield said["address"], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def attack(server: OwnServer, seconds: float, seed: int, clients: int = 50, freeze_every: float | None = FREEZE_EVERY) -> Report:
    """Run it."""
    with Ledger.open(server.url, actor="human:ada") as ledger:
        key = ledger.create_key(owner="agent:honest", scopes=["runs:write", "runs:read"], label="honest").text
        bad = ledger.create_key(owner="agent:bad", scopes=["runs:write", "runs:read"], label="bad").text
        ledger.create_thread(thread_id="thread_bad", agent_id="bad").start_run(run_id="run_bad")
    assert key is not None
    assert bad is not None
    processes = max(1, clients // 25)
    with serving(server.url) as (address, pid):
        good = Target(address, key, clients // processes)
        before = measured(good, seed, max(4.0, seconds / 5), processes, pid)
        until = time.time() + seconds + 1
        attackers = [
            multiprocessing.Process(
                target=attacking, args=(way, Target(address, bad, 0), f"{seed}/{way.__name__}", until), daemon=True
            )
            for way in (*ATTACKS, waiting)
        ]
        if freeze_every is not None:
            attackers.append(multiprocessing.Process(target=freezing, args=(server.url, until, freeze_every), daemon=True))
        for attacker in attackers:
            attacker.start()
        time.sleep(1)
        during = measured(good, seed + 1, seconds, processes, pid)
        for attacker in attackers:
            attacker.terminate()
            attacker.join()
    third = max(1, len(during.memory) // 3)
    thirds = [max(during.memory[at : at + third]) >> 20 for at in (0, third, 2 * third)]
    return Report(
        clients,
        len(during.requests),
        p99(before.requests),
        p99(during.requests),
        p99(before.health),
        p99(during.health),
        len(during.failures),
        during.failures[:5],
        thirds,
    )


def main() -> int:
    """Attack as the command line says, and print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="for how long to attack (300)")
    parser.add_argument("--clients", type=int, default=50, help="how many honest clients (50)")
    parser.add_argument("--seed", type=int, default=20_261_001)
    parser.add_argument("--no-freeze", action="store_true", help="without the process that freezes, for a run of seconds")
    asked = parser.parse_args()
    server = OwnServer.start()
    try:
        freeze = None if asked.no_freeze else FREEZE_EVERY
        report = attack(server, asked.seconds, asked.seed, asked.clients, freeze)
    finally:
        server.close()
    print(json.dumps({**report._asdict(), "faults": report.faults}, indent=2))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
