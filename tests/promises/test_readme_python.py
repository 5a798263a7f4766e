"""The README's Python runs as it stands."""

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runfold import Ledger

if TYPE_CHECKING:
    from conftest import TestDatabase

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_ten_lines_run(database: "TestDatabase", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", database.url)
    exec(BLOCKS[0], {})
    assert capsys.readouterr().out == "['Where is my parcel?'] ['Where is my order?']\n"


def test_the_async_lines_run(ledger: Ledger) -> None:
    names: dict[str, object] = {}
    exec(BLOCKS[1], names)
    run = ledger.create_thread(agent_id="support").start_run()
    asyncio.run(names["record"](run, ["a", "b", "c"]))  # type: ignore[operator]
    assert [message.text for message in run.messages()] == ["a", "b", "c"]
