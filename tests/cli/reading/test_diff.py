"""`runfold diff`: two runs side by side on a terminal and for machines."""

import pytest

from runfold import Ledger
from runfold.demo_story import Cast
from tests.cli.conftest import Command


def test_two_runs_are_shown_beside_each_other_with_where_they_part(runfold: Command, story: Cast) -> None:
    answer = runfold("diff", story.id("run", "claim"), story.id("run", "exchange"))
    words = " ".join(answer.out.split())
    assert answer.code == 0
    assert "In common up to version 4 of run_demo7_claim (position 5): 1 message, 0 decisions, 0 tool calls." in words
    assert "First divergence at step 1: A has a tool call, B a revision." in words
    assert "First different choice at decision 1, settle the claim: refund the order / send a new one." in words
    assert "2,054 in, 111 out, 2 calls" in words
    assert "0.000663 USD (0.000663 at list prices)" in words
    beside = [line for line in answer.out.splitlines() if "decision settle the claim" in line]
    assert len(beside) == 1
    assert beside[0].count("decision settle the claim") == 2
    assert "(revision of what was before)" in words
    assert "May I have my money back?" not in words, "what both share is left out"
    assert answer.out.splitlines()[-1] == "as of position 80"


def test_what_is_the_same_is_folded_away_to_a_line(runfold: Command, ledger: Ledger) -> None:
    root = ledger.create_thread(agent_id="a").start_run()
    one, other = root.branch(), root.branch()
    for run, colour in ((one, "blue"), (other, "green")):
        run.add_message("user", "the same question")
        run.call_tool("paint", {"what": "door"})
        run.add_message("assistant", f"{'It is painted, as you asked, in the colour that you like best: '}{colour}.")
        run.add_message("user", "the same thanks")
    answer = runfold("diff", one.id, other.id)
    words = " ".join(answer.out.split())
    assert "First divergence at step 3, after 1 message, 1 tool call that are the same: a message with another text." in words
    assert "… the same: 1 message, 1 tool call │ … the same: 1 message, 1 tool call" in words
    assert "the same question" not in words
    assert "the same thanks" not in words
    assert "It is painted" in words
    assert "green." in words


def test_a_difference_far_inside_a_long_text_is_what_is_shown_of_it(
    runfold: Command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    thread = ledger.create_thread(agent_id="a")
    one, other = (thread.start_run(parent=None) for _ in range(2))
    for run, colour in ((one, "blue"), (other, "green")):
        run.add_message("user", f"{'long ' * 2000}and {colour} at its end")
    words = " ".join(runfold("diff", one.id, other.id).out.split())
    assert "and blue at its end" in words
    assert "and green at its end" in words
    assert words.count("long") < 40


def test_for_machines_it_is_one_object_with_every_step(runfold: Command, story: Cast) -> None:
    answer = runfold("diff", story.id("run", "voucher"), story.id("run", "express"), "--json").json
    assert answer["as_of"] == 80
    assert answer["common"]["run_id"] == story.id("run", "claim")
    assert answer["a"]["after"]["runs"] == [story.id("run", "claim"), story.id("run", "voucher")]
    assert answer["b"]["status"] == "cancelled"
    steps = [pair[side]["position"] for side in ("a", "b") for pair in answer["pairs"] if pair[side]]
    assert len(steps) == sum(sum(answer[side]["after"]["steps"].values()) for side in ("a", "b"))
    (voucher,) = [pair for pair in answer["pairs"] if (pair["a"] or {}).get("id") == story.id("call", "voucher")]
    assert voucher["a"]["facts"]["error"] == "No vouchers on top of a refund."
    assert answer["a"]["after"]["usage"]["cost"] == "0.01176945"


def test_two_runs_are_compared_as_they_stood(runfold: Command, story: Cast) -> None:
    runs = story.id("run", "claim"), story.id("run", "exchange")
    answer = runfold("diff", *runs, "--at", "64", "--json").json
    assert (answer["as_of"], answer["b"]["status"], answer["a"]["status"]) == (64, "running", "completed")
    assert runfold("diff", *runs, "--at", "40").code == 3, "the branch is not there yet"


def test_runs_that_did_the_same_and_a_run_beside_itself_are_said_to_be_so(runfold: Command, ledger: Ledger) -> None:
    root = ledger.create_thread(agent_id="a").start_run()
    one, other = root.branch(), root.branch()
    for run in (one, other):
        run.add_message("user", "hello")
    assert "Everything after that is the same." in runfold("diff", one.id, other.id).out
    assert "Both are the same run." in runfold("diff", one.id, one.id).out


def test_runs_of_two_threads_have_nothing_in_common_and_are_compared_all_the_same(runfold: Command, ledger: Ledger) -> None:
    runs = [ledger.create_thread(agent_id="a").start_run() for _ in range(2)]
    runs[0].add_message("user", "hello")
    answer = runfold("diff", runs[0].id, runs[1].id)
    words = " ".join(answer.out.split())
    assert answer.code == 0
    assert "They have nothing in common; compared from their beginnings." in words
    assert "First divergence at step 1: B has ended, and the other has a message." in words


def test_words_that_would_command_the_terminal_are_shown_as_words(runfold: Command, ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="a")
    one, other = (thread.start_run(parent=None) for _ in range(2))
    one.add_message("user", "red \x1b[31m and [bold]not markup[/bold]")
    options = [{"id": "x", "description": "\x1b[2J"}, {"id": "y", "description": "plain"}]
    for run, chosen in ((one, "x"), (other, "y")):
        run.decide("\x1b[1m", options=options, chosen=chosen)
    answer = runfold("diff", one.id, other.id)
    assert "\x1b" not in answer.out
    assert "[bold]not markup[/bold]" in " ".join(answer.out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["run_nobody", "RUN"], 3), (["RUN", "run_nobody"], 3), (["RUN"], 2), (["RUN", "RUN", "--at", "4711"], 2)],
)
def test_what_is_not_there_and_what_is_not_understood_are_told_apart(
    runfold: Command, story: Cast, arguments: list[str], code: int
) -> None:
    answer = runfold("diff", *(story.id("run", "claim") if word == "RUN" else word for word in arguments))
    assert (answer.code, answer.out, len(answer.err.splitlines())) == (code, "", 1)
