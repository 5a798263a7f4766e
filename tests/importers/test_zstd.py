"""Files that are packed with Zstandard."""

import pytest
import zstandard

from runfold.errors import InvalidEvent
from runfold.importers.sources import SourceFile


def _file(raw: bytes, most: int = 1000) -> SourceFile:
    return SourceFile("a.jsonl.zst", None, len(raw), raw, most)


def test_a_packed_file_is_read_unpacked_whatever_its_name() -> None:
    packed = zstandard.ZstdCompressor().compress(b'{"a": 1}\n')
    assert _file(packed).read() == b'{"a": 1}\n'
    assert _file(packed + packed).read() == b'{"a": 1}\n' * 2


def test_one_that_breaks_off_or_grows_too_large_is_refused_by_what_it_is() -> None:
    packed = zstandard.ZstdCompressor().compress(bytes(range(256)) * 8)
    with pytest.raises(InvalidEvent, match="larger than 1,000 bytes once it is unpacked"):
        _file(packed).read()
    with pytest.raises(InvalidEvent, match="not a whole Zstandard file"):
        _file(b"\x28\xb5\x2f\xfd" + b"nonsense" * 4, 10_000).read()
    with pytest.raises(InvalidEvent, match="ends in the middle of a frame"):
        _file(packed[:-9], 10_000).read()
