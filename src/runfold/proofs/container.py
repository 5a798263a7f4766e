"""The files of a bundle: a folder or a .zip with a MANIFEST, read as what somebody wrote who must not be trusted.

No name leads out of it, nothing is unpacked to disk, no line and no file is larger than it may be, and every byte is held
against the MANIFEST before anything is made of it. The MANIFEST is no evidence: it tells damage on the way from a lie.
"""

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, Protocol

MANIFEST = "MANIFEST"
FIRST_LINE = "runfold-bundle 1"
CLAIMS, CHECKPOINT, ENTRIES, EVENTS, PROOFS, MAP = (
    "claims.json",
    "checkpoint",
    "entries.jsonl",
    "events.jsonl",
    "proofs.jsonl",
    "map.jsonl",
)
REQUIRED = (CLAIMS, CHECKPOINT, ENTRIES, EVENTS, PROOFS, MAP)
ANSWER = "answer.jsonl"
"""Rows of a read model, where the bundle is to show that they follow from its events."""
SAMPLE = "sample.jsonl"
"""All runs that a sample was drawn from, where the bundle is of one."""
BESIDE = frozenset({ANSWER, SAMPLE})
TIMESTAMP = "checkpoint.tsr"
"""What an authority answered to whoever had the checkpoint stamped with the time."""
REPORT = "report.html"
"""What a bundle holds beside, of which nothing is verified but that it arrived whole."""
MOST_LINE = 64 * 1024 * 1024
_MOST_SMALL = 1024 * 1024
_MOST_UNPACKED = 64 * 1024 * 1024
_MOST_RATIO = 200
_CHUNK = 1024 * 1024
_DAMAGED = (OSError, EOFError, RuntimeError, LookupError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error)
"""What reading a .zip that is none may end with."""
_LEFT_BEHIND = re.compile(
    r"(?:.*/)?(?:\.[^./].*|thumbs\.db|ehthumbs\.db|desktop\.ini|.*~|#.*#)|__MACOSX(?:/.*)?", re.IGNORECASE | re.DOTALL
)
"""What systems and editors leave where somebody looks: hidden files, pictures in small, copies of before. None is of a bundle."""
_LINE = re.compile(r"([0-9a-f]{64})  (0|[1-9][0-9]{0,18})  ([a-z.]{1,40})")


class BundleUnreadable(ValueError):
    """A bundle that cannot be read, or that was damaged: it proves nothing."""


class Files(Protocol):
    """The files of a bundle."""

    def names(self) -> list[str]:
        """Return all names, as they are."""

    def open(self, name: str) -> IO[bytes]:
        """Open one of them."""


class Described(NamedTuple):
    """What a MANIFEST says of a file."""

    name: str
    size: int
    sha256: str

    def line(self) -> str:
        """Return its line."""
        return f"{self.sha256}  {self.size}  {self.name}\n"


def manifest_of(files: Iterable[Described]) -> str:
    """The text of a MANIFEST."""
    return f"{FIRST_LINE}\n{''.join(each.line() for each in sorted(files))}"


class Bundle:
    """A bundle whose files are all there and whole."""

    def __init__(self, files: Files) -> None:
        """Read the MANIFEST and every byte once. Raises BundleUnreadable."""
        self._files = files
        self._sizes: dict[str, int] = {}
        self.passed_over: tuple[str, ...] = ()
        """What lies in it and is of no bundle, as systems and editors leave it. Nothing of it was looked at."""
        try:
            self._require_whole()
        except _DAMAGED as error:
            raise BundleUnreadable(f"it cannot be read ({type(error).__name__})") from None

    def has(self, name: str) -> bool:
        """Return whether a file is there."""
        return name in self._sizes

    def raw(self, name: str) -> bytes:
        """Return the bytes of a small file. Raises BundleUnreadable."""
        if self._sizes[name] > _MOST_SMALL:
            raise BundleUnreadable(f"{name} is longer than it may be")
        with self._files.open(name) as file:
            return file.read(_MOST_SMALL)

    def text(self, name: str) -> str:
        """Return the text of a small file. Raises BundleUnreadable."""
        return _decoded(name, self.raw(name))

    def lines(self, name: str) -> Iterator[bytes]:
        """Give the lines of a file, one at a time and without their ends. Raises BundleUnreadable."""
        with self._files.open(name) as file:
            number = 0
            while line := file.readline(MOST_LINE + 1):
                number += 1
                if not line.endswith(b"\n") or line.endswith(b"\r\n"):
                    raise BundleUnreadable(f"{name}: line {number} is cut off, too long, or does not end as lines of a bundle do")
                yield line[:-1]

    def require_claimed(self, claimed: set[str]) -> None:
        """Raise BundleUnreadable unless of what a bundle may hold beside there is just what it is to show."""
        for name in sorted((BESIDE & self._sizes.keys()) ^ claimed):
            raise BundleUnreadable(f"{name} is missing" if name in claimed else f"{name} belongs to nothing that it is to show")

    def _require_whole(self) -> None:
        every = self._files.names()
        names = [name for name in every if not _is_left_behind(name)]
        self.passed_over = tuple(sorted({*every} - {*names}))
        if len(names) != len(set(names)):
            raise BundleUnreadable("a file is in it twice")
        if strange := sorted(set(names) - {MANIFEST, *REQUIRED, *BESIDE, TIMESTAMP, REPORT}):
            raise BundleUnreadable(
                f"{strange[0][:80]!r} is no file of a bundle; take out of it what was not in it when it was made"
            )
        if missing := [name for name in (MANIFEST, *REQUIRED) if name not in names]:
            raise BundleUnreadable(f"{missing[0]} is missing")
        with self._files.open(MANIFEST) as file:
            listed = _read_manifest(_decoded(MANIFEST, file.read(_MOST_SMALL)))
        if {each.name for each in listed} != set(names) - {MANIFEST}:
            raise BundleUnreadable("MANIFEST does not list the files that are there")
        for each in listed:
            if self._described(each.name) != each:
                raise BundleUnreadable(f"{each.name} is not the file that MANIFEST lists: it was changed, or damaged on the way")
            self._sizes[each.name] = each.size

    def _described(self, name: str) -> Described:
        digest, size = hashlib.sha256(), 0
        with self._files.open(name) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return Described(name, size, digest.hexdigest())


