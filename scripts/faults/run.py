"""Crash and load drivers: kill, stall, fill up and cut off, and then compare what was promised with the log.

Without RUNFOLD_DATABASE_URL everything runs against a PostgreSQL of its own, deleted at the end. With it, the rows that
must kill or restart a server, or mount a file system, are skipped with the reason, and the rest records into that
database for good: name one that you can spare. What is recorded there is in threads whose id begins with `thread_faults-`
and whose metadata has the key `faults`. RUNFOLD_ADMIN_URL lets the rows run that need an administrator of it.

Exit codes: 0 all well, 1 a row failed otherwise, 2 usage, 5 something was lost, doubled, skipped, inverted or missing.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import SystemRandom
from types import FrameType

if __package__ is None or __package__ == "":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults import (
    clocks,
    concurrency,
    conflicts,
    crashes,
    duplicates,
    followers,
    limits,
    network,
    power,
    rebuilds,
    receivers,
    relaying,
    sealing,
    soak,
    storage,
    sweeping,
    upkeep,
    workers,
)
from faults.report import describe, print_header, print_row, print_total, total
from faults.row import Row, rows
from faults.servers import Server, server_for
from faults.stage import Figures, Skipped, Stage
from runfold import LedgerError, Settings
from runfold.standard_streams import INTERRUPTED, PIPE_CLOSED, OutputRefused, complaining, discard, prepare

FAMILIES = (
    crashes,
    power,
    storage,
    concurrency,
    upkeep,
    limits,
    network,
    clocks,
    duplicates,
    conflicts,
    workers,
    rebuilds,
    followers,
    receivers,
    relaying,
    sweeping,
    sealing,
    soak,
)
ROWS = {
    name: row
    for family in FAMILIES
    for name, row in sorted(rows.items(), key=lambda item: item[1].act.__code__.co_firstlineno)
    if row.act.__module__ == family.__name__
}
EVENTS, SHORT_EVENTS = 560_000, 12_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows that were asked for, and return the exit code; where nobody reads what is said, the rest is not run."""
    if arguments is None:
        prepare()
    try:
        code = _answer(_parse(arguments))
        sys.stdout.flush()
    except (BrokenPipeError, OutputRefused) as error:
        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return PIPE_CLOSED
        with complaining():
            print(f"faults: standard output cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    return code


def _answer(asked: argparse.Namespace) -> int:
    if asked.list:
        describe(ROWS.values())
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    out = sys.stderr if asked.json else sys.stdout
    print(f"seed {asked.seed}", file=out, flush=True)
    try:
        settings = Settings()
        with contextlib.closing(server_for(settings)) as server:
            where = "its own PostgreSQL" if settings.database_url is None else "the database of RUNFOLD_DATABASE_URL"
            print(f"against {where}", file=out, flush=True)
            figures = run(asked, server, out)
    except KeyboardInterrupt:
        print("interrupted; everything was cleaned up", file=sys.stderr)
        return INTERRUPTED
    except LedgerError as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps({"seed": asked.seed, "rows": [_as_json(row) for row in figures], "total": asdict(total(figures))}))
    return exit_code(figures)


def run(asked: argparse.Namespace, server: Server, out: object = None) -> list[Figures]:
    """Run the rows one after another."""
    chosen = [ROWS[name] for name in asked.rows]
    share = sum(row.share for row in chosen) or 1.0
    token = f"{int(time.time()):x}{os.getpid() % 4096:x}"
    print_header(out)
    figures = []
    for row in chosen:
        events = int(asked.events * row.share / share)
        figures.append(_run_row(row, server, asked, events, token))
        print_row(figures[-1], out)
    print_total(total(figures), out)
    return figures


def _run_row(row: Row, server: Server, asked: argparse.Namespace, events: int, token: str) -> Figures:
    stage = Stage(row.id, server, asked.seed, events, short=asked.short, token=token)
    stage.figures.name = row.name
    stage.minutes, stage.round = getattr(asked, "minutes", None), getattr(asked, "round", 0)
    began = time.monotonic()
    try:
        row.act(stage)
    except Skipped as reason:
        stage.figures.skipped_because = str(reason)
    except Exception as error:
        if asked.raise_errors:
            raise
        stage.figures.failures.append(f"the row itself failed: {type(error).__name__}: {error}")
    finally:
        stage.close()
    stage.figures.seconds = time.monotonic() - began
    return stage.figures


def exit_code(figures: Sequence[Figures]) -> int:
    """5 for a loss or the like, 1 for another failure, else 0."""
    if any(row.wrong for row in figures):
        return 5
    return 1 if any(row.failures for row in figures) else 0


def _as_json(figures: Figures) -> dict[str, object]:
    return {**asdict(figures), "verdict": figures.verdict}


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="the same seed gives the same plan; random if not given")
    parser.add_argument("--rows", type=_row_names, help="rows to run, such as A1,C-2; --list shows all")
    parser.add_argument("--short", action="store_true", help="a small selection, and little of each row, for CI")
    parser.add_argument("--events", type=int, help=f"events to record in all (default {EVENTS:,}, short {SHORT_EVENTS:,})")
    parser.add_argument("--minutes", type=float, help="how long the soak (J11) goes on; 60 for an hour")
    parser.add_argument("--round", type=int, default=0, help="the round that the soak begins with: one that failed, say")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout; progress goes to stderr")
    parser.add_argument("--list", action="store_true", help="say what each row does, and what must hold")
    parser.add_argument("--raise-errors", action="store_true", help="end with a trace where a row itself fails")
    asked = parser.parse_args(arguments)
    asked.seed = SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    asked.events = asked.events or (SHORT_EVENTS if asked.short else EVENTS)
    asked.rows = asked.rows or [row.id for row in ROWS.values() if row.short or not asked.short]
    return asked


def _row_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
