"""What is packed is unpacked within a bound, however large that is."""

import gzip
import sys

import pytest

from runfold.gzipped import GrowsTooLarge, unpacked


@pytest.mark.parametrize("most", [2, 2**62, sys.maxsize, sys.maxsize + 1, 10**30])
def test_any_number_is_a_bound(most: int) -> None:
    assert unpacked(gzip.compress(b"{}"), most) == b"{}"


def test_what_is_larger_is_refused() -> None:
    with pytest.raises(GrowsTooLarge, match="larger than 1 bytes"):
        unpacked(gzip.compress(b"{}"), 1)
