"""What model calls used and cost: given what was recorded, then these lines and this total."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from runfold import Ledger, Run, RunNotFound, Thread, ThreadNotFound
from runfold.errors import ReadModelBehind, UsageError
from runfold.projections.prices.book import PRICE_SOURCE
from runfold.queries.usage.report import UsageReport
from runfold.queries.usage.totals import UsageTotals


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 2, day, hour, tzinfo=UTC)


def lines(report: UsageReport, *names: str) -> list[tuple[object, ...]]:
    """Some columns of each line."""
    return [tuple(getattr(row, name) for name in names) for row in report.rows]


@pytest.fixture
def used(ledger: Ledger):  # type: ignore[no-untyped-def]
    """Folds, and asks."""

    def ask(by: str = "", **asked: object) -> UsageReport:
        ledger.fold("usage", "thread_tree")
        return ledger.now.usage(by, **asked)  # type: ignore[arg-type]

    return ask


@pytest.mark.row("CM-10", "LT-60")
def test_tokens_add_up_by_what_is_asked_for(used, run: Run) -> None:
    run.usage(model="small", provider="us", input_tokens=10, output_tokens=1, occurred_at=at(9))
    run.usage(model="small", provider="us", input_tokens=20, output_tokens=2, occurred_at=at(10))
    run.usage(model="large", provider="us", input_tokens=40, output_tokens=4, occurred_at=at(10))
    assert lines(used("model"), "model", "calls", "input_tokens", "output_tokens") == [("large", 1, 40, 4), ("small", 2, 30, 3)]
    assert lines(used("day,model"), "day", "model", "input_tokens") == [
        (date(2026, 2, 9), "small", 10),
        (date(2026, 2, 10), "large", 40),
        (date(2026, 2, 10), "small", 20),
    ]
    assert lines(used(["provider"]), "provider", "calls", "output_tokens") == [("us", 3, 7)]
    assert lines(used("model"), "day", "provider") == [(None, None), (None, None)]


def test_a_filter_takes_a_dash_for_what_nobody_said(used, ledger: Ledger, run: Run) -> None:
    run.usage(model="small", input_tokens=1)
    run.usage(input_tokens=2)
    run.usage(provider="us", input_tokens=4)
    nobodys = ledger.create_thread(agent_id="other", user_id="mira").start_run(goal={"id": "g"})
    nobodys.usage(model="-", node_id="act", input_tokens=8)
    for asked, tokens in (
        ({"model": "-"}, 14),
        ({"model": ["-", "small"]}, 15),
        ({"model": "-", "provider": "us"}, 4),
        ({"goal": "-"}, 7),
        ({"goal": ["g", "-"]}, 15),
        ({"user": "mira"}, 8),
        ({"node": "-"}, 7),
        ({"source": "-"}, 15),
    ):
        assert used(**asked).total.input_tokens == tokens, asked


def test_calls_whose_cost_nobody_knows_are_counted_and_found_one_by_one(used, run: Run) -> None:
    unknown = run.usage(model="unheard-of", input_tokens=5)
    told = run.usage(model="unheard-of", input_tokens=7)
    run.report_cost("0.5", usage_id=told.id)
    run.report_cost("0.25")
    run.usage(provider="openai", model="gpt-4o", input_tokens=9, output_tokens=1)
    report = used("model,call")
    assert report.total.calls_without_cost == sum(row.calls_without_cost for row in report.rows) == 1
    for explain in (False, True):
        lacking, known = (used("call", without_cost=each, explain=explain) for each in (True, False))
        assert lines(lacking, "call", "calls", "cost") == [(unknown.id, 1, None)]
        assert (known.total.calls, known.total.calls_without_cost) == (2, 0)
        assert known.total.cost == report.total.cost
    assert {row.call for row in known.rows} >= {told.id, None}


def test_without_anything_to_group_by_there_is_one_line(used, run: Run) -> None:
    run.usage(input_tokens=3)
    run.usage(input_tokens=4)
    report = used()
    assert report.rows == (report.total,)
    assert (report.total.calls, report.total.input_tokens) == (2, 7)


@pytest.mark.row("LT-60")
def test_what_nobody_reported_is_null_and_what_was_reported_as_zero_is_zero(used, run: Run) -> None:
    run.usage(model="a", input_tokens=3, cache_read_input_tokens=0)
    run.usage(model="b", output_tokens=5)
    names = ("model", "input_tokens", "output_tokens", "cache_read_input_tokens", "reasoning_output_tokens")
    assert lines(used("model"), *names) == [("a", 3, None, 0, None), ("b", None, 5, None, None)]
    total = used("model").total
    assert (total.input_tokens, total.output_tokens, total.cache_read_input_tokens) == (3, 5, 0)
    assert (total.reasoning_output_tokens, total.total_tokens) == (None, None)


def test_where_nothing_was_used_the_total_says_so(used, run: Run) -> None:
    report = used("model")
    assert (report.rows, report.total.calls, report.total.input_tokens, report.total.cost) == ((), 0, None, None)


def test_a_line_of_what_nobody_said_comes_last(used, run: Run) -> None:
    run.usage(input_tokens=1)
    run.usage(model="zeta", input_tokens=2)
    assert lines(used("model"), "model", "input_tokens") == [("zeta", 2), (None, 1)]


def test_a_corrected_call_counts_once_as_it_was_last_corrected(used, run: Run) -> None:
    run.usage(input_tokens=100, output_tokens=7).correct(input_tokens=60, reason="counted twice")
    total = used().total
    assert (total.calls, total.input_tokens, total.output_tokens) == (1, 60, None)


def test_a_cost_that_nobody_reported_is_computed_and_marked_with_its_price_list(used, run: Run) -> None:
    run.usage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=100, usage_id="u1")
    run.usage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=100, usage_id="u2")
    run.report_cost("0.004", usage_id="u1", source="provider")
    total = used().total
    assert (total.cost, total.currency, total.calls_without_cost) == (Decimal("0.0075"), "USD", 0)
    assert total.costs["USD"].reported == {"provider": Decimal("0.004")}
    assert total.costs["USD"].computed == {PRICE_SOURCE: Decimal("0.0035")}


def test_a_call_whose_cost_nobody_knows_is_counted_and_never_free(used, run: Run) -> None:
    run.usage(model="our-own-model", input_tokens=1000, output_tokens=100, usage_id="u1")
    assert (used().total.cost, used().total.costs, used().total.calls_without_cost) == (None, {}, 1)
    run.usage(model="our-own-model", input_tokens=1000, output_tokens=100, usage_id="u2")
    run.report_cost("0", usage_id="u2")
    total = used().total
    assert (total.cost, total.calls_without_cost) == (Decimal("0.00"), 1)


def test_currencies_are_never_added_up(used, run: Run) -> None:
    run.usage(model="a", input_tokens=1, usage_id="u1")
    run.report_cost("1.10", "EUR", usage_id="u1", source="provider")
    run.report_cost("0.15", "EUR", source="local")
    run.usage(model="b", input_tokens=1, usage_id="u2")
    run.report_cost("2", "USD", usage_id="u2")
    report = used("model")
    found = {row.model: (row.cost, row.currency) for row in report.rows}
    assert found == {"a": (Decimal("1.10"), "EUR"), "b": (Decimal("2.00"), "USD"), None: (Decimal("0.15"), "EUR")}
    assert (report.total.cost, report.total.currency) == (None, None)
    assert {currency: cost.total for currency, cost in report.total.costs.items()} == {
        "EUR": Decimal("1.25"),
        "USD": Decimal("2.00"),
    }
    assert report.total.costs["EUR"].reported == {"local": Decimal("0.15"), "provider": Decimal("1.10")}


def test_one_call_that_was_reported_in_two_currencies_counts_in_both(used, run: Run) -> None:
    run.usage(model="a", input_tokens=1, usage_id="u1")
    run.report_cost("1.10", "EUR", usage_id="u1")
    run.report_cost("0.20", "USD", usage_id="u1")
    (row,) = used("model").rows
    assert {currency: cost.reported for currency, cost in row.costs.items()} == {
        "EUR": {"unstated": Decimal("1.10")},
        "USD": {"unstated": Decimal("0.20")},
    }
    assert (row.calls, row.calls_without_cost) == (1, 0)


def test_money_is_exact_and_has_two_decimals_at_least(used, run: Run) -> None:
    for _ in range(10):
        run.report_cost("0.1")
    assert str(used().total.cost) == "1.00"
    run.report_cost("0.000000000000000001")
    run.report_cost("99999999999999999999.9")
    assert str(used().total.cost) == "100000000000000000000.900000000000000001"


def test_a_line_for_machines_names_what_was_asked_for_and_writes_money_as_text(used, run: Run) -> None:
    run.usage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=100, occurred_at=at(3))
    report = used("model,day")
    numbers = {
        "calls": 1,
        "input_tokens": 1000,
        "output_tokens": 100,
        "total_tokens": None,
        "cache_read_input_tokens": None,
        "cache_creation_input_tokens": None,
        "reasoning_output_tokens": None,
        "cache_creation_1h_input_tokens": None,
        "web_search_requests": None,
        "cost": "0.0035",
        "currency": "USD",
        "costs": {"USD": {"total": "0.0035", "reported": {}, "computed": {PRICE_SOURCE: "0.0035"}}},
        "calls_without_cost": 0,
    }
    assert report.line_items() == [{"model": "gpt-4o", "day": "2026-02-03", **numbers}]
    assert report.total_item() == numbers
    assert list(report.line_items()[0])[:2] == ["day", "model"]


def test_both_ends_of_a_range_of_days_are_in_it(used, run: Run) -> None:
    for day in (1, 2, 3, 4):
        run.usage(input_tokens=10**day, occurred_at=at(day, 23))
    assert used(since=date(2026, 2, 2), until=date(2026, 2, 3)).total.input_tokens == 1100
    assert used(since=date(2026, 2, 4)).total.input_tokens == 10000
    assert used(until=date(2026, 1, 31)).total.calls == 0


def test_usage_narrows_to_one_or_several_of_anything(used, ledger: Ledger) -> None:
    made = []
    for agent, user, goal in (("a", "ada", "g1"), ("b", "bob", "g2"), ("c", None, None)):
        thread = ledger.create_thread(agent_id=agent, user_id=user)
        run = thread.start_run(goal={"id": goal} if goal else None)
        run.usage(model=f"m-{agent}", provider=f"p-{agent}", node_id=f"n-{agent}", input_tokens=1)
        made.append((thread, run))
    (first, first_run), (second, second_run), _ = made
    for asked in (
        {"agent": "a"},
        {"user": "ada"},
        {"goal": "g1"},
        {"model": "m-a"},
        {"provider": "p-a"},
        {"node": "n-a"},
        {"thread": first.id},
        {"run": first_run.id},
        {"agent": ["a", "b"], "user": "ada"},
    ):
        assert lines(used("run", **asked), "run") == [(first_run.id,)], asked
    assert used(agent=["a", "b"]).total.calls == used(thread=(first.id, second.id)).total.calls == 2
    assert used(run=[first_run.id, second_run.id], model="m-b").total.calls == 1


@pytest.fixture
def family(thread: Thread) -> dict[str, Run]:
    """root ─ child (continues) ─ grandchild (branches), beside the child's retry; a sub-agent of the child. Each used 10**n."""
    root = thread.start_run(run_id="run_root")
    root.usage(input_tokens=1)
    child = thread.start_run(parent=root, run_id="run_child")
    root.usage(input_tokens=10)
    child.usage(input_tokens=100, usage_id="early")
    leaving = child.add_message("assistant", "so far").receipt
    helper = thread.start_run(parent=child, kind="spawned_by", run_id="run_helper")
    helper.usage(input_tokens=1000)
    grandchild = thread.start_run(parent=child, kind="branches", at_version=leaving.version, run_id="run_grandchild")
    child.usage(input_tokens=10_000)
    grandchild.usage(input_tokens=100_000)
    child.complete()
    again = thread.start_run(parent=child, kind="retries", run_id="run_again")
    again.usage(input_tokens=1_000_000)
    return {run.id: run for run in (root, child, helper, grandchild, again)}


