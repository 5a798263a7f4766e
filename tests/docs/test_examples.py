"""Each program in docs/examples/ runs as it stands and prints what its test says; a new one is found by itself."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import DOCS

if TYPE_CHECKING:
    from tests.databases import TestDatabase

FOLDER = DOCS / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
PRINTS = {
    "agent_with_approval": [
        "waiting: waiting",
        'allowed: {"order":7,"amount":"46.00 EUR"}',
        "a second time: refused",
        "ended: completed",
    ],
    "what_if": [
        "main: Plan a day in Vienna, by bicycle. | Prater, then along the Danube canal.",
        "rain: Plan a day in Vienna, it will rain. | The museum of art history, then a coffee house.",
        "they part at: ['message', 'revision']",
        "before the branch: ['Plan a day in Vienna, by bicycle.']",
    ],
    "mailer": ["the first life mailed: 2", "both together: ['refund', 'discount', 'voucher']"],
    "eventsourcing_projection": ["find_order: 2", "notify: 1"],
    "costs_by_customer": ["ada: 2 calls, 240 tokens", "ben: 1 calls, 120 tokens", "up to date: True"],
}
"""What is seen in what an example prints. One that is not named here has to say something and to end well."""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_as_it_stands(example: Path, database: "TestDatabase", tmp_path: Path) -> None:
    urls = {
        "DATABASE": database.url,
        "ADMIN": database.admin_url,
        "PROJECTOR": database.projector_url,
        "SEALER": database.sealer_url,
    }
    environment = {f"RUNFOLD_{name}_URL": url for name, url in urls.items()} | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", str(example)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    printed = done.stdout.splitlines()
    assert [line for line in PRINTS.get(example.stem, []) if line not in printed] == [], done.stdout


def test_every_example_says_what_it_shows_and_stands_in_the_list() -> None:
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert len(EXAMPLES) >= 4
    assert [path.name for path in EXAMPLES if f"`{path.name}`" not in listed] == []
    assert [path.name for path in EXAMPLES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []
    assert PRINTS.keys() <= {path.stem for path in EXAMPLES}
