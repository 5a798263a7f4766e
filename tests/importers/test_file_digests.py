"""Digests of imported files: of their bytes as they were handed over, and of what they unpack to."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.importers.file_digests import imported_files
from runfold.importers.files import SourceFile, find
from runfold.importers.importing import import_paths

zstandard = pytest.importorskip("zstandard")
SESSIONS = Path(__file__).parents[2] / "docs/examples/sessions"
LINES = b'{"one": 1}\n{"two": 2}\n' * 1000


def sha256(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def test_a_file_has_the_digest_of_its_bytes_and_a_packed_one_that_of_what_it_holds(tmp_path: Path) -> None:
    packed = {
        "plain.jsonl": LINES,
        "packed.jsonl.gz": gzip.compress(LINES),
        "packed.jsonl.zst": zstandard.compress(LINES),
        "twice.jsonl.gz": gzip.compress(LINES) + gzip.compress(LINES),
        "broken.jsonl.gz": gzip.compress(LINES)[:-20],
        "empty.jsonl": b"",
    }
    for name, raw in packed.items():
        (tmp_path / name).write_bytes(raw)
    found = {file.name: file for file in imported_files(find([tmp_path], lambda _: True))}
    assert {name: file.digest for name, file in found.items()} == {name: sha256(raw) for name, raw in packed.items()}
    assert {name: file.unpacked_digest for name, file in found.items() if file.unpacked_digest} == {
        "packed.jsonl.gz": sha256(LINES),
        "packed.jsonl.zst": sha256(LINES),
        "twice.jsonl.gz": sha256(LINES + LINES),
    }


def test_a_file_that_changed_or_is_gone_is_not_named_and_standard_input_is(tmp_path: Path) -> None:
    path = tmp_path / "growing.jsonl"
    path.write_bytes(LINES)
    before = find([path], lambda _: True)
    (told,) = imported_files(before)
    path.write_bytes(LINES + LINES)
    assert imported_files(before) == ()
    (now,) = imported_files(find([path], lambda _: True))
    assert (told.digest, now.digest) == (sha256(LINES), sha256(LINES + LINES))
    path.unlink()
    assert imported_files(before) == ()
    (given,) = imported_files([SourceFile("stdin", None, len(LINES), LINES)])
    assert (given.name, given.digest) == ("stdin", sha256(LINES))


def test_a_name_that_is_no_text_is_kept_as_far_as_it_is(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))
    path.write_bytes(LINES)
    (told,) = imported_files(find([path], lambda _: True))
    assert (told.name, told.digest) == ("?.jsonl", sha256(LINES))


def test_an_imported_thread_tells_its_files_and_the_same_source_packed_is_in_already(ledger: Ledger, tmp_path: Path) -> None:
    sessions = sorted(SESSIONS.glob("*.jsonl"))
    assert sessions
    for path in sessions:
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    tally = import_paths(ledger, "claude-code", [tmp_path])
    assert tally.problems == []
    (imported,) = ledger.events(types=["thread.imported"])
    told = {file.name: file for file in imported.event.source_files}  # type: ignore[attr-defined]
    assert {name: file.digest for name, file in told.items()} == {
        path.name: sha256(path.read_bytes()) for path in tmp_path.rglob("*.gz")
    }
    assert {file.unpacked_digest for file in told.values()} == {sha256(path.read_bytes()) for path in sessions}
    assert imported.event.source_file_count is None  # type: ignore[attr-defined]
    position = ledger.position()
    import_paths(ledger, "claude-code", [SESSIONS])
    assert ledger.position() == position