PATHS = {"run_root": 11, "run_child": 10_101, "run_helper": 1000, "run_grandchild": 100_101, "run_again": 1_000_001}
TREES = {"run_root": 1_111_111, "run_child": 1_111_100, "run_helper": 1000, "run_grandchild": 100_000, "run_again": 1_000_000}
OWN = {"run_root": 11, "run_child": 10_100, "run_helper": 1000, "run_grandchild": 100_000, "run_again": 1_000_000}


def test_the_path_has_what_its_runs_used_before_they_were_left(used, family: dict[str, Run]) -> None:
    assert {run_id: used(run=run_id, scope="path").total.input_tokens for run_id in family} == PATHS
    assert lines(used("run", run="run_grandchild", scope="path"), "run", "input_tokens") == [
        ("run_child", 100),
        ("run_grandchild", 100_000),
        ("run_root", 1),
    ]


def test_the_tree_has_what_all_the_runs_under_one_used_and_its_sub_agents(used, family: dict[str, Run]) -> None:
    assert {run_id: used(run=run_id, scope="tree").total.input_tokens for run_id in family} == TREES
    assert {run_id: used(run=run_id).total.input_tokens for run_id in family} == OWN


def test_the_tree_of_a_thread_is_all_that_its_runs_used(used, family: dict[str, Run], thread: Thread, ledger: Ledger) -> None:
    ledger.create_thread(agent_id="other").start_run().usage(input_tokens=7)
    assert used(thread=thread.id, scope="tree").total == used(thread=thread.id).total
    assert used(thread=thread.id, scope="tree").total.input_tokens == sum(OWN.values()) == 1_111_111


