"""Events as files: all of them, exactly, and going on as the log does."""

import gzip
import json
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from runfold import Ledger
from runfold.domain.recorded import Recorded
from runfold.errors import Damage, UsageError
from runfold.export.events import recorded_of
from runfold.export.exporting import export
from tests.databases import TestDatabase
from tests.export.conftest import record
from tests.export.reading import rows_of, said_by, types_of


def logged(ledger: Ledger) -> list[Recorded]:
    """This tenant's events."""
    return [each for each in ledger.recorder.reader.events() if each.tenant_id == ledger.settings.tenant]


def plain(recorded: Recorded) -> tuple[object, ...]:
    """An event with its context and metadata read, for JSON has many forms."""
    place = (recorded.position, recorded.stream, recorded.version, recorded.recorded_at, recorded.tenant_id, recorded.thread_id)
    return (
        *place,
        recorded.event_id,
        recorded.event,
        recorded.schema_version,
        recorded.context,
        recorded.metadata,
        recorded.salt,
    )


@pytest.mark.parametrize("end", ["up_to", "as_of"])
def test_an_end_before_the_beginning_is_refused(recorded: Ledger, to: Path, end: str) -> None:
    with pytest.raises(UsageError, match="nothing is after position 5 and up to 3; begin before the end"):
        export(recorded, "events", "csv", to, after=5, **{end: 3})  # type: ignore[arg-type]
    assert not (to / "events").exists()


def test_parquet_gives_every_event_back_as_it_is_in_the_log(recorded: Ledger, to: Path) -> None:
    exported = export(recorded, "events", "parquet", to, rows_per_part=25)
    events = logged(recorded)
    assert [plain(recorded_of(row)) for row in rows_of(to / "events")] == [plain(each) for each in events]
    assert {each.salt is None for each in events} == {False}
    assert any(each.metadata.request_digest for each in events)
    assert (exported.manifest.rows, exported.manifest.as_of, exported.new_rows) == (len(events), len(events), len(events))
    assert any(each.metadata.occurred_at and each.metadata.actor.id == "ada:x" for each in events), "there is much to keep"


def test_parquet_has_types(recorded: Ledger, to: Path) -> None:
    export(recorded, "events", "parquet", to)
    types = types_of(to / "events")
    assert [name for name, kind in types.items() if kind != "VARCHAR"] == [
        "position",
        "version",
        "schema_version",
        "recorded_at",
        "occurred_at",
    ]
    assert {types["position"], types["recorded_at"]} == {"BIGINT", "TIMESTAMP WITH TIME ZONE"}


def test_json_lines_hold_the_payload_as_an_object(recorded: Ledger, to: Path) -> None:
    export(recorded, "events", "jsonl", to, rows_per_part=25)
    rows = rows_of(to / "events")
    events = logged(recorded)
    assert [row["position"] for row in rows] == [each.position for each in events]
    assert [row["data"] for row in rows] == [each.event.model_dump(mode="json", exclude_none=True) for each in events]
    assert [row["actor"] for row in rows] == [str(each.metadata.actor) for each in events]


def test_csv_holds_the_payload_as_it_is_stored(recorded: Ledger, to: Path) -> None:
    export(recorded, "events", "csv", to, rows_per_part=25)
    rows = rows_of(to / "events")
    events = logged(recorded)
    assert [(row["position"], row["event_id"]) for row in rows] == [(str(each.position), str(each.event_id)) for each in events]
    assert [json.loads(row["data"]) for row in rows] == [each.event.model_dump(mode="json", exclude_none=True) for each in events]
    assert [datetime.fromisoformat(row["recorded_at"]) for row in rows] == [each.recorded_at for each in events]
    assert [row["parent_run_id"] for row in rows] == [each.context.parent_run_id or "" for each in events]


@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv"])
def test_an_event_of_megabytes_is_kept_whole(ledger: Ledger, to: Path, format: str) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    words = '"\n' * 400_000
    for _ in range(2):
        run.add_message("user", words)
    export(ledger, "events", format, to)
    data = [row["data"] if format == "jsonl" else json.loads(row["data"]) for row in rows_of(to / "events")]
    assert [each["content"][0]["text"] for each in data if "content" in each] == [words] * 2


def test_parts_cover_positions_without_a_gap_and_say_so_in_their_names(recorded: Ledger, to: Path) -> None:
    export(recorded, "events", "jsonl", to, rows_per_part=25)
    said, head = said_by(to / "events"), recorded.position()
    assert [(part.first, part.last) for part in said.parts] == [
        (first, min(first + 24, head)) for first in range(1, head + 1, 25)
    ]
    assert said.parts[1].file == "part-000000000026-000000000050.jsonl.gz"
    assert (said.table, said.schema_version, said.first_position, said.last_position) == ("events", 3, 1, head)
    assert said.epoch == recorded.recorder.reader.head().epoch


