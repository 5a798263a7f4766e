"""How fast do sessions of Claude Code go in, and does memory stay flat? Of this checkout, and of another commit in the same run.

The sessions of a folder are repeated under new ids until there are so many megabytes: uuids, ids of messages, requests, tool
calls and sub-agents are others in each copy, and the same within it. Each commit imports all of it into a server of its own.
"""

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from measuring import Report, server

from runfold.importers.importing import import_paths

HERE = Path(__file__).parents[2]
MEGABYTE = 1_000_000
THIRDS = 3
SAMPLE_SECONDS = 0.05

_IDS = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b(?:msg|req|toolu)_[0-9A-Za-z]{12,}\b"
    r"|\bagent-[0-9a-f]{6,}\b"
    r'|(?<="agentId":")[0-9a-f]{6,}(?=")'
)


def main() -> None:
    """Make the sessions, import them with each commit in turn, and print what was seen."""
    asked = _arguments()
    if asked.child is not None:
        print(json.dumps(_imported(asked.child)))
        return
    with tempfile.TemporaryDirectory(prefix="runfold-bench-") as made, contextlib.ExitStack() as stack:
        sessions = Path(made) / "sessions"
        size = _repeat(asked.sessions, sessions, asked.mb * MEGABYTE)
        sides = {"this": HERE}
        if asked.against:
            sides["that"] = stack.enter_context(_checkout(asked.against, Path(made) / "checkout"))
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        for _ in range(asked.rounds):
            for name, checkout in sides.items():
                measured[name].append(_child(checkout, sessions))
    _report(asked, size, measured).print(as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sessions", type=Path, help="a folder of sessions")
    parser.add_argument("--mb", type=int, default=300, help="how much is imported (default 300)")
    parser.add_argument("--against", metavar="COMMIT", help="another commit, imported with in the same run")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured, in turn; the median counts")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--short", action="store_true", help="one round of 2 MB: does it run at all?")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.short:
        asked.mb, asked.rounds = 2, 1
    return asked


def _repeat(source: Path, target: Path, size: int) -> int:
    """Write copies of all sessions under new ids until there are so many bytes. Returns how many there are."""
    texts = {
        file.relative_to(source): gzip.decompress(raw).decode() if file.suffix == ".gz" else raw.decode()
        for file in sorted(source.rglob("*.json*"))
        if (raw := file.read_bytes())
    }
    written = copy = 0
    while written < size:
        for name, text in texts.items():
            renamed = _IDS.sub(partial(_renamed, copy), f"{name}\n{text}")
            first, _, rest = renamed.partition("\n")
            file = target / f"copy-{copy:04}" / first.removesuffix(".gz")
            file.parent.mkdir(parents=True, exist_ok=True)
            written += file.write_bytes(rest.encode())
        copy += 1
    return written


def _renamed(copy: int, found: re.Match[str]) -> str:
    """Another id of the same form."""
    name = found[0]
    digits = hashlib.sha256(f"{copy} {name.removeprefix('agent-')}".encode()).hexdigest()
    if "_" in name:
        return f"{name.partition('_')[0]}_{digits[:24]}"
    if name.count("-") == 4:
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))
    return f"agent-{digits[:8]}" if name.startswith("agent-") else digits[:8]


@contextlib.contextmanager
def _checkout(commit: str, folder: Path) -> Iterator[Path]:
    git = ["git", "-C", str(HERE), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def _child(checkout: Path, sessions: Path) -> dict[str, Any]:
    """What an import by a checkout's code is like, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, __file__, str(sessions), "--child", str(sessions)]
    answer = subprocess.run(command, env=environment, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    assert found["code"] == str(checkout / "src"), f"{found['code']} was measured, not {checkout}"
    return found


def _imported(sessions: Path) -> dict[str, Any]:
    """Import a folder, and watch this process's memory while it goes on."""
    import runfold  # noqa: PLC0415  # which one it is, is what is asked

    done, peaks, over = [0.0], [0] * THIRDS, threading.Event()
    threads = 0

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            third = min(int(done[0] * THIRDS), THIRDS - 1)
            peaks[third] = max(peaks[third], _resident())

    def told(bytes_done: int, total: int, _: str) -> None:
        done[0] = bytes_done / max(total, 1)

    with server() as running, running.ledger("imported") as ledger:
        watcher = threading.Thread(target=watch)
        watcher.start()
        started, cpu = time.monotonic(), _cpu_seconds()
        tally = import_paths(ledger, "claude-code", [sessions], told)
        seconds, cpu = time.monotonic() - started, _cpu_seconds() - cpu
        over.set()
        watcher.join()
        threads = tally.threads
    return {
        "code": str(Path(runfold.__file__).parents[1]),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peaks": peaks,
        "events": tally.events,
        "threads": threads,
        "messages": tally.messages,
        "problems": [str(problem) for problem in tally.problems[:5]],
    }


def _cpu_seconds() -> float:
    """What this process has worked, and those that it started and that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _resident() -> int:
    """The memory of this process and of those that import for it."""
    children = Path("/proc/self/task").glob("*/children")
    pids = ["self", *(pid for started in children for pid in started.read_text().split() if _imports(pid))]
    return sum(_memory_of(pid) for pid in pids)


def _imports(pid: str) -> bool:
    with contextlib.suppress(OSError):
        return b"runfold.importers.processes" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _memory_of(pid: str) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _report(asked: argparse.Namespace, size: int, measured: dict[str, list[dict[str, Any]]]) -> Report:
    report = Report("import of sessions", figures={"megabytes": size / MEGABYTE})
    rates = {}
    for name, rounds in measured.items():
        rates[name] = size / MEGABYTE / statistics.median(found["seconds"] for found in rounds)
        last = rounds[-1]
        report.figures |= {
            f"{name}: MB/s": rates[name],
            f"{name}: MB a second of CPU, without the server's": size / MEGABYTE / last["cpu_seconds"],
            f"{name}: threads, messages, events": f"{last['threads']:,}, {last['messages']:,}, {last['events']:,}",
            f"{name}: peak memory by thirds, MB": ", ".join(f"{peak / MEGABYTE:,.0f}" for peak in last["peaks"]),
            f"{name}: problems": " · ".join(last["problems"]) or "none",
        }
        if last["peaks"][0]:
            report.ratios[f"{name}: last third's memory / first third's"] = last["peaks"][-1] / last["peaks"][0]
    if asked.against:
        report.ratios[f"rate / that of {asked.against}"] = rates["this"] / rates["that"]
        report.wanted[f"rate / that of {asked.against}"] = "≥ 2"
    return report


if __name__ == "__main__":
    main()
