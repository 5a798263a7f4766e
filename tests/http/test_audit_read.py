"""What only `audit:read` shows: keys, and requests that were turned away; and what nobody is shown over HTTP."""

import httpx2
import pytest
from starlette.applications import Starlette

from runfold import Ledger
from runfold.access.keys import Keys
from runfold.api.route import CommandRoute
from runfold.domain.security import KeyCreated, Scope, key_stream, read_key
from runfold.http.app import create_app, described
from tests.http.every_route import AGENTS, EVERY_ROUTE, request_of
from tests.http.keys import make_key, with_key
from tests.http.streams import Stream, names, positions
from tests.waiting import soon

SECRET = "the label of a key"
BOTH: tuple[Scope, ...] = ("events:read", "audit:read")


@pytest.fixture
def app(ledger: Ledger) -> Starlette:
    return create_app(ledger, Keys(ledger), agents=AGENTS)


@pytest.fixture
def audited(ledger: Ledger) -> KeyCreated:
    """Ordinary events with security's among them: first, in between, last."""
    made = ledger.create_key(owner="human:bob", scopes=["runs:read"], label=SECRET)
    ledger.create_thread(thread_id="thread_1", agent_id="support").start_run(run_id="run_1").complete()
    ledger.revoke_key(made.id, reason=SECRET)
    (recorded,) = ledger.events(types=["security.key_created"])
    assert isinstance(recorded.event, KeyCreated)
    ledger.fold()
    return recorded.event


def shown(client: httpx2.Client, path: str, key: str) -> str:
    answer = client.get(path, headers=with_key(key))
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.fault("I10")
def test_events_read_alone_shows_no_security_event_and_its_positions_are_passed_over(
    client: httpx2.Client, ledger: Ledger, audited: KeyCreated
) -> None:
    reading, auditing = make_key(ledger, "events:read"), make_key(ledger, "events:read", "audit:read")
    head = ledger.position()
    for path in ("/events", "/events?types=security.*", "/events?types=*", "/events?types=security.key_created"):
        page = client.get(path, headers=with_key(reading)).json()
        assert [item["type"] for item in page["items"] if item["type"].startswith("security.")] == []
        assert (page["position"], page["next_cursor"]) == (head, None)
        seen = client.get(path, headers=with_key(auditing)).json()["items"]
        assert "security.key_created" in {item["type"] for item in seen}
    for limit in range(1, 5):  # whatever the pages are
        found, after = [], 0
        while after is not None:
            page = client.get(f"/events?limit={limit}&after={after}", headers=with_key(reading)).json()
            found += [item["type"] for item in page["items"]]
            after = page["next_cursor"]
        assert found == ["thread.created", "run.created", "run.started", "run.completed"]


@pytest.mark.fault("I10")
def test_streams_pass_over_what_only_auditors_see_and_move_on(address: str, ledger: Ledger, audited: KeyCreated) -> None:
    reading, auditing = make_key(ledger, "events:read"), make_key(ledger, "events:read", "audit:read")
    head = ledger.position()
    with (
        Stream.open(address, "/events", Authorization=f"Bearer {reading}") as plain,
        Stream.open(address, "/events", Authorization=f"Bearer {auditing}") as whole,
    ):
        for stream, most in ((plain, head - 4), (whole, head)):
            blocks = stream.until_named("caught_up")
            assert blocks[-1].data["position"] == head
            assert len(positions(blocks)) == {head: head, head - 4: 4}[most]
        ledger.create_key(owner="human:eve", scopes=["admin"], label=SECRET)
        ledger.thread("thread_1").rename("after")
        told = plain.until_named("thread.renamed")
        assert names(told) == ["thread.renamed"]
        assert names(whole.until_named("thread.renamed")) == ["security.key_created", "thread.renamed"]
        assert told[-1].id == head + 2
    assert SECRET.encode() not in plain.raw
    assert SECRET.encode() in whole.raw


