"""What strangers are told, and what they can make the server write: nothing by what they say of themselves."""

import asyncio
import contextlib
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from starlette.applications import Starlette
from starlette.requests import Request

from runfold import Ledger, Settings
from runfold.access import denials as denying
from runfold.access.addresses import read_address
from runfold.access.keys import Keys
from runfold.api.table import COMMANDS, QUESTIONS
from runfold.domain.security import key_text, read_key
from runfold.errors import EmbeddedServerFailed, LedgerUnavailable, PoisonEvent, QueueFull, UsageError
from runfold.http.app import create_app, described
from runfold.http.clients import MOST_CHARACTERS, Clients
from runfold.http.problems import disclosed
from runfold.http.routes import bundles, questions
from tests.databases import TestDatabase
from tests.http.every_route import AGENTS, EVERY_ROUTE, IDS, request_of
from tests.http.keys import denials, make_key, with_key
from tests.http.streams import Stream
from tests.serving import serving
from tests.waiting import soon

Serve = Callable[..., httpx2.Client]


@pytest.fixture
def app(ledger: Ledger) -> Starlette:
    return create_app(ledger, Keys(ledger), agents=AGENTS)


@pytest.fixture
def told(settings: Settings) -> Iterator[Serve]:
    """Serves the same database under other settings: `told(trusted_proxies="10.0.0.0/8")` is a client of it."""
    with contextlib.ExitStack() as stack:

        def serve(**said: Any) -> httpx2.Client:
            ledger = stack.enter_context(Ledger.open(settings=Settings(**{**settings.model_dump(), **said})))
            address = stack.enter_context(serving(create_app(ledger, Keys(ledger))))
            return stack.enter_context(httpx2.Client(base_url=address, timeout=60))

        yield serve


# Addresses


