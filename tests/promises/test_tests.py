"""Tests lie where what they test lies, and share what they share outside of test files."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import runfold

TESTS = Path(__file__).parents[1]
ROOMS = {folder.name for folder in Path(runfold.__file__).parent.iterdir() if folder.is_dir() and folder.name != "__pycache__"}
OF_NO_ROOM = {
    "docs": "the documents, run as they stand",
    "features": "what users do, end to end",
    "faults": "crashes, and the kit of scripts/faults",
    "promises": "what holds for all of a kind",
}


def folders() -> list[Path]:
    return sorted(folder for folder in TESTS.rglob("*") if folder.is_dir() and any(folder.glob("*.py")))


def imported_test_files(source: str, package: str) -> Iterator[str]:
    """The test files that a source text of a package imports from, by whatever form of import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            found = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in found:
            path = TESTS.parent.joinpath(*name.split(".")).with_suffix(".py")
            if path.name.startswith("test_") and path.is_file():
                yield name


def test_no_test_imports_from_a_test_file() -> None:
    for path in TESTS.rglob("*.py"):
        package = ".".join(path.relative_to(TESTS.parent).parent.parts)
        assert not list(imported_test_files(path.read_text(), package)), f"{path}: move it into a module beside the tests"


@pytest.mark.parametrize(
    "source",
    [
        "from tests.promises.test_tests import ROOMS",
        "from tests.promises import test_tests",
        "from .test_tests import ROOMS",
        "from . import test_tests",
        "from ..promises.test_tests import ROOMS",
        "import tests.promises.test_tests",
        "def late():\n    from tests.promises.test_tests import ROOMS",
    ],
)
def test_every_form_of_import_of_a_test_file_is_noticed(source: str) -> None:
    assert list(imported_test_files(source, "tests.promises")) == ["tests.promises.test_tests"]


def test_each_folder_of_tests_is_a_room_or_says_what_else_it_is() -> None:
    names = {folder.relative_to(TESTS).parts[0] for folder in folders()}
    assert names <= ROOMS | OF_NO_ROOM.keys()
    assert OF_NO_ROOM.keys() <= names
    assert not OF_NO_ROOM.keys() & ROOMS


def test_each_folder_of_tests_is_a_package() -> None:
    assert [folder for folder in (TESTS, *folders()) if not (folder / "__init__.py").is_file()] == []
