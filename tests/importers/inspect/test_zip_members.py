"""Members of a zip: by all three methods, within a bound, and as far as a broken file goes."""

import io
import struct
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from runfold.errors import InvalidEvent
from runfold.gzipped import GrowsTooLarge
from runfold.importers.inspect.zip_members import members, unpacked
from tests.importers.inspect.logs import DEFLATE, STORED, ZSTANDARD, zip_file

WORDS = b'{"words": "' + b"once upon a time " * 1000 + b'"}'


@pytest.mark.parametrize("method", [STORED, DEFLATE, ZSTANDARD])
def test_each_method_unpacks_to_the_same_bytes(tmp_path: Path, method: int) -> None:
    with zip_file(tmp_path / "a.zip", {"one": WORDS, "two": b""}, method).open("rb") as file:
        found, fault = members(file)
        assert fault is None
        assert [unpacked(file, member, 10**6) for member in found.values()] == [WORDS, b""]


def test_the_last_member_of_a_name_counts(tmp_path: Path) -> None:
    first = zip_file(tmp_path / "a.zip", {"one": b"old", "other": b"same"}, STORED)
    raw = first.read_bytes().replace(b"other", b"one\0\0")  # one name for both, of which zip reads what stands before NUL
    found, _ = members(io.BytesIO(raw))
    assert [unpacked(io.BytesIO(raw), member, 100) for member in found.values()] == [b"same"]


def test_several_frames_are_one_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packer = zstandard.ZstdCompressor()
    monkeypatch.setitem(
        zip_file.__globals__["PACK"], ZSTANDARD, lambda raw: packer.compress(raw[:40]) + packer.compress(raw[40:])
    )
    with zip_file(tmp_path / "a.zip", {"one": WORDS}, ZSTANDARD).open("rb") as file:
        found, _ = members(file)
        assert unpacked(file, found["one"], 10**6) == WORDS


@pytest.mark.fault("F10")
@pytest.mark.parametrize("method", [DEFLATE, ZSTANDARD])
def test_what_grows_too_large_is_noticed_before_it_has(tmp_path: Path, method: int) -> None:
    file = zip_file(tmp_path / "bomb.zip", {"bomb": b" " * 2**26}, method).open("rb")
    found, _ = members(file)
    tracemalloc.start()
    with file, pytest.raises(GrowsTooLarge, match="larger than 1,048,576 bytes"):
        unpacked(file, found["bomb"], 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize("method", [STORED, DEFLATE, ZSTANDARD])
def test_a_zip_that_breaks_off_is_read_as_far_as_it_goes(tmp_path: Path, method: int) -> None:
    whole = zip_file(tmp_path / "a.zip", {"one": WORDS, "two": WORDS, "three": WORDS}, method, directory=False).read_bytes()
    file = io.BytesIO(whole[: len(whole) * 5 // 6])
    found, fault = members(file)
    assert fault is not None
    assert "not a whole zip file" in fault
    assert {name: unpacked(file, member, 10**6) == WORDS for name, member in found.items()} == {"one": True, "two": True}


@pytest.mark.parametrize("method", [STORED, DEFLATE, ZSTANDARD])
def test_a_damaged_member_is_refused(tmp_path: Path, method: int) -> None:
    raw = bytearray(zip_file(tmp_path / "a.zip", {"one": WORDS}, method).read_bytes())
    raw[60] ^= 0xFF
    file = io.BytesIO(bytes(raw))
    found, _ = members(file)
    with pytest.raises(InvalidEvent, match="damaged"):
        unpacked(file, found["one"], 10**6)


def test_an_unknown_method_and_no_zip_at_all_are_refused(tmp_path: Path) -> None:
    with zip_file(tmp_path / "a.zip", {"one": WORDS}, 14).open("rb") as file:
        found, _ = members(file)
        with pytest.raises(InvalidEvent, match="packed by method 14; known are"):
            unpacked(file, found["one"], 10**6)
    with pytest.raises(InvalidEvent, match="is not a zip"):
        members(io.BytesIO(b"PKnothing"))


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    raw = zip_file(tmp_path / "a.zip", {"one": WORDS}, STORED).read_bytes()
    at, end = raw.index(b"PK\x01\x02"), raw.index(b"PK\x05\x06")
    entry = raw[at:end]
    entries = entry + entry.replace(b"one", b"two")
    shared = raw[:at] + entries + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(entries), at, 0)
    with pytest.raises(InvalidEvent, match="overlap"):
        members(io.BytesIO(shared))


def test_a_member_that_is_said_to_stand_nowhere_is_damaged(tmp_path: Path) -> None:
    raw = zip_file(tmp_path / "a.zip", {"one": WORDS}, STORED).read_bytes()
    file = io.BytesIO(b"PK\x03\x04" + raw[44:])
    found, _ = members(file)
    with pytest.raises(InvalidEvent, match="damaged"):
        unpacked(file, found["one"], 10**6)