def test_the_same_command_again_adds_nothing_until_there_are_new_events(recorded: Ledger, to: Path) -> None:
    first = export(recorded, "events", "jsonl", to, rows_per_part=25)
    again = export(recorded, "events", "jsonl", to, rows_per_part=25)
    assert (again.manifest, again.new_parts, again.new_rows) == (first.manifest, 0, 0)
    record(recorded, 1)
    more = export(recorded, "events", "jsonl", to, rows_per_part=25)
    assert more.manifest.parts[: len(first.manifest.parts)] == first.manifest.parts
    assert more.new_rows == recorded.position() - first.manifest.as_of
    assert [row["position"] for row in rows_of(to / "events")] == list(range(1, recorded.position() + 1))


def test_a_stretch_of_positions_is_exported_and_gone_on_with(recorded: Ledger, to: Path) -> None:
    export(recorded, "events", "jsonl", to, after=10, up_to=20)
    assert [row["position"] for row in rows_of(to / "events")] == list(range(11, 21))
    export(recorded, "events", "jsonl", to, after=10, up_to=33)
    assert [row["position"] for row in rows_of(to / "events")] == list(range(11, 34))
    assert [(part.first, part.last) for part in said_by(to / "events").parts] == [(11, 20), (21, 33)]
    assert export(recorded, "events", "jsonl", to, after=10, up_to=15).new_parts == 0


def test_an_empty_ledger_is_an_empty_export(ledger: Ledger, to: Path) -> None:
    export(ledger, "events", "parquet", to)
    assert (said_by(to / "events").rows, said_by(to / "events").parts) == (0, ())


@pytest.mark.fault("F13")
@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv"])
def test_events_that_this_runfold_cannot_read_are_exported_all_the_same(
    recorded: Ledger, database: TestDatabase, to: Path, format: str
) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(
            "INSERT INTO runfold.log SELECT position + 1, 'run_later', 1, 'run.teleported', 99, '{\"to\": \"Mars\"}', NULL,"
            " tenant_id, thread_id, gen_random_uuid(), log.recorded_at, context, metadata"
            " FROM runfold.log CROSS JOIN runfold.head WHERE notification_id = 1"
        )
        connection.execute("UPDATE runfold.head SET position = position + 1")
    export(recorded, "events", format, to)
    last = rows_of(to / "events")[-1]
    assert (last["type"], int(last["schema_version"])) == ("run.teleported", 99)
    assert last["data"] in ('{"to": "Mars"}', {"to": "Mars"})


def test_a_hole_in_the_log_is_noticed(recorded: Ledger, database: TestDatabase, to: Path) -> None:
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM runfold.log WHERE notification_id = 30")
    with pytest.raises(Damage, match="positions 26 to 50 hold 24 of 25 events; run `runfold check`"):
        export(recorded, "events", "jsonl", to, rows_per_part=25, all_tenants=True)
    assert [part.last for part in said_by(to / "events").parts] == [25]


@pytest.mark.parametrize("asked", [{"after": 10_000}, {"up_to": 10_000}])
def test_positions_that_are_not_there_are_refused(recorded: Ledger, to: Path, asked: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="10000 is not in the ledger, which holds 1 to "):
        export(recorded, "events", "jsonl", to, **asked)  # type: ignore[arg-type]
    assert not (to / "events").exists()


def test_only_ones_own_events_are_exported_unless_all_are_asked_for(recorded: Ledger, neighbour: Ledger, to: Path) -> None:
    record(neighbour, 1)
    record(recorded, 1)
    for rows_per_part in (7, 1000):
        mine = export(recorded, "events", "jsonl", to / str(rows_per_part), rows_per_part=rows_per_part)
        rows = rows_of(to / str(rows_per_part) / "events")
        assert [row["position"] for row in rows] == [each.position for each in logged(recorded)]
        assert (mine.manifest.last_position, mine.manifest.tenant_id) == (recorded.position(), "default")
        assert {part.rows for part in mine.manifest.parts[:-1]} <= {rows_per_part}
    export(recorded, "events", "jsonl", to / "all", all_tenants=True)
    assert {row["tenant_id"] for row in rows_of(to / "all" / "events")} == {"default", "neighbour"}
    assert said_by(to / "all" / "events").tenant_id is None


def test_the_same_events_give_the_same_bytes(recorded: Ledger, to: Path) -> None:
    for kind in ("parquet", "jsonl", "csv"):
        one, other = (export(recorded, "events", kind, to / name / kind) for name in "ab")
        assert one.manifest == other.manifest
    first = gzip.decompress(next((to / "a" / "csv" / "events").glob("part*")).read_bytes()).splitlines()[0]
    assert first.startswith(b'"position","stream","version","type"')
