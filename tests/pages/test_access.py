"""Who is let in: sessions of browsers begin with an address or a key, are good for what the key is, and end."""

import re
from collections.abc import Callable, Iterator

import httpx2
import psycopg
import pytest

from runfold import Ledger, Settings
from runfold.access.sessions import BrowserSessions, SignedIn
from runfold.http.app import create_app
from runfold.pages.drawing import POLICY
from runfold.projector import checkpoints
from tests.databases import TestDatabase
from tests.pages.browser import READ_MODELS, sign_in
from tests.serving import serving

PAGE = "/ui/threads"


@pytest.fixture
def client(served: str) -> Iterator[httpx2.Client]:
    """A browser, as far as cookies go."""
    with httpx2.Client(base_url=served, timeout=60) as client:
        yield client


@pytest.fixture
def signed_client(client: httpx2.Client, served_ledger: Ledger) -> httpx2.Client:
    served_ledger.fold(*READ_MODELS)
    client.get(f"/ui/login?token={sign_in(served_ledger)}")
    return client


def cookie(client: httpx2.Client, kind: str = "session") -> str:
    (value,) = [each.value for each in client.cookies.jar if each.name.startswith(f"runfold_{kind}_")]
    return str(value)


def with_cookie(client: httpx2.Client, served: str, text: str) -> httpx2.Response:
    """What another browser sees that shows the same text."""
    name = f"runfold_session_{served.rpartition(':')[2]}"
    return httpx2.get(f"{served}{PAGE}", headers={"Cookie": f"{name}={text}"})


def token_in(answer: httpx2.Response) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', answer.text)
    assert found is not None, answer.text
    return found[1]


def login(client: httpx2.Client, key: str, next: str = PAGE, **headers: str) -> httpx2.Response:
    fields = {"form_token": token_in(client.get(PAGE)), "key": key, "next": next}
    return client.post("/ui/login", data=fields, headers=headers)


