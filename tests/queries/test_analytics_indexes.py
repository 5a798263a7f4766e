"""What is asked often of how agents do and what they use is answered from an index, however many rows there are."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import psycopg
import pytest

from runfold import Ledger, Settings
from runfold.queries.reading import Reading
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.usage.report import Scope
from tests.queries.decided import tell

MODELS = {
    "decision_log": "run_id = 'run_' || n / 5, ordinal = n % 5, made_position = n, goal_id = 'goal ' || n % 500, "
    "node_id = 'node ' || n % 500, thread_id = 'thread_' || n / 50",
    "attention": "run_id = 'run_' || n, severity = CASE n % 20 WHEN 0 THEN 'warning' ELSE 'minor' END, "
    "attention_since = now() - n * interval '1 minute'",
    "usage": "run_id = 'run_' || n / 5, thread_id = 'thread_' || n / 50, day = date '2026-01-01' + n / 100, "
    "agent_id = 'agent ' || n % 200, goal_id = 'goal ' || n % 500",
    "goals": "goal_id = 'goal ' || n, last_run_position = n",
}
"""What a row of number n has of its own."""
ROWS = 30_000


@pytest.fixture(scope="module")
def crowded(shared_settings: Settings) -> Iterator[Ledger]:
    """A ledger whose read models have so many rows that looking at all of them would not be an answer."""
    assert shared_settings.projector_url
    with Ledger.open(settings=shared_settings) as ledger:
        tell(ledger, seed=1, threads=3)
        run = ledger.create_thread(agent_id="a").start_run(goal={"id": "refund"})
        run.usage(input_tokens=1)
        ledger.fold("thread_tree", "run_summaries", *MODELS)
        with psycopg.connect(shared_settings.projector_url.get_secret_value(), autocommit=True) as connection:
            for name, own in MODELS.items():
                _fill(connection, name, dict(each.split(" = ", 1) for each in own.split(", ")))
            connection.execute("ANALYZE")
        yield ledger


def _fill(connection: psycopg.Connection[Any], name: str, own: dict[str, str]) -> None:
    columns = [
        column
        for (column,) in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'runfold_read' AND table_name = %s", [name]
        )
    ]
    key = {"decision_log": "decision_id", "usage": "entry_id"}.get(name)
    own = {**own, **({key: "'d' || n"} if key else {})}
    connection.execute(
        f"INSERT INTO runfold_read.{name} ({', '.join(columns)}) SELECT {', '.join(own.get(each, each) for each in columns)}"
        f" FROM generate_series(1, {ROWS}) AS n, (SELECT * FROM runfold_read.{name} LIMIT 1) AS one"
    )


ASKED: list[tuple[Callable[[Reading], object], str]] = [
    (lambda now: now.decisions(), "made_position"),
    (lambda now: now.decisions(goal_id="goal 7"), "goal_id_made_position"),
    (lambda now: now.decisions(node_id="node 7"), "node_id_made_position"),
    (lambda now: now.decisions(thread_id="thread_7"), "thread_id_made_position"),
    (lambda now: now.decisions(run_id="run_7"), "run_id_made_position"),
    (lambda now: now.node_performance("node 7"), "node_id_made_position"),
    (lambda now: now.patterns("goal 7"), "goal_id_made_position"),
    (lambda now: now.goals(limit=20), "last_run_position"),
    (lambda now: now.attention(), "severity_attention_since"),
    (lambda now: now.usage("run", since=date(2026, 2, 3), until=date(2026, 2, 4)), "day"),
    (lambda now: now.usage("day,run", agent="agent 7"), "agent_id_day"),
    (lambda now: now.usage("run", goal="goal 7"), "goal_id"),
]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each query is carried out. What it finds has no words in the log."""
    found: list[str] = []
    query = Snapshot.query

    def explained(self: Snapshot, text: str, parameters: Any = ()) -> Any:
        found.append("\n".join(line for (line,) in query(self, f"EXPLAIN {text}", parameters)))
        return query(self, text, parameters)

    monkeypatch.setattr(Snapshot, "query", explained)
    monkeypatch.setattr("runfold.queries.goals.patterns._with_words", lambda *_: None)
    return found


@pytest.mark.parametrize(("ask", "index"), ASKED)
def test_the_usual_questions_are_answered_from_an_index(
    crowded: Ledger, plans: list[str], ask: Callable[[Reading], object], index: str
) -> None:
    ask(crowded.now)
    assert plans
    for plan in plans:
        assert f"{index}_idx" in plan or "goals_pkey" in plan, plan
        assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize("scope", ["run", "path", "tree"])
def test_the_usage_of_a_run_its_path_and_its_tree_is_found_by_the_runs(crowded: Ledger, plans: list[str], scope: Scope) -> None:
    run_id = next(recorded.stream for recorded in crowded.subscribe(types=["usage.recorded"], follow=False))
    assert crowded.now.usage("model", run=run_id, scope=scope).total.calls == 1
    assert all("usage_pkey" in plan for plan in plans), plans
