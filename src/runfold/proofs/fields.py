"""Values in the files of a bundle, as somebody wrote them who must not be trusted: each is what it should be, or refused."""

import base64
import binascii
from typing import Any

from runfold.proofs.container import BundleUnreadable
from runfold.proofs.leaf import canonical, canonical_values, has_half

_MOST_COUNT = 1 << 63


def object_in(line: bytes, name: str) -> dict[str, Any]:
    """A line → the object that it holds. Raises BundleUnreadable for one that is not written as those of a bundle are."""
    try:
        said = canonical_values(line)
        is_canonical = canonical(said).encode() == line
    except (ValueError, ArithmeticError, RecursionError):
        said, is_canonical = None, False
    if not isinstance(said, dict) or not is_canonical:
        raise BundleUnreadable(f"{name} has a line that is not written as those of a bundle are")
    return said


def text_in(value: Any, name: str) -> str:
    """A value that is a text. Raises BundleUnreadable."""
    if not isinstance(value, str):
        raise BundleUnreadable(f"{name} has a value of another kind than it should be")
    if has_half(value):
        raise BundleUnreadable(f"{name} has a text with half a character")
    return value


def count_in(value: Any, name: str) -> int:
    """A value that is a number, written as a text. Raises BundleUnreadable."""
    text = text_in(value, name)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < _MOST_COUNT):
        raise BundleUnreadable(f"{name} has a number that is none")
    return int(text)


def hex_in(value: Any, name: str) -> bytes:
    """A value that is bytes in hexadecimal. Raises BundleUnreadable."""
    try:
        return bytes.fromhex(text_in(value, name))
    except ValueError:
        raise BundleUnreadable(f"{name} has a salt that is none") from None


def coded(raw: bytes) -> str:
    """Bytes → base64."""
    return base64.b64encode(raw).decode()


def raw_in(value: Any, name: str) -> bytes:
    """A value that is bytes in base64. Raises BundleUnreadable."""
    try:
        raw = base64.b64decode(text_in(value, name), validate=True)
    except (binascii.Error, ValueError):
        raise BundleUnreadable(f"{name} has bytes that are no base64") from None
    if coded(raw) != value:
        raise BundleUnreadable(f"{name} has bytes that are not written as base64 is")
    return raw