@pytest.mark.fault("I10")
def test_no_route_shows_a_digest_of_a_secret_to_anybody(client: httpx2.Client, ledger: Ledger, audited: KeyCreated) -> None:
    admin = make_key(ledger, "admin")
    digest = (audited.secret_digest or "").removeprefix("sha256:")
    assert len(digest) == 64
    stream = key_stream(read_key(admin).id)
    ledger.fold()  # who asks for a list waits for nothing then
    asked = 0
    for path in described()["paths"]:
        for named in ("thread_1", stream):
            answer = client.get(
                "/".join(named if part.startswith("{") else part for part in path.split("/")), headers=with_key(admin)
            )
            assert answer.status_code != 500, (path, answer.text)
            assert digest not in answer.text, path
            assert "secret_digest" not in answer.text or path == "/openapi.json", path
            asked += 1
    assert asked > 100
    (created, *_) = [item for item in client.get("/events", headers=with_key(admin)).json()["items"] if "label" in item["data"]]
    assert set(created["data"]) == {"owner", "scopes", "label"}


@pytest.mark.fault("I10")
def test_no_question_of_who_may_read_all_but_the_audit_shows_anything_of_it(
    client: httpx2.Client, ledger: Ledger, audited: KeyCreated
) -> None:
    everything_else = make_key(ledger, "runs:read", "runs:write", "approvals:decide", "events:read", "projections:rebuild")
    stream = key_stream(read_key(everything_else).id)
    ledger.fold()
    for route in EVERY_ROUTE:
        if isinstance(route, CommandRoute):
            continue
        for named in ("_1", stream):
            ids = {name: named if named == stream else name.split("_")[0] + named for name in route.path_names}
            said = request_of(route, ids)
            answer = client.request(**{**said, "headers": {**said.get("headers", {}), **with_key(everything_else)}})
            assert SECRET not in answer.text, route
            assert answer.status_code != 500, (route, answer.text)
    for path in (
        f"/threads/{stream}/events",
        f"/runs/{stream}/events",
        f"/events?thread_id={stream}",
        f"/events?run_id={stream}",
    ):
        assert client.get(path, headers=with_key(everything_else)).status_code == 404, path
    assert client.get("/keys", headers=with_key(everything_else)).status_code == 403


def test_who_audits_sees_keys_and_denials_and_changes_neither(client: httpx2.Client, ledger: Ledger, audited: KeyCreated) -> None:
    auditor = make_key(ledger, "audit:read", "events:read")
    assert client.get("/threads").status_code == 401
    listed = client.get("/keys", headers=with_key(auditor)).json()["items"]
    assert (listed[0]["label"], listed[0]["status"], "secret_digest" in listed[0]) == (SECRET, "revoked", False)
    assert soon(lambda: "access_denied" in shown(client, "/events?types=security.*", auditor))
    for verb, path in (("POST", "/keys"), ("DELETE", f"/keys/{read_key(auditor).id}"), ("GET", "/threads")):
        assert client.request(verb, path, headers=with_key(auditor)).status_code == 403


def test_a_ledger_over_http_reads_what_its_key_may(address: str, ledger: Ledger, audited: KeyCreated) -> None:
    for scopes, seen in ((("events:read",), 0), (("events:read", "audit:read"), 1), (("admin",), 1)):
        with Ledger.connect(address, make_key(ledger, *scopes)) as remote:
            found = [each.event for each in remote.events(types=["security.key_created"]) if each.position == 1]
            assert len(found) == seen
            assert [event.secret_digest for event in found if isinstance(event, KeyCreated)] == [None] * seen
            followed = [each.type for each in remote.subscribe(follow=False)]
            assert ("security.key_created" in followed) == bool(seen)


@pytest.mark.usefixtures("audited")
def test_a_subscription_that_was_made_with_it_is_used_with_it_alone_and_says_so(client: httpx2.Client, ledger: Ledger) -> None:
    with_it, without = (with_key(make_key(ledger, *more, owner="service:mirror")) for more in (BOTH, BOTH[:1]))
    other = with_key(make_key(ledger, *BOTH, owner="service:other"))
    assert client.put("/subscriptions/mirror", json={"types": ["security.*"]}, headers=with_it).status_code == 200
    for headers, next_step in ((without, "use a key that has the scope audit:read"), (other, "use a key of theirs")):
        refused = client.post("/subscriptions/mirror/take", json={}, headers=headers)
        assert refused.status_code == 403
        assert next_step in refused.json()["detail"]
    taken = client.post("/subscriptions/mirror/take", json={}, headers=with_it).json()["deliveries"]
    assert {each["event"]["type"] for each in taken} == {"security.key_created", "security.key_revoked"}
