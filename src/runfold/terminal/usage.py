"""Usage: tokens and costs in a table with its total."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from runfold.terminal.console import print_whole
from runfold.terminal.tables import table
from runfold.terminal.text import counted, left_out, one_line

if TYPE_CHECKING:
    from runfold.queries.usage.prices import Explanation, ModelPrice, UnitPrice
    from runfold.queries.usage.report import UsageReport
    from runfold.queries.usage.totals import UsageTotals

_WIDTHS = {"source": 250}
"""The end of a place tells more than its beginning, so it is not cut."""


def print_usage(out: Console, report: "UsageReport") -> None:
    """Print the groups, the total, and where its cost comes from; the unit prices, where they were asked for."""
    heads = (*report.by, "#calls", "#input", "#output", "#cache read", "#cache written", "#cost", "#without cost")
    rows = [
        (*(one_line(str(getattr(row, name) or "-"), _WIDTHS.get(name, 60)) for name in report.by), *_numbers(row))
        for row in report.rows
    ]
    if report.by:
        rows.append((*("total" if index == 0 else "" for index in range(len(report.by))), *_numbers(report.total)))
    if not report.total.calls_without_cost:
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    print_whole(out, table(heads, rows))
    for remark in _remarks(report):
        out.print(remark, style="dim", soft_wrap=True)
    if report.explanation is not None:
        _print_prices(out, report.explanation)
    said = f"{counted(report.total.calls, 'model call')} as of position {report.standing.position}"
    out.print(said, style="dim", soft_wrap=True)
    if remark := left_out(report.standing.superseded_threads):
        out.print(remark, style="dim", soft_wrap=True)


def _print_prices(out: Console, explanation: "Explanation") -> None:
    """Print what computed costs are made of, and why others are not known."""
    heads = ("provider", "model", "listed as", "valid from", "kind", "#quantity", "#unit price", "#amount")
    rows = [
        (*(one_line(word, 60) for word in _priced(price)), part.kind, f"{part.quantity:,}", _unit(part), f"{part.amount:,.4f}")
        for price in explanation.prices
        for part in price.parts
    ]
    if rows:
        out.print(f"\nprices of {explanation.source}, in {explanation.currency}", soft_wrap=True)
        print_whole(out, table(heads, rows))
    if any(row[4] == "cache_write" for row in rows):
        remark = "cache_write: nobody said for how long it is kept; priced as the usual five minutes"
        out.print(remark, style="dim", soft_wrap=True)
    for none in explanation.not_priced:
        out.print(f"the cost of {counted(none.calls, 'call')} is not known: {none.reason}", style="dim", soft_wrap=True)


def _priced(price: "ModelPrice") -> Sequence[str]:
    model = price.model if price.service_tier in {None, "standard", "default"} else f"{price.model} ({price.service_tier})"
    return (price.provider or "-", model, price.listed_as, "-" if price.valid_from is None else price.valid_from.isoformat())


def _unit(part: "UnitPrice") -> str:
    return f"{part.unit_price:f} / {part.per:,}"


def _numbers(row: "UsageTotals") -> Sequence[str]:
    counts = (row.calls, row.input_tokens, row.output_tokens, row.cache_read_input_tokens, row.cache_creation_input_tokens)
    cost = " + ".join(f"{cost.total:,.4f} {currency}" for currency, cost in row.costs.items())
    without = f"{row.calls_without_cost:,}" if row.calls_without_cost else ""
    return (*("" if count is None else f"{count:,}" for count in counts), cost, without)


def _remarks(report: "UsageReport") -> Iterator[str]:
    total = report.total
    for currency, cost in total.costs.items():
        for source, amount in cost.computed.items():
            yield f"includes {amount:,.4f} {currency} that was not reported but computed from {source}"
    if total.calls_without_cost:
        only = "" if total.calls_without_cost == total.calls else "--without-cost "
        opened = "" if "call" in report.by else f"; the same with {only}--by run,call,model lists them"
        yield f"the cost of {counted(total.calls_without_cost, 'call')} is not known and not included{opened}"
