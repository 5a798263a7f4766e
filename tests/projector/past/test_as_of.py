"""Read models of the past: as of a position, what the events up to there lead to; along a branch, what its path leads to."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from runfold import Ledger, RunNotFound, Settings
from runfold.demo_story import AGENT, Cast, tell
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCreated
from runfold.errors import LedgerUnavailable, RebuildRefused, UsageError
from runfold.importers.importing import import_paths
from runfold.projections.fold import fold_all
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import known
from runfold.projector.past import as_of
from runfold.projector.tables.table import READ_SCHEMA
from tests.databases import TestDatabase, fresh_database
from tests.projections.histories import History
from tests.projector.conftest import Fill
from tests.projector.rebuilding.rebuilds import EVERY_TOY
from tests.projector.soundness import Books, differences
from tests.projector.toys import TOYS

FOR_EVER = 2**62
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def full(admin_url: str, template: str, trajectories: Path) -> Iterator[tuple[Ledger, str]]:
    """The demo, real runs of which some were rewound, and made-up ones of every kind; and the projector's URL."""
    with (
        fresh_database(admin_url, template, "past") as made,
        Ledger.open(settings=made.settings.model_copy(update={"actor": AGENT})) as ledger,
    ):
        tell(ledger, Cast.of(7, "default"))
        History(random.Random(3)).go_on(ledger, 400)  # noqa: S311
        import_paths(ledger, "claude-code", [trajectories / "claude-code" / "experiments-worktrees"])
        import_paths(ledger, "claude-code", [trajectories / "claude-code" / "experiments-ideas"])
        yield ledger, made.projector_url


def faults_of(url: str, schema: str, events: list[Recorded], projections: dict[str, AnyProjection]) -> list[str]:
    """In what the tables of a schema are not what some events lead to."""
    faults: list[str] = []
    with Books(url) as books:
        for name, projection in projections.items():
            wanted = fold_all(projection, events)
            faults += [f"{name}: {fault}" for fault in differences(wanted, books.rows(projection, schema))]
    return faults


def events_on(ledger: Ledger, run_id: str, up_to: int) -> list[Recorded]:
    """What is on the path to a run: by the rules, and event by event."""
    events = [recorded for recorded in ledger.recorder.reader.events() if recorded.position <= up_to]
    created = {each.stream: each for each in events if isinstance(each.event, RunCreated)}
    versions, at, parent = {run_id: FOR_EVER}, run_id, created[run_id].event.parent  # type: ignore[attr-defined]
    while parent is not None and parent.kind != "spawned_by":
        if parent.kind != "retries":
            versions[parent.run_id] = parent.at_version
        at = parent.run_id
        parent = created[at].event.parent  # type: ignore[attr-defined]
    left = {
        stream: max(each.position for each in events if each.stream == stream and each.version <= version)
        for stream, version in versions.items()
        if version != FOR_EVER
    }
    found = []
    for each in events:
        if each.stream == created[run_id].thread_id:
            found.append(each)
        elif each.stream in versions:
            found += [each] if each.version <= versions[each.stream] else []
        elif each.stream.startswith("approval_") and each.context.run_id in versions:
            found += [each] if each.position <= left.get(each.context.run_id, up_to) else []
    return found


@pytest.mark.row("RV-26")
@pytest.mark.parametrize("part", [0.0, 0.13, 0.5, 0.91, 1.0])
def test_as_of_a_position_every_read_model_is_what_the_events_up_to_there_lead_to(full: tuple[Ledger, str], part: float) -> None:
    ledger, url = full
    position = int(ledger.position() * part)
    schema = f"at_{position}"
    made = ledger.make_schema(schema, as_of=position, processes=1 + (part == 0.5))
    assert (made.position, made.run_id, made.names, made.ready) == (position, None, sorted(known()), True)
    events = [recorded for recorded in ledger.recorder.reader.events() if recorded.position <= position]
    assert faults_of(url, schema, events, dict(known())) == []
    ledger.drop_schema(schema)


def test_as_of_a_time_is_as_of_the_last_position_of_that_time(ledger: Ledger, fill: Fill, books: Books) -> None:
    first = fill(2)
    then = ledger.events(after=first - 1)[0].recorded_at
    fill(2)
    assert ledger.make_schema("by_then", "run_summaries", as_of=then).position == first
    assert len(books.rows(known()["run_summaries"], "by_then")) == 2
    assert ledger.make_schema("now", "run_summaries", as_of=datetime.now(UTC) + timedelta(days=1)).position == ledger.position()


@pytest.mark.row("RV-50")
def test_along_the_path_of_each_kind_of_run_there_is_what_the_path_leads_to_and_nothing_else(full: tuple[Ledger, str]) -> None:
    ledger, url = full
    head, seen = ledger.position(), set()
    for created in ledger.events(types=["run.created"], limit=10_000):
        parent = created.event.parent  # type: ignore[attr-defined]
        shape = (created.thread_id.startswith("thread_demo"), parent.kind if parent else None)
        if shape in seen and created.stream != "run_demo7_express":
            continue
        seen.add(shape)
        ledger.make_schema("one_path", branch=created.stream)
        events = events_on(ledger, created.stream, head)
        assert faults_of(url, "one_path", events, dict(known())) == [], created.stream
        ledger.drop_schema("one_path")
    assert {kind for _, kind in seen} >= {None, "continues", "branches", "retries", "spawned_by"}


