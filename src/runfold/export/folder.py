"""A folder of an export on disk: what is in it is whole, and stays so whatever dies.

A part is written under a name of its own, forced to disk, and renamed; then the manifest that lists it takes the place of
the one before. What was written and is not listed is removed by whoever goes on.
"""

import contextlib
import fcntl
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from runfold.durable_files import force
from runfold.errors import ExportDamaged, ExportRefused
from runfold.export import manifest
from runfold.export.manifest import Manifest, Part
from runfold.failpoint import reach
from runfold.file_errors import is_of_a_disk, what_helps, why

PASSING = ".runfold-"
"""How the names of files begin that are not to stay."""
_ELSEWHERE = "choose another folder with --output"
_PART = re.compile(r"part-(\d+)-(\d+)\.\w")

Checked = Callable[[int, int], None]
"""Of how many rows the parts were compared with their checksums, of how many."""


class Folder:
    """One export's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Manifest | None:
        """Return its manifest; None where there is nothing yet. Raises ExportRefused for a folder of somebody else's."""
        found = manifest.read(self.path)
        if found is None and self.path.exists() and any(not path.name.startswith(PASSING) for path in self.path.iterdir()):
            raise ExportRefused(
                str(self.path), f"holds files, and no {manifest.NAME}", "choose another folder with --output, or empty this one"
            )
        return found

    def begin(self, said: Manifest) -> None:
        """Make the folder, and write that there is nothing in it yet."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_manifest(said)

    def add(self, said: Manifest, first: int, last: int, rows: int, write: Callable[[Path], None]) -> Manifest:
        """Add a part that `write` makes, and list it; the new manifest."""
        name = said.file_of(first, last)
        passing = self.path / f"{PASSING}{name}"
        passing.unlink(missing_ok=True)
        try:
            write(passing)
        except BaseException:
            passing.unlink(missing_ok=True)
            raise
        reach("part written")
        part = Part(file=name, first=first, last=last, rows=rows, bytes=passing.stat().st_size, sha256=digest(passing))
        force(passing)
        passing.rename(self.path / name)
        force(self.path)
        reach("part in place")
        said = said.with_part(part)
        self._write_manifest(said)
        reach("part listed")
        return said

    def say(self, said: Manifest) -> None:
        """Write another manifest."""
        self._write_manifest(said)

    def tidy(self, said: Manifest, keep: str = "\0") -> None:
        """Remove what a killed export left behind, but for passing files with a prefix. Raises ExportDamaged for parts that
        nobody knows of."""
        known = {part.file for part in said.parts}
        for path in sorted(self.path.iterdir()):
            if path.name.startswith(PASSING) and not path.name.startswith(keep):
                path.unlink()
            elif (found := _PART.match(path.name)) and path.name not in known:
                if int(found[1]) <= max((part.last for part in said.parts), default=0):
                    raise ExportDamaged(path.name, f"is not listed in {manifest.NAME}", str(self.path))
                path.unlink()

    def require_own(self, said: Manifest) -> None:
        """Raises ExportRefused where somebody else's files lie among the parts, which would go with them."""
        own = {manifest.NAME, *(part.file for part in said.parts)}
        for name in sorted(path.name for path in self.path.iterdir()):
            if name not in own and not name.startswith(PASSING):
                raise ExportRefused(str(self.path), f"holds {name}, which is no part of it", "move that elsewhere")

    def check(self, said: Manifest, checked: Checked) -> None:
        """Compare each part with its checksum. Raises ExportDamaged."""
        done = 0
        for part in said.parts:
            path = self.path / part.file
            if not path.is_file():
                raise ExportDamaged(part.file, "is missing", str(self.path))
            if path.stat().st_size != part.bytes or digest(path) != part.sha256:
                raise ExportDamaged(part.file, f"was changed: it is not what {manifest.NAME} says (sha256)", str(self.path))
            done += part.rows
            checked(done, said.rows)

    def _write_manifest(self, said: Manifest) -> None:
        passing = self.path / f"{PASSING}{manifest.NAME}"
        passing.write_text(said.model_dump_json(indent=1) + "\n", encoding="utf-8")
        force(passing)
        passing.rename(self.path / manifest.NAME)
        force(self.path)


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(root: Path, table: str) -> Iterator[None]:
    """Nobody else exports the same to the same place meanwhile. Raises ExportRefused."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{table}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fact = "is being written by another export"
            raise ExportRefused(str(root / table), fact, "wait until that ends, or choose another folder with --output") from None
        yield


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of what the disk refuses what can be done. Raises ExportRefused."""
    try:
        yield
    except OSError as error:
        if is_of_a_disk(error):
            raise cannot_write(path, why(error), what_helps(error, _ELSEWHERE)) from error
        raise ExportRefused(str(path), f"cannot be written ({why(error)})", what_helps(error, _ELSEWHERE)) from error


def cannot_write(path: Path, fact: str, next_step: str = f"free space, or {_ELSEWHERE}") -> ExportRefused:
    """A disk that is full, or fails."""
    free = shutil.disk_usage(next(each for each in (path, *path.parents) if each.exists())).free
    return ExportRefused(
        str(path),
        f"cannot be written ({fact}; {free // 2**20:,} MiB are free)",
        f"{next_step}, and give the command again: it goes on after the last whole part",
    )
