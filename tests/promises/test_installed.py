"""What is installed is all that the package needs, however it is installed."""

import tomllib
from pathlib import Path

import runfold

SOURCE = Path(runfold.__file__).parent
ROOT = SOURCE.parents[1]


def installed(patterns: list[str], folder: Path) -> set[Path]:
    """Return the files that the patterns of package-data find."""
    return {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}


def files_beside_modules(folder: Path) -> set[Path]:
    """Return what is no Python, also what a link to a folder leads to."""
    every = [path for place in (folder, folder / "schemas") for path in place.rglob("*")]
    return {path for path in every if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts}


def test_every_file_beside_the_modules_is_installed_with_them() -> None:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    needed = files_beside_modules(SOURCE)
    assert {path.suffix for path in needed} >= {".sql", ".html", ".json", ".typed"}
    assert needed - installed([*said["runfold"], "schemas/**/*.json"], SOURCE) == set()


def test_a_kind_of_file_that_is_not_named_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    for name in ("kept.sql", "left_out.txt", "module.py"):
        (tmp_path / name).touch()
    assert files_beside_modules(tmp_path) - installed(["**/*.sql"], tmp_path) == {tmp_path / "left_out.txt"}


def test_every_folder_of_modules_is_a_package() -> None:
    assert {path.parent for path in SOURCE.rglob("*.py") if not (path.parent / "__init__.py").exists()} == set()
