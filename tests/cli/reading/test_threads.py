"""`runfold threads`, `thread` and `tree`."""

import pytest

from runfold import Ledger
from runfold.demo_story import Cast
from tests.cli.conftest import Command


def test_threads_are_listed_with_the_position_the_list_is_true_as_of(runfold: Command, story: Cast) -> None:
    answer = runfold("threads", "--fold")
    assert answer.code == 0
    assert story.thread_id in answer.out
    assert f"Refund for order {story.order}" in answer.out
    assert answer.out.splitlines()[-1] == "1 thread as of position 80"


def test_threads_come_in_pages_and_no_page_repeats_or_leaves_out_any(runfold: Command, ledger: Ledger) -> None:
    made = [ledger.create_thread(agent_id="a", title=f"number {number}").id for number in range(5)]
    first = runfold("threads", "--limit", "2", "--fold", "--json").json
    second = runfold("threads", "--limit", "2", "--cursor", first["next_cursor"], "--json").json
    third = runfold("threads", "--limit", "2", "--cursor", second["next_cursor"], "--json").json
    assert [item["thread_id"] for page in (first, second, third) for item in page["items"]] == made[::-1]
    assert third["next_cursor"] is None
    assert first["as_of"] == 5
    assert f"more: the same with --cursor {first['next_cursor']}" in runfold("threads", "--limit", "2").out


def test_threads_are_found_by_agent_user_state_and_their_id_elsewhere(runfold: Command, ledger: Ledger) -> None:
    found = ledger.create_thread(agent_id="a", user_id="mira", external_ref="ext-1", metadata={"plan": "gold"})
    ledger.create_thread(agent_id="b", user_id="noor", external_ref="ext-2").archive()
    ledger.fold("threads")
    for asked in (("--agent", "a"), ("--user", "mira"), ("--external-ref", "ext-1"), ("--state", "open")):
        (item,) = runfold("threads", *asked, "--json").json["items"]
        assert (item["thread_id"], item["metadata"]) == (found.id, {"plan": "gold"}), asked
    assert "expected one of open, archived, deleted" in runfold("threads", "--state", "gone").err


def test_threads_of_an_earlier_moment_are_those_that_were_there(runfold: Command, ledger: Ledger) -> None:
    first = ledger.create_thread(agent_id="a")
    ledger.create_thread(agent_id="a")
    answer = runfold("threads", "--at", "1", "--json").json
    assert [item["thread_id"] for item in answer["items"]] == [first.id]
    assert answer["as_of"] == 1


def test_an_empty_ledger_lists_no_threads(runfold: Command) -> None:
    assert runfold("threads", "--fold").out.splitlines()[-1] == "0 threads as of position 0"
    answer = runfold("threads", "--json").json
    assert (answer["as_of"], answer["behind_events"], answer["items"], answer["next_cursor"]) == (0, 0, [], None)