@pytest.mark.row("RV-51")
def test_of_a_rewound_session_the_path_leaves_out_what_was_taken_back(full: tuple[Ledger, str]) -> None:
    ledger, url = full
    rewound = [
        created
        for created in ledger.events(types=["run.created"], limit=10_000)
        if created.event.parent and created.event.parent.kind == "branches" and created.event.agent_id not in {"support", "sales"}  # type: ignore[attr-defined]
    ]
    assert rewound, "some of the real sessions were rewound"
    for created in (rewound[0], rewound[-1]):
        head = ledger.position()
        ledger.make_schema("rewound", branch=created.stream)
        events = events_on(ledger, created.stream, head)
        of_thread = [each for each in ledger.recorder.reader.events() if each.thread_id == created.thread_id]
        assert len(events) < len(of_thread)
        assert faults_of(url, "rewound", events, dict(known())) == []
        ledger.drop_schema("rewound")


def test_a_branch_as_of_a_position_is_both(full: tuple[Ledger, str]) -> None:
    ledger, url = full
    position = ledger.events(run_id="run_demo7_exchange")[8].position
    made = ledger.make_schema("both_ways", as_of=position, branch="run_demo7_exchange")
    assert (made.position, made.run_id) == (position, "run_demo7_exchange")
    assert faults_of(url, "both_ways", events_on(ledger, "run_demo7_exchange", position), dict(known())) == []
    ledger.drop_schema("both_ways")
    with pytest.raises(RunNotFound):
        ledger.make_schema("both_ways", as_of=10, branch="run_demo7_exchange")
    with pytest.raises(RunNotFound):
        ledger.make_schema("both_ways", branch="run_nobody")
    assert ledger.schemas() == []


def test_the_path_is_what_another_ledger_holds_in_which_only_the_path_happened(
    database: TestDatabase, ledger: Ledger, new_database: Callable[[], TestDatabase]
) -> None:
    tell_story(ledger, sideways=True)
    ledger.make_schema("one_path", branch="run_last")
    other = new_database()
    with Ledger.open(settings=Settings(database_url=other.url, projector_url=other.projector_url)) as straight:
        tell_story(straight, sideways=False)
        straight.fold()
    found, wanted = rows_in(database.projector_url, "one_path"), rows_in(other.projector_url, READ_SCHEMA)
    for name in known():
        assert found[name] == wanted[name], name
    assert sum(map(len, wanted.values())) > 8


def tell_story(ledger: Ledger, *, sideways: bool) -> None:
    """One story; where it goes sideways, that is taken back by a branch from before."""
    thread = ledger.create_thread(thread_id="thread_1", agent_id="support")
    first = thread.start_run(run_id="run_first", goal={"id": "g1"}, occurred_at=NOON)
    first.add_message("user", "Where is it?", message_id="msg_1", occurred_at=NOON)
    first.usage(provider="openai", model="gpt-4o", input_tokens=7, output_tokens=3, usage_id="usage_1", occurred_at=NOON)
    first.request_approval("mail", approval_id="approval_1", occurred_at=NOON)
    version = first.view().version
    if sideways:
        ledger.approval("approval_1").deny("no", actor="human:ada", occurred_at=NOON)
        first.call_tool("refund", {"order": 1}, occurred_at=NOON)
        first.report_problem("warning", "a mistake", occurred_at=NOON)
        first.usage(provider="openai", model="gpt-4o", input_tokens=900, occurred_at=NOON)
        first.complete(occurred_at=NOON)
    last = first.branch(run_id="run_last", at_version=version, occurred_at=NOON)
    last.start(occurred_at=NOON)
    last.call_tool("find_order", {"order": 1}, call_id="call_1", occurred_at=NOON).succeed("found", occurred_at=NOON)
    last.complete(occurred_at=NOON)


