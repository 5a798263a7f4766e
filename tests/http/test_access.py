"""Who is let in, as whom, and for what; and what is recorded of everybody else."""

import asyncio
import base64
import time
from collections import Counter
from collections.abc import Callable
from typing import get_args

import httpx2
import psycopg
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request

from runfold import Ledger, Settings
from runfold.access import keys
from runfold.access.denials import Denials
from runfold.access.keys import Keys, keys_of_all
from runfold.api.route import MISSING, Route
from runfold.api.table import QUESTIONS
from runfold.commands.caller import Caller
from runfold.domain.security import Scope, key_text, read_key
from runfold.handles.ledgers.keys import KeyView
from runfold.http.app import create_app, described
from runfold.http.clients import is_local
from tests.http.every_route import AGENTS, EVERY_ROUTE, IDS, AgentRoute, request_of
from tests.http.keys import ROOT, denials, make_key, with_key
from tests.serving import serving
from tests.waiting import soon

SCOPES: tuple[Scope, ...] = get_args(Scope)

Asking = Callable[..., httpx2.Response]


def status(view: KeyView) -> str:
    return view.status


@pytest.fixture
def app(ledger: Ledger) -> Starlette:
    """This test's service. It asks for keys, and has agents."""
    return create_app(ledger, Keys(ledger), agents=AGENTS)


# Who a key is


def test_what_is_done_with_a_key_is_its_owners_in_its_tenant(client: httpx2.Client, ledger: Ledger) -> None:
    text = make_key(ledger, "runs:write", tenant="acme", owner="agent:support")
    asked = client.post("/threads", json={"agent_id": "a"}, headers={**with_key(text), "X-Actor": "human:eve"})
    assert asked.status_code == 201
    (recorded,) = ledger.on_behalf(Caller("acme", ROOT)).events(types=["thread.*"])
    assert (recorded.tenant_id, str(recorded.metadata.actor)) == ("acme", "agent:support")


def test_a_body_cannot_say_who_acts(client: httpx2.Client, ledger: Ledger) -> None:
    headers = with_key(make_key(ledger, "runs:write"))
    refused = client.post("/threads", json={"agent_id": "a", "actor": "human:eve"}, headers=headers)
    assert (refused.status_code, refused.json()["path"]) == (422, "body.actor")


# Keys that are not good


def wrong_headers(good: str, revoked: str, expired: str) -> list[tuple[str, list[tuple[str, bytes]]]]:
    """Headers that open nothing, and the reason that is recorded."""

    def bearer(text: str | bytes) -> list[tuple[str, bytes]]:
        return [("Authorization", b"Bearer " + (text.encode() if isinstance(text, str) else text))]

    key_id, secret = read_key(good)
    jwt = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"none"}', b'{"sub":"admin"}')]
    kid = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"../../../../dev/null"}').decode().rstrip("=")
    return [
        ("no_key", []),
        ("malformed", [("Authorization", b"")]),
        ("malformed", [("Authorization", good.encode())]),
        ("malformed", [("Authorization", b"Bearer")]),
        ("malformed", [("Authorization", b"Basic " + base64.b64encode(f"{key_id}:{secret}".encode()))]),
        ("malformed", [("Authorization", f"Token {good}".encode())]),
        ("malformed", bearer(good) + bearer(good)),
        ("malformed", bearer(f"{good}, {good}")),
        ("malformed", bearer(f'"{good}"')),
        ("malformed", bearer(good[:-1])),
        ("malformed", bearer(key_id)),
        ("malformed", bearer(secret)),
        ("malformed", bearer(f"{jwt[0]}.{jwt[1]}.")),
        ("malformed", bearer(f"{kid}.{jwt[1]}.{secret}")),
        ("malformed", bearer(key_text("key_../../keys/1", secret))),
        ("malformed", bearer(key_text("key_1' OR '1'='1", secret))),
        ("malformed", bearer(key_text("key_%00", secret))),
        ("malformed", bearer(b"rf_key_\xc3\xa9_" + secret.encode())),
        ("malformed", bearer(b"\xff\xfe\xfd")),
        ("malformed", bearer("x" * 8000)),
        ("unknown", bearer(key_text("key_1", secret))),
        ("unknown", bearer(key_text("key_default", secret))),
        ("unknown", bearer(key_text(f"{key_id}x", secret))),
        ("wrong_secret", bearer(key_text(key_id, "A" * 43))),
        ("wrong_secret", bearer(key_text(key_id, secret.swapcase()))),
        ("wrong_secret", bearer(key_text(key_id, read_key(revoked).secret))),
        ("revoked", bearer(revoked)),
        ("expired", bearer(expired)),
    ]


