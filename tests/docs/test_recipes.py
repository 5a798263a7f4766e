"""The recipes of CONTRIBUTING.md work: each is followed in a copy of the project, and what it adds is seen everywhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.docs.recipes import CONTRIBUTING, RECIPES, blocks_of, changed, copied, follow

BY_HAND = {"Add an event": 1, "Add a command": 6, "Add a projection": 1, "Add a list": 5, "Add an importer": 1}
"""How many files each recipe touches, tests of its own included where it has one."""

BOTH = """
import runpy, sys
given, codes = sys.argv[1:], []
for name in ("export_schemas", "write_reference"):
    path = f"scripts/{name}.py"
    sys.argv, code = [path, *given], 0
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as ended:
        code = ended.code or 0
    codes.append(code)
print(codes)
"""
"""What `make schemas` runs, one after the other, in one process; how each ended is said last."""


def run(project: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A program of this environment in the copy, which it imports instead of what is installed."""
    path = os.pathsep.join([str(project / "src"), str(project)])
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def raise_versions(project: Path, told: str) -> None:
    """Raise the version of each projection that a check names, as the recipe says."""
    for name, version in re.findall(r"^(\w+) changed .*version is still (\d+)", told, re.MULTILINE):
        for path in (project / "src" / "runfold" / "projections").glob("*.py"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(f'= "{name}", {version}', f'= "{name}", {int(version) + 1}'), encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which all recipes were followed, one after the other."""
    made = copied(tmp_path_factory.mktemp("project"))
    for recipe in RECIPES:
        assert len(follow(recipe, made)) == BY_HAND[recipe], recipe
    return made


def test_what_the_recipes_add_is_seen_everywhere(project: Path, admin_url: str) -> None:
    told = ["tests/docs/followed.py", "tests/domain/test_problem_dismissed.py"]
    done = run(project, "-m", "pytest", "-p", "no:cacheprovider", *told, RUNFOLD_TEST_ADMIN_URL=admin_url)
    assert done.returncode == 0, done.stdout[-6000:]


def test_what_the_recipes_add_is_in_the_schemas_and_the_reference(project: Path) -> None:
    before = run(project, "-c", BOTH, "--check")
    assert before.stdout.splitlines()[-1] == "[1, 1]", "the checks notice what is new"
    raise_versions(project, before.stderr)
    for more in ([], ["--check"]):
        done = run(project, "-c", BOTH, *more)
        assert done.stdout.splitlines()[-1] == "[0, 0]", done.stderr
    assert (project / "schemas" / "events" / "problem.dismissed.v1.json").exists()
    written = "\n".join(path.read_text(encoding="utf-8") for path in (project / "docs" / "reference").glob("*.md"))
    for said in (
        "## problem.dismissed",
        "`problems.dismiss`",
        "## dismissals",
        "`dismissals.list`",
        "ag-ui, chat-log",
        "## runfold dismissals",
    ):
        assert said in written


def test_what_the_recipes_add_is_written_as_everything_here(project: Path) -> None:
    for checked in (["check", "src", "tests/domain"], ["format", "--check", "src", "tests/domain"]):
        done = run(project, "-m", "ruff", *checked)
        assert done.returncode == 0, done.stdout
    layers = run(project, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache")
    assert layers.returncode == 0, layers.stdout


@pytest.mark.long
def test_what_the_recipes_add_is_typed(project: Path) -> None:
    done = run(project, "-m", "mypy", "--no-incremental", "src")
    assert done.returncode == 0, done.stdout


def test_a_recipe_that_no_longer_fits_is_noticed() -> None:
    text = "a\nb\nc\n"
    assert changed(text, "@@\n a\n-b\n+d\n") == "a\nd\nc\n"
    for diff in ("@@\n x\n+y\n", "@@\n a\n c\n", "@@\n-d\n"):
        with pytest.raises(AssertionError, match="0 times"):
            changed(text, diff)
    with pytest.raises(AssertionError, match="2 times"):
        changed("a\na\n", "@@\n a\n+b\n")


def test_every_recipe_says_what_is_done_by_hand() -> None:
    said = CONTRIBUTING.read_text(encoding="utf-8")
    for recipe in RECIPES:
        assert blocks_of(recipe)
        assert f"### {recipe}\n\nBy hand: " in said
    assert (ROOT / "docs" / "reference").is_dir()
