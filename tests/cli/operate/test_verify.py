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
