"""The picture that the documents draw is the code's: the rooms, and an event's way through them."""

import re
import tomllib
from pathlib import Path

from tests.docs.pages import DOCS, ROOT, code_words

PACKAGE = ROOT / "src" / "runfold"
TEXT = (DOCS / "architecture.md").read_text(encoding="utf-8")
HOP = re.compile(r"^\| \d+ \| `([\w/.]+)` \| `([\w.]+)` \|", re.MULTILINE)


def defines(path: Path, name: str) -> bool:
    """Whether a file of the package defines a function, method or class of that name."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        return f"CREATE FUNCTION {name}(" in text
    return re.search(rf"^ *(?:async )?(?:def|class) {name}\b", text, re.MULTILINE) is not None


def rooms() -> set[str]:
    """The folders and files of the package."""
    return {
        path.name if path.is_file() else f"{path.name}/"
        for path in PACKAGE.iterdir()
        if (path.is_dir() and (path / "__init__.py").exists()) or (path.suffix == ".py" and path.stem != "__init__")
    }


def test_each_hop_of_an_event_is_where_it_is_said_to_be() -> None:
    hops = HOP.findall(TEXT)
    assert len(hops) == 21
    assert [(file, name) for file, name in hops if not defines(PACKAGE / file, name)] == []


def test_a_hop_that_is_gone_is_noticed() -> None:
    assert defines(PACKAGE / "store" / "appending" / "writer.py", "append")
    assert not defines(PACKAGE / "store" / "appending" / "writer.py", "apend")
    assert not defines(PACKAGE / "store" / "setup" / "migrations" / "0005_tenant_streams.sql", "runfold.apend")


def test_every_room_stands_in_the_table_in_the_order_of_its_layer() -> None:
    (table,) = re.findall(r"^\| layer \|.*?\n\n", TEXT, re.MULTILINE | re.DOTALL)
    assert {room for room in rooms() if f"`{room}`" not in table} == set()
    said = [re.findall(r"`(\w+)(?:/|\.py)`", line.split(" | ")[0]) for line in table.splitlines()[2:]]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert [set(names) for names in said if names] == [set(re.findall(r"\w+", layer)) for layer in layers]


def test_the_glossary_holds_the_words_that_the_documents_lean_on() -> None:
    words = set(re.findall(r"\*\*([\w ]+)\*\*", (DOCS / "glossary.md").read_text(encoding="utf-8")))
    assert {
        "stream",
        "position",
        "cursor",
        "fold",
        "projection",
        "read model",
        "moment",
        "head",
        "shard",
        "approval",
        "tenant",
    } <= words
    assert "domain/" in code_words(DOCS / "architecture.md")
