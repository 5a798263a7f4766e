"""The owner's questions about the past: what they make is bounded, shared, and dropped when nobody uses it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import structlog
from psycopg import sql

from runfold import Ledger, Settings
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.errors import LedgerUnavailable, MomentNotFound, MomentNotPrepared, TooManyMoments
from runfold.projections.registry import known
from runfold.projector.locks import making
from runfold.projector.past import as_of, moments
from runfold.projector.past.preparing import Preparer
from runfold.queries.sources.past import Past
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.queries.listed import tell

MOST = 2


@pytest.fixture
def settings(database: TestDatabase) -> Settings:
    """Few moments may be had."""
    return database.settings.model_copy(update={"moments_per_tenant": MOST})


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    tell(ledger, seed=2, threads=1)  # one shard, which one process fills
    return ledger


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        yield connection


def schemas(admin: psycopg.Connection) -> set[str]:
    """The schemas of the past that there are, whatever is written down."""
    return {name for (name,) in admin.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'past%%'")}


def age(admin: psycopg.Connection) -> None:
    admin.execute("UPDATE runfold.moments SET used_at = used_at - interval '2 hours'")


def test_what_the_owner_asks_makes_only_so_many_and_the_least_recently_used_gives_way(
    told: Ledger, admin: psycopg.Connection
) -> None:
    head = told.position()
    for position in range(head - 5, head):
        assert told.at(position).runs().standing.position == position
        assert len(schemas(admin)) <= MOST
    assert {view.position for view in told.moments()} == {head - 2, head - 1}
    admin.execute("UPDATE runfold.moments SET used_at = used_at - interval '30 minutes'")
    told.at(head - 2).runs()  # used now
    told.at(head).runs()
    assert {view.position for view in told.moments()} == {head - 2, head}


def test_what_was_asked_for_by_name_stays_and_is_refused_beyond_the_limit(told: Ledger, admin: psycopg.Connection) -> None:
    head = told.position()
    kept = [told.prepare(head - number).id for number in range(MOST)]
    told.make_schema("october", "run_summaries", as_of=head - 9)
    with pytest.raises(TooManyMoments, match="RUNFOLD_MOMENTS_PER_TENANT"):
        told.prepare(head - 5)
    for position in range(head - 8, head - 4):
        told.at(position).runs()
    assert {view.id for view in told.moments()} >= set(kept)
    assert told.at(head - 9).runs().items
    age(admin)
    told.at(head - 4).runs()
    assert {view.position for view in told.moments()} == {head - 4}, "what is unused went away by that"
    assert [made.schema for made in told.schemas() if made.kept] == ["october"]


def test_progress_is_told_where_the_owners_question_makes_one(told: Ledger) -> None:
    seen: list[tuple[int, int]] = []
    told.at(told.position(), progress=lambda done, total: seen.append((done, total))).runs()
    assert seen[-1] == (told.position(), told.position())


def test_many_that_ask_for_the_same_at_once_make_one(told: Ledger, admin: psycopg.Connection) -> None:
    position = told.position()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: told.prepare(position), range(8)))
    assert {view.id for view in made} == {made[0].id}
    assert {view.state for view in made} == {"ready"}
    assert len(schemas(admin)) == 1
    other = Caller("acme", Actor.parse("human:eve"))
    with pytest.raises(MomentNotPrepared):
        told.on_behalf(other).at(position).runs()


def test_what_is_read_just_now_is_not_dropped_and_is_the_next_time(told: Ledger, admin: psycopg.Connection) -> None:
    view = told.prepare(told.position())
    reading = told.at(view.position)
    age(admin)
    with reading.source.snapshot("run_summaries") as snapshot:
        age(admin)
        told.moments_of("default").sweep()
        assert schemas(admin) == {moments.schema_of(view.id)}
        assert snapshot.query("SELECT count(*) FROM {run_summaries}")
    told.moments_of("default").sweep()
    assert schemas(admin) == set()
    assert told.schemas() == []


def test_one_that_is_dropped_between_finding_and_reading_is_asked_for_again(told: Ledger) -> None:
    position, asked = told.position(), []

    def whole(names: object, at: int, most: int) -> str:
        asked.append(at)
        return "past_gone" if len(asked) == 1 else told.prepared.whole_past(["run_summaries"], at, most)

    with Past(told.now.reader, told.now.read_models, position, whole).of_all(["run_summaries"]) as snapshot:
        assert snapshot.query("SELECT count(*) FROM {run_summaries}")
    assert len(asked) == 2


def test_while_it_is_being_made_it_is_not_dropped_and_what_nobody_wants_ends(
    told: Ledger, admin: psycopg.Connection, database: TestDatabase
) -> None:
    own = told.moments_of("default")
    asked = own.ask(told.position(), "human:ada")
    schema = moments.schema_of(asked)
    with psycopg.connect(database.projector_url, autocommit=True) as maker:
        maker.execute("SELECT runfold.take_session_lock(%s)", [making(schema)])
        assert own.one(asked).state == "running"
        own.drop(asked)
        assert [made.schema for made in told.schemas()] == [schema], "who makes it finds out by itself"
    own.sweep()
    assert told.schemas() == []
    with pytest.raises(MomentNotFound):
        own.one(asked)


@pytest.mark.fault("A5")
def test_what_was_left_half_made_is_carried_on_by_who_looks_next_and_dropped_when_nobody_wants_it(
    told: Ledger, admin: psycopg.Connection, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = told.position()
    monkeypatch.setenv("RUNFOLD_FAILPOINT", "shard filled")
    with pytest.raises(LedgerUnavailable, match="exited with -9"):
        told.prepare(position)
    monkeypatch.delenv("RUNFOLD_FAILPOINT")
    (view,) = told.moments()
    assert (view.state, len(schemas(admin))) == ("waiting", 1)
    preparer = Preparer(Datastore(database.projector_url))
    preparer.start()
    try:
        for _ in range(600):
            if told.moments()[0].state == "ready":
                break
            threading.Event().wait(0.1)
    finally:
        preparer.stop()
    assert told.moments()[0].state == "ready"
    found = told.at(position).runs(limit=100)
    told.fold()
    assert found.items == told.now.runs(limit=100).items
    monkeypatch.setenv("RUNFOLD_FAILPOINT", "shard filled")
    with pytest.raises(LedgerUnavailable):
        told.prepare(position - 1)
    age(admin)
    told.moments_of("default").sweep()
    assert schemas(admin) == set()
    assert admin.execute("SELECT count(*) FROM runfold.fillings").fetchone() == (0,)


def test_what_another_is_at_work_on_is_left_to_it_and_taken_over_when_it_dies(
    told: Ledger, admin: psycopg.Connection, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.projector.past.preparing.ELSEWHERE_SECONDS", 0.1)
    asked = told.moments_of("default").ask(told.position(), "human:ada")
    preparer = Preparer(Datastore(database.projector_url))
    with psycopg.connect(database.projector_url, autocommit=True) as maker:
        maker.execute("SELECT runfold.take_session_lock(%s)", [making(moments.schema_of(asked))])
        assert preparer._prepare_next() == 0.1, "nothing was started, and it looks again soon"
    assert (preparer._prepare_next(), told.moments()[0].state) == (0.0, "ready")
    assert preparer._prepare_next() > 1


def test_a_server_that_may_not_fold_says_so_once(told: Ledger, database: TestDatabase) -> None:
    preparer = Preparer(Datastore(database.url))
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            with pytest.raises(LedgerUnavailable) as refused:
                preparer._prepare_next()
            preparer._say(str(refused.value), lasts=not refused.value.retriable)
    assert [line["log_level"] for line in logged if line["log_level"] != "debug"] == ["warning"]
    assert "RUNFOLD_PROJECTOR_URL" in logged[0]["error"]


def test_the_application_sees_its_tenants_moments_alone_and_can_only_note_that_it_used_one(
    told: Ledger, admin: psycopg.Connection, database: TestDatabase
) -> None:
    told.prepare(told.position())
    told.moments_of("acme").ask(told.position(), "human:eve")
    count = sql.SQL("SELECT count(*) FROM runfold.moments")
    with psycopg.connect(database.url, autocommit=True) as app:
        app.execute("SET runfold.tenant = 'acme'")
        assert app.execute("SELECT tenant_id FROM runfold.moments").fetchall() == [("acme",)]
        assert app.execute("UPDATE runfold.moments SET used_at = now()").rowcount == 1
        for statement in (
            "DELETE FROM runfold.moments",
            "UPDATE runfold.moments SET tenant_id = 'acme'",
            "UPDATE runfold.moments SET expires_in = interval '1 year'",
            "INSERT INTO runfold.moments SELECT * FROM runfold.moments",
            "UPDATE runfold.past_schemas SET kept = true",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)
        app.execute("RESET runfold.tenant")
        assert app.execute(count).fetchone() == (0,)
    with psycopg.connect(database.url, autocommit=True) as app, pytest.raises(psycopg.Error, match=r"runfold\.tenant"):
        app.execute(count)
    assert admin.execute(count).fetchone() == (2,)


def test_a_program_that_folds_otherwise_is_not_answered_from_what_another_folded(told: Ledger, admin: psycopg.Connection) -> None:
    view = told.prepare(told.position())
    admin.execute("UPDATE runfold.past_schemas SET versions = array_remove(versions, %s)", [as_of.version_of(known()["usage"])])
    acme = told.on_behalf(Caller("default", Actor.parse("human:ada"))).at(view.position)
    assert acme.runs().items
    with pytest.raises(MomentNotPrepared):
        acme.usage()