def request(peer: str | None, *headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    client = None if peer is None else (peer, 1234)
    return Request({"type": "http", "method": "GET", "path": "/", "client": client, "headers": raw})


PROXY, CLIENT, EVIL = "10.0.0.7", "203.0.113.9", "198.51.100.1"


@pytest.mark.parametrize(
    ("peer", "headers", "found"),
    [
        (CLIENT, [("X-Forwarded-For", EVIL)], CLIENT),  # who is no proxy says nothing
        (CLIENT, [("Forwarded", f"for={EVIL}")], CLIENT),
        (PROXY, [], PROXY),
        (PROXY, [("X-Forwarded-For", CLIENT)], CLIENT),
        (PROXY, [("X-Forwarded-For", f"{EVIL}, {CLIENT}")], CLIENT),  # what the client itself said stands before
        (PROXY, [("X-Forwarded-For", EVIL), ("X-Forwarded-For", CLIENT)], CLIENT),
        (PROXY, [("X-Forwarded-For", f"{EVIL}, {CLIENT}, 10.1.1.1")], CLIENT),  # two proxies
        (PROXY, [("X-Forwarded-For", "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
        (PROXY, [("X-Forwarded-For", f"{EVIL}, nonsense")], PROXY),
        (PROXY, [("X-Forwarded-For", f"{EVIL}, unknown, 10.1.1.1")], "10.1.1.1"),
        (PROXY, [("X-Forwarded-For", f"{CLIENT}:4711")], CLIENT),
        (PROXY, [("X-Forwarded-For", "[2001:db8::1]:4711")], "2001:db8::1"),
        (PROXY, [("Forwarded", f'for="{EVIL}";proto=http, For="[2001:db8::9]:80";by=x')], "2001:db8::9"),
        (PROXY, [("Forwarded", "for=_hidden")], PROXY),
        (PROXY, [("Forwarded", f"for={EVIL}"), ("X-Forwarded-For", EVIL)], PROXY),  # one of them is the client's own
        (f"::ffff:{PROXY}", [("X-Forwarded-For", CLIENT)], CLIENT),
        (None, [("X-Forwarded-For", EVIL)], None),
        ("fd00::1", [("X-Forwarded-For", f"fe80::1%{'x' * 500}")], "fe80::1"),
    ],
)
def test_an_address_is_the_last_one_that_no_trusted_proxy_has(peer: str | None, headers: list[Any], found: str | None) -> None:
    assert Clients("10.0.0.0/8, fd00::/8").address(request(peer, *headers)) == found
    assert Clients("").address(request(peer, *headers)) == (None if peer is None else str(read_address(peer)))


@given(
    st.lists(st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=200), max_size=5),
    st.sampled_from([PROXY, CLIENT]),
)
def test_whatever_a_header_says_an_address_is_one(values: list[str], peer: str) -> None:
    for name in ("X-Forwarded-For", "Forwarded"):
        found = Clients("10.0.0.0/8").address(request(peer, *((name, value) for value in values)))
        assert found is not None
        assert str(ipaddress.ip_address(found)) == found


def test_a_header_is_read_from_its_end_and_no_more_of_it_than_is_needed() -> None:
    long = ",".join(["10.0.0.1"] * 1_000_000)
    assert len(long) > MOST_CHARACTERS
    assert Clients("10.0.0.0/8").address(request(PROXY, ("X-Forwarded-For", long))) == "10.0.0.1"


@pytest.mark.parametrize(
    "said",
    [
        {"trusted_proxies": "proxy"},
        {"trusted_proxies": "10.0.0.0/99"},
        {"public_hosts": "https://x"},
        {"public_hosts": "a b"},
        {"cors_origins": "app.example"},
        {"cors_origins": "https://app.example/path"},
    ],
)
def test_settings_that_can_be_none_are_refused(said: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(said)).upper()):
        Settings(**said)


ALWAYS_READ = {"cache-control", "content-type", "content-length"}
OF_THE_CONNECTION = {"date", "server", "connection", "vary", "transfer-encoding"}
"""Headers that a page can read anyhow, and those that are nothing to it."""

# What is recorded


@pytest.mark.fault("I10")
@pytest.mark.parametrize("text", ["x" * 500, "1" * 5000, "fe80::1%" + "x" * 300, "10.0.0.1," * 700])
def test_no_header_makes_a_refusal_fail(client: httpx2.Client, ledger: Ledger, text: str) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host"):
        assert client.get("/threads", headers=[(header.encode(), text.encode())]).status_code == 401
    assert soon(lambda: len(denials(ledger)) == 1)
    assert denials(ledger)[0].client == "127.0.0.1"


@pytest.mark.fault("I10")
def test_forged_addresses_are_one_address(client: httpx2.Client, ledger: Ledger) -> None:
    for number in range(120):
        forged = f"198.51.{number % 100}.{number % 250}"
        headers = {"X-Forwarded-For": forged, "Forwarded": f"for={forged}", "X-Real-IP": forged, "X-Client-IP": forged}
        assert client.get("/threads", headers=headers).status_code == 401
    assert soon(lambda: len(denials(ledger)) == 1)


@pytest.mark.fault("I10")
def test_however_many_addresses_and_keys_there_are_the_events_are_bounded(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denying, "MOST_KINDS", 10)
    keys = [read_key(make_key(ledger, "runs:read")) for _ in range(20)]
    before = ledger.position()

    async def ask() -> None:
        access = Keys(ledger)
        app = create_app(ledger, access)
        for number in range(200):
            transport = httpx2.ASGITransport(app=app, client=(f"203.0.113.{number}", 1))
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                shown = keys[number % 20]
                assert (await client.get("/threads", headers=with_key(key_text(shown.id, "A" * 43)))).status_code == 401
                assert (await client.get("/threads")).status_code == 401
        await access.close()

    asyncio.run(ask())
    assert ledger.position() - before <= 2 * (10 + 2)
    assert sum(1 + denied.left_out for denied in denials(ledger)) == 400


@pytest.mark.fault("I10")
def test_of_a_trusted_proxy_the_clients_address_is_recorded(told: Serve, ledger: Ledger) -> None:
    client = told(trusted_proxies="127.0.0.1")
    assert client.get("/threads", headers={"X-Forwarded-For": f"{EVIL}, {CLIENT}"}).status_code == 401
    assert soon(lambda: [denied.client for denied in denials(ledger)] == [CLIENT])


# Which keys there are


@pytest.mark.fault("I10")
def test_a_wrong_secret_costs_the_same_whether_there_is_such_a_key_or_not(ledger: Ledger) -> None:
    good = make_key(ledger, "runs:read")
    keys = Keys(ledger)
    read: list[str] = []
    queued = Counter[str]()
    really, queue = keys._read, keys._strangers.acquire
    keys._read = lambda key_id: (read.append(key_id), really(key_id))[1]  # type: ignore[method-assign]

    async def acquire() -> bool:
        queued["strangers"] += 1
        return await queue()

    keys._strangers.acquire = acquire  # type: ignore[method-assign]

    async def work_of(client: httpx2.AsyncClient, text: str) -> tuple[int, int]:
        read.clear()
        queued.clear()
        await client.get("/threads/thread_1", headers=with_key(text))
        return len(read), queued["strangers"]

    async def compare() -> None:
        transport = httpx2.ASGITransport(app=create_app(ledger, keys))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            wrong, unknown = key_text(read_key(good).id, "A" * 43), key_text("key_unknown", "A" * 43)
            for _ in range(2):
                assert await work_of(client, unknown) == (1, 1)
                assert await work_of(client, wrong) == (1, 1)  # before anybody showed the right secret …
                await client.get("/threads/thread_1", headers=with_key(good))
                assert await work_of(client, wrong) == (1, 1)  # … and while the key is believed
                assert (await work_of(client, good))[1] == 0

    asyncio.run(compare())


@pytest.mark.fault("I8")
def test_a_foreign_id_is_answered_with_the_same_statements_as_one_that_nobody_has(client: httpx2.Client, ledger: Ledger) -> None:
    thread = ledger.create_thread(thread_id="thread_1", agent_id="support")
    run = thread.start_run(run_id="run_1", goal={"id": "x"})
    for number in range(20):
        run.add_message("user", str(number))
    run.request_approval("send", approval_id="approval_1")
    ledger.fold()
    key = make_key(ledger, "admin", tenant="stranger")
    nobodys = {name: used.replace("_1", "_0") for name, used in IDS.items()}
    reader_class = type(ledger.recorder.reader)
    asked: list[str] = []
    really = reader_class._rows

    def rows(self: Any, query: str, parameters: Any, **how: Any) -> Any:
        is_about_keys = any(str(value).startswith("security_") for value in parameters)
        if not is_about_keys and "runfold.head" not in query:  # both are asked for now and then by nobody in particular
            asked.append(query)
        return really(self, query, parameters, **how)

    reader_class._rows = rows  # type: ignore[method-assign]
    try:
        client.get("/threads/thread_0", headers=with_key(key))
        for route in EVERY_ROUTE:
            if not set(route.path_names) & set(IDS):
                continue
            counts = []
            for ids in (IDS, nobodys):
                said = request_of(route, ids, resumes=True)
                asked.clear()
                answer = client.request(**{**said, "headers": {**said.get("headers", {}), **with_key(key)}})
                assert answer.status_code == 404, (route, answer.text)
                counts.append(list(asked))
            assert Counter(counts[0]) == Counter(counts[1]), route
        for template, field, more in (
            ("/threads", "thread_id", {"agent_id": "a"}),
            ("/threads/{thread_id}/runs", "run_id", {}),
            ("/runs/{run_id}/approvals", "approval_id", {"action": "send"}),
        ):
            counts = []
            for ids in (IDS, nobodys):  # taken by another tenant, and by nobody
                asked.clear()
                answer = client.post(template.format(**ids), headers=with_key(key), json={field: ids[field], **more})
                assert (answer.status_code, answer.json().get("id")) == (201, ids[field]), answer.text
                counts.append(list(asked))
            assert Counter(counts[0]) == Counter(counts[1]), template
    finally:
        reader_class._rows = really  # type: ignore[method-assign]


# What is told


@pytest.mark.fault("I8")
def test_why_a_read_model_has_stopped_is_told_to_whose_event_it_is_and_to_who_runs_the_server(
    client: httpx2.Client, ledger: Ledger, database: TestDatabase
) -> None:
    ledger.create_thread(agent_id="support")
    ledger.fold()
    words = "the patient's name is Ada"
    poison = PoisonEvent("usage", 1, "thread.created", f"ValueError: {words}")
    with psycopg.connect(database.projector_url, autocommit=True) as projector:
        for name, state, kind, message in (
            ("usage", "stopped", "thread.created", str(poison)),
            ("threads", "stopped", None, f"threads is not pure: {words}; raise its version"),
        ):
            projector.execute(
                "INSERT INTO runfold.troubles (name, generation, state, position, event_type, error, message, attempts)"
                " VALUES (%s, 1, %s, 1, %s, 'PoisonEvent', %s, 4)",
                [name, state, kind, message],
            )
    seen = {
        (tenant, scope): client.get("/projections", headers=with_key(make_key(ledger, scope, tenant=tenant))).text
        for tenant in ("default", "stranger")
        for scope in ("admin", "runs:read")
    }
    assert {who: text.count(words) for who, text in seen.items()} == {
        ("default", "admin"): 2,
        ("default", "runs:read"): 1,
        ("stranger", "admin"): 0,
        ("stranger", "runs:read"): 0,
    }
    assert "usage has stopped; the operator finds the reason" in seen["stranger", "admin"]


@pytest.mark.fault("I8")
def test_why_a_rebuild_failed_is_told_to_who_runs_the_server(
    client: httpx2.Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise PoisonEvent("usage", 1, "thread.created", "the words of somebody")

    monkeypatch.setattr(ledger, "rebuild", fails)
    for tenant, told in (("default", True), ("stranger", False)):
        headers = with_key(make_key(ledger, "admin", tenant=tenant))
        frames = client.post("/projections/usage/rebuild", headers={**headers, "Accept": "text/event-stream"}).text
        assert ("the words of somebody" in frames, '"state":"failed"' in frames) == (told, True)
        assert ("the words of somebody" in client.get("/projections", headers=headers).text) == told


@pytest.mark.fault("I8")
def test_no_answer_says_where_the_database_is(settings: Settings, database: TestDatabase, admin_url: str) -> None:
    where = conninfo_to_dict(database.url)
    secrets = [str(where[name]) for name in ("host", "user", "dbname") if where.get(name)]
    assert secrets
    with Ledger.open(settings=settings) as ledger:
        text = make_key(ledger, "admin")
        with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=60) as client:
            with psycopg.connect(admin_url, autocommit=True) as admin:
                admin.execute(f"ALTER DATABASE {where['dbname']} ALLOW_CONNECTIONS false")
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [where["dbname"]])
            store = ledger.recorder.store
            store.connect_timeout = store.pool.timeout = 0.5
            answers = [
                client.get("/threads", headers=with_key(key_text("key_unknown", "A" * 43))),
                client.get("/threads", headers=with_key(text)),
                client.post("/threads", headers=with_key(text), json={}),
                client.get("/projections", headers=with_key(text)),
                client.get("/readyz"),
            ]
        assert {answer.status_code for answer in answers} == {503}
        for answer in answers:
            assert not [secret for secret in secrets if secret in answer.text], answer.text
        assert answers[0].json()["retriable"] is True


def test_what_is_told_of_each_error_names_nothing_of_the_server() -> None:
    inner = "/run/postgresql/.s.PGSQL.5432 user ada"
    for error in (
        LedgerUnavailable(inner, inner),
        LedgerUnavailable(inner, inner, retriable=False),
        EmbeddedServerFailed(inner, inner),
        PoisonEvent("usage", 7, "message.added", inner),
    ):
        told = disclosed(error)
        assert inner not in str(told) + str(told.facts)
        assert told.http_status == error.http_status == 503
    assert str(disclosed(QueueFull(7))) == str(QueueFull(7))


# Names and origins


@pytest.mark.fault("I10")
@pytest.mark.parametrize("said", [{"trusted_proxies": "127.0.0.1"}, {"public_hosts": "ledger.example"}])
def test_behind_a_proxy_metrics_take_a_key_whatever_host_it_asks_for(told: Serve, ledger: Ledger, said: dict[str, str]) -> None:
    client = told(**said)
    for headers in ({}, {"Host": "localhost"}, {"Host": "127.0.0.1:8765"}, {"X-Forwarded-For": "127.0.0.1"}):
        assert client.get("/metrics", headers=headers).status_code == 401, headers
    assert client.get("/metrics", headers=with_key(make_key(ledger, "admin"))).status_code == 200


@pytest.mark.parametrize(("proxies", "scheme"), [("127.0.0.1", "https"), ("10.0.0.0/8", "http"), ("", "http")])
def test_addresses_are_told_as_a_trusted_proxy_says_that_clients_came(
    told: Serve, ledger: Ledger, proxies: str, scheme: str
) -> None:
    ledger.create_thread(agent_id="support").start_run().complete()
    client = told(trusted_proxies=proxies)
    asked = {"Host": "ledger.example", "X-Forwarded-Proto": "https", **with_key(make_key(ledger, "admin"))}
    page = client.get("/events?format=cloudevents&limit=1", headers=asked)
    assert page.headers["link"].startswith("</events?format=cloudevents&limit=1&after=")  # which is right behind any proxy
    assert f"{scheme}://ledger.example/threads" in client.get("/docs", headers=asked).text
    with_slash = client.post("/threads/", headers=asked, json={}, follow_redirects=False)
    assert with_slash.headers["location"] == "/threads"


@pytest.mark.parametrize("said", ["javascript", "", "https, ftp"])
def test_what_is_no_scheme_of_ours_is_none_that_a_client_came_by(told: Serve, ledger: Ledger, said: str) -> None:
    ledger.create_thread(agent_id="support").start_run().complete()
    asked = {"X-Forwarded-Proto": said, **with_key(make_key(ledger, "admin"))}
    assert "http://127.0.0.1" in told(trusted_proxies="127.0.0.1").get("/docs", headers=asked).text


def test_what_all_tenants_do_is_told_to_no_admin_of_one(told: Serve, ledger: Ledger) -> None:
    ledger.subscription("acquisition-of-initech").put()
    client = told(trusted_proxies="127.0.0.1")
    of_another = client.get("/metrics", headers=with_key(make_key(ledger, "admin", tenant="initech")))
    assert (of_another.status_code, "acquisition" in of_another.text) == (403, False)
    assert "acquisition-of-initech" in client.get("/metrics", headers=with_key(make_key(ledger, "admin"))).text


def test_a_server_answers_to_its_names_alone(told: Serve) -> None:
    client = told(public_hosts="ledger.example, Other.example")
    for host in ("ledger.example", "LEDGER.example:8443", "other.example.", "localhost:1", "127.0.0.1", "[::1]:80"):
        assert client.get("/threads", headers={"Host": host}).status_code == 401, host
    for host in ("evil.example", "ledger.example.evil.example", "xledger.example", "", "192.0.2.1"):
        refused = client.get("/threads", headers={"Host": host})
        assert (refused.status_code, refused.json()["type"]) == (421, "urn:runfold:error:HostNotServed"), host
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert told().get("/threads", headers={"Host": "any.example"}).status_code == 401


def test_pages_of_other_origins_may_ask_only_where_a_setting_says_so(told: Serve, ledger: Ledger) -> None:
    key = with_key(make_key(ledger, "admin"))
    origin, wanted = {"Origin": "https://app.example"}, {"Access-Control-Request-Method": "POST"}
    allow = "access-control-allow-origin"
    plain = told()
    assert allow not in plain.get("/threads/x", headers={**key, **origin}).headers
    assert allow not in plain.options("/threads", headers={**origin, **wanted}).headers
    open_to = told(cors_origins="https://app.example, https://other.example")
    asked = open_to.options(
        "/threads", headers={**origin, **wanted, "Access-Control-Request-Headers": "authorization, idempotency-key, if-match"}
    )
    assert (asked.status_code, asked.headers[allow]) == (200, "https://app.example")
    answer = open_to.get("/threads/x", headers={**key, **origin})
    assert (answer.status_code, answer.headers[allow]) == (404, "https://app.example")
    assert open_to.get("/threads", headers=origin).headers[allow] == "https://app.example"  # a refusal can be read, too
    assert allow not in open_to.get("/threads/x", headers={**key, "Origin": "https://evil.example"}).headers
    with Stream.open(
        str(open_to.base_url), "/events?follow=false", Origin="https://app.example", Authorization=key["Authorization"]
    ) as stream:
        assert stream.headers[allow] == "https://app.example"
        assert stream.until_named("end")


def test_pages_that_may_ask_may_say_all_that_is_understood_and_read_all_that_is_said(
    told: Serve, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "WAIT_SECONDS", 0.0)  # what is recorded meanwhile is folded by nobody
    ledger.create_thread(thread_id="thread_1", agent_id="support").start_run(run_id="run_1")
    ledger.fold()
    key, origin = with_key(make_key(ledger, "admin")), {"Origin": "https://app.example"}
    client = told(cors_origins="https://app.example")
    asked = {"Authorization", "Content-Type", "Content-Encoding"}
    for path, operations in described()["paths"].items():
        for verb, operation in operations.items():
            headers = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"}
            wanted = {"Access-Control-Request-Method": verb.upper(), "Access-Control-Request-Headers": ", ".join(headers | asked)}
            assert client.options(path, headers={**origin, **wanted}).status_code == 200, (path, headers)
    requests = [request_of(route, ids) for route in (*QUESTIONS, *COMMANDS) for ids in (IDS, {})]
    requests += [{"method": "GET", "url": "/events?limit=1&format=cloudevents"}, {"method": "HEAD", "url": "/threads"}]
    requests += [{"method": "POST", "url": "/moments", "json": {}}, {"method": "PUT", "url": "/threads"}]
    answers = [client.request(**request, headers={**origin, **key}) for request in requests]
    answers.append(client.get("/threads", headers=origin))
    shown = {name.strip().lower() for name in answers[0].headers["access-control-expose-headers"].split(",")}
    assert {name.lower() for name in (bundles.VERDICT, bundles.UNSEALED)} <= shown
    said = {name for answer in answers for name in answer.headers if not name.startswith("access-control-")}
    assert {"link", "allow", "www-authenticate", "etag"} <= said
    assert said - shown <= ALWAYS_READ | OF_THE_CONNECTION
