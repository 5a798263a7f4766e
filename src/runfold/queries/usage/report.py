"""What model calls used and cost, added up by whatever is asked: days, models, agents, a run, its path, its whole tree.

Every number is an exact sum over the rows of the read model `usage`, so the lines of a report add up to its total however
it is grouped. How they are added up is said in `totals.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Unpack
from warnings import warn

from runfold.domain.values import texts
from runfold.errors import RunNotFound, ThreadNotFound, UsageError
from runfold.history.path import Segment
from runfold.history.views import View
from runfold.projections.prices.book import CURRENCY
from runfold.projections.prices.price_list import PriceList, installed
from runfold.projections.prices.wheels import price_list_of
from runfold.projections.usage_totals import TOKENS, UNSTATED
from runfold.queries.frames import arrow_table, data_frame
from runfold.queries.lists.paging import OverThreads
from runfold.queries.lists.parameters import Parameter, checked
from runfold.queries.lists.where import OneOrMore, words
from runfold.queries.page import Standing
from runfold.queries.question import question
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource
from runfold.queries.usage.prices import CALL_COLUMNS, Explanation, Pricing
from runfold.queries.usage.sources import WITHOUT_COST, sums_of, totals_for
from runfold.queries.usage.totals import DIMENSIONS, UsageSum, UsageTotals
from runfold.settings import Settings
from runfold.store.queries import filled, named_queries
from runfold.store.reading.reader import LATEST

if TYPE_CHECKING:
    import pandas
    import pyarrow

Scope = Literal["run", "path", "tree"]
Sums = dict[tuple[Any, ...], UsageSum]
"""By what a report is grouped by."""

_QUERIES = named_queries("runfold.queries.usage", "report.sql")
_EVERY_RUN = "{usage} AS u"
NOBODY_SAID = "-"
"""Among the values that a call is wanted with: also those that have none."""
_WITHOUT_COST = "u.kind = 'call' AND u.reported_cost IS NULL AND u.computed_cost IS NULL"


class UsageParameters(OverThreads, total=False):
    """What usage is grouped by, and what it can be narrowed by. Where several values are given, any of them will do.

    `-` stands for calls that have none: `model="-"` finds those of which nobody said the model.
    """

    by: Annotated[
        OneOrMore | None, Parameter(f"What to group by: {', '.join(DIMENSIONS)}; several, or one text such as model,day.")
    ]
    scope: Annotated[
        Scope | None,
        Parameter("Of one run: the run alone, its path from the root, or the tree under it; run if not given.", default="run"),
    ]
    run: Annotated[OneOrMore | None, Parameter("Only calls of this run.")]
    thread: Annotated[OneOrMore | None, Parameter("Only calls in this thread.")]
    agent: Annotated[OneOrMore | None, Parameter("Only calls of this agent's runs.")]
    user: Annotated[OneOrMore | None, Parameter("Only calls in threads of this user.")]
    goal: Annotated[OneOrMore | None, Parameter("Only calls of runs towards this goal.")]
    model: Annotated[OneOrMore | None, Parameter("Only calls of this model.")]
    provider: Annotated[OneOrMore | None, Parameter("Only calls of this provider.")]
    node: Annotated[OneOrMore | None, Parameter("Only calls made at this node.")]
    source: Annotated[OneOrMore | None, Parameter("Only calls of runs that this import brought.")]
    without_cost: Annotated[bool | None, Parameter("Only calls whose cost nobody knows, or only those whose cost is known.")]
    since: Annotated[date | None, Parameter("Only calls of this UTC day or later.")]
    until: Annotated[date | None, Parameter("Only calls of this UTC day or earlier.")]
    explain: Annotated[
        bool | None, Parameter("Also tell the unit prices that computed costs are made of, and why a cost is not known.")
    ]
    prices: Annotated[
        str | None, Parameter("Compute costs by this version of the price list, such as 0.2.3, where it is to be had.")
    ]


class UsageReport(View):
    """Lines in the order of what they are grouped by, what nobody said last; their total; and as of when."""

    by: tuple[str, ...]
    rows: tuple[UsageTotals, ...]
    total: UsageTotals
    standing: Standing
    explanation: Explanation | None = None
    """The unit prices, where they were asked for."""

    @property
    def items(self) -> "Lines":
        """The lines, as a page has its items; the same as `rows`."""
        return Lines(self.rows, self.by)

    def line_items(self) -> list[dict[str, Any]]:
        """The lines for machines: of the dimensions, those asked for alone."""
        return [_line(row, self.by) for row in self.rows]

    def total_item(self) -> dict[str, Any]:
        """The total for machines."""
        return _line(self.total, ())

    def to_arrow(self) -> "pyarrow.Table":
        """Return the lines as a table of Apache Arrow. Raises UsageError where the extra `analytics` is missing."""
        return arrow_table(self.rows, UsageTotals, self.standing.told(), frozenset(DIMENSIONS.keys() - set(self.by)))

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the lines as a data frame. Raises UsageError where the extra `analytics` is missing."""
        return data_frame(self.to_arrow())


