"""`runfold run`."""

from runfold import Ledger
from runfold.demo_story import Cast
from tests.cli.conftest import Command


def test_a_run_is_shown_with_its_state_and_its_tool_calls(runfold: Command, story: Cast) -> None:
    answer = runfold("run", story.id("run", "claim"))
    assert answer.code == 0
    assert "status     completed (end_turn)" in answer.out
    assert "goal       settle-claim: Settle the claim within policy" in answer.out
    assert story.id("call", "refund") in answer.out
    assert "as of position 80" in answer.out.splitlines()[-1]


def test_a_run_at_an_earlier_version_is_what_it_was(runfold: Command, story: Cast) -> None:
    answer = runfold("run", story.id("run", "claim"), "--version", "4", "--json").json
    assert (answer["version"], answer["status"], answer["messages"], answer["tool_calls_made"]) == (4, "running", 1, [])
    now = runfold("run", story.id("run", "claim"), "--json").json
    assert now["status"] == "completed"
    assert [call["name"] for call in now["tool_calls_made"]] == ["find_order", "refund"]


def test_a_run_at_an_earlier_position_is_what_it_was(runfold: Command, story: Cast) -> None:
    answer = runfold("run", story.id("run", "claim"), "--at", "26", "--json").json
    assert (answer["as_of"], answer["status"], answer["waiting_for"]) == (26, "waiting", [story.id("approval", "refund")])


def test_the_open_tool_call_of_a_run_that_failed_has_failed_too(runfold: Command, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.call_tool("search", {"q": "x"})
    run.fail("the model is gone", code="gone")
    answer = runfold("run", run.id, "--json").json
    (call,) = answer["tool_calls_made"]
    assert (call["status"], call["error"]["code"]) == ("failed", "gone")
    assert "error      gone: the model is gone" in runfold("run", run.id).out


def test_a_run_that_is_not_there_and_a_version_not_reached_are_errors(runfold: Command, story: Cast) -> None:
    assert runfold("run", "run_nobody").code == 3
    refused = runfold("run", story.id("run", "express"), "--version", "99", "--json")
    assert refused.code == 2
    assert refused.error["facts"] == {"version": 6}


def test_what_a_branch_has_open_from_its_past_is_listed_with_its_own_calls(runfold: Command, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.call_tool("search").succeed()
    call = run.call_tool("refund", {"order": 7})
    branch = run.branch()
    branch.start()
    assert f"called (asked for by {run.id})" in " ".join(runfold("run", branch.id).out.split())
    branch.tool_call(call.id).start()
    (listed,) = runfold("tool-calls", "--run", branch.id, "--json").json["items"]
    assert (listed["call_id"], listed["run_id"], listed["requested_run_id"], listed["status"]) == (
        call.id,
        branch.id,
        run.id,
        "started",
    )
    along = runfold("tool-calls", "--run", branch.id, "--scope", "path", "--json").json["items"]
    assert [(item["name"], item["status"]) for item in along] == [("search", "succeeded"), ("refund", "started")]
    refused = runfold("tool-calls", "--scope", "path", "--json")
    assert "the scope path is that of one run; name the run" in refused.err
    assert refused.code != 0
