"""The usual lists are answered from an index, however many rows there are."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.queries.lists.parameters import parameters_of
from runfold.queries.sources.snapshot import Snapshot
from tests.promises.asked import LISTS
from tests.queries.listed import Listed

MANY = {
    "run_summaries": {
        "run_id": "'run_' || n",
        "thread_id": "'thread_' || n % 5000",
        "agent_id": "'agent ' || n % 200",
        "status": "CASE n % 50 WHEN 0 THEN 'failed' ELSE 'completed' END",
        "goal_id": "'goal ' || n % 500",
        "stop_reason": "'end_turn'",
        "created_at": "now() - n * interval '1 minute'",
        "last_event_at": "now() - n * interval '1 s'",
        "duration_ns": "n",
    },
    "approval_queue": {
        "approval_id": "'approval_' || n",
        "run_id": "'run_' || n",
        "thread_id": "'thread_' || n % 5000",
        "agent_id": "'agent ' || n % 200",
        "status": "CASE n % 100 WHEN 0 THEN 'open' ELSE 'granted' END",
        "requested_position": "n",
        "expires_at": "now() + n * interval '1 minute'",
    },
}
"""What differs from one made-up row to another, in SQL over their number."""


@pytest.fixture(scope="module")
def crowded(listed: Listed) -> Iterator[Listed]:
    """The same with so many rows that looking at all of them would not be an answer. No other tenant sees them."""
    url = listed.ledger.settings.projector_url
    assert url is not None
    with psycopg.connect(url.get_secret_value(), autocommit=True) as connection:
        for table, differing in MANY.items():
            columns = connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'runfold_read' AND table_name = %s",
                [table],
            ).fetchall()
            made = {"tenant_id": "'crowd'", **differing}
            names = ", ".join(name for (name,) in columns)
            values = ", ".join(made.get(name, f"one.{name}") for (name,) in columns)
            connection.execute(
                f"INSERT INTO runfold_read.{table} ({names}) SELECT {values} FROM generate_series(1, 40000) AS n,"
                f" (SELECT * FROM runfold_read.{table} LIMIT 1) AS one"
            )
        connection.execute("ANALYZE")
        try:
            yield listed
        finally:
            for table in MANY:
                connection.execute(f"DELETE FROM runfold_read.{table} WHERE tenant_id = 'crowd'")


@pytest.mark.row("LT-10")
@pytest.mark.parametrize(
    ("name", "asked", "index"),
    [
        ("runs", {}, "created_at_run_id"),
        ("runs", {"order": "asc"}, "created_at_run_id"),
        ("runs", {"order_by": "last_event_at"}, "last_event_at"),
        ("runs", {"order_by": "duration"}, "duration_ns"),
        ("runs", {"order_by": "duration", "duration_ns": 20_000, "duration_operator": "lt"}, "duration_ns"),
        ("runs", {"status": "failed"}, "status_created_at"),
        ("runs", {"agent_id": "agent 7"}, "agent_id_created_at"),
        ("runs", {"thread_id": "thread_9", "status": "completed"}, "thread_id_created_at"),
        ("runs", {"goal_id": "goal 3"}, "goal_id_created_at"),
        ("runs", {"run_id": ["run_7", "run_8"]}, "pkey"),
        ("approvals", {"status": "open"}, "status_requested_position"),
        ("approvals", {"status": "open", "order_by": "expires_at"}, "status_expires_at"),
        ("approvals", {"thread_id": "thread_9"}, "thread_id_requested_position"),
        ("approvals", {"run_id": "run_9"}, "run_id_requested_position"),
        ("approvals", {"agent_id": "agent 7", "status": "open"}, "agent_id_status_requested_position"),
    ],
)
def test_the_usual_questions_are_answered_from_an_index(
    crowded: Listed, monkeypatch: pytest.MonkeyPatch, name: str, asked: dict[str, Any], index: str
) -> None:
    plans: list[str] = []
    query = Snapshot.query

    def explained(self: Snapshot, text: str, parameters: Any = ()) -> Any:
        plans.append("\n".join(line for (line,) in query(self, f"EXPLAIN {text}", parameters)))
        return query(self, text, parameters)

    monkeypatch.setattr(Snapshot, "query", explained)
    ask = getattr(crowded.ledger.on_behalf(Caller("crowd", Actor.parse("human:ada"))).now, name)
    page = ask(limit=20, **asked)
    if page.next_cursor:
        ask(limit=20, cursor=page.next_cursor, **asked)
    assert plans
    for plan in plans:
        assert f"_{index}_idx" in plan or f"_{index} " in plan, plan
        assert "Seq Scan" not in plan, plan


WALKING = {"runs": {"background"}, "tool_calls": {"goal_id", "provider_call_id"}}
"""What no index begins with: rows without it are passed one by one, in the order of the list."""


@pytest.mark.parametrize("name", LISTS)
def test_what_a_list_is_narrowed_by_begins_an_index_but_for_what_is_named_here(name: str) -> None:
    asked, projection = LISTS[name]
    begins = {index[0] for index in (*projection.indexes, projection.key)}
    columns = {
        parameter.compares[1] or said
        for said, parameter in parameters_of(asked).items()
        if parameter.compares is not None and parameter.compares[0] == "="
    }
    assert columns - begins == WALKING.get(name, set())
