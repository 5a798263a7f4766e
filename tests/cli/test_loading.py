"""A command loads what it needs: a library or a part of ours that is loaded without need is waited for by everybody, always."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from runfold.cli.commands import COMMANDS
from runfold.cli.commands import Command as Listed
from runfold.demo_story import Cast
from runfold.projections.registry import known

LOADING = Path(__file__).with_name("loading.py")

BEFORE = {"annotated_doc", "api", "cli", "importers", "shellingham", "standard_streams", "typer"}
"""Loaded before it is known which command it is."""
OPENING = {
    *(
        "annotated_types",
        "dotenv",
        "jsonpatch",
        "jsonpointer",
        "orjson",
        "psycopg",
        "psycopg_binary",
        "psycopg_pool",
        "pydantic",
        "pydantic_core",
    ),
    *("pydantic_settings", "typing_extensions", "typing_inspection", "uuid_utils"),
    *("commands", "domain", "embedded", "feed", "handles", "history", "projections", "projector", "queries", "store"),
}
"""Loaded by each command that opens the ledger."""
PRINTING = {"rich", "typer", "terminal", "cli"}
"""Loaded by each command that answers."""
FOLDING = {"projector", "projector.past.as_of", "projector.worker", "projections"}
"""Loaded where a read model is a little behind: it is folded first."""
PRICES = {"genai_prices", "httpx2", "idna"}
"""What usage costs; the client is that of the library, which could fetch prices."""
SEALING = {"cryptography", "delivery", "evidence", "proofs"}
"""Loaded where the log is sealed, or verified against that."""
EVERY_FOLD = {*FOLDING, *PRICES, *(f"projections.{name}" for name in known())}

SKIPPED = {
    "serve": "goes on until it is stopped, and loads what serves",
    "import": "reads a source, and loads its format; what formats load is their own",
    "psql": "becomes another program",
    "relay nats": "goes on until it is stopped, and loads the client of a server",
    "restore": "needs an empty database",
    "migrate": "needs a superuser, and is rare",
    "agui-check": "reads a file, and opens no ledger",
    "approve": "the same as deny",
    "verify-receipt": "needs a receipt that was kept",
    "witness serve": "goes on until it is stopped, and opens no ledger",
    "witness sign": "needs a request of a sealer, and opens no ledger",
}
"""Commands that are not called here, and why."""

ARGUMENTS: dict[str, list[str]] = {
    "backup": ["ledger.dump"],
    "demo": ["--seed", "8"],
    "events": ["--thread", "thread_demo7"],
    "export": ["events", "--output", "events.jsonl"],
    "moments prepare": ["26"],
    "rows": ["tool_calls"],
    "subscriptions reset": ["billing", "--after", "26"],
    "webhooks create": ["https://hooks.example.com/runs", "--id", "webhook_0198c0"],
    "webhooks replay": ["webhook_0198c0", "--after", "26", "--up-to", "40"],
    "webhooks test": ["webhook_0198c0", "--wait", "0s"],
    "work": ["--once"],
}
"""What commands are called with where their first example would not do."""

_RUNS = {"projections.decision_log", "projections.run_summaries"}
_TELLING = {"attr", "pygments", "structlog"}
"""What tells of keys that are made here at their first use."""
MORE: dict[str, set[str]] = {
    "approvals": {*FOLDING, "projections.approval_queue"},
    "attention": {*FOLDING, "projections.attention"},
    "backup": {"maintenance"},
    "check": {*EVERY_FOLD, "domain", "evidence", "maintenance"},
    "decisions": {*FOLDING, "history", "projections.decision_log"},
    "demo": {"store"},
    "deny": {*FOLDING, "history", "projections.approval_queue"},
    "diff": {*_RUNS, *PRICES, "history", "projections", "projections.usage"},
    "doctor": {"anyio", "attr", "delivery", "evidence", "h11", "httpcore2", "pygments", "structlog", "truststore"},
    "drop-schema": {"projector", "projector.past.as_of"},
    "export": {*FOLDING, "duckdb", "export", "projector.past.as_of", "store"},
    "failures": {*_RUNS, *FOLDING, "history", "projections.problems"},
    "goal": {*_RUNS, *FOLDING, "history", "projections.goals"},
    "goals": {*FOLDING, "projections.goals"},
    "moments drop": {"projector", "projector.past.as_of"},
    "moments list": {"projector", "projector.past.as_of"},
    "moments prepare": {*EVERY_FOLD, "projector.past.as_of"},
    "patterns": {*_RUNS, *FOLDING, "history", "projections.goals"},
    "problems": {*FOLDING, "projections.problems"},
    "projections": {*EVERY_FOLD},
    "rebuild": {*FOLDING, *PRICES, "projections.usage", "projector.past.as_of", "projector.rebuilding.rebuild"},
    "rows": {*FOLDING, "projections.tool_calls"},
    "run": {"projections", "projections.tool_calls"},
    "runs": {*FOLDING, "projections.run_summaries"},
    "sample runs": {*FOLDING, "projections.run_summaries"},
    "schemas": {"projector", "projector.past.as_of"},
    "search": {*FOLDING, "history", "projections.search"},
    "summary": {*_RUNS, *FOLDING, "history", "projections.problems"},
    "threads": {*FOLDING, "projections.threads"},
    "tree": {"store"},
    **{
        f"subscriptions {name}": {"subscriptions", "store"}
        for name in ("put", "list", "show", "parked", "replay", "discard", "reset", "delete")
    },
    **{f"seal {name}": SEALING for name in ("now", "keys", "accept-loss", "rotate")},
    "seal now": {*SEALING, *_TELLING},
    "sweep": {*FOLDING, "delivery", "tenacity", "projections.approval_queue", "projections.run_progress"},
    "tool-calls": {*FOLDING, "projections.tool_calls"},
    "usage": {*FOLDING, *PRICES, "projections.usage"},
    "witness key": {"cryptography", "evidence", "proofs"},
    "verify": {*SEALING, "domain", "maintenance"},
    "evidence": SEALING | {"handles", "projections", "projections.run_summaries"},
    "prove-absence": {*SEALING, "handles", "projections", "projections.tool_calls"},
    "webhooks create": {"cryptography", "tenacity", *_TELLING},
    "webhooks rotate": {"cryptography"},
    "webhooks secret": {"cryptography"},
    "work": {*EVERY_FOLD},
}
"""What else a command loads. The views of the log (`history`) and `queries` each may."""

_TRIED = {"greenlet"}
"""Loaded by a library where it is installed, as it is beside the browser of the tests; nobody who uses Runfold has it."""
_SMALL = {
    "child",
    "demo_story",
    "durable_files",
    "errors",
    "event_loops",
    "failpoint",
    "file_errors",
    "gzipped",
    "ids",
    "ledger",
    "logs",
    "method_call",
    "sessions",
    "settings",
}
_SMALL |= {"uncollected", "unloaded"}
_BY_NAME = {
    "projector.past.as_of",
    "projector.rebuilding.rebuild",
    "projector.worker",
    *(f"projections.{name}" for name in known()),
}


def words_of(modules: Iterable[str]) -> set[str]:
    """What is loaded, as in the tables: other people's libraries, our rooms, and what is heavy in them."""
    found = set()
    for module in modules:
        first, _, inner = module.partition(".")
        if first == "runfold":
            room = inner.partition(".")[0]
            found |= ({room} - _SMALL - {""}) | ({inner} & _BY_NAME)
        elif first not in sys.stdlib_module_names | _TRIED and not first.startswith(("_", "cython_")):
            found.add(first)
    return found


