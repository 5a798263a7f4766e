"""`runfold verify-receipt` and `evidence --receipt`: what was told, held against the log and against whose checkpoint it is."""

import json
import zipfile
from pathlib import Path

import pytest

from runfold import Ledger, Settings
from runfold.evidence.sealing.signing import add_key
from tests.cli.conftest import Command


@pytest.fixture
def receipt(runfold: Command, settings: Settings, tmp_path: Path) -> Path:
    with Ledger.open(settings=settings) as ledger:
        told = ledger.create_thread(agent_id="desk").receipt.as_json()
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(told))
    assert runfold("seal", "now").code == 0
    return file


def test_a_checkpoint_of_somebody_else_is_damage_and_without_keys_it_is_said_that_no_signature_was_verified(
    runfold: Command, receipt: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "home" / "seal-keys"
    calls = [["verify-receipt", str(receipt)], ["evidence", "--receipt", str(receipt), "--output"]]
    for number, call in enumerate(calls):
        assert runfold(*call, *[str(tmp_path / f"ours {number}")] * number).code == 0
    add_key(keys, only=True)
    for number, call in enumerate(calls):
        said = runfold(*call, *[str(tmp_path / f"changed {number}")] * number)
        assert (said.code, "NOT SIGNED: the checkpoint in the database is not one of ours" in said.out) == (5, True), said
    told = runfold(*calls[0], "--json")
    assert (told.code, told.json["ok"], told.json["signature_verified"]) == (5, False, True)
    keys.unlink()
    for number, call in enumerate(calls):
        said = runfold(*call, *[str(tmp_path / f"unknown {number}")] * number)
        assert (said.code, "signature was not verified: the keys are not on this machine" in said.err) == (0, True), said


def test_an_event_that_is_gone_is_not_said_to_wait_for_a_seal(runfold: Command, receipt: Path) -> None:
    told = json.loads(receipt.read_text())
    for each in told["events"]:
        each.update(event_id="01a22d63-be10-708c-92c9-8b8ac3494bef", position=999)
    receipt.write_text(json.dumps(told))
    said = runfold("verify-receipt", str(receipt))
    assert said.code == 5
    assert said.out.startswith("GONE     thread.created, version 1 of ")
    assert "nothing is sealed of it here" in said.out
    assert "not sealed yet" not in said.out + said.err


def test_a_zip_is_one_file_however_its_ending_is_written_and_what_is_not_there_is_named(
    runfold: Command, receipt: Path, tmp_path: Path
) -> None:
    place = tmp_path / "CASE.ZIP"
    assert runfold("evidence", "--receipt", str(receipt), "--output", str(place)).code == 0
    assert zipfile.is_zipfile(place)
    assert f"{place} is there already; name another" in runfold("evidence", "--all", "--output", str(place)).err
    gone = runfold("evidence", "thread_nowhere", "--output", str(tmp_path / "none"))
    assert (gone.code, "thread, run or approval 'thread_nowhere' is not sealed, or is not there" in gone.err) == (3, True)
    unheard = runfold("evidence", "--all", "--output", str(tmp_path / "none"), "--witness", "http://127.0.0.1:1")
    assert (unheard.code, "refused" in unheard.err) == (1, True), unheard


def test_a_loss_is_not_accepted_without_saying_why(runfold: Command, receipt: Path) -> None:
    refused = runfold("seal", "accept-loss", "--comment", " ")
    assert (refused.code, "--comment is empty; say why events were lost" in refused.err) == (2, True)


def test_a_loss_is_not_accepted_where_what_was_published_cannot_be_compared(
    runfold: Command, receipt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = ["seal", "accept-loss", "--comment", "the disk was lost"]
    for place in ("https://127.0.0.1:1/x", f"git:{tmp_path / 'none'}"):
        monkeypatch.setenv("RUNFOLD_SEAL_PUBLISH", place)
        refused = runfold(*accept)
        said = (refused.code, f"what was published cannot be compared: {place}" in refused.err, "unexpected" in refused.err)
        assert said == (1, True, False), refused
    monkeypatch.setenv("RUNFOLD_SEAL_PUBLISH", "")
    assert runfold(*accept).code == 0
    (published,) = (tmp_path / "home" / "sealed").glob("*/checkpoint")
    published.write_text("some words")
    refused = runfold(*accept)
    assert (refused.code, "is no checkpoint: it is no signed note; find out who wrote it" in refused.err) == (1, True), refused


def test_what_is_no_key_is_named(runfold: Command, receipt: Path) -> None:
    for key in ("nope", "a+b", "a+b+c", "a+b+AQ=="):
        refused = runfold("verify", "--key", key)
        assert (refused.code, f"--key: {key!r} is no public key of Ed25519 as NAME+HASH+KEY" in refused.err) == (2, True), refused
