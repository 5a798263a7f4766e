"""Gzip of any number of members, unpacked within a bound: what grows beyond it is noticed before it has."""

import sys
import zlib
from collections.abc import Iterator

_GZIP = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 10_000
_PIECE = 4096
"""What is left behind the end of a member is copied for each of them."""


class GrowsTooLarge(ValueError):
    """Unpacked it is larger than what is taken."""


class NotWhole(ValueError):
    """It is not gzip, or breaks off."""


class Unpacker:
    """Unpacks what comes, piece by piece."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._member = zlib.decompressobj(_GZIP)
        self._size = self._members = 0
        self._is_between = True

    def take(self, chunk: bytes) -> bytes:
        """Return what comes of some more bytes. Raises GrowsTooLarge, NotWhole."""
        return b"".join(self.parts(chunk))

    def parts(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what comes of some more bytes, before it raises GrowsTooLarge or NotWhole."""
        for at in range(0, len(chunk), _PIECE):
            yield from self._parts(chunk[at : at + _PIECE])

    def finish(self) -> None:
        """End the input. Raises NotWhole where it breaks off."""
        if not self._is_between:
            raise NotWhole("ends in the middle of its gzip stream")

    def _parts(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._member.eof:
                piece = piece.lstrip(b"\0")  # padding behind a member
                if not piece:
                    return
                self._begin()
            part = self._unpacked(piece)
            self._size += len(part)
            if self._size > self.most or self._member.unconsumed_tail:
                raise GrowsTooLarge(f"is larger than {self.most:,} bytes once it is unpacked")
            yield part
            self._is_between = self._member.eof
            piece = self._member.unused_data

    def _begin(self) -> None:
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise NotWhole(f"has more than {_MOST_MEMBERS:,} gzip members; pack it as one")
        self._member = zlib.decompressobj(_GZIP)

    def _unpacked(self, piece: bytes) -> bytes:
        try:
            return self._member.decompress(piece, min(max(1, self.most - self._size + 1), sys.maxsize))
        except zlib.error as error:
            raise NotWhole(f"is not gzip ({error})") from None


def unpacked(raw: bytes, most: int) -> bytes:
    """The whole at once. Raises GrowsTooLarge, NotWhole."""
    unpacker = Unpacker(most)
    found = unpacker.take(raw)
    unpacker.finish()
    return found
