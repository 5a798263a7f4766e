"""The digest of a source is of what a thread was made from, unpacked: however it is packed, and taken again without Runfold."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from runfold import Ledger
from tests.importers.conftest import SessionFile
from tests.importers.made_trials import results, simulation


def digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def said(ledger: Ledger) -> list[str]:
    """What the imports say of their sources, in order."""
    return [recorded.event.source_digest for recorded in ledger.events(types=["thread.imported"])]  # type: ignore[attr-defined]


def test_a_session_is_told_by_its_different_lines_however_it_is_packed(
    ledger: Ledger, importing: Callable[..., object], session: SessionFile, tmp_path: Path
) -> None:
    session.say("hello")
    session.reply("m1", {"type": "text", "text": "Größe 🦉"})
    session.write()
    raw = session.path.read_bytes()
    packed = tmp_path / "packed" / "session.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(raw.replace(b"\n", b"\r\n") + raw))
    importing("claude-code", packed)
    lines = {line.strip(b" \t\r\n\0") for line in raw.split(b"\n")} - {b""}
    assert said(ledger) == [digest("\n".join(sorted(map(digest, lines))).encode())]
    importing("claude-code", session.path)
    assert len(said(ledger)) == 1  # the same source, which is in


def test_a_trial_is_told_by_its_own_text_in_its_file(ledger: Ledger, importing: Callable[..., object], tmp_path: Path) -> None:
    trials = [simulation("sim-1"), simulation("sim-2", reward=1.0)]
    text = json.dumps(results(*trials))
    (tmp_path / "results.json.gz").write_bytes(gzip.compress(text.encode()))
    importing("tau2", tmp_path / "results.json.gz")
    own = [json.dumps(trial) for trial in trials]
    assert all(each in text for each in own)
    assert sorted(said(ledger)) == sorted(digest(each.encode()) for each in own)
