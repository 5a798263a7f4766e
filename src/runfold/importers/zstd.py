"""Zstandard, unpacked within a bound. The library that does it comes with `runfold[importers]`."""

from collections.abc import Iterator

from runfold.errors import InvalidEvent
from runfold.gzipped import GrowsTooLarge

MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE = 4096
"""What is given at once, for it may grow by a factor of thousands."""


def unpacked(raw: bytes, most: int) -> bytes:
    """Return what is packed. Raises InvalidEvent where it cannot be unpacked, GrowsTooLarge beyond `most` bytes."""
    parts, size = [], 0
    for part in _parts(raw):
        size += len(part)
        if size > most:
            raise GrowsTooLarge(f"is larger than {most:,} bytes once it is unpacked")
        parts.append(part)
    return b"".join(parts)


def _parts(raw: bytes) -> Iterator[bytes]:
    try:
        import zstandard  # noqa: PLC0415  what not everybody has installed
    except ImportError:
        raise InvalidEvent("", "is packed with Zstandard; install runfold[importers], or unpack it with zstd -d") from None
    frame = zstandard.ZstdDecompressor().decompressobj()
    for at in range(0, len(raw), _PIECE):
        piece = raw[at : at + _PIECE]
        while piece:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            try:
                yield frame.decompress(piece)
            except zstandard.ZstdError as error:
                raise InvalidEvent("", f"is not a whole Zstandard file: {error}") from None
            piece = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise InvalidEvent("", "is not a whole Zstandard file: it ends in the middle of a frame")
