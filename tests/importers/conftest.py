"""All the real runs in one database, imported once; and a small session to write to."""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.importing import import_paths
from runfold.importers.tally import Tally
from tests.databases import TestDatabase, fresh_database

SOURCES = {
    "claude-code": "claude-code",
    "tau2-retail-gpt4o": "tau2",
    "tau2-human-agent": "tau2",
    "tau-bench-airline": "tau-bench",
    "ag-ui-streams": "ag-ui",
}
"""Folders of real runs, and their formats."""


@dataclass(frozen=True)
class Imported:
    """A ledger that holds all the real runs, and what their import said. Only to be read."""

    ledger: Ledger
    folder: Path
    tallies: dict[str, Tally]

    def again(self, source: str) -> Tally:
        """Import a folder once more, which must append nothing."""
        return import_paths(self.ledger, SOURCES[source], [self.folder / source])

    def counts(self) -> dict[str, Any]:
        """The counts that come with the runs."""
        return json.loads((self.folder / "counts.json").read_text())["counts"]  # type: ignore[no-any-return]

    def lines(self, path: str) -> list[dict[str, Any]]:
        """A file of JSON lines, read without the importer."""
        text = gzip.decompress((self.folder / path).read_bytes()).decode()
        return [json.loads(line) for line in text.split("\n") if line.strip()]


@pytest.fixture(scope="session")
def imported(admin_url: str, template: str, trajectories: Path) -> Iterator[Imported]:
    """All the real runs."""
    with fresh_database(admin_url, template, "imported") as made, Ledger.open(settings=made.settings) as ledger:
        tallies = {folder: import_paths(ledger, kind, [trajectories / folder]) for folder, kind in SOURCES.items()}
        yield Imported(ledger, trajectories, tallies)


def everything(ledger: Ledger) -> dict[str, list[tuple[int, str, str, datetime | None]]]:
    """All that is in a ledger, stream by stream, without what differs from one ledger to another."""
    found: dict[str, list[tuple[int, str, str, datetime | None]]] = defaultdict(list)
    for recorded in ledger.subscribe(follow=False):
        data = recorded.event.model_dump_json()
        found[recorded.stream].append((recorded.version, recorded.type, data, recorded.metadata.occurred_at))
    return dict(found)


@dataclass
class SessionFile:
    """A session of Claude Code, written line by line."""

    path: Path
    session_id: str = "5e551011-0000-4000-8000-000000000000"
    records: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, content: Any, *, parent: str | int | None = -1, **more: Any) -> str:
        """A line of a message. Its parent is the last line, unless one is given; returns its uuid."""
        number = len(self.records)
        message = {"role": kind, "content": content, **more.pop("message", {})}
        if parent == -1:
            parent = next((record["uuid"] for record in reversed(self.records) if "uuid" in record), None)
        record = {
            "type": kind,
            "uuid": f"line-{number}",
            "parentUuid": parent,
            "sessionId": self.session_id,
            "timestamp": f"2026-03-01T10:00:{number:02}.000Z",
            "message": message,
            **more,
        }
        self.records.append(record)
        return f"line-{number}"

    def say(self, text: str, **more: Any) -> str:
        """The person speaks."""
        return self.add("user", text, **more)

    def reply(self, message_id: str, *blocks: dict[str, Any], output_tokens: int = 5, **more: Any) -> str:
        """The agent speaks, in one line of an API message. Its turn ends where it calls no tool."""
        usage = {"input_tokens": 10, "output_tokens": output_tokens, "cache_read_input_tokens": 100}
        stop_reason = "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"
        message = {"id": message_id, "model": "model-1", "stop_reason": stop_reason, "usage": usage}
        return self.add("assistant", list(blocks), message=message, **more)

    def result(self, call_id: str, content: Any, *, is_error: bool = False, **more: Any) -> str:
        """A tool answers."""
        block = {"type": "tool_result", "tool_use_id": call_id, "content": content, "is_error": is_error}
        return self.add("user", [block], **more)

    def write(self, lines: int | None = None) -> Path:
        """Write the first lines, or all."""
        self.path.write_text("".join(json.dumps(record) + "\n" for record in self.records[:lines]))
        return self.path


def text(words: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": words}


def tool_use(call_id: str, name: str = "Bash", **arguments: Any) -> dict[str, Any]:
    """A block that calls a tool."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


@pytest.fixture
def session(tmp_path: Path) -> SessionFile:
    """An empty session."""
    return SessionFile(tmp_path / "session.jsonl")


@pytest.fixture
def importing(ledger: Ledger) -> Callable[..., Tally]:
    """Imports into this test's own ledger."""
    return lambda kind, *paths: import_paths(ledger, kind, paths)


@pytest.fixture
def tenants(shared_database: TestDatabase) -> Iterator[Any]:
    """Opens ledgers of one database, a tenant each."""
    opened: list[Ledger] = []

    def of(tenant: str) -> Ledger:
        ledger = Ledger.open(settings=shared_database.settings.model_copy(update={"tenant": tenant}))
        opened.append(ledger)
        return ledger

    yield of
    for ledger in opened:
        ledger.close()


def told(ledger: Ledger) -> list[tuple[str, str, str, Any]]:
    """Every event of a ledger without its place, and without what an import says of itself."""
    found = []
    for recorded in ledger.subscribe(follow=False):
        if recorded.type == "thread.imported":
            continue
        data = json.loads(recorded.event.model_dump_json())
        for parent in (data.get("parent") or {},):
            parent.pop("at_version", None)
        found.append((recorded.stream, recorded.type, json.dumps(data, sort_keys=True), recorded.metadata.occurred_at))
    return sorted(found, key=str)
