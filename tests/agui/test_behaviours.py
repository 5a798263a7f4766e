"""What AG-UI's own client needs, unmodified, against a served ledger: each of the nineteen behaviours."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.agui import node

NAMES = re.findall(r'^  async "(\d+ [^"]+)"', (Path(__file__).parent / "behaviours.mjs").read_text(), re.MULTILINE)

ROWS = {12: ("AG-11",), 13: ("AG-02",)}


@pytest.fixture(scope="module")
def found(told: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What came of each, of one process that tries them all."""
    folder = node.program(tmp_path_factory.mktemp("node"))
    answered: dict[str, str] = node.result(node.start(folder, "behaviours.mjs", told))
    return answered


def test_there_are_nineteen() -> None:
    assert [int(name.split()[0]) for name in NAMES] == list(range(1, 20))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.row(*ROWS.get(int(name.split()[0]), ()))) for name in NAMES]
)
def test_an_unmodified_client_sees(name: str, found: dict[str, str]) -> None:
    assert not found[name], found[name]
