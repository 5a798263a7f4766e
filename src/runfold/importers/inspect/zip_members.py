"""Members of a zip, one at a time: stored, Deflate or Zstandard, each unpacked within a bound and checked.

A member's name may come again, and then its last one counts. A zip that breaks off is read from its front as far as it goes.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from runfold.errors import InvalidEvent
from runfold.file_errors import why
from runfold.gzipped import GrowsTooLarge

STORED, DEFLATE, ZSTANDARD = 0, 8, 93
ZIP = b"PK\x03\x04"
_LOCAL = struct.Struct("<4s5H3L2H")
_CHUNK = 256 * 1024
MOST_MEMBERS = 1_000_000
MOST_TOO_LARGE = 10
"""Members that turn out too large before the file is given up: each takes its time."""


@dataclass(frozen=True)
class Member:
    """Where a member's packed bytes stand."""

    name: str
    method: int
    start: int
    packed: int
    crc: int | None
    is_encrypted: bool = False


def members(file: BinaryIO) -> tuple[dict[str, Member], str | None]:
    """The members by name, the last of each, and what is wrong with the file as a whole. Raises InvalidEvent for no zip."""
    file.seek(0)
    if file.read(4) not in {ZIP, b"PK\x05\x06"}:
        raise InvalidEvent("", "is not a zip file")
    try:
        with zipfile.ZipFile(file) as whole:
            listed = whole.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        found = {member.name: member for member in _from_the_front(file)}
        return found, f"is not a whole zip file ({why(error)}); what is whole at its front goes in"
    if len(listed) > MOST_MEMBERS:
        raise InvalidEvent("", f"has {len(listed):,} members, more than {MOST_MEMBERS:,}")
    found = {}
    for info in listed:
        start = _start(file, info.header_offset)
        found[info.filename] = Member(
            info.filename, info.compress_type, start, info.compress_size, info.CRC, bool(info.flag_bits & 1)
        )
    size = file.seek(0, 2)
    if sum(member.packed for member in found.values()) > size:
        raise InvalidEvent("", "has members that overlap; pack them anew")
    return found, None


def unpacked(file: BinaryIO, member: Member, most: int) -> bytes:
    """Return a member's bytes. Raises InvalidEvent where it is damaged, GrowsTooLarge, LibraryMissing."""
    if member.is_encrypted:
        raise InvalidEvent("", "is encrypted; give it without a password")
    file.seek(member.start)
    parts, size, crc = [], 0, 0
    for part in _parts(file, member):
        size += len(part)
        if size > most:
            raise GrowsTooLarge(f"is larger than {most:,} bytes once it is unpacked; raise RUNFOLD_MAX_IMPORT_BYTES")
        crc = zlib.crc32(part, crc)
        parts.append(part)
    if member.crc is not None and crc != member.crc:
        raise InvalidEvent("", "is damaged: its checksum is another")
    return b"".join(parts)


class LibraryMissing(ImportError):
    """The library that unpacks it is not installed."""


def _start(file: BinaryIO, offset: int) -> int:
    file.seek(max(0, offset))
    header = file.read(_LOCAL.size)
    if offset < 0 or len(header) < _LOCAL.size or not header.startswith(ZIP):
        return file.seek(0, 2)  # nothing is there, which its checksum will tell
    *_, name, extra = _LOCAL.unpack(header)
    return offset + _LOCAL.size + int(name) + int(extra)


def _from_the_front(file: BinaryIO) -> Iterator[Member]:
    """The members as their own headers tell, as far as those say how long they are."""
    at, end = 0, file.seek(0, 2)
    while True:
        file.seek(at)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(ZIP):
            return
        _, _, flags, method, _, _, crc, packed, _, name_size, extra_size = _LOCAL.unpack(header)
        name = file.read(name_size)
        start = at + _LOCAL.size + name_size + extra_size
        at = start + packed
        if at > end or flags & 8 or packed == 0xFFFFFFFF:
            return
        yield Member(name.decode(errors="replace"), method, start, packed, crc, bool(flags & 1))


def _parts(file: BinaryIO, member: Member) -> Iterator[bytes]:
    if member.method == STORED:
        yield from _chunks(file, member.packed)
    elif member.method == DEFLATE:
        yield from _inflated(file, member.packed)
    elif member.method == ZSTANDARD:
        yield from _zstandard(file, member.packed)
    else:
        raise InvalidEvent("", f"is packed by method {member.method}; known are stored, Deflate and Zstandard")


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(size, _CHUNK))):
        size -= len(chunk)
        yield chunk


def _inflated(file: BinaryIO, size: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for chunk in _chunks(file, size):
            left = chunk
            while left:
                yield inflater.decompress(left, _CHUNK)
                left = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise InvalidEvent("", f"is damaged: {error}") from None


def _zstandard(file: BinaryIO, size: int) -> Iterator[bytes]:
    try:
        import zstandard  # noqa: PLC0415  of the extra importers
    except ImportError:
        raise LibraryMissing("is packed with Zstandard; pip install 'runfold[importers]' brings what unpacks it") from None
    stream = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(
        cast("BinaryIO", _Part(file, size)), read_across_frames=True
    )
    try:
        while part := stream.read(_CHUNK):
            yield part
    except zstandard.ZstdError as error:
        raise InvalidEvent("", f"is damaged: {error}") from None


class _Part:
    """So many bytes of a file from where it stands, as a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int = -1) -> bytes:
        """Read some of what is left."""
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk
