"""The eventsourcing library follows Runfold's log: applications, subscriptions and projections of its own."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import (
    InfrastructureFactoryError,
    JSONTranscoder,
    Mapper,
    MapperDeserialisationError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.projection import (
    ApplicationSubscription,
    EventSourcedProjection,
    EventSourcedProjectionRunner,
    Projection,
    ProjectionRunner,
)
from eventsourcing.sqlite import SQLiteTrackingRecorder
from psycopg.conninfo import make_conninfo

from runfold import HistoryChanged, Ledger
from runfold.adapters import eventsourcing, eventsourcing_recorder
from runfold.adapters.eventsourcing import RecordedEvent, RunfoldLog
from runfold.adapters.eventsourcing_recorder import LogSubscription
from runfold.commands.caller import Caller
from runfold.domain.run_events import RunCreated
from runfold.domain.tool_call import ToolCalled, ToolSucceeded
from runfold.domain.values import Actor
from runfold.errors import MigrationRefused
from tests.databases import TestDatabase
from tests.put_back import put_back
from tests.waiting import until

ADAPTER = "runfold.adapters.eventsourcing"
Env = dict[str, str]


class Calls(SQLiteTrackingRecorder):
    """How often each tool was called, in a file, each call and its tracking in one transaction."""

    def __init__(self, datastore: Any, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        self.create_table_statements.append("CREATE TABLE IF NOT EXISTS calls (position INTEGER PRIMARY KEY, tool TEXT)")

    def add(self, tool: str, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute("INSERT INTO calls VALUES (?, ?)", (tracking.notification_id, tool))

    def counts(self) -> Counter[str]:
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("SELECT tool FROM calls")
            return Counter(row["tool"] for row in cursor.fetchall())


class CallCounts(Projection[Calls]):
    topics = (ToolCalled.type, "run.*")

    @singledispatchmethod
    def process_event(self, domain_event: RecordedEvent, tracking: Tracking) -> None:
        self.view.insert_tracking(tracking)

    @process_event.register(RecordedEvent.of(ToolCalled))
    def _(self, domain_event: RecordedEvent, tracking: Tracking) -> None:
        assert isinstance(domain_event.event, ToolCalled)
        self.view.add(domain_event.event.name, tracking)


class Account(Aggregate):
    """What the library would record by itself."""


@pytest.fixture
def env(database: TestDatabase, tmp_path: Path) -> Env:
    """The log is read by a role that may only read, in sessions that may only read; views are in a file."""
    url = make_conninfo(database.url, user="runfold_reader", options="-c default_transaction_read_only=on")
    return {
        "RUNFOLD_DATABASE_URL": url,
        "CALLCOUNTS_PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "CALLCOUNTS_SQLITE_DBNAME": str(tmp_path / "calls.db"),
    }


@pytest.fixture
def log(env: Env) -> Iterator[RunfoldLog]:
    with RunfoldLog(env) as opened:
        yield opened


def call_tools(ledger: Ledger, *tools: str) -> int:
    """A run that calls them; the position of the last call."""
    run = ledger.create_thread(agent_id="support").start_run()
    for tool in tools:
        call = run.call_tool(tool, {})
        call.succeed("done")
    assert call.receipt is not None
    return call.receipt.position


# The notification log


def test_an_application_of_the_librarys_own_has_the_ledgers_events_in_its_notification_log(ledger: Ledger, env: Env) -> None:
    call_tools(ledger, "search", "refund")

    class Runs(Application[str]):
        env = {"PERSISTENCE_MODULE": ADAPTER}  # noqa: RUF012  as the library has it

    with Runs(env) as app:
        events = ledger.events()
        assert app.recorder.max_notification_id() == len(events) > 5
        first = app.notification_log["1,5"]
        assert (first.id, first.next_id, len(first.items)) == ("1,5", "6,10", 5)
        found = app.notification_log.select(start=1, limit=10)
        assert [(each.id, each.topic, each.originator_id, each.originator_version) for each in found] == [
            (each.position, each.type, each.stream, each.version) for each in events
        ][:10]
        assert [app.mapper.to_domain_event(each) for each in found] == events[:10]
        called = app.notification_log.select(start=2, limit=10, topics=[ToolCalled.type])
        assert [each.topic for each in called] == ["tool.called"] * 2
        assert b"search" in called[0].state, "as it is stored"


def test_a_stream_is_folded_by_a_projector_of_the_callers(ledger: Ledger, log: RunfoldLog) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.add_message("user", "Where is my order?")
    run.complete()

    def fold(initial: Any, events: Iterator[RecordedEvent]) -> Any:
        return reduce(lambda found, recorded: [*found, (recorded.originator_version, recorded.type)], events, [])

    stored = [(each.version, each.type) for each in ledger.events() if each.stream == run.id]
    assert log.repository.get(run.id, projector_func=fold) == stored
    assert log.repository.get(run.id, version=2, projector_func=fold) == stored[:2]
    newest = log.recorder.select_events(run.id, desc=True, limit=1)
    assert [each.originator_version for each in newest] == [len(stored)]


def test_each_tenant_is_a_log_of_its_own_with_gaps_where_others_are(ledger: Ledger, env: Env) -> None:
    acme = ledger.on_behalf(Caller("acme", Actor.parse("human:ada")))
    acme.create_thread(agent_id="support").start_run()
    call_tools(ledger, "search")

    class Acme(RunfoldLog):
        """The same code for another tenant: what is set for its name alone."""

    with RunfoldLog(env) as own, Acme({**env, "ACME_RUNFOLD_TENANT": "acme"}) as other:
        found = [[each.id for each in app.recorder.select_notifications(None, 100)] for app in (own, other)]
        assert found == [[each.position for each in tenant.events()] for tenant in (ledger, acme)]
        assert sorted(found[0] + found[1]) == list(range(1, ledger.position() + 1))
        assert [app.recorder.max_notification_id() for app in (own, other)] == [max(positions) for positions in found]
        with ApplicationSubscription(other, gt=1) as subscription:
            event, tracking = next(subscription)
            assert (tracking, event.originator_id) == (Tracking("Acme", found[1][1]), acme.events()[1].stream)


# Subscriptions


def test_a_subscription_gives_what_is_there_and_what_comes_each_once_and_in_order(ledger: Ledger, log: RunfoldLog) -> None:
    before = call_tools(ledger, "search", "refund")
    given: list[tuple[RecordedEvent, Tracking]] = []
    subscription = ApplicationSubscription(log, gt=2)
    follower = threading.Thread(target=lambda: given.extend(subscription))
    with subscription:
        follower.start()
        until(lambda: given and given[-1][1].notification_id >= before)
        call_tools(ledger, "notify")
        until(lambda: given[-1][1].notification_id == ledger.position())
        subscription.stop()
        follower.join(10)
    assert [event for event, _ in given] == ledger.events(after=2)
    assert [tracking for _, tracking in given] == [
        Tracking("RunfoldLog", position) for position in range(3, ledger.position() + 1)
    ]
    assert isinstance(given[0][0], RecordedEvent)
    assert type(given[-1][0]) is RecordedEvent.of(type(given[-1][0].event))


def test_a_subscription_of_topics_passes_over_all_others(ledger: Ledger, log: RunfoldLog) -> None:
    call_tools(ledger, *(["search"] * 30))
    with ApplicationSubscription(log, topics=["tool.succeeded", "run.*"]) as subscription:
        found = [next(subscription)[0].event for _ in range(32)]
    assert {type(event) for event in found} >= {RunCreated, ToolSucceeded}
    assert not any(isinstance(event, ToolCalled) for event in found)


def test_who_is_behind_reads_on_without_waiting(ledger: Ledger, log: RunfoldLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventsourcing_recorder, "PAGE", 5)
    call_tools(ledger, *(["search"] * 20))
    with ApplicationSubscription(log, topics=["tool.called"]) as subscription:
        monkeypatch.setattr(LogSubscription, "_wait", lambda _: pytest.fail("there is more, and it waits"))
        assert len({next(subscription)[1].notification_id for _ in range(20)}) == 20


def test_a_topic_that_no_event_has_is_refused_as_it_would_find_nothing(log: RunfoldLog) -> None:
    for ask in (
        lambda: log.recorder.subscribe(topics=["tool.caled"]),
        lambda: log.recorder.select_notifications(1, 10, topics=["tool.caled"]),
    ):
        with pytest.raises(ProgrammingError, match=r"unknown event type 'tool.caled'; expected one of tool.called"):
            ask()


def test_who_is_ended_by_the_server_goes_on_where_it_was(ledger: Ledger, log: RunfoldLog, database: TestDatabase) -> None:
    call_tools(ledger, "search")
    given: list[int] = []
    with ApplicationSubscription(log) as subscription:
        follower = threading.Thread(target=lambda: given.extend(tracking.notification_id for _, tracking in subscription))
        follower.start()
        for _ in range(3):
            until(lambda: given and given[-1] == ledger.position())
            with psycopg.connect(database.admin_url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'runfold_reader'")
            call_tools(ledger, "refund")
        until(lambda: given[-1] == ledger.position())
        subscription.stop()
        follower.join(10)
    assert given == list(range(1, ledger.position() + 1))


def test_a_database_that_stays_away_is_said_to_be(
    ledger: Ledger, log: RunfoldLog, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventsourcing_recorder, "PATIENCE_SECONDS", 0.2)
    call_tools(ledger, "search")
    with ApplicationSubscription(log) as subscription:
        next(subscription)
        subscription.subscription._page.clear()  # type: ignore[attr-defined]  # what was read before it went away
        with psycopg.connect(make_conninfo(database.admin_url, dbname="postgres"), autocommit=True) as admin:
            name = database.admin_url.partition("dbname=")[2].partition(" ")[0]
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'runfold_reader'")
            try:
                with pytest.raises(OperationalError, match="cannot be reached"):
                    next(subscription)
                with pytest.raises(OperationalError):
                    log.recorder.max_notification_id()
            finally:
                admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.mark.fault("K8")
def test_a_log_that_was_put_back_is_noticed_by_who_follows_and_by_who_begins(
    ledger: Ledger, log: RunfoldLog, database: TestDatabase
) -> None:
    call_tools(ledger, "search", "refund")
    last = ledger.position()
    with ApplicationSubscription(log) as subscription:
        assert [next(subscription)[1].notification_id for _ in range(last)][-1] == last
        put_back(database, last - 2)
        with pytest.raises(HistoryChanged) as changed:
            next(subscription)
    assert changed.value.position == last - 2
    with ApplicationSubscription(log, gt=last) as subscription, pytest.raises(HistoryChanged):
        next(subscription)
    with ApplicationSubscription(log, gt=last - 3) as subscription:
        assert next(subscription)[1].notification_id == last - 2


# Projections


@pytest.mark.fault("A5")
def test_a_projection_goes_on_where_it_was_stopped_and_counts_each_event_once(ledger: Ledger, env: Env) -> None:
    tools: Counter[str] = Counter()
    for number in range(3):
        runner = ProjectionRunner(application_class=RunfoldLog, projection_class=CallCounts, view_class=Calls, env=env)
        with runner:
            tools += Counter({"search": 2, "refund": 1})
            call_tools(ledger, "search", "refund", "search")
            last = ledger.events(types=["tool.called"])[-1].position
            runner.wait(last, timeout=30)
            assert runner.projection.view.counts() == tools, number
            assert runner.projection.view.max_tracking_id("RunfoldLog") == last
        call_tools(ledger, "notify")  # nobody follows just now
        tools["notify"] += 1


def test_an_event_that_a_projection_cannot_take_ends_the_runner_with_its_error(ledger: Ledger, env: Env) -> None:
    class Broken(Projection[POPOTrackingRecorder]):
        @singledispatchmethod
        def process_event(self, domain_event: RecordedEvent, tracking: Tracking) -> None:
            raise ZeroDivisionError

    call_tools(ledger, "search")
    runner = ProjectionRunner(application_class=RunfoldLog, projection_class=Broken, view_class=POPOTrackingRecorder, env=env)
    with pytest.raises(ZeroDivisionError), runner:
        runner.run_forever(timeout=30)
    assert not runner._processing_thread.is_alive()


class Alarms(EventSourcedProjection[UUID]):
    """Makes an aggregate of its own of each call."""

    topics = (ToolCalled.type,)

    def policy(self, domain_event: Any, processing_event: Any) -> None:
        assert isinstance(domain_event, RecordedEvent.of(ToolCalled))
        processing_event.collect_events(Account())


def test_aggregates_of_the_librarys_own_are_made_of_what_happened(ledger: Ledger, env: Env) -> None:
    with EventSourcedProjectionRunner(application_class=RunfoldLog, projection_class=Alarms, env=env) as runner:
        runner.wait(call_tools(ledger, "search", "refund"), timeout=30)
        assert len(runner.projection.notification_log["1,10"].items) == 2


# What is refused


def test_what_the_library_would_record_is_refused_with_the_way_to_do_it(log: RunfoldLog) -> None:
    with pytest.raises(NotSupportedError, match=r"followed read-only by this library; record with .*runfold.Ledger.open"):
        log.save(Account())
    stored = StoredEvent(originator_id="run_a", originator_version=1, topic="run.waiting", state=b"{}")
    with pytest.raises(NotSupportedError, match="followed read-only"):
        log.recorder.insert_events([stored])
    assert log.recorder.insert_events([]) == []
    assert log.save() == []
    assert log.recorder.max_notification_id() is None


def test_views_and_snapshots_are_to_be_kept_elsewhere(env: Env) -> None:
    env = {"PERSISTENCE_MODULE": ADAPTER, "RUNFOLD_DATABASE_URL": env["RUNFOLD_DATABASE_URL"]}
    with pytest.raises(
        NotSupportedError, match=r"set CALLCOUNTS_PERSISTENCE_MODULE to where it is kept, such as eventsourcing.sqlite"
    ):
        ProjectionRunner(application_class=RunfoldLog, projection_class=CallCounts, view_class=Calls, env=env)

    class Derived(EventSourcedProjection[str]):
        def policy(self, *_: object) -> None: ...

    with pytest.raises(NotSupportedError, match="set DERIVED_PERSISTENCE_MODULE"):
        Derived(env)
    with pytest.raises(NotSupportedError, match="leave IS_SNAPSHOTTING_ENABLED off"):
        RunfoldLog({**env, "IS_SNAPSHOTTING_ENABLED": "y"})


def test_a_database_without_the_schema_is_named_and_not_migrated(database: TestDatabase, env: Env) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("DELETE FROM runfold.migrations WHERE number > 8")
    with pytest.raises(MigrationRefused, match="run `runfold migrate`"):
        RunfoldLog(env)
    with contextlib.closing(eventsourcing.Factory(env)) as factory, pytest.raises(MigrationRefused):
        factory.aggregate_recorder()


def test_an_event_that_cannot_be_read_is_named(ledger: Ledger, log: RunfoldLog, database: TestDatabase) -> None:
    call_tools(ledger, "search")
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER log_is_immutable")
        admin.execute("UPDATE runfold.log SET topic = 'tool.invented' WHERE notification_id = 2")
    with ApplicationSubscription(log) as subscription:
        next(subscription)
        with pytest.raises(MapperDeserialisationError, match=r"tool\.invented"):
            next(subscription)
    stored = StoredEvent(originator_id="run_a", originator_version=1, topic="run.waiting", state=b"{}")
    with pytest.raises(MapperDeserialisationError, match="was not read from the log"):
        log.mapper.to_domain_event(stored)


def test_a_mapper_of_the_users_reads_types_and_json_by_itself(ledger: Ledger, env: Env) -> None:
    call_tools(ledger, "search")
    with RunfoldLog({**env, "MAPPER_TOPIC": f"{__name__}:Plain"}) as log, ApplicationSubscription(log) as subscription:
        assert type(log.mapper) is Plain
        assert next(subscription)[0] == ("thread.created", JSONTranscoder().decode(ledger_state(ledger)))


class Plain(Mapper[str]):
    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return stored_event.topic, self.transcoder.decode(stored_event.state)


def ledger_state(ledger: Ledger) -> bytes:
    ((state,),) = ledger.recorder.reader.rows("SELECT state FROM runfold.log WHERE notification_id = 1")
    return bytes(state)


def test_the_persistence_module_has_one_factory_and_names_what_is_wrong_with_it(env: Env) -> None:
    assert isinstance(eventsourcing.Factory.construct({**env, "PERSISTENCE_MODULE": ADAPTER}), eventsourcing.Factory)
    with pytest.raises(InfrastructureFactoryError, match="Failed to resolve"):
        Application({"PERSISTENCE_MODULE": f"{ADAPTER}_of_another"})


def test_a_subscription_that_nobody_iterates_starts_nothing_and_stops_at_once(log: RunfoldLog) -> None:
    before = threading.active_count()
    subscription = log.recorder.subscribe()
    assert isinstance(subscription, LogSubscription)
    assert threading.active_count() == before
    subscription.stop()
    assert list(subscription) == []
