"""Files that people open in a terminal or a spreadsheet hold no raw control characters, and say what was recorded."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.export.exporting import export
from runfold.export.formats import without_controls

HOSTILE = "a\x1b[2J\x07\x7f\x9b31m\u202eturned\u2066\u200f\u2028\x08\r end\twith\nlines \u00e9 \U0001f9d1"
RAW = [code for code in (*range(32), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F, 0x2028) if code not in {9, 10}]


def text_of(folder: Path) -> str:
    return "".join(gzip.decompress(path.read_bytes()).decode() for path in sorted(folder.rglob("*.gz")))


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize("what", ["events", "threads"])
def test_no_file_holds_raw_control_characters(ledger: Ledger, tmp_path: Path, format: str, what: str) -> None:
    ledger.create_thread(agent_id="support", title=HOSTILE, metadata={HOSTILE: HOSTILE})
    ledger.fold()
    export(ledger, what, format, tmp_path)
    text = text_of(tmp_path)
    assert [code for code in RAW if chr(code) in text] == []
    if what == "threads" and format == "jsonl":
        assert json.loads(text.splitlines()[0])["title"] == HOSTILE
    if what == "threads" and format == "csv":
        (row,) = csv.DictReader(io.StringIO(text, newline=""))
        assert row["title"] == without_controls(HOSTILE.encode()).decode()
        assert row["title"].startswith("a\\u001b[2J\\u0007")


def test_parquet_keeps_them(ledger: Ledger, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    ledger.create_thread(agent_id="support", title=HOSTILE)
    ledger.fold()
    export(ledger, "threads", "parquet", tmp_path)
    found = duckdb.sql(f"SELECT title FROM read_parquet('{tmp_path}/**/*.parquet')").fetchall()
    assert found == [(HOSTILE,)]
