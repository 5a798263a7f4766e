"""Install Runfold into .venv with pip, and say meanwhile what it is doing: `install.py EXTRAS`. Needs nothing but Python.

On a terminal one line is written anew; elsewhere, as in the log of CI, each thing that takes long has a line.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHOWN_FROM_MB = 2.0
_DOWNLOAD = re.compile(r"Downloading (\S+?)-\d\S* \((\d+(?:\.\d+)?) (kB|MB)\)")


def step_of(line: str) -> tuple[str, bool] | None:
    """What pip is doing when it prints a line, and whether that takes long; None for what is of no interest."""
    if found := _DOWNLOAD.match(line):
        megabytes = float(found[2]) / (1 if found[3] == "MB" else 1000)
        return f"downloading {found[1]} ({found[2]} {found[3]})", megabytes >= SHOWN_FROM_MB
    if line.startswith("Collecting "):
        return f"looking for {line.split()[1]}", False
    if line.startswith("Installing collected packages:"):
        return f"installing {line.count(',') + 1} packages", True
    return None


def show(line: str, after: str) -> None:
    """Show what pip is doing, in one line that is written anew on a terminal."""
    found = step_of(line)
    if found is None:
        return
    step, is_long = found
    if sys.stdout.isatty():
        print(f"\r\033[K{after}  {step}", end="", flush=True)
    elif is_long:
        print(f"{after}  {step}", flush=True)


def main() -> int:
    """Return the exit code of pip; what it printed is shown where it failed."""
    extras, began = sys.argv[1], time.monotonic()
    print(f"Installing Runfold with its libraries and PostgreSQL into .venv: once, some 100 MB ({extras}) …", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--constraint", ".ci/constraints.txt", "--editable", f".[{extras}]"]
    said: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            said.append(line)
            show(line.strip(), f"{time.monotonic() - began:4.0f} s")
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if pip.returncode:
        sys.stderr.write("".join(said[-40:]))
    else:
        print(f"Installed after {time.monotonic() - began:.0f} s.", flush=True)
    return pip.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; the next `make` goes on", file=sys.stderr)
        sys.exit(130)
