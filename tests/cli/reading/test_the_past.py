"""Every command that reads what the ledger holds can be asked as of a moment."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from runfold import Ledger, Settings
from runfold.cli.app import program
from runfold.demo_story import AGENT, Cast, tell
from tests.cli.conftest import Command, calling

_SUBSCRIPTIONS = [f"subscriptions {name}" for name in ("put", "replay", "discard", "reset", "delete")]
_WEBHOOKS = [f"webhooks {name}" for name in ("create", "rotate", "test", "replay", "disable", "enable", "delete")]
NOT_OF_THE_LEDGER = {
    **dict.fromkeys(["approve", "deny", "head", "keys create", "keys revoke", "demo", "import", "restore"], "it writes"),
    **dict.fromkeys(["cancel", "sweep", *_SUBSCRIPTIONS, *_WEBHOOKS], "it writes"),
    **dict.fromkeys(["reactors", *(f"subscriptions {name}" for name in ("list", "show", "parked"))], "of the machine as it is"),
    "webhooks attempts": "attempts are no events, and are kept for thirty days",
    "webhooks secret": "secrets are no events, and former ones are erased",
    "relay nats": "it sends on what comes",
    **dict.fromkeys(["claim", "renew", "release", "seal now", "seal rotate", "seal accept-loss"], "it writes"),
    **dict.fromkeys(["prove-absence", "verify"], "of what is sealed, as of a checkpoint"),
    **dict.fromkeys(["seal keys", "witness key", "witness serve", "witness sign"], "of keys, which are no events"),
    "verify-receipt": "of what was told, against the log as it is",
    "agui-check": "of a stream that need not be the ledger's",
    **dict.fromkeys(["serve", "work", "migrate", "version", "doctor"], "it asks nothing of the events"),
    **dict.fromkeys(["projections", "schemas", "drop-schema", "moments list", "moments drop"], "of the machine as it is"),
    **dict.fromkeys(["psql", "url"], "the database is asked, in SQL"),
    "moments prepare": "its argument is the moment",
    "check": "of the whole log",
    "backup": "of the whole log",
}
"""Commands without `--at`, and why."""

READS: dict[str, Callable[[Cast], list[str]]] = {
    "approvals": lambda _: [],
    "approvals open": lambda _: ["--open", "--older-than", "1ms"],
    "attention": lambda _: [],
    "decisions": lambda _: [],
    "diff": lambda cast: [cast.id("run", "claim"), cast.id("run", "policy")],
    "events": lambda _: [],
    "failures": lambda _: [],
    "goal": lambda _: ["settle-claim"],
    "goals": lambda _: [],
    "heads": lambda cast: [cast.thread_id],
    "keys list": lambda _: [],
    "patterns": lambda _: ["settle-claim"],
    "problems": lambda _: [],
    "problems open": lambda _: ["--open"],
    "rows": lambda _: ["tool_calls"],
    "run": lambda cast: [cast.id("run", "claim")],
    "runs": lambda _: [],
    "sample runs": lambda _: ["--seed", "autumn"],
    "search": lambda _: ["postage"],
    "summary": lambda cast: [cast.id("run", "claim")],
    "thread": lambda cast: [cast.thread_id],
    "threads": lambda _: [],
    "tool-calls": lambda _: [],
    "tree": lambda cast: [cast.thread_id],
    "usage": lambda _: ["--by", "agent"],
    "webhooks callback": lambda _: ["run_called_back"],
    "webhooks list": lambda _: [],
    "webhooks show": lambda _: ["webhook_first"],
}
"""The arguments of each command that reads; after a blank, another call of it."""
BEFORE = 4
"""Events before the story: a webhook, and a run that asks to be called back."""
THEN = BEFORE + 26


def commands() -> dict[str, Any]:
    """Every command by its name."""
    found = {}
    for name, command in program().commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found.update({f"{name} {each}": it for each, it in inner.items()} if inner else {name: command})
    return found


def test_every_command_that_reads_takes_a_moment() -> None:
    taken = {
        name
        for name, command in commands().items()
        if any("--at" in option.opts for option in command.get_params(typer.Context(command)))
    }
    assert commands().keys() - NOT_OF_THE_LEDGER.keys() == taken
    making = {"rebuild", "export", "evidence"}
    assert {name if name in commands() else name.rpartition(" ")[0] for name in READS} | making == taken


class Told(NamedTuple):
    """The demo's story, with the moment prepared, and what began after it."""

    cast: Cast
    settings: Settings
    later: frozenset[str]


@pytest.fixture(scope="module")
def told(shared_settings: Settings) -> Told:
    """One for all of these tests, which only read."""
    cast = Cast.of(7, "default")
    with Ledger.open(settings=shared_settings.model_copy(update={"actor": AGENT})) as ledger:
        ledger.create_webhook("https://hooks.example.com/runs", webhook_id="webhook_first")
        thread = ledger.create_thread(agent_id="another")
        thread.start_run(run_id="run_called_back", callback_url="https://hooks.example.com/runs")
        assert ledger.position() == BEFORE
        tell(ledger, cast)
        ledger.create_webhook("https://hooks.example.com/later")
        ledger.prepare(THEN, processes=1)
        began = [recorded for recorded in ledger.events() if recorded.version == 1]
    return Told(cast, shared_settings, frozenset(recorded.stream for recorded in began if recorded.position > THEN))


@pytest.fixture
def asking(told: Told, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Calls the command where the story is."""
    assert told.settings.database_url is not None
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", told.settings.database_url.get_secret_value())
    monkeypatch.setenv("RUNFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "30")
    return calling(capsys)


@pytest.mark.sampled
@pytest.mark.parametrize("name", READS)
def test_as_of_a_moment_nothing_is_shown_that_came_later(asking: Command, told: Told, name: str) -> None:
    words = name.split() if name in commands() else name.split()[:-1]
    answer = asking(*words, *READS[name](told.cast), "--at", str(THEN), "--json")
    assert answer.code == 0, answer.err
    assert told.later
    assert not [stream for stream in told.later if f'"{stream}"' in answer.out]
    lines = [json.loads(line) for line in (answer.out + answer.err).splitlines()]
    assert {each["as_of"] for each in lines if "as_of" in each} <= {THEN}


@pytest.mark.parametrize("name", ["events", "thread", "runs", "keys list", "goal"])
def test_a_moment_that_the_ledger_does_not_have_is_refused(asking: Command, told: Told, name: str) -> None:
    beyond = asking(*name.split(), *READS[name](told.cast), "--at", "9999")
    assert (beyond.code, "position 9999 is not in the ledger" in beyond.err) == (2, True)


def test_how_old_an_approval_is_counts_from_the_moment_that_is_asked_about(asking: Command) -> None:
    assert asking("approvals", "--open", "--at", str(THEN), "--json").json["items"] != []
    assert asking("approvals", "--open", "--older-than", "1h", "--at", str(THEN), "--json").json["items"] == []


def test_keys_are_listed_as_they_were(runfold: Command, ledger: Ledger) -> None:
    made = [ledger.create_key(owner="human:ada", scopes=["runs:read"], label="x", expires_in="1h") for _ in range(2)]
    ledger.revoke_key(made[0].id, "lost")
    was = runfold("keys", "list", "--at", str(made[0].receipt.position), "--json").json
    assert [(item["id"], item["status"]) for item in was["items"]] == [(made[0].id, "active")]
    now = runfold("keys", "list", "--json").json["items"]
    assert [item["status"] for item in now] == ["revoked", "active"]
