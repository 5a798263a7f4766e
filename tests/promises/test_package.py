"""What Runfold needs beside its Python is in the package that is built from it."""

import tomllib
from pathlib import Path

import runfold

SOURCE = Path(runfold.__file__).parent
PATTERNS = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]


def test_every_file_of_the_package_is_built_into_it() -> None:
    packed = {path for pattern in PATTERNS["runfold"] for path in SOURCE.glob(pattern)}
    there = {path for path in SOURCE.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert sorted(there - packed) == []
    assert all(any(SOURCE.glob(pattern)) for pattern in PATTERNS["runfold"]), "a pattern that finds nothing is out of date"


def test_every_folder_with_python_is_a_package() -> None:
    """What builds the package leaves out a folder without `__init__.py`."""
    folders = {path.parent for path in SOURCE.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
