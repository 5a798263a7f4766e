"""The Python of the documents does what it is there for, also where it is hard to see: when a history changed, over a network."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from runfold import Ledger
from runfold.http.app import create_app
from tests.docs.pages import README, block_with, blocks
from tests.serving import Anybody, serving

if TYPE_CHECKING:
    from tests.databases import TestDatabase


def test_the_ten_lines_run(database: "TestDatabase", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", database.url)
    (ten,) = [block.text for block in blocks(README) if block.language == "python"]
    exec(ten, {})
    assert capsys.readouterr().out == "['Where is my parcel?'] ['Where is my order?']\n"


def test_the_lines_for_another_machine_run(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    block = block_with("guide/http.md", "Ledger.connect")
    with serving(create_app(ledger, Anybody())) as address:
        exec(block.replace("http://127.0.0.1:8765", address), {"Ledger": Ledger})
    assert capsys.readouterr().out == "1 thread.created\n2 run.created\n3 run.started\n4 message.added\n"


def test_the_async_lines_run(ledger: Ledger) -> None:
    names: dict[str, object] = {}
    exec(block_with("guide/record.md", "async def"), names)
    run = ledger.create_thread(agent_id="support").start_run()
    asyncio.run(names["record"](run, ["a", "b", "c"]))  # type: ignore[operator]
    assert [message.text for message in run.messages()] == ["a", "b", "c"]


def test_what_a_consumer_does_when_the_ledger_was_put_back(ledger: Ledger, database: "TestDatabase") -> None:
    for _ in range(9):
        ledger.create_thread(agent_id="a")
    beyond = ledger.cursor(8)
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("SELECT runfold.begin_epoch('restored', 6, 8)")
    block = block_with("guide/subscribe.md", "HistoryChanged")
    names: dict[str, object] = {"ledger": ledger}
    exec(block.replace('after = "0"', f'after = "{beyond}"'), names)
    assert names["after"] == ledger.cursor(9)


def test_the_projection_of_ones_own_runs(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tool_uses.py").write_text(block_with("guide/read-models.md", "class ToolUses"))
    monkeypatch.syspath_prepend(tmp_path)
    run = ledger.create_thread(agent_id="support").start_run()
    for name in ("find_order", "refund", "find_order"):
        run.call_tool(name, arguments={})
    ledger.fold("tool_uses:ToolUses")
    page = ledger.now.rows("tool_uses:ToolUses")
    assert [(row.tool, row.calls) for row in page.items] == [("find_order", 2), ("refund", 1)]
    assert page.standing.position == ledger.position()
