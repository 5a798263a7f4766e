"""Approvals: asked, voted on, decided one way, used once."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from runfold.domain.approval import Approval
from runfold.domain.approval_events import (
    ApprovalConsumed,
    ApprovalDenied,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRule,
    ApprovalVoteCast,
    ApprovalVoteRefused,
    ApprovalWithdrawn,
    Vote,
)
from runfold.domain.event import AlreadyRecorded, Events
from runfold.domain.values import Actor, digest
from runfold.errors import InvalidEvent

from .samples import ADA, BOB, NOON, ONE_O_CLOCK, requested, voted
from .story import Given, fold, given

CLEO, AGENT = Actor.parse("human:cleo"), Actor.parse("agent:support")
ASKED, EDITED = '{"order":7}', '{"order":7,"amount":"5.00"}'


def granted(*voters: Actor, text: str = ASKED) -> ApprovalGranted:
    votes = tuple(Vote(voter=str(voter), verdict="approve") for voter in voters)
    return ApprovalGranted(effective_arguments_text=text, effective_digest=digest(text), edited=text != ASKED, votes=votes)


denied = ApprovalDenied(reason="too much", votes=(Vote(voter="human:ada", verdict="deny", comment="too much"),))
consumed = ApprovalConsumed(run_id="run_1", call_id="call_1", execution_key="key_1", arguments_digest=digest(ASKED))

ENDS: dict[str, tuple[ApprovalEvent, ...]] = {
    "granted": (voted(ADA), granted(ADA)),
    "denied": (voted(ADA, "deny", comment="too much"), denied),
    "expired": (ApprovalExpired(),),
    "withdrawn": (ApprovalWithdrawn(cause="run_cancelled"),),
}


# Asking


@pytest.mark.parametrize("reason", ["tool_call", "input_required", "confirmation", "langgraph:interrupt"])
def test_a_question_says_why_it_is_asked(reason: str) -> None:
    asked = requested().model_copy(update={"reason": reason})
    Given(Approval("approval_1")).when(lambda approval: approval.ask(asked, NOON)).then(asked)


def test_the_same_question_is_asked_once() -> None:
    asked = requested(expires_at=ONE_O_CLOCK)
    given(asked).when(lambda approval: approval.ask(asked, NOON)).known("approval", version=1)
    given(asked).when(lambda approval: approval.ask(asked, ONE_O_CLOCK)).known("approval", version=1)  # also when it is late
    assert requested(expires_at=NOON).differs_from(asked) is None
    assert requested(EDITED).differs_from(asked) == "arguments_digest"


def test_a_question_that_is_late_when_it_is_asked_is_refused_but_in_history() -> None:
    asked = requested(expires_at=ONE_O_CLOCK)
    for now in (ONE_O_CLOCK, ONE_O_CLOCK + timedelta(days=1)):
        with pytest.raises(InvalidEvent, match=r"has passed: it is .*; give a later time"):
            Approval("approval_1").ask(asked, now)
    Given(Approval("approval_1")).when(lambda approval: approval.ask(asked, None)).then(asked)


def test_the_digest_is_that_of_the_text_that_people_see() -> None:
    forged = requested().model_copy(update={"arguments_digest": digest("something else")})
    Given(Approval("approval_1")).when(lambda approval: approval.ask(forged, NOON)).refused(
        "arguments_digest does not match arguments_text"
    )


@pytest.mark.parametrize(
    "rule",
    [
        {"eligible": ("human:ada",), "quorum": 2},
        {"eligible": ("human:ada", "human:ada"), "quorum": 2},
        {"eligible": ("human:ada", "agent:support"), "quorum": 2, "requester_excluded": True},
        {"eligible": ("agent:support",), "requester_excluded": True},
        {"eligible": ("human:ada", "agent:a"), "quorum": 2, "approver_kinds": ("human",)},
        {"eligible": ("agent:a",), "approver_kinds": ("human", "service")},
    ],
    ids=str,
)
def test_a_question_that_too_few_may_decide_is_not_asked(rule: dict[str, object]) -> None:
    asked = requested(**rule)
    Given(Approval("approval_1")).when(lambda approval: approval.ask(asked, NOON)).refused("may decide it, but", "must agree")


def test_nobody_at_all_is_no_quorum() -> None:
    with pytest.raises(ValidationError, match="quorum"):
        ApprovalRule(quorum=0)


# Deciding


def test_one_yes_grants_and_one_no_denies() -> None:
    assert given(requested()).when(lambda approval: approval.vote(ADA, "approve")).then(*ENDS["granted"]).status == "granted"
    no = given(requested()).when(lambda approval: approval.vote(ADA, "deny", "too much"))
    assert no.then(*ENDS["denied"]).status == "denied"


def test_a_quorum_grants_with_its_last_yes() -> None:
    asked = requested(quorum=2)
    given(asked).when(lambda approval: approval.vote(ADA, "approve")).then(voted(ADA))
    given(asked, voted(ADA)).when(lambda approval: approval.vote(BOB, "approve")).then(voted(BOB), granted(ADA, BOB))


def test_one_no_denies_whatever_the_quorum() -> None:
    no = ApprovalDenied(votes=(Vote(voter="human:ada", verdict="approve"), Vote(voter="human:bob", verdict="deny")))
    given(requested(quorum=2), voted(ADA)).when(lambda approval: approval.vote(BOB, "deny")).then(voted(BOB, "deny"), no)


@pytest.mark.fault("F14")
def test_nobody_votes_twice() -> None:
    before = (requested(quorum=2), voted(ADA))
    given(*before).when(lambda approval: approval.vote(ADA, "approve")).then()
    given(*before).when(lambda approval: approval.vote(ADA, "approve", "and again")).then()
    given(*before).when(lambda approval: approval.vote(ADA, "deny")).refused(
        "human:ada has already voted approve; votes are final"
    )
    given(*before).when(lambda approval: approval.vote(ADA, "approve", edited=EDITED)).refused("votes are final")
    given(*before).when(lambda approval: approval.vote(ADA, "approve", response={"size": "L"})).refused("votes are final")


def test_the_same_answer_again_is_no_vote_and_another_answer_is_refused() -> None:
    before = (requested(), voted(ADA, response={"size": 1}), granted(ADA))
    given(*before).when(lambda approval: approval.vote(ADA, "approve", response={"size": 1})).then()
    given(*before).when(lambda approval: approval.vote(ADA, "approve", response={"size": True})).refused("only an open approval")


@pytest.mark.fault("H-5")
@pytest.mark.parametrize("end", sorted(ENDS))
def test_a_vote_on_what_is_closed_is_kept_of_each_voter_once_and_changes_nothing(end: str) -> None:
    before = (requested(eligible=(str(ADA), str(BOB))), *ENDS[end])
    late = ApprovalVoteRefused(voter=str(BOB), verdict="deny", comment="no", status=end)
    assert given(*before).when(lambda approval: approval.vote_too_late(BOB, "deny", "no")).then(late).status == end
    given(*before, late).when(lambda approval: approval.vote_too_late(BOB, "approve")).then()
    eve = Actor.parse("human:eve")
    given(*before).when(lambda approval: approval.vote_too_late(eve, "deny")).refused("human:eve may not decide it")


def test_a_vote_is_not_too_late_while_it_is_open_or_by_who_has_voted() -> None:
    given(requested()).when(lambda approval: approval.vote_too_late(BOB, "deny")).then()
    given(requested(), *ENDS["granted"]).when(lambda approval: approval.vote_too_late(ADA, "deny")).then()


@pytest.mark.row("AG-09")
def test_edited_arguments_replace_the_asked_ones_whole() -> None:
    approval = (
        given(requested())
        .when(lambda approval: approval.vote(ADA, "approve", edited=EDITED))
        .then(voted(ADA, edited_arguments_text=EDITED), granted(ADA, text=EDITED))
    )
    assert (approval.granted.effective_arguments_text, approval.granted.edited) == (EDITED, True)


def test_a_quorum_agrees_on_the_same_arguments() -> None:
    edit = voted(BOB, edited_arguments_text=EDITED)
    before = (requested(quorum=2), voted(ADA))
    given(*before).when(lambda approval: approval.vote(BOB, "approve", edited=EDITED)).then(edit)
    given(*before, edit).when(lambda approval: approval.vote(CLEO, "approve", edited=EDITED)).then(
        voted(CLEO, edited_arguments_text=EDITED), granted(ADA, BOB, CLEO, text=EDITED)
    )
    given(*before, edit).when(lambda approval: approval.vote(CLEO, "approve")).then(voted(CLEO), granted(ADA, BOB, CLEO))


def test_only_the_eligible_decide() -> None:
    asked = requested(eligible=("human:ada", "human:bob"))
    given(asked).when(lambda approval: approval.vote(CLEO, "approve")).refused(
        "human:cleo may not decide it; human:ada, human:bob"
    )
    given(asked).when(lambda approval: approval.vote(CLEO, "deny")).refused("human:cleo may not decide it")
    given(asked).when(lambda approval: approval.vote(ADA, "approve")).then(*ENDS["granted"])


def test_who_asked_may_be_excluded() -> None:
    given(requested(requester_excluded=True)).when(lambda approval: approval.vote(AGENT, "approve")).refused(
        "agent:support requested it and may not decide it; another approver must"
    )
    given(requested()).when(lambda approval: approval.vote(AGENT, "approve")).then(voted(AGENT), granted(AGENT))


PEOPLE: dict[str, Any] = {"approver_kinds": ("human",), "requester_excluded": True}
FOR_ADA = [Actor(kind=kind, id="x", on_behalf_of="human:ada") for kind in ("agent", "service", "system")]


@pytest.mark.parametrize("voter", [AGENT, *FOR_ADA], ids=str)
@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_where_people_decide_nobody_elses_word_counts_whomever_they_speak_for(voter: Actor, verdict: str) -> None:
    refusal = f"{voter} may not decide it: only voters of kind human may; vote as human:NAME"
    given(requested(**PEOPLE)).when(lambda approval: approval.vote(voter, verdict)).refused(refusal)
    given(requested(**PEOPLE)).when(lambda approval: approval.vote(voter, verdict, edited=EDITED)).refused(refusal)
    given(requested(**PEOPLE), *ENDS["granted"]).when(lambda approval: approval.vote_too_late(voter, verdict)).refused(refusal)
    given(requested()).when(lambda approval: approval.vote(voter, "approve")).then(
        voted(voter, on_behalf_of=voter.on_behalf_of), granted(voter)
    )


def test_several_kinds_may_decide_where_it_was_asked_so() -> None:
    asked = requested(approver_kinds=("human", "service"))
    given(asked).when(lambda approval: approval.vote(Actor.parse("service:rules"), "deny")).then(
        voted(Actor.parse("service:rules"), "deny"), ApprovalDenied(votes=(Vote(voter="service:rules", verdict="deny"),))
    )
    given(asked).when(lambda approval: approval.vote(AGENT, "deny")).refused("of kind human or service")


def test_who_asked_is_excluded_through_whomever_they_speak() -> None:
    asked = requested(requester_excluded=True, requested_by="human:ada")
    for voter in (ADA, *FOR_ADA, Actor(kind="human", id="bob", on_behalf_of="human:ada")):
        given(asked).when(lambda approval, voter=voter: approval.vote(voter, "approve")).refused("human:ada requested it")
    given(asked).when(lambda approval: approval.vote(BOB, "approve")).then(voted(BOB), granted(BOB))


def test_a_person_has_one_vote_through_however_many_voices() -> None:
    proxy = Actor(kind="human", id="bob", on_behalf_of="human:ada")
    by_proxy = voted(BOB, on_behalf_of="human:ada")
    asked = requested(quorum=2)
    given(asked, by_proxy).when(lambda approval: approval.vote(ADA, "approve")).refused(
        "human:bob has already voted for human:ada; each person has one vote"
    )
    given(asked, voted(ADA)).when(lambda approval: approval.vote(proxy, "approve")).refused(
        "human:ada has already voted for human:ada"
    )
    given(asked, by_proxy).when(lambda approval: approval.vote(BOB, "deny")).refused("votes are final")
    given(asked, by_proxy).when(lambda approval: approval.vote(CLEO, "approve")).then(voted(CLEO), granted(BOB, CLEO))


@pytest.mark.parametrize("excluded", [None, False, True])
def test_a_request_from_when_nothing_was_said_of_who_decides_is_the_same_request_today(excluded: bool | None) -> None:
    recorded = requested(requester_excluded=excluded)
    for today in (PEOPLE, {"approver_kinds": ("human",)}, {}):  # of commands, and of importers
        with pytest.raises(AlreadyRecorded) as found:
            fold(recorded).ask(requested(**today), NOON)
        assert found.value.proposed == recorded
    with pytest.raises(AlreadyRecorded) as found:
        fold(recorded).ask(requested(approver_kinds=("service",)), NOON)
    assert found.value.proposed.differs_from(recorded) == "rule"


def test_what_is_absent_in_a_stored_rule_was_not_said() -> None:
    stored = {"quorum": 1, "eligible": [], "requester_excluded": False}
    assert ApprovalRule.model_validate_json(json.dumps(stored)).approver_kinds is None
    assert ApprovalRule.model_validate_json("{}") == ApprovalRule(requester_excluded=None, approver_kinds=None)
    with pytest.raises(ValidationError, match="approver_kinds"):
        ApprovalRule(approver_kinds=())


# It ends one way

DECISIONS: dict[str, Callable[[Approval], Events]] = {
    "granted": lambda approval: approval.vote(BOB, "approve"),
    "denied": lambda approval: approval.vote(BOB, "deny"),
    "expired": lambda approval: approval.expire(ONE_O_CLOCK),
}


@pytest.mark.row("CM-06")
@pytest.mark.fault("F14")
@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("end", ENDS)
def test_an_approval_ends_one_way(end: str, decision: str) -> None:
    told = given(requested(expires_at=ONE_O_CLOCK), *ENDS[end]).when(DECISIONS[decision])
    if (end, decision) == ("expired", "expired"):
        told.then()
    else:
        told.refused("only an open approval")


@pytest.mark.parametrize("end", ENDS)
def test_withdrawing_what_is_decided_changes_nothing(end: str) -> None:
    given(requested(), *ENDS[end]).when(lambda approval: approval.withdraw("run_cancelled")).then()


@pytest.mark.parametrize("cause", ["run_cancelled", "run_failed", "new_input", "call_ended"])
def test_a_question_falls_away_for_a_cause(cause: str) -> None:
    approval = given(requested(quorum=2), voted(ADA)).when(lambda approval: approval.withdraw(cause))
    assert approval.then(ApprovalWithdrawn.model_validate({"cause": cause})).status == "withdrawn"


def test_an_approval_expires_at_its_time_and_not_before() -> None:
    asked = requested(expires_at=ONE_O_CLOCK)
    given(asked).when(lambda approval: approval.expire(ONE_O_CLOCK)).then(ApprovalExpired())
    given(asked).when(lambda approval: approval.expire(ONE_O_CLOCK - timedelta(microseconds=1))).refused(
        "it expires at 2026-01-31"
    )
    given(requested()).when(lambda approval: approval.expire(ONE_O_CLOCK)).refused("it never expires")


def test_only_a_recorded_expiry_closes_it() -> None:
    approval = fold(requested(expires_at=ONE_O_CLOCK))
    late = ONE_O_CLOCK + timedelta(days=1)
    assert (approval.is_late(NOON), approval.is_late(late), approval.status) == (False, True, "open")
    assert not fold(requested(expires_at=ONE_O_CLOCK), ApprovalExpired()).is_late(late)
    assert not fold(requested()).is_late(late)


# It is used once


@pytest.mark.row("AG-10")
def test_what_was_granted_is_used_once_and_for_what_was_approved() -> None:
    before = (requested(), *ENDS["granted"])
    given(*before).when(lambda approval: approval.consume(digest(ASKED), "key_1", NOON)).then(consumed)
    given(*before).when(lambda approval: approval.consume(digest(EDITED), "key_1", NOON)).refused("it was granted for sha256:")
    given(*before, consumed).when(lambda approval: approval.consume(digest(ASKED), "key_1", NOON)).then()
    given(*before, consumed).when(lambda approval: approval.consume(digest(ASKED), "key_2", NOON)).refused(
        "execution key_1 has already used it; it can be used once"
    )
    given(*before, consumed).when(lambda approval: approval.consume(digest(EDITED), "key_1", NOON)).refused("it can be used once")


def test_an_edit_is_what_may_be_used() -> None:
    edit = (requested(), voted(ADA, edited_arguments_text=EDITED), granted(ADA, text=EDITED))
    given(*edit).when(lambda approval: approval.consume(digest(ASKED), "key_1", NOON)).refused("it was granted for")
    given(*edit).when(lambda approval: approval.consume(digest(EDITED), "key_1", NOON)).then(
        consumed.model_copy(update={"arguments_digest": digest(EDITED)})
    )


def test_what_was_granted_in_time_is_used_until_its_time_and_its_runs_end() -> None:
    before = (requested(expires_at=ONE_O_CLOCK), *ENDS["granted"])
    at, just_before = ONE_O_CLOCK, ONE_O_CLOCK - timedelta(microseconds=1)
    given(*before).when(lambda approval: approval.consume(digest(ASKED), "key_1", just_before)).then(consumed)
    given(*before).when(lambda approval: approval.consume(digest(ASKED), "key_1", at)).refused(
        "it could be used until 2026-01-31T13:00:00"
    )
    given(*before).when(lambda approval: approval.consume(digest(ASKED), "key_1", NOON, "cancelled at version 9")).refused(
        "run_1 is cancelled at version 9, which ended its approvals"
    )
    given(*before, consumed).when(lambda approval: approval.consume(digest(ASKED), "key_1", at, "completed")).then()


@pytest.mark.parametrize("end", ["open", "denied", "expired", "withdrawn"])
def test_only_what_was_granted_is_used(end: str) -> None:
    given(requested(), *ENDS.get(end, ())).when(lambda approval: approval.consume(digest(ASKED), "key_1", NOON)).refused(
        "only a granted approval can be used"
    )


def test_an_approval_tells_its_state_in_words() -> None:
    assert Approval("approval_1").describe() == "not requested"
    assert fold(requested(), *ENDS["denied"]).describe() == "denied at version 3"


def test_a_request_is_strict() -> None:
    with pytest.raises(ValidationError, match="arguments_digest"):
        ApprovalRequested.model_validate({**requested().model_dump(), "arguments_digest": "md5:0"})
    with pytest.raises(ValidationError, match="verdict"):
        ApprovalVoteCast.model_validate({"voter": "human:ada", "verdict": "maybe"})
