"""`runfold witness`: whether a key was made, or was there."""

from pathlib import Path

from tests.cli.conftest import Command
from tests.proofs.bundles import POLICY


def test_it_is_said_whether_a_key_was_made_or_was_there_before_under_whatever_name(offline: Command, tmp_path: Path) -> None:
    folder, request, policy = str(tmp_path / "w"), tmp_path / "request", tmp_path / "policy"
    first = offline("witness", "key", "--name", "a", "--folder", folder)
    assert (first.code, first.out.startswith("a+"), f"a new key was made in {folder}/key" in first.err) == (0, True, True)
    for name in ("a", "b"):
        again = offline("witness", "key", "--name", name, "--folder", folder)
        assert (again.code, again.out.startswith(f"{name}+")) == (0, True)
        assert (again.out[-20:], "made" in again.err, "was in" in again.err) == (first.out[-20:], False, True)
    told = [offline("witness", "key", "--name", "a", "--folder", str(tmp_path / "other"), "--json").json for _ in range(2)]
    assert [each["made"] for each in told] == [True, False]
    assert told[0]["key"] == told[1]["key"] != first.out.strip()
    request.write_text("none")
    policy.write_text(POLICY)
    asked = ["witness", "sign", str(request), "--name", "a", "--policy", str(policy), "--folder"]
    assert [("a new key was made" in offline(*asked, place).err) for place in (folder, str(tmp_path / "mistaken"))] == [
        False,
        True,
    ]


def test_where_it_cannot_listen_it_is_said_in_words(offline: Command, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.write_text(POLICY)
    for listen in ("nope", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:1e3", "127.0.0.1:99999"):
        asked = ["--name", "a", "--policy", str(policy), "--folder", str(tmp_path / "w"), "--listen", listen]
        refused = offline("witness", "serve", *asked)
        assert (refused.code, "--listen: " in refused.err, "literal" in refused.err) == (2, True, False), refused
