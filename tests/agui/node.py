"""Node with AG-UI's own client, as `package-lock.json` has it: installed once, into a folder that stays."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "runfold-tests"


def client_folder() -> Path:
    """The folder whose `node_modules` has the client. Skips where node is missing, except in CI, where it must be there."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        reason = "node and npm are not installed, and AG-UI's own client needs them"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    locked = (HERE / "package-lock.json").read_bytes()
    folder = CACHE / f"agui-{hashlib.sha256(locked).hexdigest()[:16]}"
    if not folder.is_dir():
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    """Install beside it, and move it there: of two that install at once one is first, and the other takes that."""
    CACHE.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=CACHE))
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, new)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=new, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        shutil.rmtree(new)
        pytest.fail(f"AG-UI's client cannot be installed: {done.stderr[-2000:]}")
    try:
        new.rename(folder)
    except OSError:
        shutil.rmtree(new)


def program(tmp_path: Path) -> Path:
    """A folder with our programs, from where they find the client."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "node_modules").symlink_to(client_folder() / "node_modules")
    for source in HERE.glob("*.mjs"):
        shutil.copy(source, folder)
    return folder


def start(folder: Path, name: str, told: dict[str, Any], *args: str) -> "subprocess.Popen[str]":
    """Start one of them."""
    env = {**os.environ, "RUNFOLD_TOLD": json.dumps(told)}
    return subprocess.Popen(["node", name, *args], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(running: "subprocess.Popen[str]") -> Any:
    """What it printed, once it has ended."""
    out, err = running.communicate(timeout=240)
    assert running.returncode == 0, err[-3000:]
    return json.loads(out)
