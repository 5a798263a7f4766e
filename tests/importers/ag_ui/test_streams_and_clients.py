"""Generated conversations of AG-UI: what streams and what the client then repeats agree, and cutting changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from runfold.importers.ag_ui.conversation import Conversation
from runfold.importers.ag_ui.files import EventFiles, sources_in
from runfold.importers.ag_ui.grouping import grouped
from runfold.importers.ag_ui.turns import Plan
from runfold.importers.sources import find
from runfold.importers.tally import Reports
from tests.importers.ag_ui.chats import Agent, Message, requested, user, write


def conversation(folder: Path) -> tuple[Conversation, Reports]:
    """Read the only conversation of a folder, without a ledger."""
    reports = Reports()
    files = find([folder], lambda name: name.endswith(".json"))
    (group,) = grouped(source for file in files for source in sources_in(file, reports.take))
    return Plan(group, EventFiles(reports.take)).conversation, reports


def without_ids(messages: list[Message]) -> list[Message]:
    """As a client sends them that keeps no ids."""
    return [{name: value for name, value in message.items() if name != "id"} for message in messages]


def repeat(messages: list[Message], how: str) -> list[Message]:
    """What a client sends of what it has."""
    return {"whole": messages, "without ids": without_ids(messages), "new": []}[how]


@pytest.mark.parametrize("how", ["whole", "without ids", "new"])
@pytest.mark.parametrize("seed", range(40))
def test_what_a_client_repeats_is_in_the_history_already_and_nothing_is_lost(tmp_path: Path, seed: int, how: str) -> None:
    agent, streamed = Agent(seed), 0
    for turn in range(1, 4):
        asked = user("yes", f"u{turn}" if how == "whole" else "")
        write(tmp_path / f"{turn}.request.json", requested(f"r{turn}", *repeat(agent.client.messages, how), asked))
        agent.client.messages.append({"id": f"u{turn}", **asked})
        events = agent.run(f"r{turn}")
        write(tmp_path / f"{turn}.events.json", [{**event, "timestamp": 1_750_000_000_000 + turn} for event in events])
        streamed += sum(event["type"].endswith(("_CONTENT", "_CHUNK")) and bool(event["delta"]) for event in events)
    talk, reports = conversation(tmp_path)
    assert [(past.role, past.words) for past in talk.history.said if past.role == "user"] == [("user", "yes")] * 3
    assert spoken(talk, "assistant") == kept(agent, "assistant")
    assert spoken(talk, "reasoning") == kept(agent, "reasoning")
    assert sum(map(len, talk.history.calls.values())) == agent.calls
    assert sum(past.role == "tool" for past in talk.history.said) == agent.calls
    assert all(call.is_answered for calls in talk.history.calls.values() for call in calls)
    assert (reports.problems, len(talk.runs)) == ([], 3)
    assert streamed


def spoken(talk: Conversation, role: str) -> dict[str, str]:
    """What was said under each id."""
    found: dict[str, str] = {}
    for past in talk.history.said:
        if past.role == role and past.words:
            found[past.source_id] = found.get(past.source_id, "") + past.words
    return found


def kept(agent: Agent, role: str) -> dict[str, Any]:
    """What the client has under each id."""
    return {
        message["id"]: message["content"] for message in agent.client.messages if message["role"] == role and message["content"]
    }