@pytest.mark.fault("I10")
def test_whatever_is_no_good_key_is_refused_alike_and_counted(ledger: Ledger) -> None:
    good, revoked, expired = (make_key(ledger, "admin", **more) for more in ({}, {}, {"expires_in": "1s"}))
    ledger.revoke_key(read_key(revoked).id)
    assert soon(lambda: Counter(map(status, ledger.keys())) == {"active": 1, "revoked": 1, "expired": 1})
    tried = wrong_headers(good, revoked, expired)
    with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=30) as client:
        answers = [client.get("/threads", headers=headers) for _, headers in tried]
        assert client.get("/threads/thread_1", headers=with_key(good)).status_code == 404
    assert {(answer.status_code, answer.content, answer.headers["www-authenticate"]) for answer in answers} == {
        (401, answers[0].content, 'Bearer realm="runfold"')
    }
    assert set(answers[0].json()) == {"type", "title", "status", "detail", "instance"}
    counted: Counter[str] = Counter()
    for denied in denials(ledger):
        counted[denied.reason] += 1 + denied.left_out
        assert (denied.route, denied.scope, denied.client) == ("GET /threads", "runs:read", "127.0.0.1")
        assert (denied.key_id is None) == (denied.reason in {"no_key", "malformed", "unknown"})
    assert counted == Counter(reason for reason, _ in tried)


@pytest.mark.fault("I10")
def test_no_secret_is_recorded_of_what_was_turned_away(client: httpx2.Client, ledger: Ledger) -> None:
    secret = "S3cr3t" * 7 + "x"
    for text in (secret, key_text("key_1", secret), key_text("key_ü", secret).encode("utf-8").decode("latin-1")):
        headers = [("Authorization", f"Bearer {text}".encode("latin-1"))]
        assert client.get(f"/threads/{secret}?cursor={secret}", headers=headers).status_code == 401
    assert soon(lambda: len(denials(ledger)) == 2)
    assert secret not in str([recorded.as_json() for recorded in ledger.events()])
    assert denials(ledger)[0].route == "GET /threads/{thread_id}"


@pytest.mark.fault("I10")
def test_a_revoked_key_opens_nothing_from_that_moment_on(client: httpx2.Client, ledger: Ledger) -> None:
    for revoke in (
        ledger.revoke_key,
        lambda key_id: client.delete(f"/keys/{key_id}", headers=with_key(make_key(ledger, "admin"))),
    ):
        text = make_key(ledger, "runs:read")
        assert client.get("/threads/thread_1", headers=with_key(text)).status_code == 404
        revoke(read_key(text).id)
        assert client.get("/threads/thread_1", headers=with_key(text)).status_code == 401


@pytest.mark.fault("I10")
def test_a_key_that_another_process_revoked_soon_opens_nothing(client: httpx2.Client, ledger: Ledger, settings: Settings) -> None:
    text = make_key(ledger, "runs:read")
    assert client.get("/threads/thread_1", headers=with_key(text)).status_code == 404
    with Ledger.open(settings=settings) as other:
        other.revoke_key(read_key(text).id)
    assert soon(lambda: client.get("/threads/thread_1", headers=with_key(text)).status_code == 401)


def test_a_key_that_is_asked_with_often_is_read_from_the_log_once_a_second(ledger: Ledger) -> None:
    headers = {"authorization": f"Bearer {make_key(ledger, 'runs:read')}"}
    keys = Keys(ledger)
    read: list[str] = []
    really = keys._read
    keys._read = lambda key_id: (read.append(key_id), really(key_id))[1]  # type: ignore[method-assign]

    async def ask() -> None:
        transport = httpx2.ASGITransport(app=create_app(ledger, keys))
        async with httpx2.AsyncClient(transport=transport, base_url="http://runfold") as client:
            began = time.monotonic()
            for _ in range(3):
                await asyncio.gather(*(client.get("/threads/thread_1", headers=headers) for _ in range(30)))
            assert len(read) <= 1 + (time.monotonic() - began)

    asyncio.run(ask())
    assert read


