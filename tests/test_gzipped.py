"""What is packed is unpacked within a bound, however large that is."""

import gzip
import sys

import pytest

from runfold.gzipped import GrowsTooLarge, NotWhole, Unpacker, unpacked


@pytest.mark.parametrize("most", [2, 2**62, sys.maxsize, sys.maxsize + 1, 10**30])
def test_any_number_is_a_bound(most: int) -> None:
    assert unpacked(gzip.compress(b"{}"), most) == b"{}"


def test_what_is_larger_is_refused() -> None:
    with pytest.raises(GrowsTooLarge, match="larger than 1 bytes"):
        unpacked(gzip.compress(b"{}"), 1)


@pytest.mark.parametrize("padding", [1, 512, 10_000])
def test_nuls_behind_a_member_are_padding(padding: int) -> None:
    nuls = b"\0" * padding
    assert unpacked(gzip.compress(b"{}") + nuls, 100) == b"{}"
    assert unpacked(gzip.compress(b"{}") + nuls + gzip.compress(b"[]") + nuls, 100) == b"{}[]"
    with pytest.raises(NotWhole):
        unpacked(nuls + gzip.compress(b"{}"), 100)


def test_what_comes_before_a_fault_is_given() -> None:
    parts = Unpacker(100).parts(gzip.compress(b"{}") + b"what is this?")
    assert next(parts) == b"{}"
    with pytest.raises(NotWhole):
        next(parts)
