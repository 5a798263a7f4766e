"""`runfold verify`: what was given amiss is no damage."""

from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import Command
from tests.databases import TestDatabase


@pytest.mark.parametrize("text", ["", "some words\n", "a\n1\n\n— a AAAA\n", "\x00" * 10, "x" * 200_000])
def test_a_file_that_is_no_checkpoint_is_a_wrong_call_and_no_damage(runfold: Command, tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.checkpoint"
    file.write_text(text, encoding="utf-8")
    refused = runfold("verify", "--against", str(file))
    assert refused.code == 2, refused
    assert f"--against: {file} is no checkpoint (" in refused.err
    assert "; name a file that holds one" in refused.err


def test_the_checkpoints_and_keys_of_several_tenants_are_taken_as_seal_shows_them_and_as_editors_write_them(
    runfold: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tenant in ("acme", "globex"):
        monkeypatch.setenv("RUNFOLD_TENANT", tenant)
        assert runfold("demo").code == 0
    shown, keys = runfold("seal", "now").out, runfold("seal", "keys").out
    assert len(keys.splitlines()) == 2
    file = tmp_path / "last-week.checkpoint"
    first, second = (f"{part}\n" for part in shown.rstrip("\n").split("\nrunfold/", 1))
    for text in (shown, f"\ufeff{shown}".replace("\n", "\r\n"), f"{shown}\n\n", f"{first}\n\nrunfold/{second}", first):
        file.write_bytes(text.encode())
        said = runfold("verify", "--full", "--against", str(file), "--key", keys, "--json")
        assert (said.code, said.json["checkpoints"]) == (0, 4 + (1 if text == first else 2)), said
    file.write_text(f"{first}some words\n")
    assert runfold("verify", "--against", str(file)).code == 2
    file.write_text(f"{first.replace('80', '79')}runfold/{second}")
    assert runfold("verify", "--against", str(file)).code == 5


def test_positions_that_were_seen_once_and_are_gone_are_told_of_though_all_that_is_left_is_as_it_was_sealed(
    runfold: Command, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNFOLD_MARK_FILE", str(tmp_path / "marks.json"))
    for tenant in ("default", "acme"):
        monkeypatch.setenv("RUNFOLD_TENANT", tenant)
        assert runfold("demo").code == 0
    monkeypatch.setenv("RUNFOLD_TENANT", "default")
    assert runfold("seal", "now").code == 0
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        tables = ("log", "sealed_events", "sealed_tiles", "sealed_threads", "sealed_map", "sealed_checkpoints", "sealed_logs")
        for table in tables:
            admin.execute(f"ALTER TABLE runfold.{table} DISABLE TRIGGER ALL")
            admin.execute(f"DELETE FROM runfold.{table} WHERE tenant_id = 'acme'")
        for table in ("head", "sealed_position"):
            admin.execute(f"UPDATE runfold.{table} SET position = 80")
    said = runfold("verify", "--full")
    assert (said.code, "nothing was changed in 80 events" in said.out) == (0, True), said
    assert "positions 81 to 160 were seen before history " in said.err
    (lost,) = runfold("verify", "--json").json["lost"]
    assert (lost["from_position"], lost["lost_position"], lost["reason"]) == (80, 160, "rolled back")