class Folder:
    """A bundle in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Return all names, as they are. Raises BundleUnreadable for what is no file."""
        found = sorted(self._folder.iterdir())
        for path in found:
            if (path.is_symlink() or not path.is_file()) and not _is_left_behind(path.name):
                raise BundleUnreadable(f"{path.name[:80]!r} is no plain file")
        return [path.name for path in found]

    def open(self, name: str) -> IO[bytes]:
        """Open one of them."""
        return (self._folder / name).open("rb")


class Zip:
    """A bundle in a .zip, which is never unpacked: its files, or one folder with them, as it is when a folder is packed."""

    def __init__(self, path: Path) -> None:
        """Read the list of its files. Raises BundleUnreadable."""
        try:
            self._zip = zipfile.ZipFile(path)
        except (ValueError, *_DAMAGED) as error:
            raise BundleUnreadable(f"it is neither a folder nor a .zip ({type(error).__name__})") from None
        members = self._zip.infolist()
        unpacked, packed = sum(each.file_size for each in members), path.stat().st_size
        if unpacked > max(_MOST_UNPACKED, _MOST_RATIO * packed):
            raise BundleUnreadable(f"its {packed} bytes would become {unpacked}: no bundle is packed so small")
        if any(each.flag_bits & 1 or each.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for each in members):
            raise BundleUnreadable("it is encrypted, or packed otherwise than a bundle may be")
        self._folder = _only_folder([each.filename for each in members])

    def names(self) -> list[str]:
        """Return all names, as they are in the one folder where all lie in one."""
        names = (each.filename for each in self._zip.infolist() if each.filename != self._folder)
        return [name.removeprefix(self._folder) for name in names]

    def open(self, name: str) -> IO[bytes]:
        """Open one of them."""
        return self._zip.open(f"{self._folder}{name}")


def open_bundle(path: Path) -> Bundle:
    """Open the bundle in a folder or a .zip. Raises BundleUnreadable."""
    if not path.is_dir() and not path.is_file():
        raise BundleUnreadable("there is no such folder or file")
    return Bundle(Folder(path) if path.is_dir() else Zip(path))


def _is_left_behind(name: str) -> bool:
    return _LEFT_BEHIND.fullmatch(name) is not None


def _only_folder(names: Iterable[str]) -> str:
    """The folder in which all of some names lie, with its slash; an empty text where there is none."""
    own = (name.partition("/") for name in names if not _is_left_behind(name))
    folders = {f"{first}{slash}" for first, slash, _ in own}
    (only, *others) = folders or {""}
    return only if not others and only[1:].endswith("/") and only != "../" else ""


def _read_manifest(text: str) -> list[Described]:
    first, *lines = text.split("\n")
    if first != FIRST_LINE:
        version = first.startswith("runfold-bundle ")
        raise BundleUnreadable(
            f"it is of a version that this verifier does not know ({first[:40]!r}); take a newer one"
            if version
            else "MANIFEST is none"
        )
    found = []
    for line in lines[:-1]:
        if (match := _LINE.fullmatch(line)) is None:
            raise BundleUnreadable("MANIFEST has a line that is none")
        found.append(Described(match[3], int(match[2]), match[1]))
    if lines[-1:] != [""] or found != sorted(found) or len(found) != len({each.name for each in found}):
        raise BundleUnreadable("MANIFEST is not whole, or not in order")
    return found


def _decoded(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BundleUnreadable(f"{name} is not UTF-8") from None