# What a key is for


NOTHING = {name: used.replace("_1", "_0") for name, used in IDS.items()}


@pytest.fixture
def ask(client: httpx2.Client) -> Asking:
    """Asks a route."""

    def ask(route: Route | AgentRoute, text: str, ids: dict[str, str], *, resumes: bool = False) -> httpx2.Response:
        said = request_of(route, ids, resumes=resumes)
        return client.request(**{**said, "headers": {**said.get("headers", {}), **with_key(text)}})

    return ask


def test_every_route_lets_in_who_has_its_scope(ledger: Ledger, ask: Asking) -> None:
    own = {scope: make_key(ledger, scope) for scope in SCOPES}
    for route in EVERY_ROUTE:
        assert ask(route, own[route.scope], NOTHING).status_code not in {401, 403}, route


def test_every_route_there_is_refuses_who_has_all_scopes_but_its_own(
    app: Starlette, ledger: Ledger, client: httpx2.Client
) -> None:
    others = {scope: make_key(ledger, *(set(SCOPES) - {scope, "admin"})) for scope in SCOPES}
    refused: Counter[str] = Counter()
    for path, operations in described()["paths"].items():
        for verb, operation in operations.items():
            if not operation.get("security") or operation["operationId"] == "metrics.scrape":  # it serves this machine
                continue
            (scope,) = operation["security"][0]["key"]
            answer = client.request(verb, path.replace("{", "").replace("}", ""), headers=with_key(others[scope]))
            assert (answer.status_code, answer.json().get("scope")) == (403, scope), (verb, path)
            assert answer.json()["key"] == read_key(others[scope]).id
            refused[scope] += 1
    assert refused >= Counter(route.scope for route in EVERY_ROUTE if route.name != "agents.run_in_thread")
    assert soon(lambda: {denied.scope for denied in denials(ledger)} == set(refused))


@pytest.mark.fault("I8")
def test_another_tenants_ids_are_as_if_there_were_none_on_every_route(ledger: Ledger, ask: Asking) -> None:
    thread = ledger.create_thread(thread_id="thread_1", agent_id="support")
    run = thread.start_run(run_id="run_1", goal={"id": "x", "description": "secret"})
    run.request_approval("send", approval_id="approval_1")
    ledger.fold()
    before = ledger.position()
    text = make_key(ledger, "admin", tenant="stranger")
    asked = 0
    for route in EVERY_ROUTE:
        if not set(route.path_names) & set(IDS):
            continue
        answer, unknown = ask(route, text, IDS, resumes=True), ask(route, text, NOTHING, resumes=True)
        assert answer.status_code == 404, (route, answer.text)
        assert answer.text.replace("_1", "_0") == unknown.text, route
        assert "secret" not in answer.text
        asked += 1
    assert asked > 60
    assert ledger.events(after=before) == []


@pytest.mark.fault("I8")
def test_lists_and_keys_of_another_tenant_are_not_there(client: httpx2.Client, ledger: Ledger) -> None:
    ledger.create_thread(thread_id="thread_1", agent_id="support").start_run(run_id="run_1", goal={"id": "x"})
    ledger.fold()
    mine = read_key(make_key(ledger, "admin")).id
    headers = with_key(make_key(ledger, "admin", tenant="stranger"))
    assert client.delete(f"/keys/{mine}", headers=headers).status_code == 404
    for route in QUESTIONS:
        if not route.path_names and route.path != "/usage":
            needed = {name: "x" for name, field in route.fields.items() if field.default is MISSING}
            answer = client.get(route.path, params=needed, headers=headers)
            found = answer.json()
            nothing = 0 if route.path == "/run-counts" else []
            assert (answer.status_code, found.get("items", found.get("runs"))) == (200, nothing), route
    assert client.get("/usage?by=run", headers=headers).json()["rows"] == []
    assert [key["owner"] for key in client.get("/keys", headers=headers).json()["items"]] == ["human:ada"]


