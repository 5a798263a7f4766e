"""However usage is grouped and narrowed, its lines say what the events say and add up to the total: to the token, to the cent."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold import Ledger, Run, Settings
from runfold.domain.recorded import Recorded
from runfold.domain.usage import CostReported, Tokens, UsageCorrected, UsageRecorded
from runfold.importers.importing import import_paths
from runfold.projections.prices.book import computed_cost
from runfold.projections.usage_totals import TOKENS
from runfold.queries.usage.report import UsageReport
from runfold.queries.usage.totals import UsageTotals

DIMENSIONS = ("day", "thread", "run", "agent", "user", "provider", "model", "goal", "node")
MODELS = [("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), (None, "our-own-model"), (None, None)]


@dataclass
class Entry:
    """A model call, or a cost of none, as its events say; worked out without the read model."""

    place: dict[str, Any]
    at: datetime
    tier: str | None = None
    tokens: Tokens | None = None
    reports: list[CostReported] = field(default_factory=list)

    def costs(self) -> dict[str, Decimal]:
        """The provider's word before the application's, that before an unstated one, all before the list of prices."""
        said = {report.source for report in self.reports}
        counts = next((source for source in ("provider", "local") if source in said), None)
        found: dict[str, Decimal] = defaultdict(Decimal)
        for report in self.reports:
            if report.source == counts:
                found[report.currency] += report.amount
        if not self.reports and self.tokens:
            cost = computed_cost(self.place["provider"], self.place["model"], self.tokens, self.at, self.tier)
            return {} if cost is None else {"USD": cost}
        return found


def entries_of(events: Iterable[Recorded]) -> dict[tuple[str, str], Entry]:
    found: dict[tuple[str, str], Entry] = {}
    for recorded in events:
        event, context, at = recorded.event, recorded.context, recorded.happened_at.astimezone(UTC)
        match event:
            case UsageRecorded() | CostReported():
                key = (recorded.stream, event.usage_id or f"cost {getattr(event, 'cost_id', '')}")
                place = {
                    "day": at.date(),
                    "thread": recorded.thread_id,
                    "run": recorded.stream,
                    "agent": context.agent_id,
                    "user": context.user_id,
                    "goal": context.goal_id,
                    "provider": event.provider,
                    "model": event.model,
                    "node": event.node_id,
                }
                entry = found.setdefault(key, Entry(place, at))
                if isinstance(event, UsageRecorded):
                    entry.tokens, entry.tier = event.tokens, event.service_tier
                else:
                    entry.reports.append(event)
            case UsageCorrected():
                found[recorded.stream, event.usage_id].tokens = event.replacement
    return found


def added_up(entries: Iterable[Entry]) -> dict[str, Any]:
    """What a line must say of some entries."""
    tokens: dict[str, int | None] = dict.fromkeys(TOKENS)
    costs: dict[str, Decimal] = defaultdict(Decimal)
    calls = without = 0
    for entry in entries:
        own = entry.costs()
        for currency, amount in own.items():
            costs[currency] += amount
        if entry.tokens:
            calls, without = calls + 1, without + (not own)
            for name in TOKENS:
                if (count := getattr(entry.tokens, name)) is not None:
                    tokens[name] = (tokens[name] or 0) + count
    return {**tokens, "calls": calls, "calls_without_cost": without, "costs": dict(costs)}


def said(row: UsageTotals) -> dict[str, Any]:
    """What a line does say."""
    costs = {currency: cost.total for currency, cost in row.costs.items()}
    return {**{name: getattr(row, name) for name in (*TOKENS, "calls", "calls_without_cost")}, "costs": costs}


def tell(ledger: Ledger, random: Random) -> None:
    """Threads of runs that come from one another, and use and cost all sorts of things in all sorts of order."""
    for number in range(12):
        thread = ledger.create_thread(agent_id=f"agent-{number % 3}", user_id=random.choice(["ada", "bob", None]))
        runs: list[Run] = []
        for _ in range(random.randint(1, 5)):
            kind = random.choice(["continues", "branches", "spawned_by"])
            origin: dict[str, Any] = {"parent": random.choice(runs), "kind": kind} if runs else {"parent": None}
            goal = random.choice(["refund", "order", None])
            runs.append(thread.start_run(**origin, goal={"id": goal} if goal else None))
            with ledger.batch() as batch:
                for _ in range(random.randint(0, 12)):
                    use(batch.run(random.choice(runs).id), random)


def use(run: Run, random: Random) -> None:
    provider, model = random.choice(MODELS)
    at = datetime(2026, 2, 1, tzinfo=UTC) + timedelta(hours=random.randint(0, 72))
    node = random.choice(["n1", "n2", None])

    def counts() -> dict[str, int]:
        return {name: random.randint(0, 5000) for name in ("input_tokens", "output_tokens") if random.random() < 0.8}

    used = run.usage(provider=provider, model=model, node_id=node, occurred_at=at, **counts())
    for _ in range(random.choice([0, 0, 0, 1, 2, 3])):
        amount = Decimal(random.randint(0, 10**6)).scaleb(-random.randint(0, 6))
        about = random.choice([used.id, None])
        currency, source = random.choice(["USD", "USD", "EUR"]), random.choice(["provider", "local", None])
        run.report_cost(amount, currency, source=source, usage_id=about, model=model, provider=provider)
    if random.random() < 0.2:
        run.recorded_usage(used.id).correct(reason="recount", **counts())


@pytest.fixture(scope="module")
def spent(shared_settings: Settings, trajectories: Path) -> Iterator[Ledger]:
    """A ledger with told and with real usage, folded. Only to be read."""
    with Ledger.open(settings=shared_settings) as ledger:
        tell(ledger, Random(20260217))  # noqa: S311  the same story each time
        for kind in ("claude-code", "ag-ui"):
            import_paths(ledger, kind, [trajectories / {"ag-ui": "ag-ui-streams"}.get(kind, kind)])
        ledger.fold("usage", "thread_tree")
        yield ledger


@pytest.fixture(scope="module")
def entries(spent: Ledger) -> dict[tuple[str, str], Entry]:
    return entries_of(spent.subscribe(types=["usage.*"], follow=False))


def test_there_is_something_of_everything_to_add_up(entries: dict[tuple[str, str], Entry]) -> None:
    assert len(entries) > 600
    assert {currency for entry in entries.values() for currency in entry.costs()} == {"USD", "EUR"}
    assert any(entry.tokens and not entry.costs() for entry in entries.values())
    assert any(len(entry.costs()) == 2 for entry in entries.values())
    assert any(not entry.tokens for entry in entries.values())


def agree(report: UsageReport, by: Iterable[str], wanted: list[Entry]) -> None:
    groups: dict[tuple[Any, ...], list[Entry]] = defaultdict(list)
    for entry in wanted:
        groups[tuple(entry.place[name] for name in by)].append(entry)
    rows = {tuple(getattr(row, name) for name in by): said(row) for row in report.rows}
    if by:
        assert rows == {key: added_up(group) for key, group in groups.items()}
    assert said(report.total) == added_up(wanted)


@pytest.mark.row("LT-60", "LT-62", "LT-64", "CM-10")
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_every_grouping_of_every_part_is_what_the_events_say(
    spent: Ledger, entries: dict[tuple[str, str], Entry], data: st.DataObject
) -> None:
    by = data.draw(st.lists(st.sampled_from(DIMENSIONS), unique=True), label="by")
    like = data.draw(st.sampled_from(list(entries.values())), label="like")
    names = data.draw(st.sets(st.sampled_from([name for name in DIMENSIONS[1:] if like.place[name] is not None])), label="equal")
    since = data.draw(st.none() | st.just(like.place["day"]) | st.just(date(2026, 2, 2)), label="since")
    until = data.draw(st.none() | st.just(like.place["day"]) | st.just(date(2026, 2, 2)), label="until")
    asked: dict[str, Any] = {name: like.place[name] for name in names}
    wanted = [
        entry
        for entry in entries.values()
        if all(entry.place[name] == value for name, value in asked.items())
        and (since is None or entry.place["day"] >= since)
        and (until is None or entry.place["day"] <= until)
    ]
    agree(spent.now.usage(by, since=since, until=until, **asked), by, wanted)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_the_sums_by_one_thing_are_the_total(spent: Ledger, name: str) -> None:
    report = spent.now.usage(name)
    assert sum(row.calls for row in report.rows) == report.total.calls
    assert sum(row.input_tokens or 0 for row in report.rows) == report.total.input_tokens
    for currency, cost in report.total.costs.items():
        assert sum(row.costs[currency].total for row in report.rows if currency in row.costs) == cost.total
    assert report.total == spent.now.usage().total


def runs_of(spent: Ledger) -> list[tuple[str, str]]:
    return [(recorded.thread_id, recorded.stream) for recorded in spent.subscribe(types=["run.created"], follow=False)]


def test_the_usage_of_every_path_is_what_its_events_say(spent: Ledger, entries: dict[tuple[str, str], Entry]) -> None:
    for _, run_id in runs_of(spent):
        along = entries_of(each for each in spent.now.history(run_id).events(("usage.recorded", "usage.cost_reported")))
        wanted = [entries[key] for key in along]
        agree(spent.now.usage("run,model", run=run_id, scope="path"), ("run", "model"), wanted)


def test_the_usage_of_every_tree_is_that_of_all_its_runs(spent: Ledger, entries: dict[tuple[str, str], Entry]) -> None:
    def under(children: Callable[[str], list[str]], run_id: str) -> set[str]:
        return {run_id}.union(*(under(children, child) for child in children(run_id)))

    for thread_id, run_id in runs_of(spent):
        tree = spent.now.tree(thread_id)
        members = under(lambda parent, tree=tree: [node.run_id for node in tree.children(parent)], run_id)
        wanted = [entry for (owner, _), entry in entries.items() if owner in members]
        agree(spent.now.usage("run", run=run_id, scope="tree"), ("run",), wanted)
