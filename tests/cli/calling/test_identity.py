"""Who is at the command line: a person says so once, and nobody else votes for them."""

from pathlib import Path

import pytest

from runfold import Ledger, Run
from runfold.cli.calling.identity import FILE
from tests.cli.conftest import Command
from tests.cli.terminal import on_a_terminal
from tests.rooms import full_disk

ASKED = "Who are you?"


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """The file in which the person is remembered."""
    return tmp_path / "home" / FILE


def voters(ledger: Ledger) -> list[str]:
    return [recorded.as_json()["data"]["voter"] for recorded in ledger.events(types=["approval.vote_cast"])]


def test_nobody_votes_where_nobody_says_who_they_are(runfold: Command, ledger: Ledger, run: Run, identity: Path) -> None:
    approval = run.request_approval("refund").id
    for verb in ("approve", "deny"):
        refused = runfold(verb, approval)
        assert (refused.code, refused.out) == (2, "")
        assert f"pass --as human:NAME (remembered in {identity}), or set RUNFOLD_ACTOR" in refused.err
        assert runfold(verb, approval, "--json").error["type"] == "UsageError"
    assert (voters(ledger), identity.exists()) == ([], False)


def test_who_says_it_once_is_remembered_and_another_is_somebody_for_one_call(
    runfold: Command, ledger: Ledger, run: Run, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approvals = [run.request_approval("refund").id for _ in range(5)]
    first = runfold("approve", approvals[0], "--as", "human:ada")
    assert (first.code, identity.read_text()) == (0, "human:ada\n")
    assert f"You are human:ada from now on (stored in {identity})" in first.err.replace("\n", " ")
    assert runfold("deny", approvals[1]).code == 0
    other = runfold("approve", approvals[2], "--as", "human:bob")
    assert (other.code, other.err, identity.read_text()) == (0, "", "human:ada\n")
    assert runfold("approve", approvals[3]).code == 0
    monkeypatch.setenv("RUNFOLD_ACTOR", "human:grace")
    assert runfold("approve", approvals[4]).code == 0
    assert voters(ledger) == ["human:ada", "human:ada", "human:bob", "human:ada", "human:grace"]


def test_only_people_are_remembered_and_none_but_people_decide(
    runfold: Command, ledger: Ledger, run: Run, identity: Path
) -> None:
    approval = run.request_approval("refund").id
    refused = runfold("approve", approval, "--as", "service:ci")
    assert (refused.code, identity.exists()) == (1, False)
    assert "service:ci may not decide it: only voters of kind human may; vote as human:NAME" in refused.err
    anybody = run.request_approval("refund", approver_kinds=["service"]).id
    assert runfold("approve", anybody, "--as", "service:ci").code == 0


def test_what_cannot_be_read_or_written_is_said(runfold: Command, ledger: Ledger, run: Run, identity: Path) -> None:
    approval = run.request_approval("refund").id
    identity.parent.mkdir()
    for wrong in (b"ada\n", b"", b"\xff"):
        identity.write_bytes(wrong)
        refused = runfold("approve", approval)
        assert (refused.code, f"{identity} is not readable as an identity" in refused.err) == (2, True)
    identity.unlink()
    identity.mkdir()
    assert runfold("approve", approval).code == 2
    identity.rmdir()
    with full_disk():
        done = runfold("approve", approval, "--as", "human:ada")
    assert done.code == 0, done.err
    assert "for this call only" in done.err
    assert voters(ledger) == ["human:ada"]


@pytest.mark.parametrize(
    "name", ["human:ada\n", "human:ada ", "human: ada", "human:a\tda", "human:ada\x1b[2K", "human:ada\u200b", "human:\u202eada"]
)
def test_nobody_is_called_what_nobody_sees(runfold: Command, run: Run, identity: Path, name: str) -> None:
    """Else the first vote is of `ada` with a line break, and all others, for which she is remembered, of `ada`."""
    approval = run.request_approval("refund").id
    for words, flag in ((("approve", approval), "--as"), (("keys", "create", "--scope", "runs:read"), "--owner")):
        refused = runfold(*words, flag, name)
        assert (refused.code, refused.out, identity.exists()) == (2, "", False), refused
        assert (
            "has a space at an end of its name, or a line break or another character in it that nobody sees; leave it out"
            in refused.err
        )


def test_names_are_written_in_any_script(runfold: Command) -> None:
    for owner in ("human:Ada Lovelace", "human:שרה", "human:👩\u200d🚀", "agent:サポート"):
        assert runfold("keys", "create", "--scope", "runs:read", "--owner", owner, "--json").json["key"]["owner"] == owner


def test_heads_and_keys_are_the_persons_where_one_is_known_and_a_programs_else(
    runfold: Command, ledger: Ledger, run: Run, identity: Path
) -> None:
    make = ["keys", "create", "--owner", "agent:a", "--scope", "runs:read", "--json"]
    assert runfold(*make).json["key"]["created_by"] == "service:runfold"
    identity.parent.mkdir(exist_ok=True)
    identity.write_text("human:ada\n")
    made = runfold(*make).json["key"]
    assert made["created_by"] == "human:ada"
    assert runfold("keys", "revoke", made["id"], "--json").json["key"]["revoked_by"] == "human:ada"
    runfold("head", run.view().thread_id, "draft", run.id)
    assert str(ledger.events(types=["thread.head_named"])[0].metadata.actor) == "human:ada"


def test_on_a_terminal_a_person_is_asked_once(
    environment: None, ledger: Ledger, run: Run, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "mira")
    approvals = [run.request_approval("refund").id for _ in range(3)]
    code, seen, _ = on_a_terminal(["approve", approvals[0]], ASKED, b"\n")
    assert (code, "Who are you? A name, or kind:id [human:mira]" in seen) == (0, True), seen
    code, seen, _ = on_a_terminal(["deny", approvals[1]], ASKED)
    assert (code, "Who are you?" in seen) == (0, False), seen
    identity.unlink()
    assert on_a_terminal(["approve", approvals[2]], ASKED, b"ada\n").code == 0
    assert voters(ledger) == ["human:mira", "human:mira", "human:ada"]
    assert identity.read_text() == "human:ada\n"


def test_who_does_not_answer_has_not_voted(environment: None, ledger: Ledger, run: Run, identity: Path) -> None:
    approval = run.request_approval("refund").id
    code, seen, _ = on_a_terminal(["approve", approval], ASKED, b"\x04")
    assert (code, identity.exists(), voters(ledger)) == (130, False, []), seen
