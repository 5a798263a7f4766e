"""The past over HTTP: reading it creates nothing; the whole ledger as of a moment is prepared on request, and dropped unused."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import psutil
import psycopg
import pytest
from pydantic import TypeAdapter

from runfold import Ledger, RemoteLedger, Settings
from runfold.access.keys import Keys
from runfold.api.route import QuestionRoute
from runfold.api.table import QUESTIONS
from runfold.errors import MomentNotFound, MomentNotPrepared, TooManyMoments, UsageError
from runfold.http.app import create_app
from runfold.http.routes.questions import answer_of, is_list
from runfold.projections.registry import known
from runfold.projector.past import moments
from runfold.projector.worker import Worker
from runfold.queries.sources import past
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase, fresh_database
from tests.http.keys import make_key, with_key
from tests.projections.histories import History
from tests.queries.listed import tell
from tests.queries.shortened import answered, ending_at
from tests.questions import REQUIRED
from tests.serving import Anybody, serving
from tests.waiting import until

SECONDS = 60
WHOLE = (
    "/runs",
    "/threads",
    "/approvals",
    "/tool-calls",
    "/decisions",
    "/problems",
    "/failures",
    "/attention",
    "/usage",
    "/goals",
)


class Lasting:
    """What is there that a request could leave behind: schemas, tables, and processes of this one."""

    def __init__(self, database: TestDatabase) -> None:
        self._url = database.admin_url

    def __call__(self) -> tuple[set[str], int, list[tuple[Any, ...]], set[int]]:
        with psycopg.connect(self._url, autocommit=True) as admin:
            schemas = {name for (name,) in admin.execute("SELECT nspname FROM pg_namespace")}
            (relations,) = admin.execute("SELECT count(*) FROM pg_class").fetchone() or (0,)
            known = admin.execute("SELECT schema, ready FROM runfold.past_schemas ORDER BY schema").fetchall()
        return schemas, relations, known, {child.pid for child in psutil.Process().children(recursive=True)}

    def schemas(self) -> list[str]:
        """Those of the past."""
        return sorted(name for name in self()[0] if name.startswith("past_"))


@pytest.fixture
def lasting(database: TestDatabase) -> Lasting:
    return Lasting(database)


@pytest.fixture(scope="module")
def of_a_story(admin_url: str, template: str) -> Iterator[str]:
    """A database with a story, folded, to be copied."""
    with fresh_database(admin_url, template, "story") as made:
        with Ledger.open(settings=made.settings) as ledger:
            tell(ledger, seed=3, threads=1)  # one shard, which one process fills
            ledger.fold()
        yield made.name


@pytest.fixture
def database(request: pytest.FixtureRequest, copy_of: Callable[[str], TestDatabase]) -> TestDatabase:
    """This test's own, with the story in it for who asks for that."""
    if "told" in request.fixturenames:
        return copy_of(request.getfixturevalue("of_a_story"))
    new_database: Callable[[], TestDatabase] = request.getfixturevalue("new_database")
    return new_database()


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A ledger with a story, folded."""
    return ledger


def ready(client: httpx2.Client, view: dict[str, Any], **said: Any) -> dict[str, Any]:
    """A moment, once it is over with it."""
    end = time.monotonic() + SECONDS
    while view["state"] not in {"ready", "failed"} and time.monotonic() < end:
        time.sleep(0.05)
        view = client.get(f"/moments/{view['id']}", **said).json()
    return view


def prepared(client: httpx2.Client, position: int, **said: Any) -> dict[str, Any]:
    asked = client.post("/moments", json={"as_of": str(position)}, **said)
    assert asked.status_code == 202, asked.text
    view = ready(client, asked.json(), **said)
    assert view["state"] == "ready", view
    return view


def age(database: TestDatabase, hours: float = 2) -> None:
    """Let it be long ago that anything was used."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE runfold.moments SET used_at = used_at - make_interval(secs => %s)", [hours * 3600])


# Reading creates nothing


