"""Libraries are used by their public names."""

import ast
from pathlib import Path

import runfold

SOURCES = sorted(Path(runfold.__file__).parent.rglob("*.py"))
PUBLIC = {"_asdict", "_exit"}
"""Documented with the underscore: of named tuples, and of `os`."""
OF_UVICORN = {"_start_asgi_task"}
"""Held by tests/http/test_uvicorn.py."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_no_private_name_of_a_library_is_used() -> None:
    used: set[str] = set()
    ours: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(attr=name, ctx=ast.Load()):
                    used.add(name)
                case ast.Attribute(attr=name) | ast.Name(id=name, ctx=ast.Store()):
                    ours.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    ours.add(name)
    assert {name for name in used - ours if is_private(name)} == PUBLIC | OF_UVICORN


def test_no_private_module_of_a_library_is_imported() -> None:
    imported: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    imported |= {name.name for name in names}
                case ast.ImportFrom(module=str(module), names=names, level=0) if not module.startswith("runfold"):
                    imported |= {f"{module}.{name.name}" for name in names}
    assert {name for name in imported if any(is_private(part) for part in name.split("."))} == set()
