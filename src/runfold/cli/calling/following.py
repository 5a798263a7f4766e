"""`runfold import … --follow`: keeps the ledger up with folders until Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    from rich.status import Status

    from runfold.errors import LedgerError
    from runfold.importers.following import Change, Followed, Told
    from runfold.importers.tally import Problem


def follow_paths(
    call: Call,
    format: str,
    paths: list[str],
    every: str | None,
    *,
    strict: bool,
    workers: int | None,
    source: str | None,
) -> None:
    """Import what is there, and then what comes, and say in the end what it came to."""
    from runfold.domain.durations import positive_duration
    from runfold.errors import LedgerError
    from runfold.importers.following import EVERY_SECONDS, Follower

    rest = EVERY_SECONDS if every is None else positive_duration("--every", every).total_seconds()
    as_of = None
    with ended_by_signals() as stop, call.ledger() as ledger:
        with _shown(call, paths) as told:
            followed = Follower(ledger, format, paths, told, processes=workers, source=source).follow(rest, stop)
        with contextlib.suppress(LedgerError):  # it may be away just now
            as_of = ledger.position()
    _print_followed(call, followed, as_of)
    if strict and followed.problems:
        raise typer.Exit(1)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and TERM set. A second one ends at once what the first lets finish."""
    stop = threading.Event()

    def end(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _shown(call: Call, paths: list[str]) -> Iterator["Told"]:
    """Who is told: changes on stdout, the rest on stderr; on a terminal how it stands is one line that is written anew."""
    from runfold.importers.following import Told
    from runfold.terminal.text import counted, one_line, shown

    where = one_line(", ".join(paths), 60)
    status = call.err.status(shown(f"Reading {where} …")) if call.err.is_terminal else None

    def change(made: "Change") -> None:
        if call.json:
            call.answer({"change": made.as_json()})
        else:
            call.out.print(
                shown(f"{made.thread_id}: {counted(made.events, 'event')}, {one_line(made.label, 60)}"), soft_wrap=True
            )

    def problem(found: "Problem") -> None:
        if call.json:
            call.answer({"problem": found.as_json()})
        else:
            call.err.print(shown(f"problem: {found}", "yellow"), soft_wrap=True)

    def idle(followed: "Followed") -> None:
        so_far = f"{counted(followed.files, 'file')}, {counted(followed.events, 'event')} so far"
        if status is not None:
            status.update(shown(f"Following {where}: {so_far}; Ctrl-C ends it"))
        elif followed.looks == 1:
            call.err.print(shown(f"following {where}: {so_far}; Ctrl-C ends it"), soft_wrap=True)

    def away(error: "LedgerError", seconds: float) -> None:
        call.err.print(shown(f"{one_line(str(error))}; again in {seconds:.1f} s", "yellow"), soft_wrap=True)

    told = Told(change=change, problem=problem, idle=idle, away=away)
    if status is None:
        yield told
        return
    with status:
        yield replace(told, progress=lambda done, total, which: _update(status, where, done, total, which))


def _update(status: "Status", where: str, done: int, total: int, which: str) -> None:
    from rich.filesize import decimal

    from runfold.terminal.text import one_line, shown

    status.update(shown(f"Reading {where}: {decimal(done)} of {decimal(total)} {one_line(which, 40)}"))


def _print_followed(call: Call, followed: "Followed", as_of: int | None) -> None:
    from runfold.terminal.text import counted, seconds

    if call.json:
        call.answer({**followed.as_json(), "as_of": as_of})
        return
    of = f"{counted(followed.files, 'file')} for {seconds(followed.seconds)}"
    what = f"{counted(followed.events, 'event')} in {counted(len(followed.threads), 'thread')}"
    call.out.print(f"followed {of}: {what}, {counted(followed.problems, 'problem')}", soft_wrap=True)
    if as_of is not None:
        call.out.print(f"as of position {as_of}", style="dim", soft_wrap=True)
