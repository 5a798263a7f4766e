"""`runfold keys`: a key is made and shown once, listed and revoked."""

import pytest

from runfold.domain.security import read_key
from tests.cli.conftest import Command

MAKE = ("keys", "create", "--owner", "human:ada", "--scope", "runs:read", "--scope", "approvals:decide")


def test_a_new_keys_text_is_all_that_is_printed_and_the_rest_is_a_note(runfold: Command) -> None:
    made = runfold(*MAKE, "--label", "Ada's laptop", "--expires-in", "7d")
    shown = read_key(made.out.strip())
    assert shown is not None
    assert made.code == 0
    assert f"{shown.id} acts as human:ada for approvals:decide, runs:read until " in made.err
    assert "It is not shown again." in made.err
    assert shown.secret not in made.err


def test_keys_are_listed_with_what_became_of_them(runfold: Command) -> None:
    first = runfold(*MAKE, "--json").json
    second = runfold("--json", *MAKE, "--id", "key_ci", "--as", "human:root").json
    revoked = runfold("keys", "revoke", "key_ci", "--comment", "lost", "--as", "human:root")
    assert revoked.out.splitlines() == ["key_ci (human:ada) is revoked", "recorded at position 3"]
    listed = runfold("keys", "list", "--json").json
    assert listed["as_of"] == 3
    assert [(key["id"], key["status"]) for key in listed["items"]] == [(first["key"]["id"], "active"), ("key_ci", "revoked")]
    assert (second["key"]["created_by"], listed["items"][1]["reason"]) == ("human:root", "lost")
    table = runfold("keys", "list").out
    assert [
        word for word in ("key_ci", "revoked", "human:ada", "approvals:decide", "by human:root", "2 keys") if word not in table
    ] == []
    assert read_key(second["text"]).secret not in table


def test_revoking_again_adds_nothing(runfold: Command) -> None:
    runfold(*MAKE, "--id", "key_ci")
    assert runfold("keys", "revoke", "key_ci", "--json").json["appended"] == 1
    again = runfold("keys", "revoke", "key_ci")
    assert (again.code, again.out.splitlines()[1]) == (0, "it was revoked already; nothing was added")


def test_the_same_key_again_is_not_made_and_not_shown(runfold: Command) -> None:
    runfold(*MAKE, "--id", "key_ci")
    again = runfold(*MAKE, "--id", "key_ci")
    assert (again.code, again.out) == (0, "")
    assert "key_ci: this key was created before, and its text is not stored" in again.err
    other = runfold(*MAKE, "--id", "key_ci", "--scope", "admin")
    assert other.code == 4


@pytest.mark.fault("I8")
def test_keys_are_of_the_tenant_that_is_set(runfold: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    runfold(*MAKE, "--id", "key_ci")
    monkeypatch.setenv("RUNFOLD_TENANT", "acme")
    assert runfold("keys", "list", "--json").json["items"] == []
    missing = runfold("keys", "revoke", "key_ci")
    assert (missing.code, missing.err) == (3, "runfold: there is no key 'key_ci'; `runfold keys list` lists them all\n")


def test_a_call_that_is_wrong_says_how_it_should_be(runfold: Command) -> None:
    for arguments, code, words in (
        (("keys", "create"), 2, "Missing option"),
        (("keys", "make"), 2, "No such command 'make'; see `runfold keys --help`"),
        ((*MAKE[:5], "everything"), 2, "runfold: --scope: Input should be 'runs:write', 'runs:read'"),
        (("keys", "create", "--owner", "ada", "--scope", "admin"), 2, "runfold: --owner: 'ada' is not kind:id"),
        ((*MAKE, "--expires-in", "soon"), 2, "write 90s, 15m, 1h or 7d"),
    ):
        answer = runfold(*arguments)
        assert (answer.code, answer.out) == (code, "")
        assert words in answer.err, answer.err
