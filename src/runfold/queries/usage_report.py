"""What model calls used and cost, added up by whatever is asked: days, models, agents, a run, its path, its whole tree.

Every number is an exact sum over the rows of the read model `usage`, so the lines of a report add up to its total however
it is grouped. Null is a count that nobody reported, and never zero.

Cost is told by currency and by source: as reported, by the provider's bill or by the application; and computed from the
price book, under its name and version, for the calls of which nobody reported one. `cost` with `currency` is the sum where
there is one currency, and null where there are several or none: currencies are never added up. A call whose cost nobody
knows is in `calls_without_cost`, so while that is not 0, a cost is the least that it can be.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Context, Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, cast, get_args

from pydantic import PlainSerializer

from runfold.errors import UsageError
from runfold.history.path import Segment
from runfold.history.views import View
from runfold.projections.prices import CURRENCY
from runfold.projections.usage import UsageEntry
from runfold.queries.read_models import Snapshot, Standing
from runfold.queries.where import OneOrMore, given, texts, words
from runfold.store.reader import LATEST

Scope = Literal["run", "path", "tree"]
Money = Annotated[Decimal, PlainSerializer(lambda amount: f"{amount:f}", when_used="json")]

_COLUMNS = {
    "day": "day",
    "thread": "thread_id",
    "run": "run_id",
    "agent": "agent_id",
    "user": "user_id",
    "provider": "provider",
    "model": "model",
    "goal": "goal_id",
    "node": "node_id",
}
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "reasoning_output_tokens",
)
_EXACT = Context(prec=200)

_SUMS = f"""
       CASE WHEN u.reported_cost IS NOT NULL THEN u.reported_currency WHEN u.computed_cost IS NOT NULL THEN '{CURRENCY}' END,
       CASE WHEN u.reported_cost IS NOT NULL THEN u.reported_source END,
       CASE WHEN u.reported_cost IS NULL AND u.computed_cost IS NOT NULL THEN u.price_source END,
       sum(coalesce(u.reported_cost, u.computed_cost)), count(u.other_costs), count(*) FILTER (WHERE u.kind = 'call'),
       count(*) FILTER (WHERE u.kind = 'call' AND u.reported_cost IS NULL AND u.computed_cost IS NULL),
       {", ".join(f"sum(u.{name})" for name in _TOKENS)}"""
_OTHER_COSTS = "other.key, u.reported_source, NULL, sum(other.value::numeric)"
_OTHERS = "CROSS JOIN LATERAL jsonb_each_text(u.other_costs) AS other"

# OFFSET 0 and LIMIT keep each run a look-up of its own, however many rows the database expects.
_EVERY_RUN = "{usage} AS u"
_ON_PATH = """unnest(%b::text[], %b::bigint[]) AS s (run_id, version)
  LEFT JOIN LATERAL (SELECT e.notification_id AS position
                       FROM runfold.log AS e
                      WHERE e.tenant_id = %b AND e.originator_id = s.run_id AND e.originator_version = s.version
                      LIMIT 1) AS last ON true
 CROSS JOIN LATERAL (SELECT *
                       FROM {usage} AS w
                      WHERE w.tenant_id = %b AND w.run_id = s.run_id
                        AND coalesce(w.recorded_position, w.cost_position) <= coalesce(last.position, %b)
                     OFFSET 0) AS u"""
_IN_TREE = """(WITH RECURSIVE tree (run_id) AS (
                 SELECT %b::text COLLATE "C"
                  UNION
                 SELECT child.run_id
                   FROM tree
                  CROSS JOIN LATERAL (SELECT n.run_id
                                        FROM {thread_tree} AS n
                                       WHERE n.tenant_id = %b AND n.parent_run_id = tree.run_id
                                      OFFSET 0) AS child)
        SELECT run_id FROM tree) AS member
 CROSS JOIN LATERAL (SELECT * FROM {usage} AS w WHERE w.tenant_id = %b AND w.run_id = member.run_id OFFSET 0) AS u"""


class Cost(View):
    """What something cost in one currency: in all, as reported by each source, and as computed from each price list."""

    total: Money
    reported: dict[str, Money]
    computed: dict[str, Money]


class UsageTotals(View):
    """One line of a report. Of the dimensions those are set that it is grouped by; null is what nobody said."""

    day: date | None = None
    thread: str | None = None
    run: str | None = None
    agent: str | None = None
    user: str | None = None
    provider: str | None = None
    model: str | None = None
    goal: str | None = None
    node: str | None = None
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cache_read_input_tokens: int | None
    cache_creation_input_tokens: int | None
    reasoning_output_tokens: int | None
    cost: Money | None
    currency: str | None
    costs: dict[str, Cost]
    calls_without_cost: int


Ungrouped = Annotated[
    UsageTotals, PlainSerializer(lambda totals: totals.model_dump(mode="json", exclude=set(_COLUMNS)), when_used="json")
]
"""One line that is grouped by nothing: to machines, without the dimensions."""


class UsageReport(View):
    """Lines in the order of what they are grouped by, what nobody said last; their total; and as of when."""

    by: tuple[str, ...]
    rows: tuple[UsageTotals, ...]
    total: UsageTotals
    standing: Standing

    def items(self) -> list[dict[str, Any]]:
        """The lines for machines: of the dimensions, those asked for alone."""
        return [self._line(row, self.by) for row in self.rows]

    def total_item(self) -> dict[str, Any]:
        """The total for machines."""
        return self._line(self.total, ())

    @staticmethod
    def _line(row: UsageTotals, by: Sequence[str]) -> dict[str, Any]:
        return row.model_dump(mode="json", exclude=set(_COLUMNS.keys() - set(by)))


class UsageAsked(TypedDict, total=False):
    """What usage can be narrowed by. Where several values are given, any of them will do."""

    run: OneOrMore | None
    thread: OneOrMore | None
    agent: OneOrMore | None
    user: OneOrMore | None
    goal: OneOrMore | None
    model: OneOrMore | None
    provider: OneOrMore | None
    node: OneOrMore | None
    since: date | None
    """A UTC day, which is part of the range; so is `until`."""
    until: date | None


class UsageQuestion(NamedTuple):
    """What is asked, its words checked."""

    by: tuple[str, ...]
    scope: Scope
    equal: dict[str, tuple[str, ...]]
    since: date | None
    until: date | None

    @property
    def read_models(self) -> tuple[str, ...]:
        """What the answer is read from."""
        return ("usage", "thread_tree") if self.scope == "tree" else ("usage",)


def usage_question(by: OneOrMore, scope: str, asked: UsageAsked) -> UsageQuestion:
    """Several dimensions may stand in one text, as in `model,day`. Raises UsageError."""
    wanted = given(asked, UsageAsked)
    named = by.split(",") if isinstance(by, str) else by
    dimensions = words("by", [name.strip() for name in texts("by", named) if name.strip()], _COLUMNS)
    (within,) = words("scope", [scope], get_args(Scope))
    equal = {name: found for name in _COLUMNS if name != "day" and (found := texts(name, wanted.get(name)))}
    if within == "tree" and not equal.get("run") and equal.get("thread"):
        within = "run"  # a whole thread is a tree already
    if within != "run" and len(equal.get("run", ())) != 1:
        raise UsageError(f"the scope {within} is that of one run; name the run", scope=within)
    for name in ("since", "until"):
        day = wanted.get(name)
        if day is not None and type(day) is not date:
            raise UsageError(f"{name} takes a UTC day, such as 2026-01-31, not {day!r}", name=name)
    return UsageQuestion(dimensions, cast("Scope", within), equal, wanted.get("since"), wanted.get("until"))


def usage_report(snapshot: Snapshot, asked: UsageQuestion, path: Sequence[Segment] = ()) -> UsageReport:
    """The report. `path` is that of the run, for the scope `path`.

    A call belongs to the path if it was recorded before the child left its run; it counts as it was last corrected.
    """
    source, parameters = _scope(snapshot, asked, path)
    where, values = _conditions(asked)
    parameters += [snapshot.tenant_id, *values]
    dimensions = "".join(f"u.{_COLUMNS[name]}, " for name in asked.by)
    width = len(asked.by)

    def grouped(what: str, more: str, and_also: str) -> list[tuple[Any, ...]]:
        text = f"SELECT {dimensions}{what} FROM {source} {more} WHERE u.tenant_id = %b{where}{and_also}"  # noqa: S608
        return snapshot.query(f"{text} GROUP BY {', '.join(map(str, range(1, width + 4)))}", parameters)

    sums: dict[tuple[Any, ...], _Sum] = {}
    total = _Sum()
    found = grouped(_SUMS, "", "")
    for row in found:
        for each in (sums.setdefault(row[:width], _Sum()), total):
            each.add(row[width:])
    if any(row[width + 4] for row in found):
        for row in grouped(_OTHER_COSTS, _OTHERS, " AND u.other_costs IS NOT NULL"):
            for each in (sums[row[:width]], total):
                each.add_cost(*row[width:])
    keys = sorted(sums, key=lambda key: [(value is None, value) for value in key])
    rows = tuple(sums[key].totals(dict(zip(asked.by, key, strict=True))) for key in keys)
    whole = total.totals({})
    return UsageReport(by=asked.by, rows=rows if asked.by else (whole,), total=whole, standing=snapshot.standing)


def usage_total(entries: Iterable[UsageEntry]) -> UsageTotals:
    """What rows of the read model add up to, by the same rules, wherever they were folded."""
    total = _Sum()
    for entry in entries:
        reported, is_call = entry.reported_cost is not None, entry.kind == "call"
        amount = entry.reported_cost if reported else entry.computed_cost
        currency = entry.reported_currency if reported else None if amount is None else CURRENCY
        price_list, source = (None, entry.reported_source) if reported else (entry.price_source, None)
        counts = [getattr(entry, name) for name in _TOKENS]
        total.add([currency, source, price_list, amount, 0, int(is_call), int(is_call and amount is None), *counts])
        for other, more in (entry.other_costs or {}).items():
            total.add_cost(other, entry.reported_source, None, Decimal(more))
    return total.totals({})


def _scope(snapshot: Snapshot, asked: UsageQuestion, path: Sequence[Segment]) -> tuple[str, list[Any]]:
    if asked.scope == "path":
        runs, versions = [part.run_id for part in path], [part.up_to_version for part in path]
        return _ON_PATH, [runs, versions, snapshot.tenant_id, snapshot.tenant_id, LATEST]
    if asked.scope == "tree":
        return _IN_TREE, [*asked.equal["run"], snapshot.tenant_id, snapshot.tenant_id]
    return _EVERY_RUN, []


def _conditions(asked: UsageQuestion) -> tuple[str, list[Any]]:
    equal = {name: values for name, values in asked.equal.items() if name != "run" or asked.scope == "run"}
    conditions: list[tuple[str, Any]] = [(f"{_COLUMNS[name]} = ANY(%b)", list(values)) for name, values in equal.items()]
    if asked.since is not None:
        conditions.append(("day >= %b", asked.since))
    if asked.until is not None:
        conditions.append(("day <= %b", asked.until))
    return "".join(f" AND u.{text}" for text, _ in conditions), [value for _, value in conditions]


class _Sum:
    """What the groups that one line is made of add up to."""

    def __init__(self) -> None:
        self.calls = self.without_cost = 0
        self.tokens: dict[str, int | None] = dict.fromkeys(_TOKENS)
        self.costs: dict[str, tuple[dict[str, Decimal], dict[str, Decimal]]] = {}

    def add(self, values: Sequence[Any]) -> None:
        """A group: as _SUMS says."""
        self.add_cost(*values[:4])
        self.calls += values[5]
        self.without_cost += values[6]
        for name, count in zip(_TOKENS, values[7:], strict=True):
            if count is not None:
                self.tokens[name] = (self.tokens[name] or 0) + int(count)

    def add_cost(self, currency: str | None, source: str | None, price_list: str | None, amount: Decimal | None) -> None:
        """Its cost, reported by a source or computed from a price list; None where nobody knows it."""
        if currency is None or amount is None:
            return
        reported, computed = self.costs.setdefault(currency, ({}, {}))
        known, name = (reported, source) if source is not None else (computed, price_list)
        known[name or ""] = _EXACT.add(known.get(name or "", Decimal(0)), amount)

    def totals(self, group: dict[str, Any]) -> UsageTotals:
        """The line."""
        costs = {currency: _cost(*self.costs[currency]) for currency in sorted(self.costs)}
        only = next(iter(costs)) if len(costs) == 1 else None
        return UsageTotals.model_validate(
            {
                **group,
                **self.tokens,
                "calls": self.calls,
                "costs": costs,
                "currency": only,
                "cost": costs[only].total if only else None,
                "calls_without_cost": self.without_cost,
            }
        )


def _cost(reported: dict[str, Decimal], computed: dict[str, Decimal]) -> Cost:
    total = Decimal(0)
    for amount in (*reported.values(), *computed.values()):
        total = _EXACT.add(total, amount)
    return Cost(total=_short(total), reported=_shortened(reported), computed=_shortened(computed))


def _shortened(amounts: dict[str, Decimal]) -> dict[str, Decimal]:
    return {source: _short(amounts[source]) for source in sorted(amounts)}


def _short(amount: Decimal) -> Decimal:
    """The same amount without noughts at its end, but with two decimals at least."""
    short = amount.normalize(_EXACT)
    _, __, exponent = short.as_tuple()
    return short if isinstance(exponent, int) and exponent <= -2 else short.quantize(Decimal("0.01"), context=_EXACT)
