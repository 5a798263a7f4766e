"""Events that a newer Runfold recorded, or sends: who follows the log is given them as they are, and no fold takes them in."""

import json
from datetime import UTC, datetime

import httpx2
import orjson
import psycopg
import pytest

from runfold import Ledger, Run
from runfold.domain.catalogue import event_types
from runfold.domain.raw_event import RawEvent, read_or_raw
from runfold.domain.recorded import Recorded
from runfold.errors import UnknownEventType, UnreadableEvent
from runfold.feed.event_json import event_json
from runfold.projections.fold import touched
from runfold.projections.messages import Messages
from runfold.remote.events import recorded_of
from runfold.settings import Settings
from tests.databases import TestDatabase
from tests.serving import without_salt

NEWER = {
    "an unknown type": "UPDATE runfold.log SET topic = 'run.dreamt' WHERE notification_id = 4",
    "a higher schema version": "UPDATE runfold.log SET schema_version = 9 WHERE notification_id = 4",
    "an added field": (
        "UPDATE runfold.log SET state = convert_to((convert_from(state, 'UTF8')::jsonb || '{\"mood\": \"good\"}')::text, 'UTF8')"
        " WHERE notification_id = 4"
    ),
    "more in context and metadata": (
        'UPDATE runfold.log SET context = context || \'{"dream_id": "d1"}\','
        ' metadata = metadata || \'{"actor": {"kind": "robot", "id": "r2", "model": "x"}, "weather": "fair"}\''
        " WHERE notification_id = 4"
    ),
}


def rewritten(database: TestDatabase, statement: str) -> None:
    """As a newer Runfold would have recorded it: nothing here can."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
        admin.execute(statement)


@pytest.fixture
def newer(request: pytest.FixtureRequest, database: TestDatabase, run: Run) -> str:
    """The fourth of five events is one of a newer Runfold."""
    run.add_message("user", "hello", message_id="msg_newer")
    run.complete()
    rewritten(database, NEWER[request.param])
    return request.param


every_kind = pytest.mark.parametrize("newer", list(NEWER), indirect=True)
raw_kinds = pytest.mark.parametrize("newer", list(NEWER)[:3], indirect=True)


@every_kind
def test_it_comes_marked_in_its_place_wherever_the_log_is_followed(
    newer: str, settings: Settings, address: str, client: httpx2.Client, run: Run
) -> None:
    with Ledger.open(settings=settings) as ledger, Ledger.connect(address) as remote:
        here = list(ledger.subscribe(follow=False))
        assert [each.position for each in here] == [1, 2, 3, 4, 5]
        assert [each.is_raw for each in here] == [False, False, False, newer != list(NEWER)[3], False]
        for found in (
            ledger.events(),
            list(remote.subscribe(follow=False)),
            remote.events(),
            list(ledger.now.thread_events(here[0].thread_id)),
            list(remote.now.thread_events(here[0].thread_id)),
        ):
            assert without_salt(found) == without_salt(here)
        assert [each.position for each in ledger.now.run_events(run.id)] == [2, 3, 4, 5]
        told = client.get("/events").json()["items"]
        assert told == [each.as_json() for each in here]
        assert told[3]["data"] == stored_fields(ledger, 4)
        assert [each.position for each in ledger.subscribe(run_id=run.id)] == [2, 3, 4, 5]
        assert [each.position for each in remote.subscribe(run_id=run.id)] == [2, 3, 4, 5]
        strange = here[3]
        assert strange.context.run_id == run.id
        assert str(strange.metadata.actor)
        if newer == "more in context and metadata":
            assert (str(strange.metadata.actor), told[3]["context"]["dream_id"]) == ("robot:r2", "d1")
            assert told[3]["metadata"]["weather"] == "fair"


def stored_fields(ledger: Ledger, position: int) -> object:
    ((state,),) = ledger.recorder.reader.rows("SELECT state FROM runfold.log WHERE notification_id = %b", [position])
    return json.loads(state)


@raw_kinds
def test_no_command_and_no_fold_takes_it_for_what_it_is_not(newer: str, settings: Settings, run: Run) -> None:
    with Ledger.open(settings=settings) as ledger:
        with pytest.raises((UnknownEventType, UnreadableEvent)):
            ledger.run(run.id).link("flow")
        with pytest.raises((UnknownEventType, UnreadableEvent)):
            ledger.now.run(run.id)
        if newer == "an unknown type":  # no projection asked for it: each says what it takes in
            ledger.fold("messages")
            assert [status.error for status in ledger.projections() if status.name == "messages"] == [None]
            return
        ledger.fold("messages", "threads")
        stopped = {status.name: status.error_position for status in ledger.projections() if status.error}
        assert stopped == {"messages": 4}, "the others go on"
        with pytest.raises(UnknownEventType):
            touched(Messages(), ledger.events())


def test_what_is_damaged_is_damaged_as_before(database: TestDatabase, ledger: Ledger, run: Run) -> None:
    run.add_message("user", "hello")
    for state in ("{}", "[]", "no JSON", '{"message_id": 7}'):
        rewritten(database, f"UPDATE runfold.log SET state = convert_to('{state}', 'UTF8') WHERE notification_id = 4")
        subscription = ledger.subscribe(follow=False)
        with pytest.raises(UnreadableEvent, match="position 4"):
            list(subscription)


def test_a_remote_one_is_read_in_the_version_that_the_server_says(ledger: Ledger) -> None:
    ledger.create_thread(agent_id="support").start_run().usage(input_tokens=3, model="m")
    told = ledger.events(types="usage.recorded")[0].as_json()
    assert [recorded_of(told)] == without_salt(ledger.events(types="usage.recorded"))
    today = event_types["usage.recorded"].schema_version
    former = {**told, "data_version": 1, "data": {**told["data"], "raw": {"server_tool_use": {"web_search_requests": 2}}}}
    upcast = recorded_of(former)
    assert (upcast.is_raw, upcast.event.tokens.web_search_requests) == (False, 2)  # type: ignore[attr-defined]
    unsaid = {name: value for name, value in told.items() if name != "data_version"}
    assert recorded_of(unsaid) == recorded_of(told), "a server of before sends its own shape, and says nothing of it"
    for change in (
        {"type": "usage.dreamt"},
        {"data_version": today + 1},
        {"schema_version": today + 1, "data_version": today + 1},
        {"data": {**told["data"], "mood": "good"}},
        {"data": {"colour": "red"}},
        {"data": {**told["data"], "tokens": "many"}},
    ):
        for newer in ({**told, **change}, {**told, **change, "envelope": "new"}):
            found = recorded_of(json.loads(json.dumps(newer)))
            assert (found.is_raw, found.event.model_dump()) == (True, newer["data"])
            assert isinstance(found.event, RawEvent)
            assert found.as_json()["raw"] is True


def test_of_keys_nothing_is_shown_that_nobody_here_knows_to_be_open() -> None:
    secret = {"owner": "human:ada", "secret_digest": "sha256:0", "pepper": "x"}
    for name in ("security.key_created", "security.key_dreamt", "run.created"):
        event = read_or_raw(name, 9, orjson.dumps(secret))
        recorded = Recorded(1, "run_1", 1, event, bytes(16), "t", "thread_1", datetime.now(UTC), 9, "{}", '{"actor": {}}')
        said = json.loads(event_json(recorded))
        assert (said["raw"], said["data_version"]) == (True, 9)
        assert said["data"] == ({} if name.startswith("security.") else secret)