class Lines(tuple[UsageTotals, ...]):
    """The lines of a report. Called, as `items` was before it had the shape of a page's, it gives those for machines."""

    by: tuple[str, ...]

    def __new__(cls, rows: Iterable[UsageTotals], by: tuple[str, ...]) -> "Lines":
        """Make them of a report's."""
        made = super().__new__(cls, rows)
        made.by = by
        return made

    def __call__(self) -> list[dict[str, Any]]:
        """Return the lines for machines. Deprecated."""
        warn("report.items() is report.line_items() now, and goes with the next version", DeprecationWarning, stacklevel=2)
        return [_line(row, self.by) for row in self]


def _line(row: UsageTotals, by: Sequence[str]) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude=set(DIMENSIONS.keys() - set(by)))


class UsageQuestion(NamedTuple):
    """What is asked, its words checked."""

    by: tuple[str, ...]
    scope: Scope
    equal: dict[str, tuple[str, ...]]
    since: date | None
    until: date | None
    explain: bool = False
    without_cost: bool | None = None
    prices: PriceList | None = None
    """The list that was asked for; None where the costs count that were computed when the read model was folded."""

    @property
    def is_priced_anew(self) -> bool:
        """Whether each call is looked at, and not only what the read model adds up to."""
        return self.explain or self.prices is not None

    @property
    def columns(self) -> set[str] | None:
        """The columns of usage that it is about; None where each call is looked at, or those of a path or a tree."""
        if self.is_priced_anew or self.scope != "run":
            return None
        days = {"day"} if self.since or self.until else set()
        return days | {DIMENSIONS[name] for name in (*self.by, *self.equal)}

    @property
    def read_models(self) -> tuple[str, ...]:
        """What the answer is read from."""
        return ("usage", "thread_tree") if self.scope == "tree" else ("usage",)


@question
def usage(source: LocalSource, by: OneOrMore = (), /, **asked: Unpack[UsageParameters]) -> UsageReport:
    """What model calls used and cost, by day, thread, run, agent, user, provider, model, goal, node, source, call, or several.

    With one run, `scope` is the run alone, its `path` from the root, or the whole `tree` under it, sub-agents included.
    With `explain` the answer tells the unit prices; with `prices` costs are computed by that version of the price list. Both
    read every call that is asked about, one by one.
    Raises UsageError, RunNotFound, ThreadNotFound, ReadModelBehind.
    """
    wanted = usage_question({"by": by, **asked})
    for thread_id in wanted.equal.get("thread", ()):
        source.first(thread_id, ThreadNotFound)
    for run_id in (runs := wanted.equal.get("run", ())):
        source.first(run_id, RunNotFound)
    path = source.history(runs[0]).path if wanted.scope == "path" else ()
    within = source.threads_of({"thread_id": wanted.equal.get("thread"), "run_id": runs})
    with source.snapshot(*wanted.read_models, within=within, asked=asked) as snapshot:
        return usage_report(snapshot, wanted, path)


def usage_question(asked: Mapping[str, Any]) -> UsageQuestion:
    """What is asked, its words checked. Several dimensions may stand in one text, as in `model,day`. Raises UsageError."""
    by = asked.get("by") or ()
    named = by.split(",") if isinstance(by, str) else by
    dimensions = words("by", [name.strip() for name in texts("by", named) if name.strip()], DIMENSIONS)
    wanted = checked({**asked, "by": dimensions}, UsageParameters)
    equal = {name: found for name in DIMENSIONS if name != "day" and (found := wanted.get(name, ()))}
    scope: Scope = wanted.get("scope", "run")
    if scope == "tree" and not equal.get("run") and equal.get("thread"):
        scope = "run"  # a whole thread is a tree already
    if scope != "run" and len(equal.get("run", ())) != 1:
        raise UsageError(f"the scope {scope} is that of one run; name the run", scope=scope)
    explain, version = wanted.get("explain") or False, wanted.get("prices")
    prices = None if version is None else price_list_of(version, Settings().price_list_folder)
    days = wanted.get("since"), wanted.get("until")
    return UsageQuestion(dimensions, scope, equal, *days, explain, wanted.get("without_cost"), prices)


