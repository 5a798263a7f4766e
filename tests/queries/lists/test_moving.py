"""Lists by a time that moves come in the order of the time itself, whatever stands in the indexes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold import Ledger
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.projections.attention import Attention
from runfold.projections.fold import Standing
from runfold.projections.projection import AnyProjection
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs.attention_row import AttentionRow
from runfold.projections.runs.summary import RunSummary
from runfold.projector.connection import connect
from runfold.projector.tables.table import Table
from runfold.queries.page import Page
from runfold.queries.reading import Reading
from runfold.store.datastore import Connection, Datastore
from tests.databases import fresh_database
from tests.domain.steady import STEADY

NOON = datetime(2020, 3, 1, 12, tzinfo=UTC)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
TIMES = st.one_of(
    st.sampled_from([0, 1, 2, 9_999_999, 10_000_000, 10_000_001, 59_999_999]).map(
        lambda microseconds: NOON + timedelta(microseconds=microseconds)
    ),
    st.integers(0, 25).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    st.sampled_from(
        [
            datetime(1, 1, 2, 0, 0, 7, 5, UTC),
            datetime(1969, 12, 31, 23, 59, 55, 1, UTC),
            LAST,
        ]
    ),
)
STATUSES = ("running", "created", "waiting", "failed")
SEVERITIES = ("critical", "warning", "minor")
BOUNDS = st.fixed_dictionaries({}, optional={"attention_from": TIMES, "attention_to": TIMES})
LIMITS, WAYS = st.integers(1, 6), st.sampled_from(["asc", "desc"])
SOME = settings(STEADY, max_examples=60)


def some_of(words: Sequence[str]) -> st.SearchStrategy[list[str]]:
    """Any of their sets, by number."""
    return st.integers(0, 2 ** len(words) - 1).map(lambda bits: [word for at, word in enumerate(words) if bits >> at & 1])


class Crowd:
    """Two read models of a tenant of its own, written by hand."""

    def __init__(self, ledger: Ledger, connection: Connection) -> None:
        self.now: Reading = ledger.on_behalf(Caller("crowd", Actor.parse("human:ada"))).now
        self.ledger, self.connection = ledger, connection

    def put(self, projection: AnyProjection, rows: Sequence[Any]) -> None:
        """These rows and no others."""
        found = self.connection.execute(
            "SELECT generation FROM runfold.read_models WHERE name = %s AND state = 'live'", [projection.name]
        ).fetchone()
        assert found
        table: Table[Any] = Table(projection, found["generation"])
        self.connection.execute(f"DELETE FROM {table.schema}.{table.name} WHERE tenant_id = 'crowd'")
        table.write(self.connection, {("crowd", row.run_id): Standing(row, 1) for row in rows})

    def whole(self, question: Callable[..., Page[Any]], **asked: Any) -> list[Any]:
        """A whole list, page by page."""
        items: list[Any] = []
        page = question(**asked)
        while True:
            items += page.items
            if page.next_cursor is None:
                return items
            page = question(**asked, cursor=page.next_cursor)


@pytest.fixture(scope="module", params=["this version's tables", "tables of before"])
def crowd(request: pytest.FixtureRequest, admin_url: str, migrated: str) -> Iterator[Crowd]:
    with fresh_database(admin_url, migrated, "moving") as made, Ledger.open(settings=made.settings) as ledger:
        ledger.create_thread(agent_id="a").start_run()
        if request.param == "this version's tables":
            ledger.fold("run_summaries", "attention")
        else:
            fold_as_before(ledger)
        with closing(connect(Datastore(made.projector_url))) as connection:
            yield Crowd(ledger, connection)


def fold_as_before(ledger: Ledger) -> None:
    """Fold as a version did of which no time moved: its tables have no columns for that."""
    with pytest.MonkeyPatch.context() as patch:
        for projection in (RunSummaries, Attention):
            patch.setattr(projection, "moving", ())
            patch.setattr(projection, "version", projection.version - 1)
        ledger.fold("run_summaries", "attention")


@SOME
@given(
    rows=st.lists(st.tuples(TIMES, st.sampled_from(STATUSES)), min_size=9, max_size=25),
    wanted=some_of(STATUSES),
    way=WAYS,
    limit=LIMITS,
)
def test_runs_by_their_last_event(
    crowd: Crowd, rows: list[tuple[datetime, Any]], wanted: list[str], way: str, limit: int
) -> None:
    made = [
        RunSummary(run_id=f"run_{number}", status=status, last_event_at=at, created_at=NOON)
        for number, (at, status) in enumerate(rows)
    ]
    crowd.put(RunSummaries(), made)
    found = crowd.whole(crowd.now.runs, order_by="last_event_at", order=way, status=wanted, limit=limit)
    expected = [row for row in made if not wanted or row.status in wanted]
    expected.sort(key=lambda row: (row.last_event_at, row.run_id), reverse=way == "desc")
    assert [row.run_id for row in found] == [row.run_id for row in expected]


@SOME
@given(
    rows=st.lists(
        st.tuples(st.none() | TIMES, st.sampled_from((*SEVERITIES, "none")), st.sampled_from(STATUSES), st.sampled_from("ab")),
        min_size=9,
        max_size=25,
    ),
    severity=some_of(SEVERITIES),
    agent=some_of("ab"),
    bounds=BOUNDS,
    way=WAYS,
    limit=LIMITS,
)
def test_runs_that_need_attention(
    crowd: Crowd, rows: list[Any], severity: list[str], agent: list[str], bounds: dict[str, datetime], way: str, limit: int
) -> None:
    made = [
        AttentionRow(
            run_id=f"run_{number}", severity=severity, status=status, agent_id=agent, attention_since=at, last_heard_at=at
        )
        for number, (at, severity, status, agent) in enumerate(rows)
    ]
    crowd.put(Attention(), made)
    found = crowd.whole(crowd.now.attention, severity=severity, agent_id=agent, silent_for="1s", order=way, limit=limit, **bounds)
    expected = [row for row in made if row.attention_since is not None and _is_asked_for(row, severity, agent, **bounds)]
    expected.sort(key=lambda row: (row.attention_since, row.run_id), reverse=way == "desc")
    assert [row.run_id for row in found] == [row.run_id for row in expected]


def _is_asked_for(
    row: AttentionRow,
    severity: list[str],
    agent: list[str],
    attention_from: datetime = FIRST,
    attention_to: datetime = LAST,
) -> bool:
    since = row.attention_since
    assert since is not None
    is_silent = row.status in {"created", "running"} and since < LAST
    worst = "warning" if is_silent and row.severity in {"none", "minor"} else row.severity
    is_so_bad = worst in (severity or ("critical", "warning"))
    return is_so_bad and (not agent or row.agent_id in agent) and attention_from <= since <= attention_to


def test_a_list_goes_on_from_the_tables_of_before_to_those_of_this_version(admin_url: str, migrated: str) -> None:
    with fresh_database(admin_url, migrated, "moved") as made, Ledger.open(settings=made.settings) as ledger:
        thread = ledger.create_thread(agent_id="a")
        runs = [thread.start_run(occurred_at=NOON + timedelta(seconds=number)) for number in range(6)]
        runs[2].complete(occurred_at=NOON + timedelta(minutes=1))
        fold_as_before(ledger)
        first = ledger.now.runs(order_by="last_event_at", limit=3)
        ledger.fold("run_summaries")
        second = ledger.now.runs(order_by="last_event_at", limit=3, cursor=first.next_cursor)
        assert [row.run_id for row in (*first.items, *second.items)] == [runs[number].id for number in (2, 5, 4, 3, 1, 0)]