@pytest.mark.shares
@pytest.mark.fault("F15")
@pytest.mark.parametrize(
    "id",
    [
        "run_1'; DROP TABLE runfold.log; --",
        "run_%00",
        "..%2f..%2fetc%2fpasswd",
        "run_..",
        "run_1%0d%0aX: y",
        "run_{x}",
        "%f0%9f%98%80",
        "run_1%22",
        "$where",
        "run_1%20OR%201=1",
        "run_" + "x" * 3000,
        "*",
        "runfold.log",
    ],
)
def test_an_id_that_can_be_none_is_not_found_and_says_nothing_of_sql(client: httpx2.Client, ledger: Ledger, id: str) -> None:
    headers = with_key(make_key(ledger, "admin"))
    for verb, path in (("GET", f"/runs/{id}"), ("POST", f"/runs/{id}/start"), ("DELETE", f"/keys/{id}")):
        answer = client.request(verb, path, headers=headers)
        assert answer.status_code == 404, answer.text
        assert not any(word in answer.text.split('"instance"')[0] for word in ("SELECT", "psycopg", "syntax", "Traceback"))


def test_a_secret_is_kept_for_no_longer_than_it_is_believed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "BELIEVED_SECONDS", 0.2)
    access, text = Keys(ledger), make_key(ledger, "runs:read")
    with serving(create_app(ledger, access)) as address, httpx2.Client(base_url=address, timeout=30) as client:
        assert client.get("/threads/thread_1", headers=with_key(text)).status_code == 404
        assert soon(lambda: read_key(text).secret not in repr(vars(access)))
        assert client.get("/threads/thread_1", headers=with_key(text)).status_code == 404


# How often


def test_a_key_that_asks_too_often_waits_and_no_other_does(settings: Settings) -> None:
    slow = settings.model_copy(update={"requests_a_second": 0.001})
    with Ledger.open(settings=slow) as ledger:
        one, other = (with_key(make_key(ledger, "runs:read")) for _ in range(2))
        with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=30) as client:
            assert client.get("/threads/thread_1", headers=one).status_code == 404
            refused = client.get("/threads/thread_1", headers=one)
            assert client.get("/threads/thread_1", headers=other).status_code == 404
        assert (refused.status_code, refused.json()["a_second"]) == (429, 0.001)
        assert 900 < int(refused.headers["retry-after"]) <= 1000
        assert [denied.reason for denied in denials(ledger)] == ["too_many"]


def test_without_a_limit_a_key_may_ask_as_often_as_it_likes(settings: Settings) -> None:
    with Ledger.open(settings=settings.model_copy(update={"requests_a_second": 0})) as ledger:
        headers = with_key(make_key(ledger, "runs:read"))
        with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=30) as client:
            assert {client.get("/threads/thread_1", headers=headers).status_code for _ in range(50)} == {404}


# What is recorded


def test_of_many_like_denials_the_first_is_recorded_and_then_how_many_more_there_were(ledger: Ledger) -> None:
    access = Keys(ledger, Denials(ledger, window_seconds=0.3))
    with serving(create_app(ledger, access)) as address, httpx2.Client(base_url=address, timeout=30) as client:
        began = time.monotonic()
        for _ in range(20):
            client.get("/threads")
        assert soon(lambda: sum(1 + denied.left_out for denied in denials(ledger)) == 20)
        assert len(denials(ledger)) <= 1 + (time.monotonic() - began) / 0.3
        client.get("/threads")
        client.get("/threads")
    assert sum(1 + denied.left_out for denied in denials(ledger)) == 22
    assert {recorded.metadata.actor.id for recorded in ledger.events()} == {"access"}


@pytest.mark.fault("I10")
def test_a_request_is_refused_without_the_database_too_and_that_is_logged(settings: Settings, database, admin_url: str) -> None:
    with structlog.testing.capture_logs() as logged, Ledger.open(settings=settings) as ledger:
        text = make_key(ledger, "runs:read")
        with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=60) as client:
            name = psycopg.conninfo.conninfo_to_dict(database.url)["dbname"]
            with psycopg.connect(admin_url, autocommit=True) as admin:
                admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            store = ledger.recorder.store
            store.connect_timeout = store.pool.timeout = 1.0  # while it was there, it could take its time
            assert client.get("/threads").status_code == 401
            assert client.get("/threads", headers=with_key(text)).status_code == 503
    (line,) = [line for line in logged if line["event"] == "denial not recorded"]
    assert (line["reason"], line["route"], line["client"]) == ("no_key", "GET /threads", "127.0.0.1")