def arguments_of(command: Listed) -> list[str]:
    """What a command is called with: what its first example says, unless the table says otherwise."""
    said = shlex.split(command.examples[0])[1 + len(command.name.split()) :]
    return ARGUMENTS.get(command.name, said)


class Loading:
    """Calls commands, and hears what they load."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, str(LOADING)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )

    def heard(self) -> set[str]:
        """Return what was loaded in the step before."""
        assert self._program.stdout is not None
        answer = json.loads(self._program.stdout.readline())
        assert answer["code"] in {0, 1, 3, 4}, answer["said"]
        return words_of(answer["modules"])

    def call(self, words: list[str]) -> set[str]:
        """Return what a command loads."""
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps(words) + "\n")
        self._program.stdin.flush()
        return self.heard()

    def close(self) -> None:
        """End the program."""
        self._program.communicate(timeout=60)


def test_a_command_loads_what_it_needs_and_no_more(environment: None, story: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_READER_URL", os.environ["RUNFOLD_DATABASE_URL"])
    loading, found = Loading(), {}
    try:
        assert loading.heard() == BEFORE
        assert loading.heard() == OPENING
        for command in COMMANDS:
            if command.name not in SKIPPED:
                words = loading.call([*command.name.split(), *arguments_of(command)])
                found[command.name] = sorted(words - PRINTING - {"history", "queries"} - MORE.get(command.name, set()))
    finally:
        loading.close()
    assert {name: more for name, more in found.items() if more} == {}


def test_the_tables_name_commands_that_there_are() -> None:
    assert {*SKIPPED, *ARGUMENTS, *MORE} <= {command.name for command in COMMANDS}
