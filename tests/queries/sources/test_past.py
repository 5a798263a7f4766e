"""Every question as of a position is answered as a ledger that ends there answers it."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from runfold import Ledger, Settings
from runfold.errors import RunNotFound, UsageError
from runfold.importers.importing import import_paths
from tests.databases import TestDatabase, fresh_database
from tests.projections.histories import History
from tests.queries.listed import tell
from tests.queries.shortened import Question, answered, ending_at

OF_ALL: dict[str, Question] = {
    "runs": lambda reading: reading.runs(limit=50),
    "runs that failed": lambda reading: reading.runs(status="failed", order_by="duration"),
    "approvals": lambda reading: reading.approvals(limit=50),
    "tool_calls": lambda reading: reading.tool_calls(limit=50),
    "problems": lambda reading: reading.problems(limit=50),
    "usage by model and day": lambda reading: reading.usage(("model", "day")),
    "usage of a goal": lambda reading: reading.usage("agent", goal="g1"),
    "goals": lambda reading: reading.goals(limit=50),
    "progress": lambda reading: reading.goal_progress("g1"),
    "patterns": lambda reading: reading.patterns("g1"),
    "improvements": lambda reading: reading.improvements("g2"),
    "node": lambda reading: reading.node_performance("plan"),
    "attention": lambda reading: reading.attention(limit=50),
    "failures": lambda reading: reading.failures(),
    "decisions": lambda reading: reading.decisions(limit=50),
    "threads": lambda reading: reading.threads(),
}


def of_some(thread_id: str, run_id: str, other_id: str) -> dict[str, Question]:
    """What is asked about a thread, or about runs."""
    return {
        "runs": lambda reading: reading.runs(thread_id=thread_id),
        "children": lambda reading: reading.runs(parent_run_id=run_id),
        "summary": lambda reading: reading.summary(run_id),
        "approvals": lambda reading: reading.approvals(thread_id=thread_id),
        "approvals of a run": lambda reading: reading.approvals(run_id=run_id),
        "tool_calls": lambda reading: reading.tool_calls(run_id=run_id),
        "problems": lambda reading: reading.problems(run_id=[run_id, other_id]),
        "usage of the run": lambda reading: reading.usage("model", run=run_id),
        "usage of the path": lambda reading: reading.usage("run", run=run_id, scope="path"),
        "usage of the tree": lambda reading: reading.usage("run", run=run_id, scope="tree"),
        "usage of the thread": lambda reading: reading.usage("day", thread=thread_id),
        "trace": lambda reading: reading.trace(run_id),
        "why it failed": lambda reading: reading.analyze_failure(run_id),
        "attention": lambda reading: reading.attention(thread_id=thread_id),
        "failures": lambda reading: reading.failures(thread_id=thread_id),
        "decisions": lambda reading: reading.decisions(run_id=run_id),
    }


@pytest.fixture(scope="module")
def full(admin_url: str, template: str, trajectories: Path) -> Iterator[tuple[Ledger, str]]:
    """Real runs, and made-up ones with what those lack; and the superuser's URL. Only to be read."""
    with fresh_database(admin_url, template, "full") as made, Ledger.open(settings=made.settings) as ledger:
        import_paths(ledger, "claude-code", [trajectories / "claude-code" / "src-experiments-claude_p"])
        import_paths(ledger, "ag-ui", [trajectories / "ag-ui-streams"])
        tell(ledger, seed=5, threads=6)
        History(random.Random(8)).go_on(ledger, 500)  # noqa: S311
        yield ledger, made.admin_url