def test_no_id_is_cut_where_the_output_is_not_a_terminal(
    runfold: Command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = ledger.create_thread(agent_id="an-agent-with-quite-a-long-name", title="a title that goes on and on " * 5)
    monkeypatch.setenv("COLUMNS", "40")
    assert thread.id in runfold("threads", "--fold").out


def test_a_conversation_is_shown_as_of_its_main_head(runfold: Command, story: Cast) -> None:
    answer = runfold("thread", story.thread_id)
    words = " ".join(answer.out.split())
    assert answer.code == 0
    assert "May I have my money back?" in words
    assert "issue_voucher" in words
    assert "failed: No vouchers on top of a refund." in words
    assert "Could you send me a new one?" not in words


@pytest.mark.row("RV-04")
def test_a_conversation_names_the_author_where_the_role_makes_one_think_of_another(runfold: Command, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    for author in ("human:ada", "service:task-notification", "agent:dev-1", None):
        run.add_message("user", "hello", author=author)
    run.add_message("assistant", "hello", author="service:claude-code")
    lines = runfold("thread", run.view().thread_id).out.splitlines()
    named = [line.split()[2] for line in lines if line.endswith("hello")]
    assert named == ["user", "service:task-notification", "agent:dev-1", "user", "service:claude-code"]


def test_the_same_conversation_reads_otherwise_on_a_branch(runfold: Command, story: Cast) -> None:
    answer = runfold("thread", story.thread_id, "--head", "exchange", "--json").json
    question = answer["messages"][0]
    assert question["id"] == story.id("msg", "question")
    assert question["content"][0]["text"].endswith("Could you send me a new one?")
    assert question["revision"] == 2
    assert answer["path"] == [story.id("run", name) for name in ("claim", "exchange", "express")]
    main = runfold("thread", story.thread_id, "--json").json
    assert main["messages"][0]["revision"] == 1
    assert {call["name"] for call in main["tool_calls"]} == {"find_order", "refund", "issue_voucher"}
    assert {call["name"] for call in answer["tool_calls"]} == {"send_replacement", "book_express"}


def test_the_conversation_at_an_earlier_position_ends_there(runfold: Command, story: Cast) -> None:
    answer = runfold("thread", story.thread_id, "--at", "26", "--json").json
    assert answer["as_of"] == 26
    assert [message["role"] for message in answer["messages"]] == ["user"]
    assert [(call["name"], call["status"]) for call in answer["tool_calls"]] == [
        ("find_order", "succeeded"),
        ("refund", "called"),
    ]
    assert "refund" in runfold("thread", story.thread_id, "--at", "26").out
    assert "waits for approval" in " ".join(runfold("thread", story.thread_id, "--at", "26").out.split())


def test_the_conversation_at_a_time_is_the_one_at_its_position(runfold: Command, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    first = run.add_message("user", "early")
    run.add_message("user", "late")
    assert first.receipt is not None
    assert first.receipt.recorded_at is not None
    answer = runfold("thread", run.view().thread_id, "--at", first.receipt.recorded_at.isoformat(), "--json").json
    assert [message["content"][0]["text"] for message in answer["messages"]] == ["early"]


def test_the_conversation_as_of_a_run_ignores_the_heads(runfold: Command, story: Cast) -> None:
    answer = runfold("thread", story.thread_id, "--run", story.id("run", "claim"), "--json").json
    assert answer["path"] == [story.id("run", "claim")]
    assert len(answer["messages"]) == 2


def test_a_tool_call_of_a_cancelled_run_is_shown_as_cancelled(runfold: Command, story: Cast) -> None:
    answer = runfold("thread", story.thread_id, "--head", "exchange", "--json").json
    assert {call["name"]: call["status"] for call in answer["tool_calls"]}["book_express"] == "cancelled"


def test_a_thread_without_a_run_has_an_empty_conversation(runfold: Command, ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="a")
    assert runfold("thread", thread.id, "--json").json["messages"] == []
    assert "no run yet" in runfold("thread", thread.id).out


def test_words_that_would_command_the_terminal_are_shown_as_words(runfold: Command, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a", title="a \x1b[2J title").start_run()
    run.add_message("user", "red \x1b[31m, [bold]not markup[/bold] and \u202eturned round")
    answer = runfold("thread", run.view().thread_id)
    assert "\x1b" not in answer.out
    assert "\u202e" not in answer.out
    assert "[bold]not markup[/bold]" in answer.out


@pytest.mark.shares
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["thread", "thread_nobody"], 3),
        (["tree", "thread_nobody"], 3),
        (["thread", "THREAD", "--run", "run_nobody"], 3),
        (["thread", "THREAD", "--head", "nowhere"], 2),
        (["thread", "THREAD", "--at", "yesterday"], 2),
        (["thread", "THREAD", "--at", "2026-10-01T09:30:00"], 2),
        (["thread", "THREAD", "--at", "4711"], 2),
        (["tree", "THREAD", "--at", "0"], 3),
        (["threads", "--limit", "0", "--fold"], 2),
    ],
)
def test_what_is_not_there_and_what_is_not_understood_are_told_apart(
    runfold: Command, story: Cast, arguments: list[str], code: int
) -> None:
    answer = runfold(*(story.thread_id if word == "THREAD" else word for word in arguments))
    assert answer.code == code
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1


@pytest.mark.row("RV-04")
def test_the_tree_shows_kinds_states_heads_and_positions(runfold: Command, story: Cast) -> None:
    lines = runfold("tree", story.thread_id).out.splitlines()
    assert lines[0] == f"{story.thread_id}  Refund for order {story.order}"
    (claim,) = [line for line in lines if "_claim " in line]
    (policy,) = [line for line in lines if "_policy" in line]
    (exchange,) = [line for line in lines if "_exchange" in line]
    (express,) = [line for line in lines if "_express" in line]
    (voucher,) = [line for line in lines if "_voucher" in line]
    assert claim.startswith("├── run_demo7_claim  support  completed (end_turn)  positions 2 to ")
    assert policy.startswith("│   ├── spawned_by run_demo7_policy  policy-reader  completed")
    assert exchange.startswith("│   ├── branches at version 4 run_demo7_exchange")
    assert express.startswith("│   └── ↓ continues run_demo7_express  support  cancelled")
    assert express.endswith("← exchange")
    assert voucher.startswith("└── ↓ continues run_demo7_voucher")
    assert voucher.endswith("← main")
    assert "5 runs as of position 80" in lines[-1]


def test_the_tree_of_an_earlier_moment_has_the_runs_of_then(runfold: Command, story: Cast) -> None:
    answer = runfold("tree", story.thread_id, "--at", "26", "--json").json
    assert answer["as_of"] == 26
    assert [(run["id"], run["status"], run["heads"]) for run in answer["runs"]] == [
        (story.id("run", "claim"), "waiting", ["main"]),
        (story.id("run", "policy"), "completed", []),
    ]


def test_a_long_conversation_is_drawn_as_a_straight_line(runfold: Command, ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="a")
    with ledger.batch() as batch:
        run = batch.thread(thread.id).create_run(parent=None)
        for _ in range(60):
            run = batch.thread(thread.id).create_run(parent=run)
    lines = runfold("tree", thread.id).out.splitlines()
    assert sum(line.startswith("├── ") for line in lines) == 60
    assert max(line.index("run_") for line in lines[1:-1]) == len("└── ↓ continues ")


def test_a_conversation_shows_where_the_models_memory_was_cut(runfold: Command, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    thread_id = run.view().thread_id
    run.add_message("user", "before the cut")
    run.compact_context("auto", tokens_before=155_000, tokens_after=9_000, summary_message_id="msg_1")
    run.add_message("user", "a summary", message_id="msg_1")
    shown = runfold("thread", thread_id).out
    assert "── cut (auto: 155,000 → 9,000 tokens); it sees the summary and what follows ──" in " ".join(shown.split())
    assert "before the cut" in shown
    assert [cut["trigger"] for cut in runfold("thread", thread_id, "--json").json["compactions"]] == ["auto"]
    seen = runfold("thread", thread_id, "--as-seen")
    assert "a summary" in seen.out
    assert "before the cut" not in seen.out
    assert "cut 1 time; see `runfold thread --as-seen`" in runfold("run", run.id).out
    refused = runfold("thread", thread_id, "--as-seen", "--own")
    assert (refused.code, "leave out --role and --own" in refused.err) == (2, True)


def test_superseded_threads_are_listed_only_where_they_are_asked_for_and_say_so(runfold: Command, ledger: Ledger) -> None:
    for name in ("thread_old", "thread_new"):
        ledger.create_thread(agent_id="a", thread_id=name)
    ledger.thread("thread_old").supersede(("thread_new",), "read otherwise")
    listed = runfold("threads", "--fold")
    assert "thread_old" not in listed.out
    assert "1 superseded thread left out; --superseded counts them in" in listed.out
    assert runfold("threads", "--json").json["superseded_threads"] == 1
    everything = runfold("threads", "--superseded").out
    assert "superseded by thread_new" in everything
    assert "left out" not in everything
    assert "superseded by thread_new" in runfold("thread", "thread_old").out
