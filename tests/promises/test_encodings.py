"""Files are read and written in an encoding that the code names, whatever the locale of the machine."""

import ast
from collections.abc import Iterator
from pathlib import Path

import runfold

PLACE = {"read_text": 0, "write_text": 1}
"""How many arguments stand before the encoding."""


def calls() -> Iterator[tuple[str, ast.Call, int]]:
    """Each call that reads or writes a text, with where it stands and how many arguments stand before the encoding."""
    for path in Path(runfold.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PLACE:
                yield f"{path}:{node.lineno}", node, PLACE[node.func.attr]


def test_a_text_file_has_an_encoding_that_is_named() -> None:
    found = list(calls())
    assert len(found) > 10
    named = {
        where: len(call.args) > before or "encoding" in {each.arg for each in call.keywords} for where, call, before in found
    }
    assert [where for where, is_named in named.items() if not is_named] == []
