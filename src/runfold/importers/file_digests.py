"""Digests of files as they were handed over, and of what they are unpacked, for whoever has the same files."""

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from runfold.domain.thread import ImportedFile
from runfold.errors import InvalidEvent
from runfold.gzipped import GrowsTooLarge, NotWhole
from runfold.importers.files import CHUNK, SourceFile
from runfold.importers.looks import Stamp, stamp_of


def imported_files(files: Iterable[SourceFile]) -> tuple[ImportedFile, ...]:
    """Return the digests of files, without those that changed since they were found, or are not to be read any more."""
    return tuple(dict.fromkeys(found for file in files if (found := _imported(file)) is not None))


def _imported(file: SourceFile) -> ImportedFile | None:
    if file.path is None:
        return _of_data(replace(file, part=None))
    try:
        now = file.path.stat()
        return _of_file(file.path, stamp_of(now), file.most) if now.st_size == file.size else None
    except OSError:
        return None


@lru_cache(maxsize=256)
def _of_file(path: Path, stamp: Stamp, most: int) -> ImportedFile:
    """One file may hold many threads."""
    file = SourceFile(str(path), path, stamp[0], most=most)
    with path.open("rb") as opened:
        digest = _digest(iter(lambda: opened.read(CHUNK), b""))
    return _told(file, digest)


@lru_cache(maxsize=1)
def _of_data(file: SourceFile) -> ImportedFile:
    return _told(file, _digest([file.data or b""]))


def _told(file: SourceFile, digest: str) -> ImportedFile:
    unpacked = None
    if file.is_packed():
        with contextlib.suppress(InvalidEvent, GrowsTooLarge, NotWhole):  # what could be unpacked of it is in, and no more
            unpacked = _digest(file.unpacked())
    name = Path(file.name).name.encode(errors="replace").decode()
    return ImportedFile(name=name, digest=digest, unpacked_digest=unpacked)


def _digest(chunks: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for chunk in chunks:
        whole.update(chunk)
    return f"sha256:{whole.hexdigest()}"