def test_twenty_requests_of_twenty_moments_create_no_schema_and_no_process(
    client: httpx2.Client, told: Ledger, lasting: Lasting
) -> None:
    before = lasting()
    for number in range(20):
        position = told.position() - number
        answer = client.get(WHOLE[number % len(WHOLE)], params={"as_of": position})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:runfold:error:MomentNotPrepared")
        assert answer.json()["position"] == position
        assert f'POST /moments with {{"as_of": "{position}"}}' in answer.json()["next_step"]
        assert answer.json()["detail"].endswith(answer.json()["next_step"])
        assert lasting()[3] == before[3]
    assert lasting() == before


def test_pages_of_moments_go_on_behind_the_last_one_whatever_was_dropped_meanwhile(client: httpx2.Client, told: Ledger) -> None:
    asked = [client.post("/moments", json={"as_of": str(position)}).json()["id"] for position in (5, 6)]
    first = client.get("/moments", params={"limit": 1}).json()
    assert [moment["id"] for moment in first["items"]] == asked[:1]
    assert client.delete(f"/moments/{asked[0]}").status_code == 200
    rest = client.get("/moments", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert ([moment["id"] for moment in rest["items"]], rest["next_cursor"]) == (asked[1:], None)
    refused = client.get("/moments", params={"cursor": client.get("/threads", params={"limit": 1}).json()["next_cursor"] or "x"})
    assert refused.status_code == 400


@pytest.fixture(scope="module")
def full(admin_url: str, template: str) -> Iterator[tuple[Ledger, TestDatabase]]:
    """A ledger with something of everything, folded. Only to be read."""
    with fresh_database(admin_url, template, "moments") as made, Ledger.open(settings=made.settings) as ledger:
        ledger.create_webhook("https://1.1.1.1/hook", webhook_id="webhook_early").disable()
        ledger.create_thread(agent_id="support").start_run(callback_url="https://1.1.1.1/hook")
        tell(ledger, seed=5, threads=4)
        History(random.Random(8)).go_on(ledger, 300)  # noqa: S311
        ledger.fold()
        yield ledger, made


@pytest.fixture(scope="module")
def served(full: tuple[Ledger, TestDatabase]) -> Iterator[httpx2.Client]:
    with serving(create_app(full[0], Anybody())) as address, httpx2.Client(base_url=address, timeout=SECONDS) as client:
        yield client


def ids_of(ledger: Ledger) -> dict[str, list[str]]:
    """What the paths of routes may name: early and late ones."""

    def some(found: list[str]) -> list[str]:
        return found[:: max(1, len(found) // 5)]

    runs = [recorded.stream for recorded in ledger.events(types=["run.created"], limit=10_000)]
    decided = ledger.now.decisions(limit=100).items
    return {
        "run_id": some(runs),
        "run_a": some(runs),
        "run_b": some(runs)[::-1],
        "thread_id": some([recorded.stream for recorded in ledger.events(types=["thread.created"], limit=10_000)]),
        "approval_id": some([recorded.stream for recorded in ledger.events(types=["approval.requested"], limit=10_000)]),
        "webhook_id": [view.id for view in ledger.now.webhooks()],
        "goal_id": [row.goal_id for row in ledger.now.goals().items][:5],
        "node_id": list(dict.fromkeys(row.node_id for row in decided if row.node_id))[:5],
    }


def paths(route: QuestionRoute, ids: dict[str, list[str]]) -> Iterator[dict[str, str]]:
    names = route.path_names
    for number in range(max((len(ids[name]) for name in names), default=1)):
        yield {name: ids[name][number % len(ids[name])] for name in names}


NARROWED = [
    ("thread_id", "thread_id"),
    ("run_id", "run_id"),
    ("run", "run_id"),
    ("thread", "thread_id"),
    ("parent_run_id", "run_id"),
]


@pytest.mark.parametrize("route", QUESTIONS, ids=lambda route: f"{route.path}")
def test_every_question_of_the_past_is_answered_without_anything_made_or_says_how_to_prepare_it(
    full: tuple[Ledger, TestDatabase], served: httpx2.Client, route: QuestionRoute
) -> None:
    ledger, database = full
    lasting, ids, head = Lasting(database), ids_of(ledger), ledger.position()
    before = lasting()
    whole = not route.log and not {*route.path_names} - {"goal_id", "node_id"}
    times = [recorded.recorded_at for recorded in ledger.events(after=head // 2, limit=1)]
    answers = 0
    for position in (0, head // 3, head - 1, head, times[0].isoformat()):
        for named in paths(route, ids):
            answer = served.get(route.path.format(**named), params={"as_of": position} | REQUIRED.get(route.name, {}))
            if answer.status_code == 409:
                assert answer.json()["type"] == "urn:runfold:error:MomentNotPrepared", (answer.text, position)
                assert "POST /moments" in answer.json()["next_step"]
                assert whole, "what is about a run, a thread or an approval is always answered"
            else:
                assert answer.status_code in {200, 404, 400}, answer.text
                assert not whole or position == 0, "nothing is prepared"
                answers += answer.status_code == 200
    for query, kind in NARROWED if whole else ():
        if query in route.query:
            asked = {"as_of": head - 1, query: ids[kind][0]} | REQUIRED.get(route.name, {})
            answer = served.get(route.path.format(**next(paths(route, ids))), params=asked)
            assert answer.status_code == 200, answer.text
            answers += 1
    assert answers or {*route.path_names} & {"goal_id"}
    assert lasting() == before


def test_a_cursor_is_no_way_to_have_the_past_made(full: tuple[Ledger, TestDatabase], served: httpx2.Client) -> None:
    ledger, database = full
    lasting = Lasting(database)
    before = lasting()
    for goal_id in ids_of(ledger)["goal_id"]:
        path = f"/goals/{goal_id}/improvements"
        found = served.get(path, params={"limit": 1}).json()
        seen = list(found["items"])
        while found["next_cursor"]:
            found = served.get(path, params={"limit": 1, "cursor": found["next_cursor"]}).json()
            seen += found["items"]
        assert seen == served.get(path).json()["items"]
    assert lasting() == before


@pytest.mark.parametrize("part", [0.4, 0.9])
def test_once_prepared_every_question_is_answered_as_a_ledger_that_ends_there_answers_it(
    full: tuple[Ledger, TestDatabase], served: httpx2.Client, new_database: Callable[[], TestDatabase], part: float
) -> None:
    ledger, database = full
    position, made = int(ledger.position() * part), new_database()
    ending_at(position, database.admin_url, made)
    view = prepared(served, position)
    assert (view["position"], set(view["read_models"]), view["done"]) == (position, set(known()), view["total"])
    ids, answers = ids_of(ledger), 0
    with Ledger.open(settings=Settings(database_url=made.url, projector_url=made.projector_url)) as ended:
        ended.fold()
        for route in QUESTIONS:
            if {*route.path_names} - {"goal_id", "node_id"}:
                continue
            for named in paths(route, ids):
                given = REQUIRED.get(route.name, {})
                answer = served.get(route.path.format(**named), params={"as_of": position} | given)
                asked = {**named, **given}
                wanted = answered(lambda reading, route=route, asked=asked: route.method(reading, **asked), ended.now)
                if isinstance(wanted, tuple):  # a goal that was not there yet
                    assert answer.json()["type"] == f"urn:runfold:error:{wanted[0].__name__}", answer.text
                    continue
                assert answer.status_code == 200, answer.text
                assert answer.headers["runfold-position"] == str(position)
                expected = json.loads(TypeAdapter(route.answer if is_list(route) else answer_of(route)).dump_json(wanted))
                assert (answer.json()["items"] if is_list(route) else answer.json()) == expected, route.path
                answers += 1
    assert answers >= len(WHOLE) + 4
    served.delete(f"/moments/{view['id']}")


# Asking for moments


def test_two_that_ask_for_the_same_moment_get_the_same_and_its_time_begins_anew(
    client: httpx2.Client, told: Ledger, lasting: Lasting, database: TestDatabase
) -> None:
    position = told.position() - 5
    first = prepared(client, position)
    age(database, 0.5)
    again = client.post("/moments", json={"as_of": str(position), "expires_in": "2h"})
    assert again.headers["location"] == f"/moments/{first['id']}"
    assert (again.json()["id"], again.json()["state"], again.json()["expires_in_seconds"]) == (first["id"], "ready", 7200)
    assert datetime.fromisoformat(again.json()["used_at"]) > datetime.now(UTC) - timedelta(minutes=10)
    recorded_at = told.events(after=position - 1, limit=1)[0].recorded_at
    by_time = ready(client, client.post("/moments", json={"as_of": recorded_at.isoformat()}).json())
    assert by_time["position"] == told.at(recorded_at).up_to
    assert len(lasting.schemas()) == len({first["id"], by_time["id"]})
    listed = client.get("/moments").json()
    assert [item["id"] for item in listed["items"]] == list(dict.fromkeys([first["id"], by_time["id"]]))


def test_progress_is_streamed_until_it_is_ready(client: httpx2.Client, told: Ledger) -> None:
    accept = {"Accept": "text/event-stream"}
    with client.stream("POST", "/moments", json={}, headers=accept) as answer:
        assert answer.status_code == 202
        frames = "".join(answer.iter_text()).strip().split("\n\n")
    last, name, said = frames[-1].split("\n")
    view = json.loads(said.removeprefix("data: "))
    assert (name, view["state"], view["position"]) == ("event: end", "ready", told.position())
    assert [frame.split("\n")[0] for frame in frames[:-1]] == ["event: progress"] * (len(frames) - 1)
    with client.stream("GET", f"/moments/{view['id']}", headers=accept) as answer:
        (frame,) = "".join(answer.iter_text()).strip().split("\n\n")
    assert json.loads(frame.split("data: ")[1]) == view
    again = client.get(f"/moments/{view['id']}", headers={**accept, "Last-Event-ID": last.removeprefix("id: ")})
    assert again.status_code == 204, "a browser's client that connects again stays away"


def test_what_is_asked_while_it_is_being_made_says_so(client: httpx2.Client, told: Ledger, database: TestDatabase) -> None:
    position = told.position() - 1
    wanted = client.post("/moments", json={"as_of": str(position)}).json()
    view = ready(client, wanted)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE runfold.past_schemas SET ready = false, error = 'it was about somebody''s secret'")
    assert client.get(f"/moments/{view['id']}").json()["state"] == "failed"
    answer = client.get("/runs", params={"as_of": position})
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith(
        f"the read models as of position {position} are not ready: {view['id']} is failed; GET /moments/{view['id']}"
    )
    told_why = client.get(f"/moments/{view['id']}").json()["error"]
    assert told_why.startswith("its read models cannot be folded as of there")
    assert "secret" not in client.get("/moments").text
    assert prepared(client, position)["id"] == view["id"], "asked for again, it is tried again"
    assert client.get("/runs", params={"as_of": position}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"as_of": "999999"}, 400, "is not in the ledger"),
        ({"as_of": "yesterday"}, 400, "neither a position nor a time"),
        ({"as_of": 7}, 422, "string"),
        ({"as_of": "1", "expires_in": "0s"}, 422, "from 1s to 7d"),
        ({"as_of": "1", "expires_in": "8d"}, 422, "from 1s to 7d"),
        ({"as_of": "1", "expires_in": "soon"}, 422, "not a duration"),
        ({"at": "1"}, 422, "at"),
    ],
)
def test_what_cannot_be_a_moment_is_refused_and_nothing_is_made(
    client: httpx2.Client, told: Ledger, lasting: Lasting, body: dict[str, Any], status: int, words: str
) -> None:
    before = lasting()
    answer = client.post("/moments", json=body)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert client.get("/moments").json()["items"] == []
    assert lasting() == before


@pytest.mark.parametrize("id", ["moment_1_000000000000", "past_1", "x", "moment_", "moment_1'; --", "moment_%25"])
def test_a_moment_that_nobody_asked_for_is_not_found(client: httpx2.Client, told: Ledger, id: str) -> None:
    for verb in ("GET", "DELETE"):
        answer = client.request(verb, f"/moments/{id}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:runfold:error:MomentNotFound")


def test_only_keys_of_its_scope_make_or_drop_one(told: Ledger, lasting: Lasting) -> None:
    reads, makes = with_key(make_key(told, "runs:read")), with_key(make_key(told, "moments:create"))
    both = {scope: with_key(make_key(told, scope)) for scope in ("runs:write", "projections:rebuild", "audit:read")}
    with serving(create_app(told, Keys(told))) as address, httpx2.Client(base_url=address, timeout=SECONDS) as client:
        for headers in (reads, *both.values()):
            answer = client.post("/moments", json={}, headers=headers)
            assert (answer.status_code, answer.json()["scope"]) == (403, "moments:create")
            assert client.delete("/moments/moment_1_0", headers=headers).status_code == 403
        assert client.post("/moments", json={}).status_code == 401
        assert lasting.schemas() == []
        made = client.post("/moments", json={}, headers=makes)
        assert (made.status_code, made.json()["asked_by"]) == (202, "human:ada")
        assert ready(client, made.json(), headers=reads)["state"] == "ready"
        assert client.get("/moments", headers=makes).status_code == 403, "the list is of who reads"
        assert client.delete(f"/moments/{made.json()['id']}", headers=makes).json() == {
            "id": made.json()["id"],
            "dropped": True,
        }
        assert lasting.schemas() == []


# Tenants


def test_tenants_that_ask_for_the_same_share_one_and_learn_nothing_of_each_other(
    client: httpx2.Client, told: Ledger, lasting: Lasting
) -> None:
    position, acme, beta = told.position() - 3, {"X-Tenant": "acme"}, {"X-Tenant": "beta"}
    mine = prepared(client, position)
    for headers in (acme, beta):
        assert client.get("/moments", headers=headers).json()["items"] == []
        assert client.get(f"/moments/{mine['id']}", headers=headers).status_code == 404
        assert client.delete(f"/moments/{mine['id']}", headers=headers).status_code == 404
        foreign, never = (client.get("/runs", params={"as_of": at}, headers=headers) for at in (position, position - 1))
        assert (foreign.status_code, never.status_code) == (409, 409)
        assert foreign.text.replace(str(position), "N") == never.text.replace(str(position - 1), "N")
    theirs = prepared(client, position, headers=acme)
    assert theirs["id"] == mine["id"]
    assert len(lasting.schemas()) == 1
    assert client.get("/runs", params={"as_of": position}, headers=acme).json()["items"] == []
    assert client.get("/runs", params={"as_of": position}).json()["items"]
    assert client.delete(f"/moments/{mine['id']}").status_code == 200
    assert client.get("/runs", params={"as_of": position}).status_code == 409
    assert client.get("/runs", params={"as_of": position}, headers=acme).status_code == 200
    client.delete(f"/moments/{theirs['id']}", headers=acme)
    assert lasting.schemas() == []


@pytest.fixture
def settings(database: TestDatabase) -> Settings:
    """Few moments may be had."""
    return database.settings.model_copy(update={"moments_per_tenant": 2, "moments": 3})


def test_a_tenant_has_only_so_many_and_all_together_too(
    client: httpx2.Client, told: Ledger, lasting: Lasting, database: TestDatabase
) -> None:
    position, acme, beta = told.position(), {"X-Tenant": "acme"}, {"X-Tenant": "beta"}
    for number in range(2):
        prepared(client, position - number)
    refused = client.post("/moments", json={"as_of": str(position - 2)})
    assert (refused.status_code, refused.json()["setting"]) == (429, "RUNFOLD_MOMENTS_PER_TENANT")
    assert refused.json()["detail"].startswith("this tenant has 2 moments prepared, the most allowed; drop one")
    prepared(client, position)  # what one has may be asked for again
    prepared(client, position, headers=acme)  # what is there costs the others nothing
    prepared(client, position - 2, headers=acme)
    refused = client.post("/moments", json={"as_of": str(position - 3)}, headers=beta)
    assert (refused.status_code, refused.json()["setting"]) == (429, "RUNFOLD_MOMENTS")
    assert len(lasting.schemas()) == 3
    age(database)
    prepared(client, position - 3, headers=beta)
    assert len(lasting.schemas()) == 1, "what is expired takes no room"


# Dropped when unused


def test_what_is_unused_is_dropped_by_a_server_that_starts(told: Ledger, lasting: Lasting, database: TestDatabase) -> None:
    told.prepare(told.position())
    assert len(lasting.schemas()) == 1
    with serving(create_app(told, Anybody())):
        time.sleep(0.5)
        assert len(lasting.schemas()) == 1, "it is kept for an hour"
    age(database)
    with serving(create_app(told, Anybody())):
        until(lambda: lasting.schemas() == [])


def test_what_is_unused_is_dropped_by_a_worker(told: Ledger, lasting: Lasting, database: TestDatabase) -> None:
    told.prepare(told.position())
    age(database)
    stop = threading.Event()
    working = threading.Thread(target=Worker(Datastore(database.projector_url), known()).run, args=(stop,))
    working.start()
    try:
        until(lambda: lasting.schemas() == [])
    finally:
        stop.set()
        working.join()


def test_a_question_keeps_it(client: httpx2.Client, told: Ledger, lasting: Lasting, database: TestDatabase) -> None:
    view = prepared(client, told.position())
    age(database, 0.9)
    assert client.get("/runs", params={"as_of": view["position"]}).status_code == 200
    age(database, 0.5)
    told.moments_of("default").sweep()
    assert len(lasting.schemas()) == 1
    assert client.get(f"/moments/{view['id']}").json()["state"] == "ready"


# Threads that are too long to be folded for one question


def test_what_is_about_a_huge_thread_is_answered_from_a_moment(
    client: httpx2.Client, told: Ledger, lasting: Lasting, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = told.position()
    (run_id, *_) = (recorded.stream for recorded in told.events(types=["run.completed"]))
    small = client.get(f"/runs/{run_id}/summary", params={"as_of": position})
    assert small.status_code == 200
    monkeypatch.setattr(past, "MOST_OF_THREADS", 2)
    before = lasting()
    assert client.get(f"/runs/{run_id}/summary", params={"as_of": position}).status_code == 409
    assert lasting() == before
    prepared(client, position)
    assert client.get(f"/runs/{run_id}/summary", params={"as_of": position}).json() == small.json()


# From another machine


@pytest.fixture
def remote(address: str) -> Iterator[RemoteLedger]:
    with Ledger.connect(address) as connected:
        yield connected


def test_a_remote_ledger_is_told_what_to_do_and_does_it(told: Ledger, remote: RemoteLedger, lasting: Lasting) -> None:
    position = told.position() - 4
    with pytest.raises(MomentNotPrepared, match=rf"`ledger\.prepare\({position}\)`") as refused:
        remote.at(position).runs()
    assert (refused.value.position, refused.value.moment_id) == (position, None)
    seen: list[tuple[int, int]] = []
    made = remote.prepare(position, expires_in="10m", progress=lambda done, total: seen.append((done, total)))
    assert (made.state, made.position, made.expires_in_seconds) == ("ready", position, 600)
    assert all(done <= total for done, total in seen)
    assert remote.moments() == told.moments() == [made]
    assert remote.at(position).runs() == told.at(position).runs()
    assert len(lasting.schemas()) == 1
    assert remote.prepare(position, wait=False).id == made.id
    assert remote.prepare().position == told.position()
    with pytest.raises(TooManyMoments, match="this tenant has 2 moments prepared, the most allowed"):
        remote.prepare(position - 1)
    remote.drop_moment(made.id)
    with pytest.raises(MomentNotFound):
        remote.drop_moment(made.id)
    with pytest.raises(UsageError, match="is not in the ledger"):
        remote.prepare(10**9)
    assert moments.schema_of(made.id) not in lasting.schemas()