@pytest.mark.row("RV-26")
@pytest.mark.parametrize("part", [pytest.param(part, marks=pytest.mark.long) for part in (0.2, 0.55, 0.95)] + [0.8])
def test_every_question_is_answered_as_a_ledger_that_ends_there_answers_it(
    full: tuple[Ledger, str], new_database: Callable[[], TestDatabase], part: float
) -> None:
    ledger, source = full
    dice = random.Random(part)  # noqa: S311
    position = int(ledger.position() * part) + dice.randrange(20)
    made = new_database()
    ending_at(position, source, made)
    with Ledger.open(settings=Settings(database_url=made.url, projector_url=made.projector_url)) as ended:
        ended.fold()
        runs = [(each.thread_id, each.stream) for each in ended.events(types=["run.created"], limit=10_000)]
        past, answers = ledger.at(position), 0
        for name, question in OF_ALL.items():
            found = answered(question, past)
            assert found == answered(question, ended.now), name
            answers += type(found) is not tuple
        for thread_id, run_id in dice.sample(runs, 8):
            other_id = dice.choice(runs)[1]
            for name, question in of_some(thread_id, run_id, other_id).items():
                found = answered(question, past)
                assert found == answered(question, ended.now), (name, run_id, other_id)
                answers += type(found) is not tuple
        assert answers > 120, "most of them are answers, and no errors"


def test_before_anything_happened_there_is_nothing(full: tuple[Ledger, str]) -> None:
    ledger, _ = full
    past = ledger.at(0)
    for name in ("runs", "approvals", "tool_calls", "problems", "goals", "attention", "failures", "decisions"):
        page = getattr(past, name)()
        assert (page.items, page.standing.position) == ((), 0), name
    assert past.usage("model").rows == ()
    assert past.threads().items == ()


def test_of_a_run_that_was_not_there_yet_it_says_since_when_and_nothing_else_is_folded(full: tuple[Ledger, str]) -> None:
    ledger, _ = full
    last = ledger.events(types=["run.created"], limit=10_000)[-1]
    before = len(ledger.schemas())
    past = ledger.at(last.position - 1)
    with pytest.raises(RunNotFound, match=f"recorded since .* \\(position {last.position}\\)"):
        past.runs(run_id=last.stream)
    assert past.tool_calls(run_id=["run_nobody", "run_none"]).items == ()
    with pytest.raises(RunNotFound):
        past.tool_calls(run_id="run_nobody")
    assert past.problems(thread_id="thread_nobody").items == ()
    assert len(ledger.schemas()) == before


def test_what_is_about_a_thread_needs_no_schema_and_what_is_about_all_makes_one_and_uses_it_again(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.call_tool("search")
    position = ledger.position()
    run.complete()
    past = ledger.at(position)
    assert past.summary(run.id).status == "running"
    assert past.runs(thread_id=run.view().thread_id).items[0].status == "running"
    assert ledger.schemas() == []
    assert past.runs().items[0].status == "running"
    assert past.runs(status="running").standing.position == position
    (made,) = ledger.schemas()
    assert (made.position, made.names) == (position, ["run_summaries"])
    assert ledger.at(position).runs().items == past.runs().items
    assert len(ledger.schemas()) == 1
    ledger.make_schema("mine", as_of=position)
    assert ledger.at(position).tool_calls().items[0].status == "called"
    assert [each.schema for each in ledger.schemas()] == ["mine", made.schema], "that one holds all read models"


def test_who_allows_less_than_it_takes_is_told_so_and_nothing_is_made(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    with pytest.raises(UsageError, match=r"this folds 3 events, and 2 are allowed; give `ledger.at\(…, most_events=…\)` more"):
        ledger.at(3, most_events=2).runs()
    with pytest.raises(UsageError, match=r"the whole past is asked of `ledger.at\(…\)`, and not of a handle"):
        ledger.now.at(3).runs()
    assert ledger.now.at(3).summary(run.id).status == "running", "a thread's past is folded from the thread alone"
    assert ledger.at(3, most_events=2).summary(run.id).status == "running"
    assert ledger.schemas() == []


def test_a_replaced_log_is_asked_anew(ledger: Ledger, database: TestDatabase) -> None:
    ledger.create_thread(agent_id="a").start_run()
    assert len(ledger.at(3).runs().items) == 1
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE runfold.head SET epoch = gen_random_uuid()")
    assert len(ledger.at(3).runs().items) == 1
    assert len(ledger.schemas()) == 2
