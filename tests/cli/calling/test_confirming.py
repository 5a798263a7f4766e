"""Before something is dropped or cancelled a person is asked: whatever but a yes is a no, and told as one."""

import signal
import subprocess

import pytest

from runfold import Ledger
from tests.cli.conftest import Command
from tests.cli.terminal import on_a_terminal

ASKING = {
    "drop-schema": (["drop-schema", "past"], "Drop past and everything in it?"),
    "projections drop": (["projections", "drop", "mine"], "Drop the read model mine and its rows?"),
    "cancel": (["cancel", "--agent", "support"], "Cancel 1 run?"),
}


@pytest.mark.parametrize(
    ("typed", "code"), [(b"n\n", 2), (b"\x04", 130), (signal.SIGINT, 130)], ids=["no", "end of input", "Ctrl-C"]
)
def test_whoever_does_not_say_yes_is_not_told_of_a_defect(environment: None, typed: bytes | signal.Signals, code: int) -> None:
    arguments, question = ASKING["drop-schema"]
    ended = on_a_terminal(arguments, question, typed, is_piped=True)
    assert (ended.code, question in ended.seen, ended.out.strip()) == (code, True, ""), ended.seen
    assert "unexpected" not in ended.seen, ended.seen
    assert ("nothing was dropped; give --yes" in ended.seen) == (code == 2), ended.seen


@pytest.mark.parametrize("name", ASKING)
def test_where_nobody_answers_on_a_terminal_nothing_is_done(environment: None, ledger: Ledger, name: str) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    arguments, question = ASKING[name]
    ended = on_a_terminal(arguments, question, stdin=subprocess.DEVNULL)
    assert (ended.code, question in ended.seen) == (2, True), ended.seen
    assert "nothing was" in ended.seen, ended.seen
    assert run.view().status == "running"


def test_colours_that_are_forced_make_no_terminal_of_a_pipe(
    runfold: Command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.create_thread(agent_id="support").start_run()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert runfold("cancel", "--agent", "support").code == 0
