"""As much of an id is enough as no other begins with, on every command that takes one."""

from collections.abc import Iterator

import pytest
import typer

from runfold import Ledger
from runfold.cli.app import program
from runfold.cli.calling.ids import KINDS, OTHERS
from runfold.demo_story import Cast
from tests.cli.conftest import Command

NAMES = {"agent_id", "user_id", "goal_id", "node_id", "workflow_id"}
"""What people name themselves, of which a list is asked for by the whole name."""
GIVEN = {
    "keys create key_id": "it makes the id",
    "webhooks create webhook_id": "it makes the id",
    "claim execution_id": "it makes the id",
    "goal goal_id": "a name",
    "patterns goal_id": "a name",
}


@pytest.fixture
def folded(runfold: Command, folded_story: Cast) -> Command:
    return runfold


def _parameters(group: "typer.core.TyperGroup", before: str = "") -> Iterator[tuple[str, typer.core.TyperOption]]:
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from _parameters(command, f"{name} ")
        else:
            for parameter in command.get_params(typer.Context(command)):
                yield f"{before}{name} {parameter.name}", parameter


def test_every_parameter_that_is_an_id_is_one_of_a_known_kind() -> None:
    root = program()
    assert isinstance(root, typer.core.TyperGroup)
    for where, parameter in _parameters(root):
        name = str(parameter.name)
        if name.endswith("_id") and name not in NAMES | OTHERS and where not in GIVEN:
            assert parameter.metavar in KINDS, where
        if name in {"run", "thread", "branch", "expected"}:
            assert parameter.metavar in KINDS, where


def test_the_beginning_of_an_id_is_enough_where_one_thing_is_named(folded: Command) -> None:
    for whole, short in (
        (["thread", "thread_demo7"], ["thread", "thr"]),
        (["thread", "thread_demo7", "--run", "run_demo7_policy"], ["thread", "t", "--run", "run_demo7_p"]),
        (["tree", "thread_demo7"], ["tree", "thread_d"]),
        (["heads", "thread_demo7"], ["heads", "thread_demo"]),
        (["run", "run_demo7_claim"], ["run", "run_demo7_cl"]),
        (["summary", "run_demo7_claim"], ["summary", "run_demo7_cl"]),
        (["diff", "run_demo7_claim", "run_demo7_exchange"], ["diff", "run_demo7_cl", "run_demo7_exc"]),
        (["events", "--run", "run_demo7_policy"], ["events", "--run", "run_demo7_po"]),
    ):
        answer = folded(*short, "--json")
        assert (answer.code, answer.out) == (0, folded(*whole, "--json").out), short


def test_the_beginning_of_an_id_narrows_a_list(folded: Command) -> None:
    for command, option, whole, short in (
        ("runs", "--run", "run_demo7_claim", "run_demo7_cl"),
        ("runs", "--parent", "run_demo7_claim", "run_demo7_cl"),
        ("approvals", "--thread", "thread_demo7", "thread_"),
        ("approvals", "--call", "call_demo7_refund", "call_demo7_ref"),
        ("tool-calls", "--call", "call_demo7_refund", "call_demo7_ref"),
        ("usage", "--run", "run_demo7_policy", "run_demo7_p"),
    ):
        found, expected = (folded(command, option, value, "--json") for value in (short, whole))
        assert found.code == 0, found.err
        assert found.json["items"] == expected.json["items"] != [], (command, option)


def test_what_several_ids_begin_with_is_refused_with_them(folded: Command) -> None:
    answer = folded("run", "run_demo7_ex")
    assert (answer.code, answer.out) == (2, "")
    assert "'run_demo7_ex' begins several ids: run_demo7_exchange, run_demo7_express; write more of it" in answer.err
    facts = folded("runs", "--run", "run_demo7_ex", "--json").error["facts"]
    assert facts["ids"] == ["run_demo7_exchange", "run_demo7_express"]


def test_an_id_that_others_begin_with_is_that_one(folded: Command, ledger: Ledger) -> None:
    ledger.thread("thread_demo7").start_run(run_id="run_demo7")
    assert folded("run", "run_demo7", "--json").json["id"] == "run_demo7"


def test_as_of_a_moment_only_what_was_there_counts(folded: Command) -> None:
    assert folded("run", "run_", "--at", "10", "--json").json["id"] == "run_demo7_claim"
    assert folded("run", "run_demo7_v", "--at", "10").code == 3


def test_what_there_is_not_is_not_found_as_before(folded: Command) -> None:
    for wrong in ("run_x", "nothing", "thread_demo7", "", "run_demo7_claim_and_more", "run_%"):
        answer = folded("run", wrong)
        assert (answer.code, f"there is no run {wrong!r}" in answer.err) == (3, True), answer


def test_another_tenants_ids_are_no_candidates(folded: Command, story: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_TENANT", "acme")
    assert folded("run", "run_demo7_cl").code == 3
    assert folded("demo", "--json").code == 0
    thread_id = folded("demo", "--json").json["thread_id"]
    assert folded("thread", "thread_", "--json").json["thread_id"] == thread_id


def test_of_many_some_are_shown(runfold: Command, ledger: Ledger) -> None:
    for number in range(12):
        ledger.create_thread(thread_id=f"thread_many_{number:02}", agent_id="support")
    answer = runfold("thread", "thread_many")
    assert "thread_many_09, and more; write more of it" in answer.err


def test_commands_take_the_beginning_of_an_id_too(runfold: Command, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.request_approval("refund", approval_id="approval_one_of_a_kind")
    said = runfold("approve", "approval_one", "--as", "human:ada", "--json")
    assert (said.code, ledger.now.approval("approval_one_of_a_kind").status) == (0, "granted"), said.err
