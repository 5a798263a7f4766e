"""The usual lists are answered from an index, however many rows there are."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ledger.listed import Listed
from runfold.ledger.read_models import Snapshot


@pytest.fixture(scope="module")
def crowded(listed: Listed) -> Iterator[Listed]:
    """The same with so many runs that looking at all of them would not be an answer. Nobody else sees them."""
    url = listed.ledger.settings.projector_url
    assert url is not None
    columns = "tenant_id, run_id, thread_id, agent_id, status, goal_id, stop_reason, created_at, last_event_at, duration_ns"
    with psycopg.connect(url.get_secret_value(), autocommit=True) as connection:
        names = connection.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_schema = 'runfold_read' AND table_name = 'run_summaries' AND column_name <> ALL(%s)",
            [columns.split(", ")],
        ).fetchone()
        assert names is not None
        connection.execute(
            f"INSERT INTO runfold_read.run_summaries ({columns}, {names[0]}) "
            "SELECT 'crowd', 'run_' || n, 'thread_' || n % 5000, 'agent ' || n % 200, CASE n % 50 WHEN 0 THEN 'failed' ELSE"
            " 'completed' END, 'goal ' || n % 500, 'end_turn', now() - n * interval '1 minute', now() - n * interval '1 s',"
            f" n, {names[0]} FROM generate_series(1, 40000) AS n, (SELECT * FROM runfold_read.run_summaries LIMIT 1) AS one"
        )
        connection.execute("ANALYZE")
        try:
            yield listed
        finally:
            connection.execute("DELETE FROM runfold_read.run_summaries WHERE tenant_id = 'crowd'")


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "created_at_run_id"),
        ({"order": "asc"}, "created_at_run_id"),
        ({"order_by": "last_event_at"}, "last_event_at"),
        ({"order_by": "duration"}, "duration_ns"),
        ({"order_by": "duration", "duration_ns": 20_000, "duration_operator": "lt"}, "duration_ns"),
        ({"status": "failed"}, "status_created_at"),
        ({"agent_id": "agent 7"}, "agent_id_created_at"),
        ({"thread_id": "thread_9", "status": "completed"}, "thread_id_created_at"),
        ({"goal_id": "goal 3"}, "goal_id_created_at"),
        ({"run_id": ["run_7", "run_8"]}, "pkey"),
        ({"parent_run_id": "run_7"}, "parent_run_id"),
    ],
)
def test_the_usual_questions_are_answered_from_an_index(
    crowded: Listed, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], index: str
) -> None:
    plans: list[str] = []
    query = Snapshot.query

    def explained(self: Snapshot, text: str, parameters: Any = ()) -> Any:
        self.tenant_id = "crowd"
        rows = query(self, f"EXPLAIN {text}", ["crowd", *parameters[1:]])
        plans.append("\n".join(line for (line,) in rows))
        return query(self, text, ["crowd", *parameters[1:]])

    monkeypatch.setattr(Snapshot, "query", explained)
    page = crowded.ledger.now.runs(limit=20, **asked)
    if page.next_cursor:
        crowded.ledger.now.runs(limit=20, cursor=page.next_cursor, **asked)
    assert plans
    for plan in plans:
        assert f"{index}_idx" in plan or f"_{index}" in plan, plan
        assert "Seq Scan" not in plan, plan
