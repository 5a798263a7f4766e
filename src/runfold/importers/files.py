"""Files to import from: found, unpacked and brought into UTF-8, a piece at a time."""

import codecs
import errno
import io
import itertools
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

from runfold.errors import InvalidEvent, UsageError
from runfold.file_errors import as_text, what_helps
from runfold.gzipped import GrowsTooLarge, NotWhole, Unpacker
from runfold.importers import zstd
from runfold.importers.looks import Looks, Stamp
from runfold.importers.tally import Problem
from runfold.settings import MIB

T = TypeVar("T")

MOST_BYTES = 1024 * MIB
CHUNK = MIB
PACKED = 4096
"""Bytes that are unpacked at once, to a thousand times as much at most."""
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EBADF}
_MARKS = {
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    b"{\0": "utf-16-le",
    b"[\0": "utf-16-le",
    b"\0{": "utf-16-be",
    b"\0[": "utf-16-be",
}
"""How a text in UTF-16 begins, with a byte order mark or without."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class TextFile:
    """The text of a packed file in a file of its own, which is there for as long as this is held."""

    path: str
    held: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Part:
    """Some lines of a file."""

    first_line: int
    start: int
    """Bytes of text before them."""
    end: int | None
    """Bytes of text before what follows them; None where nothing does."""
    skipped: int | None
    """Bytes of the file before its text; None where that stands there otherwise."""
    text: TextFile | None = None
    """Where it stands then, so that the file is not unpacked for each of its parts."""


@dataclass(frozen=True)
class SourceFile:
    """A file, or standard input or a pipe, whose bytes were read already."""

    name: str
    path: Path | None
    size: int
    data: bytes | None = field(default=None, repr=False)
    most: int = MOST_BYTES
    """Bytes that are taken of it, unpacked."""
    stamp: Stamp | None = field(default=None, repr=False, compare=False)
    looks: Looks | None = field(default=None, repr=False, compare=False)
    """What was found in it earlier, where it is looked at again and again; then it has a stamp."""
    part: Part | None = None
    """The lines that are meant; None where all are."""

    def looked_at(self, kind: str, look: Callable[[], T]) -> T:
        """Return what a look at it finds, or found when it was the same."""
        if self.looks is None or self.stamp is None:
            return look()
        if self.part is not None:
            kind = f"{kind} from byte {self.part.start}"
        return self.looks.once(kind, self.name, self.stamp, look)

    @property
    def plain_name(self) -> str:
        """Return its name without folders and without `.gz`."""
        return as_text(Path(self.name).name).removesuffix(".gz")

    @property
    def share(self) -> int:
        """Return its bytes, of a part about those of the part."""
        if self.part is None:
            return self.size
        return max(0, (self.size if self.part.end is None else self.part.end) - self.part.start)

    def read(self) -> bytes:
        """Return its bytes, unpacked and in UTF-8. Raises InvalidEvent as `chunks` does."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes, unpacked and in UTF-8, without a byte order mark.

        Raises InvalidEvent where it cannot be read, or is larger than what is imported at once.
        """
        if self.size > self.most:
            raise self._too_large(f"is {self.size:,} bytes, more than the limit of {self.most:,} for one file")
        try:
            yield from self._text()
        except OSError as error:
            raise InvalidEvent("", f"cannot be read: {error.strerror or error}") from None
        except GrowsTooLarge as error:
            raise self._too_large(str(error)) from None
        except NotWhole as error:
            raise InvalidEvent("", f"is not a whole gzip file: it {error}") from None

    def _text(self) -> Iterator[bytes]:
        if (part := self.part) is None:
            yield from _in_utf8(filter(None, self.unpacked()))
        elif part.text is None and part.skipped is None:
            yield from _between(_in_utf8(filter(None, self.unpacked())), part.start, part.end)
        else:
            with self._opened() if part.text is None else Path(part.text.path).open("rb") as opened:
                opened.seek((part.skipped or 0) + part.start)
                chunks = iter(lambda: opened.read(CHUNK), b"")
                yield from _between(chunks, 0, None if part.end is None else part.end - part.start)

    def bytes_before_text(self) -> int | None:
        """Return how many bytes stand before its text; None where that does not stand in it as it is. Raises OSError."""
        with self._opened() as opened:
            first = opened.read(4)
        if first.startswith((zstd.MAGIC, _GZIP, *_MARKS)):
            return None
        return len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0

    def is_packed(self) -> bool:
        """Return whether it is packed with gzip or Zstandard. Raises OSError."""
        with self._opened() as opened:
            return opened.read(4).startswith((zstd.MAGIC, _GZIP))

    def unpacked(self) -> Iterator[bytes]:
        """Yield its bytes, unpacked. Raises OSError, GrowsTooLarge, NotWhole, InvalidEvent."""
        with self._opened() as opened:
            first = opened.read(CHUNK)
            chunks = itertools.chain([first], iter(lambda: opened.read(CHUNK), b""))
            if first.startswith(zstd.MAGIC):
                yield from zstd.unpacked(chunks, self.most)
            elif first.startswith(_GZIP):
                yield from _gunzipped(chunks, self.most)
            else:
                yield from chunks

    def _opened(self) -> BinaryIO:
        return io.BytesIO(self.data or b"") if self.path is None else self.path.open("rb")

    def _too_large(self, fact: str) -> InvalidEvent:
        return InvalidEvent("", f"{fact}; split it, or raise RUNFOLD_MAX_IMPORT_BYTES")


def _gunzipped(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    unpacker = Unpacker(most)
    for chunk in chunks:
        for at in range(0, len(chunk), PACKED):
            yield from unpacker.parts(chunk[at : at + PACKED])
    unpacker.finish()


def _between(chunks: Iterable[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """What stands between two bytes of all that comes."""
    at = 0
    for chunk in chunks:
        yield chunk[max(0, start - at) : None if end is None else max(0, end - at)]
        at += len(chunk)
        if end is not None and at >= end:
            return


def _in_utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Text in UTF-8 as it is, and in UTF-16 translated. What is no UTF-16 becomes lone surrogates."""
    first = next(chunks, b"")
    encoding = next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)
    if encoding is None:
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in itertools.chain([first], chunks):
        yield decoder.decode(chunk).removeprefix("\ufeff").encode(errors="surrogatepass")


