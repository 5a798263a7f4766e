"""Approvals over HTTP: people decide, at once or too late; what was granted is used once, for what was approved."""

import threading
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from runfold import Ledger, Run
from runfold.access.keys import Keys
from runfold.http.app import create_app
from tests.http.keys import make_key, with_key
from tests.serving import serving

ADA, BOB, AGENT = {"X-Actor": "human:ada"}, {"X-Actor": "human:bob"}, {"X-Actor": "agent:support"}


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


def asked(client: httpx2.Client, run: Run, **request: Any) -> str:
    """Another approval that the run waits for."""
    answer = client.post(
        f"/runs/{run.id}/approvals", json={"action": "refund", "arguments": {"order": 7}, **request}, headers=AGENT
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def vote(client: httpx2.Client, approval: str, who: dict[str, str] = ADA, **said: Any) -> httpx2.Response:
    return client.post(f"/approvals/{approval}/votes", json={"verdict": "approve", **said}, headers=who)


def at_once(client: httpx2.Client, approval: str, *people: dict[str, str]) -> dict[str, httpx2.Response]:
    """What each is answered who votes yes at the same moment."""
    start = threading.Barrier(len(people))
    answers: dict[str, httpx2.Response] = {}

    def decide(who: dict[str, str]) -> None:
        start.wait()
        answers[who["X-Actor"]] = vote(client, approval, who)

    threads = [threading.Thread(target=decide, args=[who]) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.fault("H-5")
def test_two_who_approve_at_once_are_both_recorded_or_the_second_is_told_what_stands(
    client: httpx2.Client, ledger: Ledger, run: Run
) -> None:
    for quorum in (1, 2):
        approval = asked(client, run, quorum=quorum)
        answers = at_once(client, approval, ADA, BOB)
        view = client.get(f"/approvals/{approval}").json()
        voters = [cast["voter"] for cast in view["votes"]]
        statuses = sorted(answer.status_code for answer in answers.values())
        if quorum == 2:
            assert (statuses, sorted(voters)) == ([200, 200], ["human:ada", "human:bob"])
        else:
            assert (statuses, len(voters)) == ([200, 409], 1)
            late = next(answer.json() for answer in answers.values() if answer.status_code == 409)
            assert (late["stream"], late["state"]) == (approval, "granted")
            assert answers[voters[0]].status_code == 200
            kept = [recorded.event for recorded in ledger.events(types=["approval.vote_refused"])]
            assert [(vote.voter, vote.status) for vote in kept] == [(({"human:ada", "human:bob"} - set(voters)).pop(), "granted")]
        assert view["status"] == "granted"
    resumed = [recorded.type for recorded in ledger.now.run_events(run.id)].count("run.resumed")
    assert resumed == 2  # once for each of the two approvals


def test_a_vote_after_the_time_is_refused_and_that_it_expired_stays_recorded(client: httpx2.Client, run: Run) -> None:
    call = client.post(f"/runs/{run.id}/tool-calls", json={"name": "refund", "needs_approval": True}).json()["id"]
    approval = asked(client, run, call_id=call, expires_in="1ms")
    assert client.get(f"/approvals/{approval}").json()["status"] == "open"  # until an expiry is recorded
    late = vote(client, approval)
    assert (late.status_code, late.json()["state"]) == (409, "expired")
    assert client.get(f"/approvals/{approval}").json()["status"] == "expired"
    assert client.get(f"/runs/{run.id}").json()["status"] == "running"
    (failed,) = client.get(f"/runs/{run.id}/tool-calls").json()["items"]
    assert failed["error"]["code"] == "approval_expired"
    assert vote(client, approval).status_code == 409
    assert client.post(f"/approvals/{asked(client, run)}/expire", json={}).status_code == 409  # not before its time


@pytest.mark.fault("H-5")
def test_a_vote_that_came_too_late_is_recorded_once_and_answered_alike_whenever_it_is_repeated(
    client: httpx2.Client, ledger: Ledger, run: Run
) -> None:
    closed = asked(client, run)
    assert vote(client, closed, ADA).status_code == 200
    expired = asked(client, run, expires_in="1ms")
    for approval, state in ((closed, "granted"), (expired, "expired")):
        body = {"verdict": "deny", "comment": "never"}
        url, headers = f"/approvals/{approval}/votes", {**BOB, "Idempotency-Key": approval}
        answers = [client.post(url, json=body, headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [409] * 3
        assert [answer.json()["state"] for answer in answers] == [state] * 3
        assert len({answer.json()["detail"] for answer in answers}) == 1
        assert vote(client, approval, BOB).status_code == 409
    late = ledger.events(types=["approval.vote_refused"])
    assert [(recorded.stream, recorded.event.voter, recorded.event.verdict) for recorded in late[:1]] == [
        (closed, "human:bob", "deny")
    ]
    assert [recorded.stream for recorded in late[1:]] == [expired]  # who came when it had expired has come too late as well


@pytest.mark.fault("H-5")
def test_a_late_vote_among_many_leaves_all_as_they_were_and_is_recorded(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    first, second = asked(client, run), asked(client, run)
    vote(client, second, ADA)
    votes = [{"approval_id": approval, "verdict": "approve"} for approval in (first, second)]
    for _ in range(2):
        answer = client.post("/approvals/resolve", json={"votes": votes}, headers={**BOB, "Idempotency-Key": "many"})
        assert (answer.status_code, answer.json()["stream"]) == (409, second)
    assert client.get(f"/approvals/{first}").json()["status"] == "open"
    assert [recorded.stream for recorded in ledger.events(types=["approval.vote_refused"])] == [second]


def test_what_was_granted_is_used_once_and_only_for_what_was_approved(client: httpx2.Client, run: Run) -> None:
    approval = asked(client, run, arguments='{"order": 7}')

    def consume(arguments: Any, key: str) -> httpx2.Response:
        return client.post(f"/approvals/{approval}/consume", json={"arguments": arguments, "execution_key": key})

    assert consume('{"order": 7}', "exec_1").status_code == 409  # nobody granted it
    vote(client, approval)
    drifted = consume('{"order": 8}', "exec_1")
    assert drifted.status_code == 409
    assert drifted.json()["rule"].startswith("it was granted for sha256")
    assert consume({"order": 7}, "exec_1").status_code == 409  # the same JSON, but other text than was shown
    assert consume('{"order": 7}', "exec_1").json()["appended"] == 1
    assert consume('{"order": 7}', "exec_1").json()["appended"] == 0
    twice = consume('{"order": 7}', "exec_2")
    assert (twice.status_code, "exec_1 has already used it" in twice.json()["rule"]) == (409, True)
    assert client.get(f"/approvals/{approval}").json()["consumed_by"] == "exec_1"


def test_edited_arguments_replace_the_asked_ones_and_are_what_may_be_done(client: httpx2.Client, run: Run) -> None:
    call = client.post(
        f"/runs/{run.id}/tool-calls", json={"name": "refund", "arguments": {"amount": 100}, "needs_approval": True}
    )
    call_id = call.json()["id"]
    approval = asked(client, run, arguments={"amount": 100}, call_id=call_id)
    assert vote(client, approval, arguments={"amount": 50}, comment="half of it").status_code == 200
    view = client.get(f"/approvals/{approval}").json()
    assert (view["arguments_text"], view["effective_arguments_text"]) == ('{"amount":100}', '{"amount":50}')

    def start(arguments: str) -> httpx2.Response:
        body = {"approval": approval, "arguments_text": arguments, "execution_key": "exec_1"}
        return client.post(f"/runs/{run.id}/tool-calls/{call_id}/start", json=body)

    assert start('{"amount":100}').status_code == 409
    assert start('{"amount":50}').json()["appended"] == 2  # that it was started, and that the grant was used
    assert start('{"amount":50}').json()["appended"] == 0


@pytest.mark.row("LT-90")
def test_a_call_that_needs_approval_starts_with_a_grant_or_not_at_all(client: httpx2.Client, run: Run) -> None:
    """Which tools need it is the agent's to say, call by call: that they did is in the log, and here it is enforced."""
    needs = client.post(f"/runs/{run.id}/tool-calls", json={"name": "refund", "needs_approval": True}).json()["id"]
    free = client.post(f"/runs/{run.id}/tool-calls", json={"name": "look_up"}).json()["id"]
    assert client.post(f"/runs/{run.id}/tool-calls/{free}/start", json={}).status_code == 200
    refused = client.post(f"/runs/{run.id}/tool-calls/{needs}/start", json={})
    assert (refused.status_code, "needs an approval" in refused.json()["rule"]) == (409, True)
    assert client.post(f"/runs/{run.id}/tool-calls/{needs}/succeed", json={"result": "done"}).status_code == 409
    approval = asked(client, run, arguments=None, call_id=needs)
    vote(client, approval)
    assert client.post(f"/runs/{run.id}/tool-calls/{needs}/start", json={"approval": approval}).status_code == 200
    shown = {call["call_id"]: call["needs_approval"] for call in client.get(f"/runs/{run.id}/tool-calls").json()["items"]}
    assert shown == {needs: True, free: False}


@pytest.mark.row("LT-93", "AG-07")
def test_votes_that_must_be_complete_are_refused_while_they_leave_something_open(client: httpx2.Client, run: Run) -> None:
    approvals = [asked(client, run) for _ in range(3)]
    votes = [{"approval_id": approval, "verdict": "approve"} for approval in approvals]
    partial = client.post("/approvals/resolve", json={"votes": votes[:2], "complete": True})
    assert partial.status_code == 409
    problem = partial.json()
    assert problem["type"] == "urn:runfold:error:ApprovalsLeftOpen"
    assert (sorted(problem["expected"]), sorted(problem["received"])) == (sorted(approvals), sorted(approvals[:2]))
    assert {client.get(f"/approvals/{approval}").json()["status"] for approval in approvals} == {"open"}
    votes[1] |= {"verdict": "deny"}
    whole = client.post("/approvals/resolve", json={"votes": votes, "complete": True})
    assert (whole.status_code, client.get(f"/runs/{run.id}").json()["status"]) == (200, "running")
    again = client.post("/approvals/resolve", json={"votes": votes, "complete": True})
    assert (again.status_code, again.json()["appended"]) == (200, 0)
    unknown = [*votes, {"approval_id": "approval_0", "verdict": "approve"}]
    assert client.post("/approvals/resolve", json={"votes": unknown, "complete": True}).status_code == 404


def test_without_asking_for_all_some_are_decided_and_the_run_waits_for_the_rest(client: httpx2.Client, run: Run) -> None:
    first, second = asked(client, run), asked(client, run)
    votes = [{"approval_id": first, "verdict": "approve"}]
    assert client.post("/approvals/resolve", json={"votes": votes}).status_code == 200
    assert client.get(f"/runs/{run.id}").json()["waiting_for"] == [second]
    assert vote(client, second, expected_open=[]).status_code == 409
    assert vote(client, second, expected_open=[second]).status_code == 200


def test_of_votes_that_must_be_complete_none_counts_where_the_agent_asked_for_more_meanwhile(
    client: httpx2.Client, run: Run
) -> None:
    approvals = [asked(client, run) for _ in range(2)]
    start = threading.Barrier(2)
    answers: list[httpx2.Response] = []

    def decide() -> None:
        start.wait()
        votes = [{"approval_id": approval, "verdict": "approve"} for approval in approvals]
        answers.append(client.post("/approvals/resolve", json={"votes": votes, "complete": True}))

    deciding = threading.Thread(target=decide)
    deciding.start()
    start.wait()
    late = asked(client, run)
    deciding.join()
    statuses = [client.get(f"/approvals/{approval}").json()["status"] for approval in approvals]
    if answers[0].status_code == 409:
        assert statuses == ["open", "open"]
        assert late in answers[0].json()["expected"]
    else:
        assert statuses == ["granted", "granted"]
        assert answers[0].json()["position"] < client.get(f"/approvals/{late}").json()["position"]


@pytest.mark.row("LT-97")
def test_a_user_may_say_something_along_with_their_votes(client: httpx2.Client, run: Run) -> None:
    approvals = [asked(client, run), asked(client, run)]
    votes = [{"approval_id": approval, "verdict": "deny", "comment": "no"} for approval in approvals]
    said = {"run_id": run.id, "content": "Send a voucher instead.", "message_id": "msg_1"}
    early = client.post("/approvals/resolve", json={"votes": votes[:1], "messages": [said]})
    assert early.status_code == 409  # the run waits still, and takes no new input until it does not
    assert {client.get(f"/approvals/{approval}").json()["status"] for approval in approvals} == {"open"}
    body = {"votes": votes, "messages": [said], "complete": True}
    answer = client.post("/approvals/resolve", json=body)
    assert (answer.status_code, answer.json()["ids"][-1]) == (200, "msg_1")
    (message,) = client.get(f"/runs/{run.id}/messages").json()["items"]
    assert (message["role"], message["content"]) == ("user", [{"type": "text", "text": "Send a voucher instead."}])
    assert client.post("/approvals/resolve", json=body).json()["appended"] == 0


def test_who_may_decide_but_not_write_says_nothing_along_with_their_votes(ledger: Ledger, run: Run) -> None:
    key = ledger.create_key(owner="human:bob", scopes=["approvals:decide"], label="test").text
    approval = run.request_approval("refund").id
    votes = [{"approval_id": approval, "verdict": "approve"}]
    said = {"run_id": run.id, "content": "and be quick"}
    with (
        serving(create_app(ledger, Keys(ledger))) as address,
        httpx2.Client(base_url=address, timeout=30, headers={"Authorization": f"Bearer {key}"}) as bob,
    ):
        refused = bob.post("/approvals/resolve", json={"votes": votes, "messages": [said]})
        assert (refused.status_code, refused.json()["scope"]) == (403, "runs:write")
        assert ledger.now.approval(approval).status == "open"
        assert bob.post("/approvals/resolve", json={"votes": votes}).status_code == 200


@pytest.mark.row("CM-08")
def test_every_state_that_a_screen_shows_of_a_tool_can_be_told_from_calls_and_approvals(
    client: httpx2.Client, ledger: Ledger, run: Run
) -> None:
    """approval-requested, approval-responded, output-available, output-denied and output-error, in our words."""

    def shown(call_id: str) -> tuple[str, bool, str | None, str | None]:
        ledger.fold()
        (row,) = client.get("/tool-calls", params={"call_id": call_id}).json()["items"]
        approvals = client.get(f"/runs/{run.id}/approvals").json()["items"]
        status = next((approval["status"] for approval in approvals if approval["call_id"] == call_id), None)
        return row["status"], row["open_approvals"] > 0, status, row["error_code"]

    calls = [run.call_tool("refund", needs_approval=True).id for _ in range(2)]
    approvals = [asked(client, run, arguments=None, call_id=call) for call in calls]
    assert shown(calls[0]) == ("called", True, "open", None)
    vote(client, approvals[0])
    vote(client, approvals[1], verdict="deny")
    assert shown(calls[0]) == ("called", False, "granted", None)
    assert shown(calls[1]) == ("failed", False, "denied", "approval_denied")
    client.post(f"/runs/{run.id}/tool-calls/{calls[0]}/start", json={"approval": approvals[0]})
    client.post(f"/runs/{run.id}/tool-calls/{calls[0]}/succeed", json={"result": 1})
    assert shown(calls[0]) == ("succeeded", False, "granted", None)
    broken = run.call_tool("refund").id
    client.post(f"/runs/{run.id}/tool-calls/{broken}/fail", json={"message": "no such order", "code": "not_found"})
    assert shown(broken) == ("failed", False, None, "not_found")


def test_history_is_judged_by_its_own_clock_for_keys_that_may_import(ledger: Ledger, run: Run) -> None:
    said = {"occurred_at": "2026-03-01T10:01:00Z", "times_judged_by": "producer"}
    keys = {scopes: with_key(make_key(ledger, *scopes)) for scopes in (("approvals:decide",), ("approvals:decide", "import"))}
    decides, imports = keys.values()
    with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address) as client:
        until = {"expires_at": datetime(2026, 3, 1, 11, tzinfo=UTC), "occurred_at": datetime(2026, 3, 1, 10, tzinfo=UTC)}
        approval = run.request_approval("refund", arguments={}, **until, times_judged_by="producer").id
        refused = client.post(f"/approvals/{approval}/votes", json={"verdict": "approve", **said}, headers=decides)
        assert (refused.status_code, refused.json()["scope"]) == (403, "import")
        granted = client.post(f"/approvals/{approval}/votes", json={"verdict": "approve", **said}, headers=imports)
        assert granted.status_code == 200, granted.text
    assert ledger.now.approval(approval).status == "granted"
