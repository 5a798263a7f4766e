"""The program that the README shows is typed: what it calls says what it returns."""

import subprocess
import sys
from pathlib import Path

from tests.docs.pages import README, ROOT, blocks


def checked(program: str, path: Path) -> str:
    """What mypy says of a program, strictly."""
    path.write_text(program, encoding="utf-8")
    arguments = ["--strict", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"), str(path)]
    done = subprocess.run([sys.executable, "-m", "mypy", *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    return done.stdout + done.stderr


def test_the_ten_lines_of_the_readme_are_typed_strictly(tmp_path: Path) -> None:
    programs = [block.text for block in blocks(README) if block.language == "python"]
    assert len(programs) == 1
    assert "receipt.version" in programs[0]
    assert "Success: no issues found" in checked(programs[0], tmp_path / "readme.py")
    assert "has no attribute" in checked(programs[0].replace("receipt.version", "receipt.versions"), tmp_path / "readme.py")