def find(
    paths: Iterable[str | Path],
    wanted: Callable[[str], bool],
    most: int = MOST_BYTES,
    report: Callable[[Problem], None] = lambda _: None,
) -> list[SourceFile]:
    """Files as named, the wanted ones of folders and of all that is in them, `-` for standard input; each once.

    A pipe that is named is read now, for that can be done once. `wanted` is asked for names without `.gz`. What of a folder may
    not be looked at is a problem. Raises UsageError where there is no such path.
    """
    found: dict[str, SourceFile] = {}
    for given in paths:
        if str(given) == "-":
            found["-"] = _read_now("stdin", sys.stdin.buffer, most)
            continue
        path = Path(given)
        if not str(given) or not path.exists():  # nothing would be the folder that one is in
            raise UsageError(f"file or folder {str(given)!r} not found; name an existing one, or - for standard input")
        if is_pipe(path):
            with path.open("rb") as pipe:
                found[str(path)] = _read_now(str(path), pipe, most)
            continue
        files = regular(inside(path, wanted, report), report) if path.is_dir() else regular([path], report)
        for item, about in sorted(files):
            found.setdefault(str(item.resolve()), SourceFile(str(item), item, about.st_size, most=most))
    return list(found.values())


def inside(folder: Path, wanted: Callable[[str], bool], report: Callable[[Problem], None]) -> Iterator[Path]:
    """Yield what is called like a file of a format, in a folder and all in it; a folder that may not be read is a problem."""
    for root, folders, names in os.walk(folder, onerror=lambda error: _refused(error, "what is in it is left out", report)):
        folders.sort()
        yield from (Path(root, name) for name in sorted(names) if wanted(name.removesuffix(".gz")))


def regular(items: Iterable[Path], report: Callable[[Problem], None]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files among paths, and what is known of each. What has gone is none; what a closed folder holds is a problem."""
    for item in items:
        try:
            about = item.stat()
        except OSError as error:
            _refused(error, "it is left out", report)
            continue
        if stat.S_ISREG(about.st_mode):  # no pipe, which would be waited for
            yield item, about


def _refused(error: OSError, so: str, report: Callable[[Problem], None]) -> None:
    if error.errno not in _GONE:
        reason = f"cannot be looked at: {error.strerror or error}; {so}; {what_helps(error, 'leave it be')}"
        report(Problem(str(error.filename), None, reason))


def is_pipe(path: Path) -> bool:
    """Return whether a path is neither a file nor a folder: what is read there once is not there again."""
    return path.exists() and not path.is_dir() and not path.is_file()


def _read_now(name: str, opened: BinaryIO, most: int) -> SourceFile:
    data = opened.read(most + 1)
    return SourceFile(name, None, len(data), data, most)
