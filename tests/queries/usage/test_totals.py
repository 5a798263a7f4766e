"""What totals of usage answer is what the calls themselves add up to: whatever was recorded, corrected, superseded or rebuilt."""

import itertools
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from runfold import Ledger
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.projections.usage import Usage
from runfold.projections.usage_totals import USAGE_TOTALS
from runfold.projector import worker
from runfold.projector.tables import generations
from runfold.queries.reading import Reading
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.usage.report import NOBODY_SAID, UsageReport
from runfold.queries.usage.totals import DIMENSIONS
from tests.databases import TestDatabase
from tests.projections.histories import DAWN, History
from tests.projector.soundness import Books

COARSE = ("day", "agent", "user", "provider", "model", "goal", "node", "source")
VALUES = {
    "agent": ("support", "sales", NOBODY_SAID),
    "user": ("mira", "teo", NOBODY_SAID),
    "provider": ("openai", "nobody", NOBODY_SAID),
    "model": ("gpt-4o", "unheard-of", NOBODY_SAID),
    "goal": ("g1", "g2", NOBODY_SAID),
    "node": ("plan", "act", NOBODY_SAID),
    "source": ("claude-code:somewhere", NOBODY_SAID),
}


def questions(dice: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Whatever may be asked without naming a run, thread or call: each dimension by itself, then any of it."""
    yield from ({"by": name} for name in ("", *COARSE))
    for _ in range(count):
        names = dice.sample(list(VALUES), dice.choice([0, 0, 1, 1, 2, 3]))
        asked: dict[str, Any] = {name: dice.sample(VALUES[name], dice.choice([1, 1, 2])) for name in names}
        days = {
            edge: (DAWN + timedelta(days=dice.choice([-1, 0, 1]))).date() for edge in ("since", "until") if dice.random() < 0.3
        }
        more = {"without_cost": dice.choice([True, False])} if dice.random() < 0.2 else {}
        everything = {"include_superseded": True} if dice.random() < 0.3 else {}
        yield {"by": dice.sample(COARSE, dice.choice([0, 1, 1, 2, 3])), **asked, **days, **more, **everything}


def require_same(now: Reading, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> UsageReport:
    """The answer from totals, which is that of the rows."""
    read: list[str] = []
    query = Snapshot.query

    def noted(self: Snapshot, text: str, parameters: Any = ()) -> Any:
        read.append(text)
        return query(self, text, parameters)

    by, narrowed = asked["by"], {name: value for name, value in asked.items() if name != "by"}
    with monkeypatch.context() as patch:
        patch.setattr(Snapshot, "query", noted)
        found = now.usage(by, **narrowed)
        assert any(f"{{{totals.name}}}" in text for totals in USAGE_TOTALS for text in read), "they are what answers"
        patch.setattr(Snapshot, "holds_totals", lambda *_: False)
        assert now.usage(by, **narrowed) == found, asked
    return found


@pytest.mark.parametrize("seed", [2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 12))])
def test_totals_answer_what_the_calls_add_up_to_in_any_history(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311
    monkeypatch.setattr(worker, "FIRST_PAGE", dice.choice([11, 500]))
    with Ledger.open(settings=database.settings) as ledger, Books(database.projector_url) as books:
        other = ledger.on_behalf(Caller("other", Actor.parse("human:ada")))
        histories = [History(dice), History(dice)]
        lines = 0
        for part in range(3):
            for history, where in zip(histories, (ledger, other), strict=True):
                history.go_on(where, 120)  # type: ignore[arg-type]
            if part:
                superseded, standing = dice.sample(histories[0].threads, 2)
                ledger.thread(superseded).supersede((standing,), "read otherwise")
            ledger.fold("usage")
            assert books.faults_of_totals(Usage()) == []
            for asked, now in itertools.product(questions(dice, 8), (ledger.now, other.now)):
                lines += len(require_same(now, asked, monkeypatch).rows)
        assert lines > 100


def test_whatever_names_have_in_common_each_group_is_one(database: TestDatabase) -> None:
    names = (None, "-", "1:-", "--", "\\", "\\\\", "\\134", "1:\\", "é", "e\u0301", "x" * 500, "\U00020000" * 500)
    with Ledger.open(settings=database.settings) as ledger, Books(database.projector_url) as books:
        run = ledger.create_thread(agent_id="a").start_run()
        for again in range(2):
            for provider, model in itertools.product(names, names):
                run.usage(provider=provider, model=model, input_tokens=1)
            ledger.fold("usage")
            assert books.faults_of_totals(Usage()) == []
            rows = ledger.now.usage("provider,model").rows
            assert len(rows) == len(names) ** 2
            assert {row.calls for row in rows} == {again + 1}


def test_totals_of_the_past_and_of_a_branch_answer_as_its_rows_do(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(5)  # noqa: S311
    with Ledger.open(settings=database.settings) as ledger, Books(database.projector_url) as books:
        history = History(dice)
        history.go_on(ledger, 300)
        then = ledger.position() // 2
        ledger.fold("usage")
        present = ledger.now.usage("model,day")
        past = ledger.at(then)
        for asked in questions(dice, 4):
            require_same(past, asked, monkeypatch)
        assert past.usage("model,day").total != present.total
        ledger.make_schema("along", "usage", branch=history.runs[-1], processes=1)
        for schema in ledger.schemas():
            assert books.faults_of_totals(Usage(), schema.schema) == []


def test_what_names_a_run_a_thread_or_a_call_is_answered_from_the_rows(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = ledger.create_thread(agent_id="support")
    run = thread.start_run()
    run.usage(provider="openai", model="gpt-4o", input_tokens=10)
    ledger.fold("usage", "thread_tree")
    assert not DIMENSIONS.keys() - {*COARSE, "thread", "run", "call"}
    for by, asked in (
        ("thread", {}),
        ("run,model", {}),
        ("call", {}),
        ("model", {"run": run.id}),
        ("model", {"thread": thread.id}),
        ("model", {"run": run.id, "scope": "path"}),
        ("model", {"run": run.id, "scope": "tree"}),
        ("model", {"explain": True}),
    ):
        with monkeypatch.context() as patch, pytest.raises(AssertionError, match="they are what answers"):
            require_same(ledger.now, {"by": by, **asked}, patch)


def test_a_table_of_the_version_before_answers_from_its_rows(database: TestDatabase, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.usage(provider="openai", model="gpt-4o", input_tokens=10)
    ledger.fold("usage")
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE runfold.read_models SET version = 3 WHERE name = 'usage'")
        for totals in USAGE_TOTALS:
            admin.execute(f"DROP VIEW runfold_read.{totals.name}")
    assert ledger.now.usage("model").total.input_tokens == 10


def test_totals_are_switched_rolled_back_and_dropped_with_their_read_model(ledger: Ledger, database: TestDatabase) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.usage(input_tokens=10)
    ledger.fold("usage")
    ledger.rebuild("usage", processes=1)
    run.usage(input_tokens=5)
    ledger.fold("usage")
    shown = "SELECT sum(input_tokens) AS tokens FROM runfold_read.usage_by_model"
    views = "SELECT count(*) AS views FROM pg_views WHERE schemaname = 'runfold_read' AND viewname LIKE 'usage%'"
    with Books(database.projector_url) as books:
        assert books.connection.execute(shown).fetchone() == {"tokens": 15}
        ledger.roll_back("usage")
        assert books.connection.execute(shown).fetchone() == {"tokens": 10}
        assert books.connection.execute(views).fetchone() == {"views": 3}
        generations.drop(books.connection, "usage")
        assert books.connection.execute(views).fetchone() == {"views": 0}
