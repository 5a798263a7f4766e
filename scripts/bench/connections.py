"""How many event streams does one server hold open, at which cost in memory, and how soon does an event reach them all?"""

import asyncio
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

from measuring import Report, arguments, percentiles, server

from runfold import Ledger, Run

AT_ONCE = 100
SERVING = Path(__file__).parents[1] / "faults" / "serving.py"


def raise_limit(wanted: int) -> int:
    """Allow as many open files as wanted, if we may; how many there can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, wanted), hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def memory_kib(pid: int) -> int:
    """What a process holds in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


class Streams:
    """Open connections, and when each was last given an event."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []
        self.arrived: list[float] = []
        self.open = 0

    async def start(self, path: str, number: int) -> None:
        """Open so many, until each has caught up."""
        wanted = self.open + number
        for first in range(0, number, AT_ONCE):
            self._tasks += [asyncio.create_task(self._read(path)) for _ in range(min(AT_ONCE, number - first))]
            while self.open < min(wanted, wanted - number + first + AT_ONCE):
                await asyncio.sleep(0.01)

    async def _read(self, path: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\n\r\n".encode())
        await reader.readuntil(b"event: caught_up")
        self.open += 1
        while True:
            await reader.readuntil(b"event: message.added")
            self.arrived.append(time.perf_counter())

    def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()


async def measure(port: int, pid: int, ledger: Ledger, report: Report, idle: int, active: int) -> None:
    """Those who wait for a quiet thread, and those who follow everything."""
    streams = Streams(port)
    quiet, busy = (ledger.create_thread(agent_id="support") for _ in range(2))
    run: Run = busy.start_run()
    before, began = memory_kib(pid), time.perf_counter()
    await streams.start(f"/threads/{quiet.id}/events", idle)
    report.figures |= {
        "idle": streams.open,
        "opened_a_second": round(idle / (time.perf_counter() - began)),
        "kib_each": round((memory_kib(pid) - before) / max(1, idle), 1),
    }
    await streams.start("/events?types=message.*", active)
    delays: list[float] = []
    for number in range(20):
        streams.arrived.clear()
        sent = time.perf_counter()
        await asyncio.to_thread(run.add_message, "assistant", str(number))
        while len(streams.arrived) < active:
            await asyncio.sleep(0.002)
        delays += [at - sent for at in streams.arrived]
    report.figures |= {"active": active, "event_to_all_active_ms": percentiles(delays)}
    streams.close()


def main() -> None:
    """Measure, and print."""
    asked = arguments(__doc__ or "", idle=(5000, "streams that wait"), active=(500, "streams that follow"))
    report = Report("connections")
    report.figures["open_files_allowed"] = raise_limit(2 * (asked.idle + asked.active) + 200)
    with server() as own, own.ledger("runfold_connections") as ledger, socket.create_server(("127.0.0.1", 0), backlog=4096) as at:
        url = ledger.settings.database_url
        assert url
        command = [sys.executable, str(SERVING), str(at.fileno())]
        service = subprocess.Popen(command, env={"RUNFOLD_DATABASE_URL": url.get_secret_value()}, pass_fds=[at.fileno()])
        try:
            asyncio.run(measure(at.getsockname()[1], service.pid, ledger, report, asked.idle, asked.active))
        finally:
            began = time.perf_counter()
            service.terminate()
            service.wait(30)
            report.figures["stop_s"] = round(time.perf_counter() - began, 2)
    report.print(as_json=asked.json)


if __name__ == "__main__":
    main()
