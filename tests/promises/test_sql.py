"""SQL of more than a line lies in files beside the Python that runs it, each statement under its name and its purpose."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import runfold
from runfold.store.queries import named_queries

SOURCE = Path(runfold.__file__).parent
SQL = re.compile(
    r"\s*(?:SELECT\b[\s\S]*\bFROM|INSERT INTO|UPDATE\s+\S+\s+SET|DELETE FROM|CREATE (?:TABLE|VIEW|INDEX|SCHEMA)"
    r"|WITH (?:RECURSIVE )?\w+[\s\S]*\bAS \(|COPY\s*\(|ALTER (?:TABLE|ROLE|SCHEMA))"
)
COMPOSED = {
    "export/formats.py": "what DuckDB runs, with the columns and the file in it",
    "projector/past/as_of.py": "the columns of the log are named in one place, and both orders are of one choice",
    "projector/checking/comparing.py": "the columns of the log are named in one place",
    "projector/filling.py": "the columns of the log are named in one place",
    "projector/folding/page.py": "the columns of the log are named in one place",
    "projector/checking/trial.py": "the columns of the log are named in one place",
    "store/reading/filter.py": "a query around the conditions of a filter",
    "store/reading/reader.py": "the columns of the log are named in one place, and conditions are added",
    "store/reading/tenant_reader.py": "the columns of the log are named in one place",
    "store/reading/stored.py": "the columns of the log are named in one place, and the order is chosen",
}
"""Where statements are put together from parts, which a file cannot hold, and why."""


def long_statements(source: str) -> Iterator[int]:
    """The lines at which a statement of more than a line begins in a Python source."""
    tree = ast.parse(source)
    pieces = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node
    }
    for node in ast.walk(tree):
        if id(node) in pieces or not isinstance(node, ast.Constant | ast.JoinedStr) or node.end_lineno == node.lineno:
            continue
        values = [node] if isinstance(node, ast.Constant) else node.values
        text = "".join(str(value.value) if isinstance(value, ast.Constant) else "{}" for value in values)
        if SQL.match(text):
            yield node.lineno


def test_a_statement_of_more_than_a_line_lies_in_a_file_of_sql() -> None:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if lines := list(long_statements(path.read_text())):
            found[str(path.relative_to(SOURCE))] = lines
    assert {name: lines for name, lines in found.items() if name not in COMPOSED} == {}
    assert COMPOSED.keys() - found.keys() == set(), "these need no exception any more"


@pytest.mark.parametrize(
    "source",
    [
        'QUERY = """\nSELECT a\n  FROM b\n"""',
        'execute(\n    "SELECT a, b FROM c"\n    " WHERE d = %s"\n)',
        'query = (\n    f"INSERT INTO a (b) VALUES ({c})"\n    " ON CONFLICT DO NOTHING"\n)',
        'run(\n    "WITH a AS (SELECT 1)"\n    " SELECT * FROM a"\n)',
    ],
)
def test_a_long_statement_is_noticed(source: str) -> None:
    assert len(list(long_statements(source))) == 1


def test_every_statement_of_a_file_has_a_name_and_says_what_it_is_for() -> None:
    for path in sorted(SOURCE.rglob("*.sql")):
        if path.parent.name != "migrations":
            statements = named_queries(".".join(("runfold", *path.relative_to(SOURCE).parent.parts)), path.name)
            assert statements, path
            for name, text in statements.items():
                assert re.match(r"-- [A-Z].*", text), f"{path}: {name} does not say what it is for"