def test_a_sign_in_address_begins_one_session_that_no_script_and_no_other_site_sees(
    client: httpx2.Client, served: str, served_ledger: Ledger
) -> None:
    token = sign_in(served_ledger)
    first = client.get(f"/ui/login?token={token}")
    assert (first.status_code, first.headers["location"]) == (303, "/ui")
    (kept,) = first.headers.get_list("set-cookie")
    name, *rules = kept.split("; ")
    assert name.startswith(f"runfold_session_{served.rpartition(':')[2]}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} == set(rules)
    assert client.get("/ui/login").status_code == 200
    again = client.get(f"/ui/login?token={token}")
    assert (again.status_code, "was used already" in again.text) == (401, True)
    assert client.get("/ui/login?token=x").status_code == 401


@pytest.mark.parametrize("age", ["10 minutes", "-2 minutes"], ids=["too old", "of a clock that was put back since"])
def test_a_sign_in_address_is_good_for_ten_minutes(
    client: httpx2.Client, served_ledger: Ledger, shared_database: TestDatabase, age: str
) -> None:
    token = sign_in(served_ledger)
    with psycopg.connect(shared_database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE runfold.browser_sessions SET created_at = created_at - %s::interval WHERE is_once", [age])
    assert client.get(f"/ui/login?token={token}").status_code == 401


def test_behind_tls_the_cookie_is_for_tls_alone(shared_settings: Settings) -> None:
    told = {"X-Forwarded-Proto": "https"}
    for proxies, is_secure in (("127.0.0.1", True), ("", False)):
        settings = shared_settings.model_copy(update={"trusted_proxies": proxies})
        with Ledger.open(settings=settings) as ledger, serving(create_app(ledger)) as address:
            answer = httpx2.get(f"{address}/ui/login?token={sign_in(ledger)}", headers=told)
            assert ("Secure" in answer.headers["set-cookie"].split("; ")) == is_secure, "only a proxy that is trusted is believed"


def test_without_a_session_the_page_takes_a_key_and_leads_on_from_there(client: httpx2.Client, served_ledger: Ledger) -> None:
    served_ledger.fold(*READ_MODELS)
    asked = client.get(f"{PAGE}?state=open")
    assert (asked.status_code, asked.headers["www-authenticate"]) == (401, 'Bearer realm="runfold"')
    assert 'value="/ui/threads?state=open"' in asked.text
    key = served_ledger.create_key(owner="human:ada", scopes=["runs:read"], label="of a test")
    assert login(client, "rf_key_x_" + "y" * 43).status_code == 401
    assert login(client, "").status_code == 401
    done = login(client, f" {key.text} ")
    assert (done.status_code, done.headers["location"]) == (303, PAGE)
    seen = client.get(PAGE)
    assert (seen.status_code, "human:ada" in seen.text) == (200, True)
    assert str(key.text) not in seen.text


def test_who_mistypes_a_key_is_led_to_the_page_that_was_wanted_all_the_same(client: httpx2.Client, served_ledger: Ledger) -> None:
    wanted = f"{PAGE}?state=open"
    again = login(client, "rf_key_x_" + "y" * 43, wanted)
    assert (again.status_code, f'name="next" value="{wanted}"' in again.text) == (401, True)


@pytest.mark.parametrize("path", ["/ui/demo", "/ui/moments"])
def test_what_a_form_is_refused_with_leads_to_pages_alone(signed_client: httpx2.Client, served_ledger: Ledger, path: str) -> None:
    served_ledger.create_thread(agent_id="desk")
    refused = signed_client.post(path, data={"form_token": token_in(signed_client.get(PAGE)), "at": "999999"})
    assert refused.status_code == 400
    assert not re.findall(f'(?:href|action)="{path}', refused.text)
    assert f"{path}?" not in refused.text


@pytest.mark.parametrize("path", ["/ui/logout", "/ui/demo", "/ui/moments"])
def test_a_form_that_is_sent_after_the_session_leads_to_a_page_once_somebody_signs_in(
    client: httpx2.Client, signed_client: httpx2.Client, served_ledger: Ledger, path: str
) -> None:
    fields = {"form_token": token_in(signed_client.get(PAGE)), "at": "1", "next": PAGE}
    assert signed_client.post("/ui/logout", data=fields).status_code == 303
    late = client.post(path, data=fields)
    assert (late.status_code, "Nobody is signed in. Nothing was done: sign in, and send it again." in late.text) == (401, True)
    assert "Bearer" not in late.text
    (wanted,) = re.findall(r'name="next" value="([^"]*)"', late.text)
    key = served_ledger.create_key(owner="human:ada", scopes=["admin"], label="of a test")
    served_ledger.fold(*READ_MODELS)
    done = client.post("/ui/login", data={"form_token": token_in(late), "key": str(key.text), "next": wanted})
    assert client.get(done.headers["location"]).status_code == 200


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/ui", "//evil.example", "/\\evil.example", "/ui/../\\x", "/ui/login?token=x", "", "javascript:x"],
)
def test_signing_in_leads_to_pages_of_ours_alone(client: httpx2.Client, served_ledger: Ledger, elsewhere: str) -> None:
    key = served_ledger.create_key(owner="human:ada", scopes=["runs:read"], label="of a test")
    assert login(client, str(key.text), elsewhere).headers["location"] == "/ui"


def test_a_session_ends_with_a_sign_out_also_for_who_copied_it(signed_client: httpx2.Client, served: str) -> None:
    text = cookie(signed_client)
    page = signed_client.get(PAGE)
    assert with_cookie(signed_client, served, text).status_code == 200
    out = signed_client.post("/ui/logout", data={"form_token": token_in(page)})
    assert (out.status_code, out.headers["location"]) == (303, "/ui/login")
    ended = with_cookie(signed_client, served, text)
    assert (ended.status_code, "This session has ended." in ended.text) == (401, True)


def test_a_session_ends_with_its_key(client: httpx2.Client, served_ledger: Ledger) -> None:
    token = sign_in(served_ledger)
    key = served_ledger.keys()[-1]
    client.get(f"/ui/login?token={token}")
    served_ledger.fold(*READ_MODELS)
    assert client.get(PAGE).status_code == 200
    served_ledger.revoke_key(key.id)
    assert client.get(PAGE).status_code == 401


def test_a_session_ends_after_twelve_idle_hours(
    signed_client: httpx2.Client, shared_database: TestDatabase, served_ledger: Ledger
) -> None:
    back = "UPDATE runfold.browser_sessions SET used_at = used_at - %s::interval"
    with psycopg.connect(shared_database.admin_url, autocommit=True) as admin:
        admin.execute(back, ["11 hours 59 minutes"])
        assert signed_client.get(PAGE).status_code == 200
        admin.execute(back, ["11 hours 59 minutes"])
        assert signed_client.get(PAGE).status_code == 200, "it was used meanwhile"
        admin.execute(back, ["12 hours"])
        assert signed_client.get(PAGE).status_code == 401
        key = served_ledger.keys()[0]
        BrowserSessions(served_ledger.recorder.store).begin(SignedIn("default", key.id))
        assert admin.execute("SELECT count(*) FROM runfold.browser_sessions").fetchone() == (1,), "what is over is forgotten"


def test_a_session_of_a_clock_that_was_put_back_by_more_than_a_correction_has_ended(
    signed_client: httpx2.Client, shared_database: TestDatabase
) -> None:
    ahead = "UPDATE runfold.browser_sessions SET used_at = clock_timestamp() + %s::interval"
    with psycopg.connect(shared_database.admin_url, autocommit=True) as admin:
        admin.execute(ahead, ["30 seconds"])
        assert signed_client.get(PAGE).status_code == 200
        admin.execute(ahead, ["2 hours"])
        assert signed_client.get(PAGE).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_does_nothing(signed_client: httpx2.Client, headers: dict[str, str]) -> None:
    page = signed_client.get(PAGE)
    answer = signed_client.post("/ui/logout", data={"form_token": token_in(page)}, headers=headers)
    assert (answer.status_code, "another site" in answer.text) == (403, True)
    assert signed_client.get(PAGE).status_code == 200


@pytest.mark.parametrize("token", [{}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "ü"}])
def test_a_form_without_its_token_does_nothing(signed_client: httpx2.Client, served: str, token: dict[str, str]) -> None:
    answer = signed_client.post(
        "/ui/logout", data={**token, "x": "y"}, headers={"Origin": served, "Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status_code == 403
    assert signed_client.get(PAGE).status_code == 200


def test_what_is_no_form_is_refused(signed_client: httpx2.Client) -> None:
    for content, kind, status in ((b"{}", "application/json", 422), (b"a=%ff", "application/x-www-form-urlencoded", 422)):
        answer = signed_client.post("/ui/logout", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status
    large = signed_client.post("/ui/logout", data={"x": "y" * 70_000})
    assert large.status_code == 413


def test_a_session_opens_pages_and_nothing_of_the_api(signed_client: httpx2.Client) -> None:
    assert signed_client.get("/threads").status_code == 401
    assert signed_client.post("/threads", json={"agent_id": "x"}).status_code == 401


def test_a_session_may_do_what_its_key_may_and_sees_its_tenant_alone(client: httpx2.Client, served_ledger: Ledger) -> None:
    served_ledger.create_thread(agent_id="support", title="Ours alone")
    served_ledger.fold(*READ_MODELS)
    client.get(f"/ui/login?token={sign_in(served_ledger, tenant='acme')}")
    other = client.get(PAGE)
    assert (other.status_code, "Ours alone" in other.text) == (200, False)
    client.get(f"/ui/login?token={sign_in(served_ledger, scopes=('approvals:decide',))}")
    refused = client.get(PAGE)
    assert (refused.status_code, "lacks the scope runs:read" in refused.text) == (403, True)


def test_a_host_that_is_none_of_ours_is_refused(served: str, served_ledger: Ledger) -> None:
    port = served.rpartition(":")[2]
    for host, status in (
        ("evil.example", 421),
        (f"evil.example:{port}", 421),
        ("localhost", 200),
        (f"[::1]:{port}", 200),
        ("10.0.0.7", 200),
    ):
        assert httpx2.get(f"{served}/ui/login", headers={"Host": host}).status_code == status, host


def test_every_answer_forbids_the_browser_all_but_ours(signed_client: httpx2.Client, client: httpx2.Client) -> None:
    for path in ("/ui", PAGE, "/ui/login", "/ui/nowhere", "/ui/static/pages.css", "/ui/static/none.css", "/ui/logout"):
        headers = signed_client.get(path).headers
        assert (headers["content-security-policy"], headers["x-content-type-options"]) == (POLICY, "nosniff"), path
        assert headers["referrer-policy"] == "no-referrer", path


def test_a_wrong_address_and_a_wrong_way_are_pages_too(signed_client: httpx2.Client) -> None:
    nowhere, wrong = signed_client.get("/ui/nowhere/at/all"), signed_client.post(PAGE)
    assert (nowhere.status_code, "Nothing is at this address" in nowhere.text) == (404, True)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
    for at, said in (("999999999", "is not in the ledger"), ("yesterday", "neither a position nor a time")):
        refused = signed_client.get(f"{PAGE}?at={at}")
        assert (refused.status_code, said in refused.text, "as it is now" in refused.text) == (400, True, True), refused.text


def test_a_browser_is_led_to_the_pages_and_a_program_is_not(signed_client: httpx2.Client) -> None:
    led = signed_client.get("/", headers={"Accept": "text/html,*/*"})
    assert (led.status_code, led.headers["location"]) == (303, "/ui")
    program = signed_client.get("/")
    assert (program.status_code, program.json()["title"]) == (404, "Path not found")


def test_all_processes_of_a_server_know_a_session(signed_client: httpx2.Client, shared_settings: Settings, served: str) -> None:
    text = cookie(signed_client)
    with Ledger.open(settings=shared_settings) as other, serving(create_app(other)) as address:
        assert with_cookie(signed_client, address, text).status_code == 200
        signed_client.post("/ui/logout", data={"form_token": token_in(signed_client.get(PAGE))})
        assert with_cookie(signed_client, address, text).status_code == 401


def test_without_pages_there_is_nothing_there(shared_settings: Settings) -> None:
    with (
        Ledger.open(settings=shared_settings.model_copy(update={"pages": False})) as ledger,
        serving(create_app(ledger)) as address,
    ):
        assert [httpx2.get(f"{address}{path}", headers={"Accept": "text/html"}).status_code for path in ("/", "/ui", PAGE)] == [
            404
        ] * 3


def test_a_stream_follows_as_who_is_signed_in(signed_client: httpx2.Client, served_ledger: Ledger) -> None:
    headers = {"Accept": "text/event-stream"}
    with signed_client.stream("GET", "/ui/live/events?follow=false&named=false", headers=headers) as stream:
        assert (stream.status_code, "security.key_created" in stream.read().decode()) == (200, True)
    signed_client.cookies.clear()
    assert signed_client.get("/ui/live/events", headers=headers).status_code == 401


def test_a_list_that_has_yet_to_be_folded_loads_again_by_itself_and_says_whether_anybody_folds_it(
    new_database: Callable[[], TestDatabase],
) -> None:
    with Ledger.open(settings=new_database().settings) as ledger, serving(create_app(ledger)) as address:
        ledger.create_thread(agent_id="support")
        with httpx2.Client(base_url=address, timeout=60) as client:
            client.get(f"/ui/login?token={sign_in(ledger)}")
            for is_folded in (False, True):
                early = client.get(PAGE)
                assert (early.status_code, '<meta http-equiv="refresh"' in early.text) == (503, True)
                assert ("Lists are being folded" in early.text, "Nobody folds the lists yet" in early.text) == (
                    is_folded,
                    not is_folded,
                )
                assert ("runfold work" in early.text, "--no-work" in early.text) == (not is_folded, not is_folded)
                with ledger.folding.connected() as connection:
                    checkpoints.beat(connection, "worker_far", "elsewhere", 1, [f"{name}/1/abc" for name in READ_MODELS])
            ledger.fold(*READ_MODELS)
            assert client.get(PAGE).status_code == 200
