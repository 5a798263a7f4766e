"""`runfold verify`: what was given amiss is no damage."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command


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
