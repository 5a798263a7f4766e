"""D6, G9: clients of live event streams, while they hang up, and the server under them is stopped and killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from faults.checks import Stored, reader_saw_all
from faults.row import row
from faults.servers import OwnServer
from faults.stage import Stage, stored_events
from faults.subscribers import Subscribers, given, subscribe

STREAMS, SHORT_STREAMS = 200, 20
ENDS, SHORT_ENDS = 20, 2
"""How often the server is ended."""
PROCESSES = 4


class Service:
    """The service at one address, in processes that come and go."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._listening.getsockname()[1]
        self.peak_kib = 0
        stage.cleanup(self.close)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        descriptor = self._listening.fileno()
        program = Path(__file__).with_name("serving.py")
        server = self._stage.server
        told = {**os.environ, "RUNFOLD_DATABASE_URL": server.url, "RUNFOLD_LOG_LEVEL": "error"}
        if isinstance(server, OwnServer):
            told["RUNFOLD_PROJECTOR_URL"] = server.embedded.url("runfold_projector")
        return subprocess.Popen(
            [sys.executable, program, str(descriptor)], env=told, pass_fds=[descriptor], cwd=self._stage.folder
        )

    def end(self, number: int) -> float:
        """End it with a signal, and start the next. The seconds that it took to end."""
        self._measure()
        began = time.monotonic()
        self._process.send_signal(number)
        self._process.wait(120)
        took = time.monotonic() - began
        self._process = self._start()
        return took

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def keep(self) -> None:
        """Start it again where it ended by itself, as it does when it finds no database."""
        if self._process.poll() is not None:
            self._process = self._start()

    def _measure(self) -> None:
        status = Path(f"/proc/{self._process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        self.peak_kib = max([self.peak_kib, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])

    def close(self) -> None:
        """End it for good."""
        self._measure()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listening.close()


@row("SSE", "streams over servers that die", share=0.18, short=True)
def streams_over_dying_servers(stage: Stage) -> None:
    """Clients follow the ledger over HTTP, all of it, by type, and by thread; they hang up at random, and the server is
    stopped and killed again and again while writers write. Each is given exactly the log, or its part of it, in order."""
    service = Service(stage)
    stage.reader_seconds = 240 if stage.short else 900
    writers = stage.start_writers(2, modes=("window", "batch"), pause=_pause(stage))
    thread = f"/threads/thread_{stage.tag}_{writers[0].name}/events"
    paths = ("/events", "/events?types=message.*&types=run.created", thread)
    streams = SHORT_STREAMS if stage.short else STREAMS
    works = start_clients(stage, service.port, paths, streams)
    ends: dict[signal.Signals, list[float]] = {signal.SIGTERM: [], signal.SIGKILL: []}
    times, wanted = 0, SHORT_ENDS if stage.short else ENDS
    while not stage.enough(times, wanted):
        stage.pause(0.5, 1.0 if stage.short else 3.0)
        if times < wanted:
            number = (signal.SIGTERM, signal.SIGKILL)[times % 2]
            ends[number].append(service.end(number))
            times += 1
    stage.finish()
    service._measure()
    connects = sum(int(work.connects.read_text()) for work in works if work.connects.exists())
    stage.figures.measured |= {
        "streams": streams,
        "connects": connects,
        "server stopped": len(ends[signal.SIGTERM]),
        "server killed": len(ends[signal.SIGKILL]),
        "slowest stop s": round(max(ends[signal.SIGTERM], default=0), 2),
        "peak RSS MiB": service.peak_kib // 1024,
        "events delivered": compare_streams(stage, works, writers[0].name),
    }


def _pause(stage: Stage) -> float:
    """Have the events that are asked for last about as long as the faults, for each goes to two hundred streams: of 15,000
    events of writers who hardly pause there come to be more than 50,000, and 7.7 million to be delivered."""
    return 0.1 if stage.short else max(0.1, 25_000 / stage.events)


def start_clients(stage: Stage, port: int, paths: tuple[str, ...], streams: int) -> list[Subscribers]:
    """Start clients that share the streams among them; each stream asks for one of the paths."""
    each = streams // PROCESSES
    works = [
        Subscribers(
            f"s{number}",
            stage.tag,
            f"{stage.seed}:s{number}",
            str(stage.folder),
            0,
            port=port,
            number=each,
            first=number * each,
            after=stage.after,
            paths=paths,
        )
        for number in range(PROCESSES)
    ]
    for work in works:
        stage.crew.start(subscribe, work)
    return works


def compare_streams(stage: Stage, works: Sequence[Subscribers], writer: str) -> int:
    """Each against what it asked for of the log; how many events they were given together."""
    log = stored_events(stage.server.url, stage.after, stage.server.head())
    wanted = (lambda _: True, _is_shown, lambda event: f"_{stage.tag}_{writer}" in f"{event.stream}_")
    expected = [[event.position for event in log if event.seen and takes(event)] for takes in wanted]
    total = 0
    for work in works:
        for number in range(work.first, work.first + work.number):
            found = given(work, number)
            if found is None:
                stage.expect(False, f"stream {number} did not come to the end in time, so what it was given is not known")
                continue
            total += len(found)
            reader_saw_all(f"stream {number}", found, expected[number % len(expected)], stage.figures)
    return total


def _is_shown(event: Stored) -> bool:
    return event.type.startswith("message.") or event.type == "run.created"
