"""`runfold runs`, `summary` and `problems`."""

import pytest

from runfold import Ledger
from runfold.demo_story import Cast
from runfold.terminal.text import duration
from tests.cli.conftest import Command


def ids(runfold: Command, *arguments: str) -> list[str]:
    """The runs that a call lists."""
    answer = runfold("runs", *arguments, "--json")
    assert answer.code == 0, answer.err
    return [item["run_id"] for item in answer.json["items"]]


@pytest.mark.row("LT-30", "LT-31")
def test_runs_are_listed_by_what_they_are_and_did(runfold: Command, story: Cast) -> None:
    claim, policy, exchange, express, voucher = (
        story.id("run", name) for name in ("claim", "policy", "exchange", "express", "voucher")
    )
    assert ids(runfold, "--fold") == [express, exchange, voucher, policy, claim]
    assert ids(runfold, "--agent", "policy-reader") == [policy]
    assert ids(runfold, "--status", "canceled", "--stop-reason", "cancelled") == [express]
    assert ids(runfold, "--tool", "refund", "--tool", "book_express") == [express, claim]
    assert ids(runfold, "--parent", claim, "--order", "asc") == [policy, voucher, exchange]
    assert ids(runfold, "--goal", "settle-claim", "--node", "lookup", "--steps", "gte:1", "--thread", story.thread_id) == [claim]
    assert ids(runfold, "--run", claim, "--run", policy, "--foreground") == [policy, claim]
    assert ids(runfold, "--active") == ids(runfold, "--background") == ids(runfold, "--user", "nobody") == []
    assert ids(runfold, "--duration", "gte:1h") == ids(runfold, "--workflow", "nothing") == []
    assert len(ids(runfold, "--duration", "lt:1h")) == 5
    assert len(ids(runfold, "--percentile", "100", "--order-by", "duration", "--duration", "gt:1h")) == 0
    assert ids(runfold, "--to", "2020-01-01T00:00:00Z") == []
    assert len(ids(runfold, "--from", "2020-01-01T00:00:00Z")) == 5


def test_only_how_many_runs_there_are_is_said_where_that_is_asked(runfold: Command, story: Cast) -> None:
    assert runfold("runs", "--count", "--fold", "--status", "completed").out == "4 runs as of position 80\n"
    assert runfold("runs", "--count", "--agent", "policy-reader", "--json").json["runs"] == 1
    assert runfold("runs", "--count", "--tool", "nothing", "--at", "80").out == "0 runs as of position 80\n"
    refused = runfold("runs", "--count", "--limit", "3")
    assert (refused.code, refused.err) == (2, "runfold: --count says how many there are in all; leave out --limit\n")


def test_a_list_for_people_says_as_of_when_and_how_it_goes_on(runfold: Command, story: Cast) -> None:
    answer = runfold("runs", "--fold", "--limit", "3", "--order", "asc")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].split() == ["id", "status", "agent", "steps", "calls", "problems", "duration", "created", "(UTC)"]
    assert lines[1].split()[:6] == [story.id("run", "claim"), "completed", "support", "1", "2", "0"]
    assert lines[-2] == "3 runs as of position 80"
    more = lines[-1].removeprefix("more: the same with --cursor ")
    rest = runfold("runs", "--limit", "3", "--order", "asc", "--cursor", more, "--json").json
    assert [item["run_id"] for item in rest["items"]] == [story.id("run", name) for name in ("exchange", "express")]
    assert rest["next_cursor"] is None


@pytest.mark.usefixtures("left_to_workers")
def test_a_list_for_machines_is_one_object_with_how_far_behind_it_is(runfold: Command, ledger: Ledger, story: Cast) -> None:
    assert runfold("runs", "--fold", "--json").code == 0
    ledger.run(story.id("run", "claim")).merge_metadata({"seen": True})
    answer = runfold("runs", "--limit", "1", "--json").json
    assert (answer["as_of"], answer["behind_events"]) == (80, 1)
    assert answer["behind_seconds"] > 0
    assert answer["next_cursor"]
    behind = runfold("runs", "--limit", "1")
    assert "as of position 80, 1 events" in behind.err
    assert "--fold" in behind.err


