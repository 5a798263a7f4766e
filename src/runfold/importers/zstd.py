"""Zstandard, unpacked within a bound. The library that does it comes with `runfold[importers]`."""

from collections.abc import Iterable, Iterator

from runfold.errors import InvalidEvent
from runfold.gzipped import GrowsTooLarge

MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE = 4096
"""What is given at once, for it may grow by a factor of thousands."""


def unpacked(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Yield what is packed. Raises InvalidEvent where it cannot be unpacked, GrowsTooLarge beyond `most` bytes."""
    size = 0
    for part in _parts(chunks):
        size += len(part)
        if size > most:
            raise GrowsTooLarge(f"is larger than {most:,} bytes once it is unpacked")
        yield part


def _parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        import zstandard  # noqa: PLC0415  what not everybody has installed
    except ImportError:
        raise InvalidEvent("", "is packed with Zstandard; install runfold[importers], or unpack it with zstd -d") from None
    frame = zstandard.ZstdDecompressor().decompressobj()
    for given in (chunk[at : at + _PIECE] for chunk in chunks for at in range(0, len(chunk), _PIECE)):
        piece = given
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
