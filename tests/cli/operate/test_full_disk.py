"""Whatever writes files says of a full disk that there is no room, and what to do; and leaves nothing half written."""

from pathlib import Path

import pytest

from runfold.demo_story import Cast
from tests.cli.conftest import Command
from tests.rooms import full_disk

WRITING = {
    "backup": ["backup", "made"],
    "events": ["export", "events", "--format", "jsonl", "--output", "made"],
    "a read model": ["export", "threads", "--format", "csv", "--output", "made"],
    "a sample": ["sample", "runs", "--seed", "x", "--output", "made"],
    "evidence": ["evidence", "thread_demo7", "--output", "made", "--as", "human:ada"],
    "evidence, packed": ["evidence", "thread_demo7", "--output", "made.zip", "--as", "human:ada"],
    "absence": ["prove-absence", "--all", "--type", "run.failed", "--output", "made", "--as", "human:ada"],
    "signing keys": ["seal", "rotate"],
    "keys of webhooks": ["webhooks", "create", "https://hooks.example.com/x", "--as", "human:ada"],
}


@pytest.mark.parametrize("what", WRITING)
def test_a_full_disk_is_said_to_be_full(
    runfold: Command, folded_story: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert runfold("seal", "now").code == 0
    with full_disk():
        answer = runfold(*WRITING[what])
    assert answer.code == 1, answer.err
    assert "unexpected" not in answer.err, answer.err
    if what != "backup":  # of which pg_dump says what is wrong
        assert "free space" in answer.err, answer.err
    assert runfold(*WRITING[what]).code == 0
