"""Folders of a test run, which a later run removes where this one was killed."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runfold.embedded import watchdog

OWNER = ".owner"
"""The file in each that its process holds locked."""
_held: list[int] = []
"""The locks of this process's folders. The operating system gives them up with the process, however that ends."""


def own_folder(kind: str, where: Path | None = None) -> Path:
    """Make a folder that is this process's own, and remove those of its kind whose processes are gone.

    The server's user can pass through it, where the tests run as root.
    """
    place = where or Path(tempfile.gettempdir())
    for left in left_over(kind, place):
        remove(left)
    made = Path(tempfile.mkdtemp(prefix=f".{_prefix(kind)}", dir=place))
    made.chmod(0o711)
    lock = os.open(made / OWNER, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _held.append(lock)
    named = made.with_name(made.name.removeprefix("."))  # nobody sees it under that name before it is held
    made.rename(named)
    return named


def left_over(kind: str, place: Path) -> Iterator[Path]:
    """Yield the folders of a kind whose processes are gone, each held meanwhile."""
    for folder in sorted(place.glob(f"{_prefix(kind)}*")):
        with contextlib.suppress(OSError):  # another's, or another removes it just now
            lock = os.open(folder / OWNER, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield folder
            finally:
                os.close(lock)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it; a server that runs there is stopped first."""
    with contextlib.suppress(OSError):
        watchdog.stop_server(folder / "postgres" / "data")
    for inside in folder.iterdir():
        if inside.is_dir() and not inside.is_symlink():
            shutil.rmtree(inside, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # its lock goes last


def _prefix(kind: str) -> str:
    return f"runfold-test-{kind}-"
