"""One imported session, replayed at three moments and along two branches, against what its file says."""

from typing import Any

import pytest

from runfold import Ledger, RunNotFound
from runfold.domain.message import MessageAdded
from runfold.history.views import Message
from tests.importers.conftest import Imported

FILE = "claude-code/experiments-ideas/03eb5929-52b3-4b13-ada3-b93ae35806b8.jsonl.gz"
SESSION = "03eb5929-52b3-4b13-ada3-b93ae35806b8"

Said = tuple[str, str]


def _words(block: dict[str, Any]) -> str:
    content = block.get("text") or block.get("thinking") or block.get("content") or ""
    return content if isinstance(content, str) else "".join(item.get("text", "") for item in content)


def _conversation(lines: list[dict[str, Any]], leaf: dict[str, Any]) -> list[Said]:
    """The conversation that ends in a line, from the file alone: up through the parents, API messages put together."""
    by_id = {line["uuid"]: line for line in lines if "uuid" in line}
    path, at = [leaf], leaf
    while (at := by_id.get(at["parentUuid"] or "")) is not None:
        path.append(at)
    said: list[Said] = []
    last = None
    for line in reversed(path):
        if line["type"] not in {"user", "assistant"}:
            continue
        content, message_id = line["message"]["content"], line["message"].get("id")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        role = "tool" if blocks[0]["type"] == "tool_result" else line["type"]
        words = "".join(_words(block) for block in blocks if block["type"] != "tool_use")
        if message_id is not None and message_id == last:
            said[-1] = (role, said[-1][1] + words)
        else:
            said.append((role, words))
        last = message_id
    return said


def _said(messages: list[Message]) -> list[Said]:
    return [(message.role, message.text) for message in messages]


@pytest.fixture(scope="module")
def lines(imported: Imported) -> list[dict[str, Any]]:
    """The session's file."""
    return imported.lines(FILE)


@pytest.fixture(scope="module")
def branches(lines: list[dict[str, Any]]) -> tuple[list[Said], list[Said]]:
    """What was said before the person went back, and what after it; both from the beginning."""
    prompts = [line for line in lines if line["type"] == "user" and isinstance(line["message"]["content"], str)]
    by_parent: dict[str, list[dict[str, Any]]] = {}
    for prompt in prompts:
        by_parent.setdefault(prompt["parentUuid"], []).append(prompt)
    ((_, rewound),) = [pair for pair in by_parent.values() if len(pair) == 2]
    messages = [line for line in lines if line["type"] in {"user", "assistant"}]
    before = messages[messages.index(rewound) - 1]
    return _conversation(lines, before), _conversation(lines, messages[-1])


def _thread_of(ledger: Ledger, session_id: str) -> str:
    """The thread that a session was imported into."""
    ledger.fold("threads")
    (row,) = ledger.now.threads(external_ref=session_id).items
    return row.thread_id


@pytest.fixture(scope="module")
def thread_id(imported: Imported) -> str:
    return _thread_of(imported.ledger, SESSION)


def _position_after(ledger: Ledger, thread_id: str, messages: int) -> int:
    """The position at which so many messages of the thread had been recorded."""
    added = [item for item in ledger.thread(thread_id).events() if isinstance(item.event, MessageAdded)]
    return added[messages - 1].position


def test_the_file_and_the_ledger_agree_along_both_branches(
    imported: Imported, thread_id: str, branches: tuple[list[Said], list[Said]]
) -> None:
    thread = imported.ledger.thread(thread_id)
    runs = list(thread.tree().nodes.values())
    kinds = [(node.parent.run_id, node.parent.kind) for node in runs[1:] if node.parent is not None]
    before, after = [(run.run_id, "continues") for run in runs[:3]], [(run.run_id, "continues") for run in runs[4:6]]
    assert kinds == [*before, (runs[0].run_id, "branches"), *after]
    assert _said(thread.messages(at_run=runs[3].run_id)) == branches[0]
    assert _said(thread.messages(at_run=runs[6].run_id)) == branches[1]
    assert _said(thread.messages()) == branches[1], "the thread goes on where the person went on"


def test_the_branches_share_their_beginning_and_nothing_else(branches: tuple[list[Said], list[Said]]) -> None:
    one, other = branches
    shared = next(index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
    assert (shared, len(one), len(other)) == (6, 12, 15)


def test_the_conversation_is_right_at_three_moments(
    imported: Imported, thread_id: str, branches: tuple[list[Said], list[Said]]
) -> None:
    thread, (before, after) = imported.ledger.thread(thread_id), branches
    early = _position_after(imported.ledger, thread_id, 3)
    assert _said(thread.messages(at=early)) == before[:3]
    just_before = _position_after(imported.ledger, thread_id, len(before))
    assert _said(thread.messages(at=just_before)) == before
    in_the_branch = _position_after(imported.ledger, thread_id, len(before) + 4)
    assert _said(thread.messages(at=in_the_branch)) == after[: 6 + 4]


def test_the_branch_is_not_there_before_it_was_made(imported: Imported, thread_id: str) -> None:
    thread = imported.ledger.thread(thread_id)
    *_, before, branch, _, last = thread.tree().nodes.values()
    assert thread.tree(at=branch.position - 1).heads == {"main": before.run_id}
    assert thread.tree().heads == {"main": last.run_id}
    with pytest.raises(RunNotFound):
        thread.messages(at_run=branch.run_id, at=branch.position - 1)


@pytest.mark.parametrize(
    "path",
    [
        "claude-code/experiments-worktrees/ef958aa1-0e93-49f0-bb71-150f63befcd1.jsonl.gz",
        "claude-code/src-deep-manifest/a7da6a22-facc-4fcd-8bab-f83c87862004.jsonl.gz",
        "claude-code/Users-dain-workspace-danieldemmel-me-next/f852ad25-1024-47da-964e-5eaae5bd6e6a.jsonl.gz",
    ],
)
def test_parallel_calls_make_no_branch(imported: Imported, path: str) -> None:
    session_id = path.rpartition("/")[2].removesuffix(".jsonl.gz")
    thread_id = _thread_of(imported.ledger, session_id)
    messages = imported.ledger.thread(thread_id).messages()
    lines = [line for line in imported.lines(path) if line["type"] in {"user", "assistant"}]
    api_messages = {line["message"]["id"] for line in lines if line["type"] == "assistant"}
    assert len(messages) == len(api_messages) + sum(line["type"] == "user" for line in lines)