# This machine


def local(client: str, **headers: str) -> bool:
    """Whether a request from an address is taken for one of this machine."""
    said = {"host": "127.0.0.1:8765", **headers}
    heads = [(name.encode(), value.encode()) for name, value in said.items()]
    return is_local(Request({"type": "http", "method": "GET", "path": "/metrics", "client": (client, 1234), "headers": heads}))


def test_this_machine_is_known_by_each_of_its_names() -> None:
    for client in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert local(client), client
    for host in ("localhost:8765", "[::1]:8765", "127.0.0.1"):
        assert local("127.0.0.1", host=host), host
    assert local("127.0.0.1", origin="http://localhost:3000")


@pytest.mark.fault("I10")
def test_nobody_else_is_taken_for_this_machine() -> None:
    for client in ("192.0.2.7", "10.0.0.1", "::", "0.0.0.0", "::ffff:192.0.2.7", "2001:db8::1", ""):  # noqa: S104
        assert not local(client), client
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "[::2]"):
        assert not local("127.0.0.1", host=host), host
    for origin in ("https://evil.example", "null", "file://"):
        assert not local("127.0.0.1", origin=origin), origin
    assert not local("127.0.0.1", **{"x-forwarded-for": "127.0.0.1"})


@pytest.mark.fault("I10")
def test_what_a_proxy_passed_on_needs_a_key_for_the_metrics(ledger: Ledger) -> None:
    with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=30) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 401
        admin = with_key(make_key(ledger, "admin"))
        assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7", **admin}).status_code == 200


def test_the_keys_of_all_tenants_are_known_with_those_that_are_good_no_more(ledger: Ledger) -> None:
    def states() -> list[str]:
        return [key.status for key in keys_of_all(ledger)]

    assert states() == []
    make_key(ledger, "admin", expires_in="1s")
    assert soon(lambda: states() == ["expired"])
    text = make_key(ledger, "runs:read", tenant="acme")
    assert states() == ["expired", "active"]
    ledger.on_behalf(Caller("acme", ROOT)).revoke_key(read_key(text).id)
    assert states() == ["expired", "revoked"]


# Keys over HTTP


def test_keys_are_made_listed_and_revoked_over_http(client: httpx2.Client, ledger: Ledger) -> None:
    admin = with_key(make_key(ledger, "admin", owner="human:root"))
    asked = {"owner": "agent:support", "scopes": ["runs:write"], "label": "support", "expires_in": "1h"}
    made = client.post("/keys", json=asked, headers=admin)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert client.post("/threads", json={}, headers=with_key(made.json()["key"])).status_code == 201
    key_id = made.json()["id"]
    listed = client.get("/keys", headers=admin)
    assert [(key["id"], key["status"]) for key in listed.json()["items"]][1:] == [(key_id, "active")]
    assert made.json()["key"] not in listed.text
    assert int(listed.headers["runfold-position"]) >= made.json()["position"]
    revoked = client.request("DELETE", f"/keys/{key_id}", json={"reason": "lost"}, headers=admin)
    assert (revoked.status_code, revoked.json()["appended"]) == (200, 1)
    assert client.delete(f"/keys/{key_id}", headers=admin).json()["appended"] == 0
    view = client.get("/keys", headers=admin).json()["items"][1]
    assert (view["status"], view["reason"], view["revoked_by"]) == ("revoked", "lost", "human:root")


def test_a_page_of_keys_goes_on_where_the_last_one_ended(client: httpx2.Client, ledger: Ledger) -> None:
    made = [read_key(make_key(ledger, "runs:read")).id for _ in range(4)]
    headers = with_key(make_key(ledger, "admin"))
    first = client.get("/keys?limit=3", headers=headers).json()
    rest = client.get(f"/keys?limit=3&cursor={first['next_cursor']}", headers=headers).json()
    assert [key["id"] for key in first["items"] + rest["items"]][:4] == made
    assert (len(rest["items"]), rest["next_cursor"]) == (2, None)
    assert client.get("/keys?limit=0", headers=headers).status_code == 400
    assert client.get("/keys?cursor=x", headers=headers).status_code == 400


