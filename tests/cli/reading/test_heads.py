"""`runfold heads` and `head`: names that point at runs."""

import pytest

from runfold.demo_story import Cast
from tests.cli.conftest import Command


@pytest.mark.row("RV-56")
def test_each_head_says_where_it_is_and_how_it_came_there(runfold: Command, story: Cast) -> None:
    exchange, main = runfold("heads", story.thread_id, "--json").json["items"]
    assert (main["name"], main["run_id"]) == ("main", story.id("run", "voucher"))
    assert (main["placed"], main["has_followed"]) == (None, True)
    assert (exchange["name"], exchange["run_id"]) == ("exchange", story.id("run", "express"))
    assert (exchange["placed"]["run_id"], exchange["placed"]["how"]) == (story.id("run", "exchange"), "named")
    assert exchange["has_followed"]
    lines = runfold("heads", story.thread_id).out.splitlines()
    assert lines[1].split()[:3] == ["exchange", story.id("run", "express"), "followed"]
    assert lines[-1] == "2 heads as of position 80"


def test_the_heads_of_an_earlier_moment_are_those_of_then(runfold: Command, story: Cast) -> None:
    answer = runfold("heads", story.thread_id, "--at", "30", "--json").json
    assert [(item["name"], item["run_id"]) for item in answer["items"]] == [("main", story.id("run", "claim"))]


def test_a_new_name_is_named_once_and_an_old_one_moved_by_hand(runfold: Command, story: Cast) -> None:
    named = runfold("head", story.thread_id, "draft", story.id("run", "exchange"), "--as", "human:ada", "--json").json
    assert (named["appended"], named["from_run_id"]) == (1, None)
    assert named["head"]["placed"] == {
        "run_id": story.id("run", "exchange"),
        "how": "named",
        "position": named["position"],
        "by": "human:ada",
    }
    again = runfold("head", story.thread_id, "draft", story.id("run", "exchange"))
    assert "nothing was added" in again.out
    moved = runfold("head", story.thread_id, "draft", story.id("run", "claim"))
    assert f"draft is at {story.id('run', 'claim')}, no longer at {story.id('run', 'exchange')}" in moved.out
    shown = runfold("heads", story.thread_id).out
    assert "by hand" in shown
    assert "moved at 82 by service:runfold" in shown


@pytest.mark.row("RV-56")
def test_a_head_is_moved_only_from_where_it_is_expected(runfold: Command, story: Cast) -> None:
    claim, voucher = story.id("run", "claim"), story.id("run", "voucher")
    refused = runfold("head", story.thread_id, "main", claim, "--expected", claim)
    assert (refused.code, refused.out) == (1, "")
    assert f"head 'main' is at {voucher}, not {claim}" in refused.err
    done = runfold("head", story.thread_id, "main", claim, "--expected", voucher, "--rewind", "--json").json
    assert (done["from_run_id"], done["head"]["run_id"], done["head"]["placed"]["how"]) == (voucher, claim, "rewound")
    assert runfold("thread", story.thread_id, "--json").json["run_id"] == claim


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["heads", "thread_nobody"], 3),
        (["head", "thread_nobody", "main", "CLAIM"], 3),
        (["head", "THREAD", "main", "run_nobody"], 3),
        (["head", "THREAD", "nowhere", "CLAIM", "--expected", "CLAIM"], 1),
        (["head", "THREAD", "main"], 2),
    ],
)
def test_what_is_not_there_and_what_is_not_understood_are_told_apart(
    runfold: Command, story: Cast, arguments: list[str], code: int
) -> None:
    words = {"THREAD": story.thread_id, "CLAIM": story.id("run", "claim")}
    answer = runfold(*(words.get(word, word) for word in arguments))
    assert (answer.code, answer.out, len(answer.err.splitlines())) == (code, "", 1)
