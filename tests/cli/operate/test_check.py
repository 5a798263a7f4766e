"""`runfold check`: damage of each kind, planted with the rights of a superuser, is found and named."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
import pytest

from runfold import Ledger
from runfold.demo_story import Cast
from tests.cli.conftest import Command

if TYPE_CHECKING:
    from tests.databases import TestDatabase

Plant = Callable[[str], None]


@pytest.fixture
def plant(database: "TestDatabase") -> Plant:
    """Changes the log as only a superuser can: with the triggers switched off for a moment."""

    def do(statement: str) -> None:
        with psycopg.connect(database.admin_url) as connection:
            connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
            connection.execute(statement)
            connection.execute("ALTER TABLE runfold.log ENABLE ALWAYS TRIGGER log_is_immutable")
            connection.execute("ALTER TABLE runfold.log ENABLE ALWAYS TRIGGER log_is_not_truncated")

    return do


def test_a_sound_ledger_has_no_damage(runfold: Command, story: Cast) -> None:
    answer = runfold("check")
    assert answer.code == 0
    assert answer.out.startswith("no damage in 80 events, as of position 80")
    found = runfold("check", "--json").json
    assert (found["ok"], found["as_of"], found["events"], found["damages"], found["findings"]) == (True, 80, 80, 0, [])


def test_an_empty_ledger_has_no_damage(runfold: Command) -> None:
    assert runfold("check", "--json").json["events"] == 0


def test_a_ledger_of_many_pages_has_no_damage(runfold: Command, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    with ledger.batch() as batch:
        for number in range(1500):
            batch.run(run.id).add_message("user", str(number))
    assert runfold("check", "--json").json["events"] == 1503


def _set(change: str, at: int | None = None, stream: str | None = None) -> str:
    where = f"notification_id = {at}" if at else f"originator_id = 'run_demo7_{stream}'"
    return f"UPDATE runfold.log SET {change} WHERE {where}"


DAMAGE: dict[str, tuple[str, set[tuple[str, int | None]]]] = {
    "an event removed": ("DELETE FROM runfold.log WHERE notification_id = 4", {("position", 4), ("version", 5)}),
    "the last events removed": ("DELETE FROM runfold.log WHERE notification_id > 77", {("position", 78)}),
    "all events removed": ("DELETE FROM runfold.log", {("position", 1)}),
    "an event moved past the head": (_set("notification_id = 1000", 5), {("position", 5), ("head", 81), ("version", 6)}),
    "two events that changed places": (
        ";".join([_set("notification_id = 1000", 4), _set("notification_id = 4", 5), _set("notification_id = 5", 1000)]),
        {("version", 4)},
    ),
    "a version skipped": (_set("originator_version = 99", 43), {("version", 43)}),
    "a time that is none": (_set("recorded_at = 'infinity'", 50), {("envelope", 50)}),
    "context that nobody can read": (_set("context = (repeat('[', 3000) || repeat(']', 3000))::jsonb", 43), {("envelope", 43)}),
    "a time put back": (_set("recorded_at = '2020-01-01Z'", 50), {("recorded_at", 50)}),
    "a type that is none": (_set("topic = 'os.system'", 50), {("type", 50)}),
    "a schema version of the future": (_set("schema_version = 9", 50), {("type", 50)}),
    "a payload that is not its type's": (_set("state = '{\"no\": 1}'", 50), {("payload", 50)}),
    "a payload that is not JSON": (_set("state = 'garbage'", 50), {("payload", 50)}),
    "another type over the same payload": (_set("topic = 'run.stuck'", 50), {("payload", 50)}),
    "another thread": (_set("thread_id = 'thread_other'", 5), {("stream", 5), ("stream", 6)}),
    "another tenant": (_set("tenant_id = 'other'", 43), {("stream", 43)}),
    "a run stored with another thread than it says": (_set("thread_id = 'thread_other'", stream="express"), {("stream", 73)}),
    "a stream of another kind": (
        _set("originator_id = 'approval_other'", stream="policy"),
        {("stream", position) for position in range(16, 23)},
    ),
    "a stream that begins in the middle": (_set("originator_id = 'run_new', originator_version = 1", 43), {("stream", 43)}),
    "context that cannot be read": (_set("context = '{\"who\": 1}'", 43), {("envelope", 43)}),
    "metadata that cannot be read": (_set('metadata = \'{"actor": "ada"}\'', 43), {("envelope", 43)}),
    "a head set back": ("UPDATE runfold.head SET position = 70", {("head", 71), ("head", 70)}),
    "a head set forward": ("UPDATE runfold.head SET position = 90", {("position", 81)}),
    "a head with another time": ("UPDATE runfold.head SET recorded_at = recorded_at + interval '1 hour'", {("head", 80)}),
    "an event id used twice": (
        "ALTER TABLE runfold.log DROP CONSTRAINT log_event_id;"
        + _set("event_id = (SELECT event_id FROM runfold.log WHERE notification_id = 7)", 50),
        {("guard", None), ("event_id", 50)},
    ),
    "a salt removed": (_set("salt = NULL", 50), {("salt", 50)}),
    "a salt cut short": (_set("salt = substr(salt, 2)", 1), {("salt", 1)}),
    "another tenant, from the middle on": (
        _set("tenant_id = 'other'", stream="policy") + " AND originator_version > 3",
        {("stream", 19)},
    ),
    "a version used twice": (
        "ALTER TABLE runfold.log DROP CONSTRAINT log_tenant_stream_version;"
        + _set("originator_version = originator_version - 1", 43),
        {("guard", None), ("version", 43)},
    ),
}


@pytest.mark.fault("I3", "I4")
@pytest.mark.parametrize(("statement", "expected"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_where_it_was_planted(
    runfold: Command, plant: Plant, story: Cast, statement: str, expected: set[tuple[str, int | None]]
) -> None:
    plant(statement)
    answer = runfold("check", "--json")
    assert answer.code == 5
    found = answer.json
    assert not found["ok"]
    assert {(finding["kind"], finding["position"]) for finding in found["findings"]} == expected
    assert all(finding["fact"] and finding["next_step"] for finding in found["findings"])


@pytest.mark.fault("F16")
def test_a_forged_type_is_reported_and_never_imported(runfold: Command, plant: Plant, story: Cast) -> None:
    plant("UPDATE runfold.log SET topic = 'antigravity:fly' WHERE notification_id = 3")
    answer = runfold("check")
    assert answer.code == 5
    assert "position 3 holds the type 'antigravity:fly'" in answer.out
    assert "compare it with a backup" in answer.out
    assert runfold("thread", story.thread_id).code == 0


def test_a_trigger_that_is_switched_off_is_reported(runfold: Command, database: "TestDatabase") -> None:
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER log_is_immutable")
    answer = runfold("check")
    assert answer.code == 5
    assert "the trigger log_is_immutable of runfold.log is missing or switched off" in answer.out


def test_each_damage_is_one_line_with_its_next_step(runfold: Command, plant: Plant, story: Cast) -> None:
    plant("DELETE FROM runfold.log WHERE notification_id IN (10, 11, 12, 50)")
    lines = runfold("check").out.splitlines()
    assert "position: positions 10 to 12 are missing" in lines
    assert "position: position 50 is missing" in lines
    assert lines[1].startswith("    restore the missing events from a backup")
    assert lines[-1].startswith("4 damages in 76 events, as of position 80")


def test_reading_a_damaged_event_stops_with_exit_code_5(runfold: Command, plant: Plant, story: Cast) -> None:
    plant("UPDATE runfold.log SET state = '{}' WHERE notification_id = 5")
    answer = runfold("thread", story.thread_id)
    assert answer.code == 5
    assert "message.added at position 5 cannot be read" in answer.err
    assert "runfold check" in answer.err


def test_a_projection_that_is_not_pure_is_found_and_named_where_folds_are_tried(
    runfold: Command, story: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_TRY_FOLDS", "1")
    answer = runfold("check", "--projection", "tests.projector.checking.impure:SetOrder", "--json")
    assert answer.code == 5
    (finding,) = answer.json["findings"]
    assert finding["kind"] == "projection"
    assert re.match(r"uses is not pure: the tool.called at position \d+ gives its row \('\w+',\) said = ", finding["fact"])
    assert runfold("check", "--projection", "tests.projector.checking.impure:Pure").code == 0
    assert runfold("check", "--projection", "no.such:Thing").code == 1