@pytest.mark.fault("H-1", "H-2")
def test_a_key_asked_for_twice_under_one_idempotency_key_is_shown_once(client: httpx2.Client, ledger: Ledger) -> None:
    headers = {**with_key(make_key(ledger, "admin")), "Idempotency-Key": "one"}
    asked = {"owner": "human:bob", "scopes": ["runs:read"], "label": "Bob"}
    first, again = (client.post("/keys", json=asked, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert (again.json()["key"], "revoke the key and make another" in again.json()["note"]) == (None, True)
    assert client.post("/keys", json={**asked, "label": "B"}, headers=headers).status_code == 409
    assert len(ledger.keys()) == 2


def test_what_can_be_no_key_is_refused_with_the_field(client: httpx2.Client, ledger: Ledger) -> None:
    headers = with_key(make_key(ledger, "admin"))
    asked = {"owner": "human:bob", "scopes": ["runs:read"], "label": "Bob"}
    for wrong, path in (
        ({"owner": "bob"}, "owner"),
        ({"scopes": ["all"]}, "body.scopes.0"),
        ({"scopes": []}, "scopes"),
        ({"label": ""}, "label"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"key_id": "1"}, "key_id"),
        ({"actor": "human:eve"}, "body.actor"),
    ):
        refused = client.post("/keys", json={**asked, **wrong}, headers=headers)
        assert (refused.status_code, refused.json()["path"]) == (422, path)
    assert len(ledger.keys()) == 1


@pytest.mark.fault("I8", "I10")
def test_two_tenants_keys_of_one_id_are_two_keys(client: httpx2.Client, ledger: Ledger) -> None:
    """Whose it is shows in the secret. Whoever makes a key of an id that another tenant has does that tenant no harm."""
    mine = make_key(ledger, "admin", key_id="key_1")
    assert client.get("/threads/thread_1", headers=with_key(mine)).status_code == 404  # it is believed for a moment
    theirs = make_key(ledger, "runs:read", tenant="stranger", key_id="key_1")
    ledger.create_thread(thread_id="thread_1", agent_id="support")
    assert read_key(mine).id == read_key(theirs).id == "key_1"
    assert client.get("/threads/thread_1", headers=with_key(mine)).status_code == 200
    assert client.get("/threads/thread_1", headers=with_key(theirs)).status_code == 404
    assert client.post("/threads", json={"agent_id": "x"}, headers=with_key(theirs)).status_code == 403
    wrong = client.get("/threads", headers=with_key(key_text("key_1", "A" * 43)))
    nobodys = client.get("/threads", headers=with_key(key_text("key_2", "A" * 43)))
    assert (wrong.status_code, wrong.content) == (401, nobodys.content)

    ledger.on_behalf(Caller("stranger", ROOT)).revoke_key("key_1")
    assert client.get("/threads/thread_1", headers=with_key(theirs)).status_code == 401
    assert client.get("/threads/thread_1", headers=with_key(mine)).status_code == 200
    assert soon(lambda: [denied.reason for denied in denials(ledger, "stranger")] == ["scope_missing", "revoked"])
    assert {denied.key_id for denied in denials(ledger)} == {None}, "whose secret it was not is nobody's business"
    ledger.revoke_key("key_1")
    assert client.get("/threads/thread_1", headers=with_key(mine)).status_code == 401


@pytest.mark.fault("I8")
def test_ids_that_another_tenant_has_taken_are_free_here_whatever_they_name(client: httpx2.Client, ledger: Ledger) -> None:
    def record(headers: dict[str, str]) -> list[tuple[int, int]]:
        thread = client.post("/threads", json={"thread_id": "thread_1", "agent_id": "support"}, headers=headers)
        run = client.post("/threads/thread_1/runs", json={"run_id": "run_1", "input": "hello"}, headers=headers)
        message = client.post(
            "/runs/run_1/messages", json={"message_id": "msg_1", "role": "user", "content": "hello"}, headers=headers
        )
        approval = client.post("/runs/run_1/approvals", json={"approval_id": "approval_1", "action": "send"}, headers=headers)
        answers = (thread, run, message, approval)
        assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
        return [(answer.json()["version"], answer.json()["appended"]) for answer in answers]

    first = record(with_key(make_key(ledger, "admin")))
    assert record(with_key(make_key(ledger, "admin", tenant="stranger"))) == first
    assert record(with_key(make_key(ledger, "admin", tenant="third"))) == first