def test_what_no_run_can_be_asked_by_is_said_with_what_can(runfold: Command, story: Cast) -> None:
    runfold("work", "--once", "--projection", "run_summaries")
    wrong = {
        ("--status", "done"): "expected one of created, running",
        ("--steps", "many"): "--steps takes a whole number",
        ("--duration", "long"): "--duration takes a time such as 1500ms",
        ("--limit", "0"): "from 1 to 1000",
        ("--steps", "about:3"): "expected one of eq, gt",
        ("--percentile", "0"): "from 1 to 100",
        ("--from", "7"): "--from takes a time",
        ("--to", "yesterday"): "--to takes a time such as",
        ("--order", "up"): "expected one of asc, desc",
        ("--order-by", "size"): "expected one of created_at",
        ("--cursor", "7"): "invalid cursor",
    }
    for arguments, said in wrong.items():
        answer = runfold("runs", *arguments)
        assert (answer.code, answer.out, len(answer.err.splitlines())) == (2, "", 1), answer
        assert said in answer.err


@pytest.mark.parametrize("command", ["runs", "approvals", "problems"])
@pytest.mark.usefixtures("left_to_workers")
def test_what_nobody_folded_yet_is_said_with_how_to(runfold: Command, story: Cast, command: str) -> None:
    answer = runfold(command)
    assert (answer.code, answer.out) == (1, "")
    assert "has not been built yet" in answer.err
    assert "--fold" in answer.err


@pytest.mark.row("HV-40")
def test_a_run_is_told_in_a_few_sentences(runfold: Command, ledger: Ledger, story: Cast) -> None:
    claim = story.id("run", "claim")
    ledger.run(claim).report_problem("critical", "the receipt is \x1b[31mred")
    answer = runfold("summary", claim, "--fold")
    assert answer.code == 0
    assert answer.out.splitlines()[1].startswith("Run completed successfully. Made 1 decision: 1 succeeded, 0 failed.")
    assert "\x1b" not in answer.out
    for said in ("settle-claim", "853 used by decisions", "lookup", "refunded, without the postage", "no photo of the damage"):
        assert said in answer.out
    facts = runfold("summary", claim, "--json").json
    assert (facts["as_of"], facts["behind_events"]) == (81, 0)
    assert (facts["problem_count"], facts["success_rate"], facts["duration_ms"] >= 0) == (2, 1.0, True)
    assert facts["metrics"]["total_tokens"] == 853
    assert runfold("summary", "run_nobody").code == 3


@pytest.mark.usefixtures("left_to_workers")
def test_the_summary_of_a_run_that_the_read_models_have_not_seen_says_so(runfold: Command, ledger: Ledger, story: Cast) -> None:
    runfold("summary", story.id("run", "claim"), "--fold")
    run = ledger.create_thread(agent_id="late").start_run()
    behind = runfold("summary", run.id)
    assert behind.code == 1
    assert "--fold" in behind.err
    assert "Run goes on; last heard of " in runfold("summary", run.id, "--fold").out


def test_problems_are_listed_the_worst_first_with_their_words(runfold: Command, ledger: Ledger, story: Cast) -> None:
    claim = story.id("run", "claim")
    ledger.run(claim).report_problem("minor", "a typo")
    ledger.run(claim).report_problem("critical", "paid twice", suggested_fix="take one back")
    answer = runfold("problems", "--fold")
    assert [line.split()[:2] for line in answer.out.splitlines()[1:4]] == [
        ["critical", "open"],
        ["warning", "resolved"],
        ["minor", "open"],
    ]
    assert "paid twice" in answer.out
    assert answer.out.splitlines()[-1] == "3 problems as of position 82"
    first, second = runfold("problems", "--open", "--goal", "settle-claim", "--json").json["items"]
    assert (first["severity"], first["words"]["suggested_fix"], second["words"]["description"]) == (
        "critical",
        "take one back",
        "a typo",
    )
    assert len(runfold("problems", "--severity", "minor", "--severity", "warning", "--run", claim, "--json").json["items"]) == 2
    assert runfold("problems", "--agent", "nobody", "--thread", story.thread_id, "--json").json["items"] == []
    assert runfold("problems", "--severity", "bad").code == 2


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (None, ""),
        (0, "0 ms"),
        (999_000_000, "999 ms"),
        (1_500_000_000, "1.5 s"),
        (119 * 10**9, "119.0 s"),
        (120 * 10**9, "2 m 00 s"),
        (3_599_600_000_000, "1 h 00 m"),
        (7_380 * 10**9, "2 h 03 m"),
    ],
)
def test_a_duration_is_shown_in_units_that_fit_it(nanoseconds: int | None, shown: str) -> None:
    assert duration(nanoseconds) == shown