def usage_report(snapshot: Snapshot, asked: UsageQuestion, path: Sequence[Segment] = ()) -> UsageReport:
    """The report. `path` is that of the run, for the scope `path`.

    A call belongs to the path if it was recorded before the child left its run; it counts as it was last corrected.
    """
    source, parameters = _scope(snapshot, asked, path)
    where, values = _conditions(asked)
    parameters += [snapshot.tenant_id, *values]
    query = partial(filled, dimensions=_dimensions(asked), source=source, conditions=where)
    sums: Sums = {}
    total, pricing = UsageSum(), None
    totals = totals_for(snapshot, asked.columns) if asked.columns is not None else None
    if totals is not None:
        where, values = _conditions(asked, WITHOUT_COST)
        _take(sums, total, len(asked.by), sums_of(snapshot, totals, [DIMENSIONS[name] for name in asked.by], where, values))
    elif asked.is_priced_anew:
        pricing = Pricing(asked.prices or installed(), without_cost=asked.without_cost)
        calls = query(_QUERIES["calls"], columns=", ".join(f"u.{name}" for name in CALL_COLUMNS))
        width = len(asked.by)
        for row in snapshot.each(calls, parameters):
            pricing.add(row[width:], partial(_line_and_total, sums, row[:width], total))
    else:
        _add_up(snapshot, asked, query, parameters, sums, total)
    keys = sorted(sums, key=lambda key: [(value is None, value) for value in key])
    rows = tuple(sums[key].totals(dict(zip(asked.by, key, strict=True))) for key in keys)
    whole = total.totals({})
    return UsageReport(
        by=asked.by,
        rows=rows if asked.by else (whole,),
        total=whole,
        standing=snapshot.standing,
        explanation=pricing.explanation() if pricing is not None and asked.explain else None,
    )


def _line_and_total(sums: Sums, key: tuple[Any, ...], total: UsageSum) -> tuple[UsageSum, UsageSum]:
    return sums.setdefault(key, UsageSum()), total


def _add_up(
    snapshot: Snapshot, asked: UsageQuestion, query: Callable[..., str], parameters: list[Any], sums: Sums, total: UsageSum
) -> None:
    """Add up in the database, by the costs that were computed when the read model was folded."""
    width = len(asked.by)

    def grouped(name: str) -> list[tuple[Any, ...]]:
        tokens, groups = ", ".join(f"sum(u.{token})" for token in TOKENS), ", ".join(map(str, range(1, width + 4)))
        text = query(_QUERIES[name], currency=CURRENCY, unstated=UNSTATED, tokens=tokens, groups=groups)
        return snapshot.query(text, parameters)

    found = grouped("sums")
    _take(sums, total, width, found)
    if any(row[width + 4] for row in found):
        for row in grouped("other costs"):
            for each in (sums[row[:width]], total):
                each.add_cost(*row[width:])


def _take(sums: Sums, total: UsageSum, width: int, found: Iterable[tuple[Any, ...]]) -> None:
    for row in found:
        for each in (sums.setdefault(row[:width], UsageSum()), total):
            each.add(row[width:])


def _dimensions(asked: UsageQuestion) -> str:
    return "".join(f"u.{DIMENSIONS[dimension]}, " for dimension in asked.by)


def _scope(snapshot: Snapshot, asked: UsageQuestion, path: Sequence[Segment]) -> tuple[str, list[Any]]:
    if asked.scope == "path":
        runs, versions = [part.run_id for part in path], [part.up_to_version for part in path]
        return _QUERIES["of a path"], [runs, versions, snapshot.tenant_id, snapshot.tenant_id, LATEST]
    if asked.scope == "tree":
        return _QUERIES["of a tree"], [*asked.equal["run"], snapshot.tenant_id, snapshot.tenant_id]
    return _EVERY_RUN, []


def _conditions(asked: UsageQuestion, without_cost: str = _WITHOUT_COST) -> tuple[str, list[Any]]:
    equal = {name: values for name, values in asked.equal.items() if name != "run" or asked.scope == "run"}
    conditions: list[tuple[str, Any]] = [(_one_of(DIMENSIONS[name], values), list(values)) for name, values in equal.items()]
    if asked.since is not None:
        conditions.append(("u.day >= %b", asked.since))
    if asked.until is not None:
        conditions.append(("u.day <= %b", asked.until))
    texts = [text for text, _ in conditions]
    if asked.without_cost is not None and not asked.is_priced_anew:
        texts.append(without_cost if asked.without_cost else f"NOT ({without_cost})")
    return "".join(f" AND {text}" for text in texts), [value for _, value in conditions]


def _one_of(column: str, values: Sequence[str]) -> str:
    return f"(u.{column} = ANY(%b) OR u.{column} IS NULL)" if NOBODY_SAID in values else f"u.{column} = ANY(%b)"
