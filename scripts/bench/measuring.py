"""What every benchmark needs: a server of its own, rivals in the same run, and figures for people and for machines.

Each says of which commit it is, and how many single rows a second PostgreSQL itself read on this machine just before
(`pgbench -S`): figures of two runs are compared by what they are of that. `run.py` asks all of them on one server.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from runfold import Ledger, Settings
from runfold.embedded.binaries import find_binaries
from runfold.embedded.server import EmbeddedServer
from runfold.store.setup.migrate import migrate

HOME = "RUNFOLD_BENCH_HOME"
"""Set where several benchmarks share a server: the folder that it lies in."""
READS = "pgbench -S, rows a second"
_TEMPLATE = "runfold_bench_migrated"
_machine: dict[str, Any] = {}
"""What is known of this machine and this run, beside the figures."""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    sys.excepthook = lambda *_: None  # that somebody interrupts it is no fault, and needs no trace
    threading.excepthook = lambda _: None
    raise KeyboardInterrupt


for _signal in (signal.SIGINT, signal.SIGTERM):
    signal.signal(_signal, _interrupt)


@dataclass
class Report:
    """The figures of one benchmark: ratios, and what they are made of."""

    name: str
    ratios: dict[str, float] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def print(self, *, as_json: bool) -> None:
        """A table for people, or one JSON object, last."""
        machine = {
            "commit": commit(),
            READS: _machine.get(READS),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "machine": platform.machine(),
        }
        if as_json:
            print(json.dumps({"benchmark": self.name, "ratios": self.ratios, "figures": self.figures, **machine}))
            return
        table = Table("figure", "value", title=self.name)
        for name in ("commit", READS):
            table.add_row(f"[dim]{name}[/dim]", "unknown" if machine[name] is None else str(machine[name]))
        for name, value in self.figures.items():
            table.add_row(name, f"{value:,.2f}" if isinstance(value, float) else str(value))
        for name, value in self.ratios.items():
            wanted = self.wanted.get(name)
            table.add_row(f"[bold]ratio {name}[/bold]", f"[bold]{value:.2f}[/bold]" + (f" (wanted {wanted})" if wanted else ""))
        Console(width=110).print(table)


def commit() -> str | None:
    """Return what is measured: a commit, with a `+` where files differ from it; None where this is no clone."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", ":/src"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def arguments(description: str, **more: tuple[int, str]) -> argparse.Namespace:
    """`--json`, `--rounds`, `--short` and the benchmark's own integers."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn; the median counts")
    parser.add_argument("--short", action="store_true", help="one round of a tenth: does it run at all?")
    for name, (default, words) in more.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{words} (default {default})")
    asked = parser.parse_args()
    _machine["short"] = asked.short
    if asked.short:
        asked.rounds = 1
        for name in more:
            setattr(asked, name, max(getattr(asked, name) // 10, 1))
    return asked


@dataclass(frozen=True)
class Server:
    """A PostgreSQL of the benchmark's own."""

    embedded: EmbeddedServer

    made: list[str] = field(default_factory=list)
    """The databases that there are because of this run."""

    def database(self, name: str, *, migrated: bool = True) -> str:
        """A new database's URL as superuser."""
        url = self._created(name, self._migrated() if migrated else "template1")
        if migrated:
            migrate(url)  # what roles may do with a database as such is not copied with it
        return url

    def _created(self, name: str, template: str) -> str:
        with psycopg.connect(self.embedded.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            created = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            connection.execute(created)
        self.made.append(name)
        return make_conninfo(self.embedded.admin_url, dbname=name)

    def _migrated(self) -> str:
        if _TEMPLATE not in self.made:
            migrate(self._created(_TEMPLATE, "template1"))
        return _TEMPLATE

    def drop_all(self) -> None:
        """Drop the databases of this run."""
        with psycopg.connect(self.embedded.admin_url, autocommit=True) as connection:
            for name in dict.fromkeys(self.made):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute("CHECKPOINT")  # so that the next one does not pay for it

    def reads_a_second(self, *, short: bool) -> int | None:
        """Return how many single rows PostgreSQL itself reads in a second just now; None where pgbench is not here."""
        program = self.program("pgbench")
        if program is None:
            return None
        where = conninfo_to_dict(self._created("pgbench", "template1"))
        there = [f"--host={where['host']}", f"--port={where.get('port', 5432)}", f"--username={where['user']}"]
        run = partial(subprocess.run, capture_output=True, text=True, check=True)
        run([program, "--initialize", "--quiet", "--no-vacuum", "--scale=1", *there, "pgbench"])
        asked = ["--select-only", "--no-vacuum", "--protocol=prepared", "--client=8", "--jobs=2"]
        asked.append("--transactions=1000" if short else "--time=5")
        found = re.search(r"tps = ([\d.]+)", run([program, *asked, *there, "pgbench"]).stdout)
        return round(float(found[1])) if found else None

    def program(self, name: str) -> str | None:
        """A program that came with this PostgreSQL, or one on the path; None where there is neither."""
        beside = find_binaries(None, None).folder / name
        return str(beside) if beside.exists() else shutil.which(name)

    @contextlib.contextmanager
    def ledger(self, name: str) -> Iterator[Ledger]:
        """A ledger on a new database, as the role that a service has: a superuser passes by row-level security."""
        self.database(name)
        urls = {role: SecretStr(self.embedded.url(f"runfold_{role}", name)) for role in ("app", "projector")}
        with Ledger.open(settings=Settings(database_url=urls["app"], projector_url=urls["projector"])) as ledger:
            yield ledger


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Durable settings, data in a temporary folder that goes away; or the server that all benchmarks of a run share."""
    shared = os.environ.get(HOME)
    with contextlib.nullcontext(Path(shared)) if shared else own_home() as home:
        embedded = EmbeddedServer.start(home)
        own = Server(embedded)
        try:
            _machine[READS] = own.reads_a_second(short=bool(_machine.get("short")))
            yield own
            own.drop_all()
        finally:
            embedded.close()


@contextlib.contextmanager
def own_home(place: Path | None = None) -> Iterator[Path]:
    """A folder for a server, which goes away with the server that was started there."""
    home = Path(tempfile.mkdtemp(prefix="runfold-bench-", dir=place))
    home.chmod(0o711)
    try:
        yield home
    finally:
        if any(home.glob("postgres*")):  # what PostgreSQL may not read lies elsewhere, and a file tells where
            EmbeddedServer.start(home).delete()
        shutil.rmtree(home, ignore_errors=True)


def in_turn(rounds: int, measures: dict[str, Callable[[int], float]]) -> dict[str, float]:
    """Each measured `rounds` times, one after the other, so that a slow moment of the machine hits all; the medians."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure(number))
    return {name: statistics.median(values) for name, values in found.items()}


def percentiles(seconds: list[float], wanted: Sequence[int] = (50, 99)) -> dict[str, float]:
    """Some percentiles in milliseconds."""
    ordered = sorted(seconds)
    return {f"p{p}_ms": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 3) for p in wanted}
