"""Ctrl-C may come at any moment, and what it breaks off can be closed."""

import threading
from collections.abc import Callable

import pytest

from runfold import Ledger, Run
from tests.databases import TestDatabase


def _append(run: Run, _: Ledger) -> None:
    run.add_message("user", "Where is my order?")


def _submit(run: Run, _: Ledger) -> None:
    run.submit_add_message("user", "Where is my order?").result()


def _append_and_submit(run: Run, ledger: Ledger) -> None:
    _append(run, ledger)
    _submit(run, ledger)


def _follow(_: Run, ledger: Ledger) -> None:
    for _recorded in ledger.subscribe(after=0):
        continue


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("runfold-appender", _append_and_submit),
        ("runfold-decider", _submit),
        ("runfold-hint", _append),
        ("runfold-marks", _append),
        ("runfold-tail", _follow),
    ],
)
def test_a_ledger_that_was_interrupted_while_it_began_a_thread_is_closed(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[Run, Ledger], None]
) -> None:
    begin, interrupted = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if thread.name == name and threading.current_thread() is threading.main_thread():  # as a signal is
            interrupted.append(name)
            raise KeyboardInterrupt
        begin(thread)

    with Ledger.open(database.url) as ledger:
        run_id = ledger.create_thread(agent_id="support").start_run().id
    with pytest.raises(KeyboardInterrupt), Ledger.open(database.url) as ledger:  # noqa: PT012
        monkeypatch.setattr(threading.Thread, "start", start)
        act(ledger.run(run_id), ledger)
    monkeypatch.undo()
    assert interrupted == [name]
    with Ledger.open(database.url) as ledger:
        assert ledger.run(run_id).view().status == "running"
