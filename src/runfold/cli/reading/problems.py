"""`runfold problems`, `failures` and `attention`: what went wrong, and which runs need a person."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.folding import as_json
from runfold.cli.calling.lists import answer, asking, page_of, print_page, with_words
from runfold.cli.calling.options import At, Fold, HappenedAt

if TYPE_CHECKING:
    from runfold.queries.runs.failure import FailureAnalysis


def problems(
    call: Call,
    *,
    open: Annotated[bool, typer.Option("--open", help="Only open problems.")] = False,
    at: At = None,
    happened_at: HappenedAt = None,
    fold: Fold = False,
    **asked: Any,
) -> None:
    """List the problems that runs reported, the most severe first, then the oldest.

    In JSON each item has its texts (description, cause, fix, resolution) under `words`.
    """
    if open:
        asked["status"] = ["open", *asked.get("status", ())]
    with asking(call, "problems", fold=fold, at=at, happened_at=happened_at) as reading:
        page = page_of(reading.problems, asked)
        words = reading.problem_words(page.items)
    if call.json:
        answer(call, page, with_words(page.items, (words[row.run_id, row.problem_id] for row in page.items)))
        return
    from runfold.terminal.tables import problem_table

    print_page(call, problem_table(page.items, words), page, "problem")


def failures(
    call: Call,
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Explain why this run failed, instead of a list.")] = None,
    *,
    at: At = None,
    happened_at: HappenedAt = None,
    fold: Fold = False,
    **asked: Any,
) -> None:
    """List the failed runs, the last first; or explain one: where it failed, why, and what to try.

    It failed at the last tool call, step or model call of whose error the run's own speaks; else at the first decision that
    failed; else at the last of those calls and steps.
    """
    from runfold.queries.runs.summary import MODELS

    with asking(call, *MODELS, fold=fold, at=at, happened_at=happened_at) as reading:
        if run_id is not None:
            _explain(call, reading.analyze_failure(run_id))
            return
        page = page_of(reading.failures, asked)
    if call.json:
        answer(call, page, [summary.model_dump(mode="json", exclude={"standing"}) for summary in page.items])
        return
    from runfold.terminal.tables import failure_table

    print_page(call, failure_table(page.items), page, "failed run")


def _explain(call: Call, found: "FailureAnalysis") -> None:
    if call.json:
        call.answer({**as_json(found.standing), **found.model_dump(mode="json", exclude={"standing"})})
        return
    from runfold.terminal.runs import print_failure

    print_failure(call.out, found)


def attention(call: Call, *, at: At = None, happened_at: HappenedAt = None, fold: Fold = False, **asked: Any) -> None:
    """List the runs that need a person's attention, with the reasons and how bad the worst is, the last flagged first.

    Critical: failed, stuck. Warning: waiting for a person; a failed tool call or step; more than 3 retries or 2 approval
    requests; never_started and silent: not waiting, not ended, and not heard of for --silent-for. Minor: more than 60 seconds
    of work, 100,000 tokens or 20 steps; runs with nothing worse are listed with --severity minor or their --reason.
    """
    with asking(call, "attention", fold=fold, at=at, happened_at=happened_at) as reading:
        page = page_of(reading.attention, asked)
    if call.json:
        answer(call, page)
        return
    from runfold.terminal.tables import attention_table

    print_page(call, attention_table(page.items), page, "run")
    if not asked.keys() & {"severity", "reason"}:
        call.out.print(
            "runs that only took long or used much are left out; --severity minor lists them", style="dim", soft_wrap=True
        )
