"""Words that nobody has to learn: docstrings are sentences, and private words of ours are in no text that anybody reads."""

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import runfold

SOURCE = Path(runfold.__file__).parent
ROOT = Path(__file__).parents[2]

FRAGMENTS = frozenset(["of", "in", "by", "and", "that", "those", "with", "without", "up", "from", "not"])
"""Words that a docstring cannot begin with: what follows has no subject and no verb."""

PRIVATE_NAMES = frozenset({"Door", "Desk", "Behalf", "Elsewhere", "Entrance", "Try", "NotKnown", "Known", "Insight"})
PRIVATE_WORDS = re.compile(
    r"\b(?:Door|Desk|Elsewhere|Entrance|NotKnown|Insight|wall_off|walls? off|walled off|insist(?:s|ing|ed)?|bur(?:y|ies|ied)"
    r"|lanes?|keepers?)\b"
)
RELEASED = "store/setup/migrations/"
"""Migrations keep the words that they were released with, and so do the columns that they made."""

ALLOWED = {
    "src/runfold/projector/filling.sql": {"lane"},  # a column
    "src/runfold/demo_story.py": {"Desk"},
    "docs/glossary.md": {"lane"},  # says what not to say
}


def docstrings(source: str) -> Iterator[tuple[str, str]]:
    """Name and docstring of each class and function of a source text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
            yield node.name, text


def fault(text: str) -> str | None:
    """Why a docstring's first paragraph is no sentence; None where it looks like one."""
    first = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    if not re.match(r"[A-Z0-9`\"']", first):
        return "begins with no capital"
    if not re.search(r"[.:!?…][`'\")]*$", first):
        return "does not end with a full stop"
    if first == "Says so." or len(re.findall(r"\w+", first)) < 2:
        return "is no sentence"
    if first.split()[0].strip("`,.:").lower() in FRAGMENTS:
        return "begins in the middle of a sentence"
    return None


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_docstring_is_a_sentence(path: Path) -> None:
    found = {name: why for name, text in docstrings(path.read_text()) if (why := fault(text))}
    assert found == {}


@pytest.mark.parametrize(
    "text", ["Of a row.", "In SQL.", "Says so.", "By tenant.", "a reader of events.", "Reads the events", "Those."]
)
def test_a_fragment_is_noticed(text: str) -> None:
    assert fault(text) is not None


def readable() -> Iterator[Path]:
    """Every file of ours that is read by others."""
    for folder, kinds in (("src/runfold", ("*.py", "*.sql", "*.html")), ("docs", ("*.md", "*.py")), ("schemas", ("*.json",))):
        for kind in kinds:
            yield from (ROOT / folder).rglob(kind)
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md"))


def private(text: str) -> set[str]:
    return set(PRIVATE_WORDS.findall(text))


def test_no_text_uses_a_private_word() -> None:
    found = {}
    for path in readable():
        name = str(path.relative_to(ROOT))
        words = private(path.read_text()) - ALLOWED.get(name, set())
        if words and RELEASED not in name and name != "CHANGELOG.md":  # which says what was renamed
            found[name] = words
    assert found == {}


def test_nothing_is_named_by_a_private_word() -> None:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "name", None) or getattr(node, "id", None) or getattr(node, "attr", None)
            assert name not in PRIVATE_NAMES, f"{path}: {name}"


@pytest.mark.parametrize(
    "text", ["`Desk.create_key`", "a lane of the rebuild", "to wall_off a table", "the Elsewhere", "the worker is buried"]
)
def test_a_private_word_is_noticed(text: str) -> None:
    assert private(text)


def as_python_writes_them(source: str) -> Iterator[int]:
    """The lines of a source text in which an error of the system is put into a text as it is, with its number and file."""
    for handler in (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler) and node.type and node.name
    ):
        caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        kinds = [getattr(builtins, each.id, None) for each in caught if isinstance(each, ast.Name)]
        if any(isinstance(kind, type) and issubclass(kind, OSError) for kind in kinds):
            for part in ast.walk(handler):
                if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) and part.value.id == handler.name:
                    yield part.lineno


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_what_the_system_refuses_is_said_in_its_words_alone(file: Path) -> None:
    """`[Errno 13] Permission denied: 'x'` names the file twice, and a number that nobody looks up: see `file_errors.why`."""
    assert list(as_python_writes_them(file.read_text(encoding="utf-8"))) == []
