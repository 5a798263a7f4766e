"""Nothing that users get refers to what is not part of the project."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

OUTSIDE = {
    "a row of a list that is kept elsewhere": re.compile(r"\b(?:RV|AG|LT|CV|CM|HV)-\d+\b|\bseed rows?\b"),
    "a fault or an attack by its number": re.compile(r"(?<!--rows )(?<![\w\"'-])[A-N]-\d{1,2}\b(?!\.)"),
    "a folder beside the project": re.compile(r"\.\./shared|\bshared/(?:design|data|reference|tools)\b"),
    "something filed": re.compile(r"\bissues? ?#?\d+|\bticket #\d+|#\d{2,}\b(?!;)|\bthe customer's brief\b", re.IGNORECASE),
}
"""What must not stand there, and how it is known."""
FILES = [
    path
    for folder in ("src", "docs", "schemas")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".sql", ".md", ".json", ".html", ".css"}
] + [ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml")]


def references(text: str) -> list[tuple[str, str]]:
    """What a text says of what is outside: the words, and what they are."""
    return [(found[0], kind) for kind, pattern in OUTSIDE.items() for found in pattern.finditer(text)]


def test_no_file_refers_to_what_is_outside_of_the_project() -> None:
    assert len(FILES) > 300
    found = {str(path.relative_to(ROOT)): references(path.read_text(encoding="utf-8")) for path in FILES}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text", ["as in RV-20", "(HV-88)", "survives H-4", "see ../shared/design/style.md", "issue 12", "fixes #123", "seed rows"]
)
def test_such_a_reference_is_noticed(text: str) -> None:
    assert references(text)


@pytest.mark.parametrize(
    "text", ["--rows J11", "SHA-256", "UTF-8", "run_6b7334f7", "LT-like words", "a shared row", "an issue of his"]
)
def test_other_words_are_left_alone(text: str) -> None:
    assert references(text) == []


def test_the_list_of_rows_is_said_to_be_no_part_of_the_project() -> None:
    said = (ROOT / "scripts" / "rows.py").read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all("not part of the project" in text for text in said)
    assert not any(references(text) for text in said)


def test_tests_alone_name_the_rows_of_that_list() -> None:
    with_rows = [
        path for path in Path(ROOT / "scripts").rglob("*.py") if OUTSIDE["a folder beside the project"].search(path.read_text())
    ]
    assert with_rows == []
