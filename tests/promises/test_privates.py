"""What is private to a class or a module is used nowhere else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("src", "scripts") for path in (ROOT / folder).rglob("*.py"))
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_field_defaults", "_exit"}
"""Names of named tuples, and of `os`, which are public whatever they begin with."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def own_names(module: ast.Module) -> set[str]:
    """The private names that a module's own classes and functions have."""
    found: set[str] = set()
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=ast.Tuple(elts=slots)):
                found |= {slot.value for slot in slots if isinstance(slot, ast.Constant) and isinstance(slot.value, str)}
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
    return found


def privates_used(source: str) -> Iterator[tuple[int, str]]:
    """The lines where a module uses what is private to another, and what that is."""
    module = ast.parse(source)
    own = own_names(module)
    for node in ast.walk(module):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")) | ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                continue
            case ast.Attribute(attr=name) if is_private(name) and name not in own:
                yield node.lineno, ast.unparse(node)
            case ast.ImportFrom(names=names):
                yield from ((node.lineno, alias.name) for alias in names if is_private(alias.name))


def test_nothing_private_is_used_from_another_module() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}: {used}" for path in SOURCES for line, used in privates_used(path.read_text())]
    assert len(SOURCES) > 200
    assert found == [], "give it a public name, or ask its owner in another way"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("ledger._tail.wait()", [(1, "ledger._tail")]),
        ("self.ledger._executor.submit(plan)", [(1, "self.ledger._executor")]),
        ("from runfold.store import _like", [(1, "_like")]),
        ("line._asdict(); os._exit(1); self._tail; cls._tail; super()._identity(); ledger.tail", []),
        ("class A:\n    def _identity(self): ...\n    def same(self, other): return other._identity()", []),
        ("class A:\n    def __init__(self): self._lock = 1\nA()._lock", []),
    ],
)
def test_a_private_name_of_another_module_is_found(source: str, found: list[tuple[int, str]]) -> None:
    assert list(privates_used(source)) == found
