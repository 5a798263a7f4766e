"""`runfold seal now`: what is sealed is shown, and what is not published is told."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_it_says_where_the_checkpoint_could_not_be_published_and_shows_it_all_the_same(
    runfold: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runfold("demo").code == 0
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RUNFOLD_SEAL_PUBLISH", f"{tmp_path / 'good'},{tmp_path / 'file'}")
    for options in ([], ["--json"]):
        sealed = runfold("seal", "now", *options)
        assert sealed.code == 1
        assert "runfold/" in sealed.out
        assert f"sealed, and not published everywhere: {tmp_path / 'file'} cannot be" in sealed.err
    assert list((tmp_path / "good").glob("*/checkpoint"))
    monkeypatch.setenv("RUNFOLD_SEAL_PUBLISH", str(tmp_path / "good"))
    assert runfold("seal", "now").code == 0


def test_where_nothing_was_sealed_no_keys_are_missing(runfold: Command) -> None:
    for before in ([], ["seal", "rotate"]):  # a key that is made before has no name yet either
        assert not before or runfold(*before).code == 0
        for options in ([], ["--as-policy"]):
            shown = runfold("seal", "keys", *options)
            assert (shown.code, shown.out) == (1, "")
            assert "nothing has been sealed yet" in shown.err
            assert "`runfold seal now`" in shown.err
    assert runfold("demo").code == 0
    assert runfold("seal", "now").code == 0
    assert runfold("seal", "keys").out.startswith("runfold/")