def test_a_call_on_the_path_counts_as_it_was_corrected_after_the_child_left(used, family: dict[str, Run]) -> None:
    family["run_child"].recorded_usage("early").correct(input_tokens=500, reason="miscounted")
    family["run_child"].report_cost("0.30", usage_id="early")
    path = used(run="run_grandchild", scope="path").total
    assert (path.input_tokens, path.cost) == (PATHS["run_grandchild"] + 400, Decimal("0.30"))


def test_a_cost_of_no_call_is_on_the_path_if_it_was_reported_before_the_child_left(used, thread: Thread) -> None:
    root = thread.start_run()
    root.report_cost("1")
    child = thread.start_run(parent=root)
    root.report_cost("20")
    assert used(run=child.id, scope="path").total.cost == Decimal("1.00")
    assert used(run=root.id, scope="path").total.cost == Decimal("21.00")


def test_scopes_take_the_other_filters_too(used, family: dict[str, Run]) -> None:
    family["run_grandchild"].usage(model="m", input_tokens=3)
    assert used(run="run_root", scope="tree", model="m").total.input_tokens == 3
    assert used(run="run_grandchild", scope="path", model="m").total.input_tokens == 3
    assert used(run="run_helper", scope="path", model="m").total.calls == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": "colour"}, "unknown by 'colour'; expected one of day, thread, run, agent, user, provider, model, goal, node"),
        ({"scope": "forest"}, "unknown scope 'forest'; expected one of run, path, tree"),
        ({"scope": "path"}, "the scope path is that of one run; name the run"),
        ({"scope": "tree", "run": ["run_a", "run_b"]}, "the scope tree is that of one run; name the run"),
        ({"since": at(1)}, "since takes a UTC day, such as 2026-01-31"),
        ({"until": "2026-02-01"}, "until takes a UTC day"),
        ({"colour": "blue"}, "unknown parameter 'colour'; expected one of agent, by, explain, goal"),
    ],
)
def test_words_that_mean_nothing_are_refused_with_those_that_do(used, asked: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        used(**asked)


def test_what_is_not_there_is_named(used, ledger: Ledger) -> None:
    with pytest.raises(RunNotFound):
        used(run="run_none")
    with pytest.raises(ThreadNotFound):
        used(thread="thread_none")


def test_another_tenants_usage_is_not_in_it(used, ledger: Ledger, run: Run, settings) -> None:  # type: ignore[no-untyped-def]
    run.usage(input_tokens=5)
    with Ledger.open(settings=settings.model_copy(update={"tenant": "stranger"})) as stranger:
        stranger.create_thread(agent_id="x").start_run().usage(input_tokens=9)
        assert used().total.input_tokens == 5
        assert stranger.now.usage().total.input_tokens == 9
        with pytest.raises(RunNotFound):
            stranger.now.usage(run=run.id, scope="path")


def test_the_answer_says_as_of_when_it_is_and_waits_for_a_position_if_asked(used, ledger: Ledger, run: Run) -> None:
    run.usage(input_tokens=5)
    before = used()
    later = run.usage(input_tokens=6)
    stale = ledger.now.usage()
    assert (before.standing.position, stale.standing.behind_events, stale.total.input_tokens) == (4, 1, 5)
    with pytest.raises(ReadModelBehind):
        ledger.now.usage(min_position=later.receipt.position, wait_seconds=0.05)
    ledger.fold("usage")
    assert ledger.now.usage(min_position=later.receipt.position).total.input_tokens == 11


def test_usage_of_the_past_is_what_it_was_then(used, ledger: Ledger, family: dict[str, Run], thread: Thread) -> None:
    asked: list[dict[str, object]] = [
        {"by": "run"},
        {"by": "day,agent"},
        {"by": "run", "thread": thread.id},
        {"run": "run_root", "scope": "tree"},
        {"run": "run_grandchild", "scope": "path"},
        {"run": ["run_child", "run_helper"]},
    ]
    then, before = ledger.position(), [used(**each) for each in asked]
    family["run_child"].recorded_usage("early").correct(input_tokens=7, reason="miscounted")
    family["run_grandchild"].usage(input_tokens=3)
    thread.start_run(parent=family["run_root"], kind="branches").usage(input_tokens=5)
    ledger.create_thread(agent_id="other").start_run().usage(input_tokens=9)
    assert [used(**each).total for each in asked] != [report.total for report in before]
    past = ledger.at(then)
    for each, report in zip(asked, before, strict=True):
        found = past.usage(**each)  # type: ignore[arg-type]
        assert (found.rows, found.total, found.standing.position) == (report.rows, report.total, then), each


def test_a_line_is_the_same_model_whatever_it_is_grouped_by(used, run: Run) -> None:
    run.usage(input_tokens=5)
    assert all(type(row) is UsageTotals for row in (*used("run,day").rows, used().total))
