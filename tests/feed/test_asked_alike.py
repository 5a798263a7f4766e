"""What is asked of the feed is taken, or refused in the same words, by the ledger here, by a remote one, and over HTTP."""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import pytest

from runfold import Ledger, LedgerError, RemoteLedger, Run
from runfold.remote.answers import error_of

LATER = datetime.now(UTC) + timedelta(days=2)
BAD: dict[str, list[Any]] = {
    "types": ["tool.caled", "no.such.*", "", "[a-z]*", "tool.called\0", ["run.*", "nothing.*"], [7], 7, "x" * 200],
    "thread_id": ["thread_none", "run_asked", "", "no id!", "thread_" + "x" * 300, 7, ["thread_asked"]],
    "run_id": ["run_none", "thread_asked", "", "no id!", "../events", 7, ["run_asked"]],
    "after": [-1, "-1", 10_000, "10000", "x", "", "5@", "5@x", "²", 1.5, None, True, b"1", "9" * 50, "9@ffffffff"],
    "after ": ["yesterday", "2026-13-01", "2026-01-01T00:00:00", "2999-01-01", datetime(2026, 1, 1), LATER],
    "agent_id": [7, [None], "a\0b", []],
    "actor": ["ada", "robot:x", "human:", 7],
}
GOOD: dict[str, list[Any]] = {
    "types": ["run.*", ["run.*"], ("message.added", "run.created"), None, {"run.created"}, "*"],
    "thread_id": ["thread_asked", None],
    "run_id": ["run_asked", None],
    "after": [0, "2", 3, "now", "0001-01-01", date(2000, 1, 1), "2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)],
    "agent_id": ["support", ["support", "sales"], "nobody", None],
    "goal_id": ["g1", None],
    "user_id": ["mira", ("mira", "ada")],
    "actor": ["human:ada", ["human:ada", "service:runfold"], None],
}
"""None of what is not given narrows anything."""


@pytest.fixture
def run(ledger: Ledger) -> Run:
    """Its thread, its goal, another agent's run, and what two people said."""
    thread = ledger.create_thread(thread_id="thread_asked", agent_id="support", user_id="mira")
    run = thread.start_run(run_id="run_asked", goal={"id": "g1"})
    run.add_message("user", "hello", actor="human:ada")
    ledger.create_thread(thread_id="thread_other", agent_id="sales", user_id="ada").start_run().add_message("user", "x")
    return run


@pytest.fixture
def remote(address: str) -> Iterator[RemoteLedger]:
    with Ledger.connect(address) as connected:
        yield connected


def outcome(ask: Callable[[], Any]) -> Any:
    """What an answer holds, or what was refused, in which words, and with which facts."""
    try:
        return [each.position for each in ask()]
    except LedgerError as error:
        return type(error).__name__, str(error)


def everywhere(ledger: Ledger, remote: RemoteLedger, asked: dict[str, Any]) -> list[Any]:
    """The same asked here and there, as a subscription and as a page."""
    asks = [partial(where.subscribe, follow=False) for where in (ledger, remote)] + [ledger.events, remote.events]
    return [outcome(partial(ask, **asked)) for ask in asks]


def over_http(client: httpx2.Client, asked: dict[str, Any], accept: str) -> Any:
    """The same of a request on a bare client."""
    params = [("follow", "false")]
    for name, value in asked.items():
        members = value if isinstance(value, list | tuple | set | frozenset) else [value]
        params += [(name, str(each)) for each in members if each is not None]
    answer = client.get("/events", params=params, headers={"Accept": accept})
    if not answer.is_success:
        error = error_of(answer)
        return type(error).__name__, str(error)
    if accept == "application/json":
        return [item["position"] for item in answer.json()["items"]]
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.split("\n\n") if block]
    return [json.loads(block["data"])["position"] for block in blocks if "." in block.get("event", "")]


def test_what_is_refused_is_refused_alike_wherever_it_is_asked(
    ledger: Ledger, remote: RemoteLedger, client: httpx2.Client, run: Run
) -> None:
    for name, bad in ((name, bad) for name, values in BAD.items() for bad in values):
        refused = everywhere(ledger, remote, {name.strip(): bad})
        assert isinstance(refused[0], tuple), (name, bad, refused)
        assert refused == [refused[0]] * len(refused), (name, bad, refused)
        if isinstance(bad, str) and "\0" not in bad and bad:  # what a query string can hold
            for accept in ("application/json", "text/event-stream"):
                assert over_http(client, {name.strip(): bad}, accept) == refused[0], (name, bad, accept)


def test_what_is_taken_finds_the_same_wherever_it_is_asked(
    ledger: Ledger, remote: RemoteLedger, client: httpx2.Client, run: Run
) -> None:
    made = random.Random(14)  # noqa: S311
    events, found = ledger.events(), set()
    cases = [{name: value} for name, values in GOOD.items() for value in values]
    cases += [{name: made.choice(values) for name, values in GOOD.items() if made.random() < 0.5} for _ in range(10)]
    for asked in cases:
        answers = everywhere(ledger, remote, asked)
        if not isinstance(asked.get("after"), date):
            answers += [over_http(client, asked, accept) for accept in ("application/json", "text/event-stream")]
        assert answers == [answers[0]] * len(answers), (asked, answers)
        assert isinstance(answers[0], list), (asked, answers[0])
        found.add(tuple(answers[0]))
    assert len(found) > 8, "they narrow it"
    assert outcome(lambda: ledger.events(agent_id="sales", user_id="ada")) == [
        each.position for each in events if each.thread_id == "thread_other"
    ]
    assert [each.type for each in ledger.events(actor="human:ada")] == ["message.added"]
    assert {each.stream for each in remote.events(goal_id="g1")} == {"run_asked"}


def test_a_limit_and_a_bound_are_refused_alike(ledger: Ledger, remote: RemoteLedger, run: Run) -> None:
    for asked in (
        {"limit": 0},
        {"limit": -1},
        {"limit": 2**62 + 1},
        {"limit": 10**20},
        {"limit": 1.5},
        {"limit": True},
        {"up_to": -1},
        {"up_to": "x"},
        {"up_to": 1.5},
    ):
        here, there = (outcome(partial(where.events, **asked)) for where in (ledger, remote))
        assert here == there, asked
        assert here[0] == "UsageError"


def test_an_argument_that_there_is_not_is_a_type_error_everywhere(ledger: Ledger, remote: RemoteLedger) -> None:
    for where, ask in itertools.product((ledger, remote), ("subscribe", "events")):
        with pytest.raises(TypeError, match="type"):
            getattr(where, ask)(type="run.*")
