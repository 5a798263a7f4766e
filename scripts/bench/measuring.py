"""What every benchmark needs: a server of its own, rivals in the same run, and figures for people and for machines."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from runfold import Ledger, Settings
from runfold.embedded.binaries import find_binaries
from runfold.embedded.server import EmbeddedServer
from runfold.store.migrate import migrate


@dataclass
class Report:
    """The figures of one benchmark: ratios, and what they are made of."""

    name: str
    ratios: dict[str, float] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def print(self, *, as_json: bool) -> None:
        """A table for people, or one JSON object, last."""
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
        if as_json:
            print(json.dumps({"benchmark": self.name, "ratios": self.ratios, "figures": self.figures, **machine}))
            return
        table = Table("figure", "value", title=self.name)
        for name, value in self.figures.items():
            table.add_row(name, f"{value:,.2f}" if isinstance(value, float) else str(value))
        for name, value in self.ratios.items():
            wanted = self.wanted.get(name)
            table.add_row(f"[bold]ratio {name}[/bold]", f"[bold]{value:.2f}[/bold]" + (f" (wanted {wanted})" if wanted else ""))
        Console(width=110).print(table)


def arguments(description: str, **more: tuple[int, str]) -> argparse.Namespace:
    """`--json`, `--rounds`, `--short` and the benchmark's own integers."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn; the median counts")
    parser.add_argument("--short", action="store_true", help="one round of a tenth: does it run at all?")
    for name, (default, words) in more.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{words} (default {default})")
    asked = parser.parse_args()
    if asked.short:
        asked.rounds = 1
        for name in more:
            setattr(asked, name, max(getattr(asked, name) // 10, 1))
    return asked


@dataclass(frozen=True)
class Server:
    """A PostgreSQL of the benchmark's own."""

    embedded: EmbeddedServer

    def database(self, name: str, *, migrated: bool = True) -> str:
        """A new database's URL as superuser."""
        with psycopg.connect(self.embedded.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = make_conninfo(self.embedded.admin_url, dbname=name)
        if migrated:
            migrate(url)
        return url

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
    """Durable settings, data in a temporary folder that goes away."""
    home = Path(tempfile.mkdtemp(prefix="runfold-bench-"))
    home.chmod(0o711)
    embedded = EmbeddedServer.start(home)
    try:
        yield Server(embedded)
    finally:
        embedded.stop_now()
        embedded.close()
        embedded.delete()
        shutil.rmtree(home, ignore_errors=True)


def in_turn(rounds: int, measures: dict[str, Callable[[int], float]]) -> dict[str, float]:
    """Each measured `rounds` times, one after the other, so that a slow moment of the machine hits all; the medians."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure(number))
    return {name: statistics.median(values) for name, values in found.items()}


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(seconds)
    return {f"p{p}_ms": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 3) for p in (50, 99)}
