"""`runfold usage`: what model calls used and cost."""

from typing import Any

from runfold.cli.calling.call import Call
from runfold.cli.calling.folding import as_json
from runfold.cli.calling.lists import asking
from runfold.cli.calling.options import At, Fold, HappenedAt


def usage(call: Call, *, at: At = None, happened_at: HappenedAt = None, fold: Fold = False, **asked: Any) -> None:
    """Sum tokens and costs: by day, model, agent, goal … or several of them; of a run, its path or its whole tree.

    A count that was not reported is left empty rather than zero. Costs are as reported; where none was reported, the cost is
    computed from the list prices of its day. In JSON `cost` is exact, and `costs` says by currency which part was reported by
    whom, and which part was computed from which price list.

    Each filter takes - for calls that have none: --model - finds those of which nobody said the model. --by source keeps apart
    what several imports brought; --without-cost --by run,call lists the calls whose cost nobody knows.

    --explain adds the unit prices that the computed part is made of, since when they hold, and why a cost is not known.
    --prices VERSION computes by another version of the price list; its wheel must be in the folder RUNFOLD_PRICE_LISTS.
    """
    asked["by"] = ",".join(asked.get("by", ()))
    models = ("usage", "thread_tree") if asked.get("scope") == "tree" else ("usage",)
    with asking(call, *models, fold=fold, at=at, happened_at=happened_at) as reading:
        report = reading.usage(**asked)
    if call.json:
        items = {"by": report.by, "items": report.line_items(), "total": report.total_item(), "next_cursor": None}
        if report.explanation is not None:
            items["explanation"] = report.explanation.model_dump(mode="json")
        call.answer({**as_json(report.standing), **items})
        return
    from runfold.terminal.usage import print_usage

    print_usage(call.out, report)
