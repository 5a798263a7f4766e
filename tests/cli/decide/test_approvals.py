"""`runfold approvals`, `approve` and `deny`."""

import pytest

from runfold import Approval, Ledger
from runfold.demo_story import Cast
from tests.cli.conftest import Command


@pytest.fixture
def asked(ledger: Ledger) -> list[Approval]:
    """Two questions of one run, the second with a quorum."""
    run = ledger.create_thread(agent_id="support", user_id="mira").start_run()
    return [
        run.request_approval("refund", arguments={"order": 7, "amount": "19.90"}, approval_id="approval_refund", actor="agent:a"),
        run.request_approval("mail", arguments={"to": "all"}, approval_id="approval_mail", quorum=2, expires_in="1h"),
    ]


@pytest.mark.row("CV-46", "LT-99")
def test_what_waits_is_listed_oldest_first_with_its_arguments(runfold: Command, asked: list[Approval]) -> None:
    answer = runfold("approvals", "--open", "--fold")
    assert answer.code == 0
    heads, refund, mail, conclusion = answer.out.splitlines()
    assert heads.split()[:4] == ["id", "status", "action", "arguments"]
    assert refund.startswith('approval_refund  open    refund  {"order":7,"amount":"19.90"}')
    assert mail.startswith('approval_mail    open    mail    {"to":"all"}')
    assert conclusion == "2 approvals as of position 7"
    items = runfold("approvals", "--open", "--agent", "support", "--user", "mira", "--action", "refund", "--json").json["items"]
    assert [(item["approval_id"], item["words"]["arguments_text"]) for item in items] == [
        ("approval_refund", '{"order":7,"amount":"19.90"}')
    ]
    assert runfold("approvals", "--requested-by", "agent:a", "--json").json["items"][0]["approval_id"] == "approval_refund"
    assert runfold("approvals", "--older-than", "1h", "--json").json["items"] == []
    assert len(runfold("approvals", "--expires-before", "2999-01-01T00:00:00Z", "--json").json["items"]) == 1


def test_the_list_goes_on_where_the_page_ended(runfold: Command, asked: list[Approval]) -> None:
    first = runfold("approvals", "--fold", "--limit", "1", "--json").json
    second = runfold("approvals", "--limit", "1", "--cursor", first["next_cursor"], "--json").json
    assert [page["items"][0]["approval_id"] for page in (first, second)] == ["approval_mail", "approval_refund"]
    assert (first["as_of"], first["behind_events"], second["next_cursor"]) == (7, 0, None)


@pytest.mark.row("AG-09")
def test_a_person_approves_other_arguments_than_were_asked_for(runfold: Command, asked: list[Approval]) -> None:
    arguments = '{"order": 7, "amount": "9.90"}'
    answer = runfold("approve", "approval_refund", "--arguments", arguments, "--comment", "half of it", "--as", "human:ada")
    assert answer.code == 0
    assert answer.out.splitlines()[:2] == [
        "approval_refund is granted: human:ada voted approve",
        f"refund {arguments}",
    ]
    facts = runfold("approvals", "--decided-by", "human:ada", "--fold", "--json").json["items"][0]
    assert (facts["status"], facts["edited"], facts["words"]["effective_arguments_text"]) == ("granted", True, arguments)
    assert facts["words"]["votes"] == [{"voter": "human:ada", "verdict": "approve", "comment": "half of it"}]


def test_voting_again_the_same_changes_nothing_and_otherwise_is_refused(runfold: Command, asked: list[Approval]) -> None:
    first = runfold("approve", "approval_mail", "--as", "human:ada", "--json").json
    assert (first["approval"]["status"], first["appended"]) == ("open", 1)
    again = runfold("approve", "approval_mail", "--as", "human:ada")
    assert again.code == 0
    assert "nothing was added" in again.out
    other = runfold("deny", "approval_mail", "--as", "human:ada")
    assert (other.code, other.out) == (1, "")
    assert "votes are final" in other.err
    second = runfold("approve", "approval_mail", "--as", "human:bob", "--json").json
    assert second["approval"]["status"] == "granted"


@pytest.mark.row("LT-94")
def test_a_denial_says_why_and_needs_no_read_model(runfold: Command, ledger: Ledger, asked: list[Approval]) -> None:
    answer = runfold("deny", "approval_refund", "--comment", "ask the customer first", "--as", "human:ada", "--json")
    assert answer.code == 0
    assert answer.json["approval"]["status"] == "denied"
    assert answer.json["approval"]["votes"] == [{"voter": "human:ada", "verdict": "deny", "comment": "ask the customer first"}]
    assert ledger.position() == answer.json["position"]


def test_who_votes_is_the_actor_of_the_settings_unless_one_is_named(
    runfold: Command, asked: list[Approval], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_ACTOR", "human:grace")
    assert "human:grace voted approve" in runfold("approve", "approval_refund").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["approve", "approval_nobody"], 3, "there is no approval"),
        (["deny", "not an id"], 3, "there is no approval"),
        (["approve", "approval_refund", "--arguments", "{broken"], 2, "--arguments: is not JSON"),
        (["approve", "approval_refund", "--arguments", '{"a": NaN}'], 2, "NaN"),
        (["approve", "approval_refund", "--response", "[1]"], 2, "response"),
        (["approve", "approval_refund", "--as", "ada"], 2, "kind:id"),
        (["approvals", "--status", "waiting", "--fold"], 2, "expected one of open, granted"),
        (["approvals", "--older-than", "long", "--fold"], 2, "such as 90s"),
        (["approvals", "--expires-before", "5", "--fold"], 2, "--expires-before takes a time"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_recorded(
    runfold: Command, ledger: Ledger, asked: list[Approval], arguments: list[str], code: int, said: str
) -> None:
    before = ledger.position()
    answer = runfold(*arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err.splitlines()[-1]
    assert ledger.position() == before


def test_the_history_of_the_demo_is_there(runfold: Command, story: Cast) -> None:
    answer = runfold("approvals", "--fold", "--thread", story.thread_id, "--run", story.id("run", "claim"))
    assert answer.out.splitlines()[1].split()[:2] == [story.id("approval", "refund"), "granted"]
    assert "human:ada" in answer.out
    statuses = [item["status"] for item in runfold("approvals", "--json").json["items"]]
    assert statuses == ["withdrawn", "denied", "granted"]
    asked = runfold("approvals", "--status", "denied", "--status", "withdrawn", "--order", "asc", "--json").json["items"]
    assert [item["status"] for item in asked] == ["denied", "withdrawn"]
