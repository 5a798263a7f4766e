"""Imports go down only, and in no circle."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
LAYERS, CIRCLES, PURE, LIBRARY = (
    "imports go down only",
    "no circle among rooms, nor among the modules of one",
    "the domain is pure",
    "only its adapter knows the eventsourcing library",
)
WRONG = {
    LAYERS: {
        "a room below imports one above": ("store/cursor.py", "import runfold.http.problems"),
        "a room that nobody gave a layer": ("attic/__init__.py", ""),
    },
    CIRCLES: {
        "two rooms import each other": ("domain/values.py", "import runfold.store.cursor"),
        "two modules of a room import each other": ("store/codec.py", "import runfold.store.reading.reader"),
        "a room inside a room and its neighbour import each other": ("http/problems.py", "import runfold.http.routes.health"),
    },
    PURE: {"the domain imports a database": ("domain/values.py", "import psycopg")},
    LIBRARY: {
        "a command imports the library": ("commands/plan.py", "import eventsourcing.persistence"),
        "the store imports the library": ("store/recorder.py", "import eventsourcing.postgres"),
        "another adapter imports the library": ("adapters/hive.py", "import eventsourcing"),
    },
}


def test_layers_hold(capsys: pytest.CaptureFixture[str]) -> None:
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    told = capsys.readouterr().out
    assert broken == 0, told
    for contract in (LAYERS, CIRCLES, PURE, LIBRARY):
        assert re.search(rf"^{contract} KEPT", told, re.MULTILINE), told


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [pytest.param(name, *wrong, id=what) for name, each in WRONG.items() for what, wrong in each.items()],
)
def test_each_contract_notices_what_breaks_it(tmp_path: Path, contract: str, file: str, line: str) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    changed = tmp_path / "src" / "runfold" / file
    changed.parent.mkdir(exist_ok=True)
    before = changed.read_text(encoding="utf-8") if changed.exists() else ""
    changed.write_text(f"{before}\n{line}\n", encoding="utf-8")
    lint = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache", "--no-logo"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    told = subprocess.run(lint, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode != 0
    assert re.search(rf"^{contract} BROKEN", told.stdout, re.MULTILINE), told.stdout + told.stderr
    assert file.partition("/")[0] in told.stdout