def rows_in(url: str, schema: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table, without positions and the store's times."""
    found: dict[str, list[dict[str, Any]]] = {}
    with Books(url) as books:
        for name, projection in known().items():
            rows = sorted(books.rows(projection, schema).items())
            found[name] = [
                {
                    column: value
                    for column, value in standing.row.__dict__.items()
                    if not column.endswith(("position", "positions", "_since", "_at")) and (name, column) != ("search", "ends")
                }
                for _, standing in rows
                if standing.row is not None
            ]
    return found


def test_projections_of_ones_own_have_a_past_too(ledger: Ledger, fill: Fill, database: TestDatabase) -> None:
    position = fill(3)
    fill(3)
    ledger.make_schema("toys", *EVERY_TOY, as_of=position)
    assert faults_of(database.projector_url, "toys", ledger.events(up_to=position), TOYS) == []


def test_readers_may_read_a_schema_of_the_past_and_do_no_more(database: TestDatabase, ledger: Ledger, fill: Fill) -> None:
    fill(2)
    ledger.make_schema("by_then", "run_summaries", "goals")
    with psycopg.connect(make_conninfo(database.url, user="runfold_reader"), autocommit=True) as reader:
        assert reader.execute("SELECT count(*) FROM by_then.run_summaries").fetchone() == (2,)
        assert reader.execute("SELECT count(*) FROM by_then.goals").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("DELETE FROM by_then.run_summaries")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("DROP TABLE by_then.run_summaries")


@pytest.mark.shares
@pytest.mark.parametrize(
    "name", ["public", "pg_past", "runfold_read", "Big", "a-b", "1st", "", "x" * 64, 'a"; --', "order", "then", "left"]
)
def test_a_name_that_cannot_be_is_refused(ledger: Ledger, fill: Fill, name: str) -> None:
    fill(1)
    with pytest.raises(RebuildRefused, match="is not an allowed schema name; use up to 63"):
        ledger.make_schema(name, "run_summaries")
    with pytest.raises(RebuildRefused, match="is not a schema made by `rebuild --into`; `runfold schemas` lists them"):
        ledger.drop_schema(name)


@pytest.mark.fault("K6")
def test_the_name_of_a_role_is_refused(ledger: Ledger, fill: Fill, database: TestDatabase) -> None:
    fill(1)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        superuser = admin.info.user
    with pytest.raises(RebuildRefused, match=f"{superuser} is the name of a role"):
        ledger.make_schema(superuser, "run_summaries")
    assert ledger.schemas() == []


def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(database: TestDatabase, ledger: Ledger, fill: Fill) -> None:
    position = fill(1)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA mine CREATE TABLE kept (x int)")
        with pytest.raises(RebuildRefused, match="mine exists and was not made by Runfold; choose another name"):
            ledger.make_schema("mine", "run_summaries")
        with pytest.raises(RebuildRefused, match="information_schema exists and was not made by Runfold"):
            ledger.make_schema("information_schema", "run_summaries")
        with pytest.raises(RebuildRefused, match="mine is not a schema"):
            ledger.drop_schema("mine")
        assert admin.execute("SELECT count(*) FROM mine.kept").fetchone() == (0,)
    ledger.make_schema("ours", "run_summaries")
    with pytest.raises(RebuildRefused, match=f"ours is taken: it holds read models as of position {position}; choose another"):
        ledger.make_schema("ours", "goals")
    assert [(made.schema, made.names) for made in ledger.schemas()] == [("ours", ["run_summaries"])]
    ledger.drop_schema("ours")
    assert ledger.schemas() == []
    ledger.make_schema("ours", "goals")


def test_a_moment_that_the_ledger_does_not_have_is_refused(ledger: Ledger, fill: Fill) -> None:
    head = fill(1)
    with pytest.raises(UsageError, match=f"position {head + 1} is not in the ledger, which holds 1 to {head}"):
        ledger.make_schema("later", "run_summaries", as_of=head + 1)
    with pytest.raises(UsageError, match="nothing was recorded by 2020-01-01"):
        ledger.make_schema("before", "run_summaries", as_of=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="has no zone"):
        ledger.make_schema("nowhere", "run_summaries", as_of=datetime(2020, 1, 1))
    assert ledger.schemas() == []


@pytest.mark.fault("A5")
def test_a_schema_that_was_left_half_made_is_begun_again(
    ledger: Ledger, fill: Fill, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = fill(8)
    monkeypatch.setenv("RUNFOLD_FAILPOINT", "shard filled:2")
    with pytest.raises(LedgerUnavailable, match="exited with -9"):
        ledger.make_schema("half", EVERY_TOY[0], as_of=position, processes=1)
    assert [(made.schema, made.ready) for made in ledger.schemas()] == [("half", False)]
    monkeypatch.delenv("RUNFOLD_FAILPOINT")
    with pytest.raises(RebuildRefused, match="half is taken"):
        ledger.make_schema("half", EVERY_TOY[0], as_of=position - 1)
    fill(1)
    ledger.make_schema("half", *EVERY_TOY[:2], as_of=position, processes=1)
    assert [(made.schema, made.ready) for made in ledger.schemas()] == [("half", True)]
    toys = {name: TOYS[name] for name in ("tally", "open_calls")}
    assert faults_of(books.url, "half", ledger.events(up_to=position), toys) == []
    assert books.connection.execute("SELECT * FROM runfold.fillings").fetchall() == []


def test_dropping_a_half_made_schema_leaves_nothing_of_it(
    ledger: Ledger, fill: Fill, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(4)
    monkeypatch.setenv("RUNFOLD_FAILPOINT", "shard taken")
    with pytest.raises(LedgerUnavailable):
        ledger.make_schema("half", EVERY_TOY[0], processes=1)
    ledger.drop_schema("half")
    assert as_of.schemas(books.connection) == []
    assert books.connection.execute("SELECT * FROM runfold.fillings").fetchall() == []
    assert books.connection.execute("SELECT FROM pg_namespace WHERE nspname = 'half'").fetchall() == []
