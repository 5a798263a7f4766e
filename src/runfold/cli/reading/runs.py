"""`runfold runs`, `run`, `tool-calls`, `decisions`, `summary` and `diff`: what runs are and did."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call, pinned
from runfold.cli.calling.folding import as_json
from runfold.cli.calling.lists import PAGES, answer, asking, page_of, print_page, with_words
from runfold.cli.calling.options import At, Fold, HappenedAt, RunId

if TYPE_CHECKING:
    from runfold.queries.reading import Reading
    from runfold.queries.tool_calls import ListedToolCall


def run(
    call: Call,
    run_id: RunId,
    at_version: Annotated[
        int | None, typer.Option("--version", min=1, metavar="N", help="As of this version of the run's stream.")
    ] = None,
    at: At = None,
    happened_at: HappenedAt = None,
) -> None:
    """Show a run: its state, what it counts, and its tool calls.

    For its events, see `runfold events --run RUN`.
    """
    from runfold.errors import UsageError

    with call.ledger() as ledger:
        reading = pinned(call, ledger, at, happened_at)
        view = reading.run(run_id, at_version)
        if at_version is not None and at_version > view.version:
            raise UsageError(f"{run_id} is at version {view.version} and has no version {at_version} yet", version=view.version)
        calls = _all_calls(reading.at(min(view.position, reading.up_to)), run_id)
    if call.json:
        tool_calls = [tool_call.model_dump(mode="json") for tool_call in calls]
        call.answer({"as_of": reading.up_to, **view.model_dump(mode="json"), "tool_calls_made": tool_calls})
        return
    from runfold.terminal.runs import print_run

    print_run(call.out, view, calls)
    call.out.print(f"\nversion {view.version}, as of position {reading.up_to}", style="dim")


def _all_calls(reading: "Reading", run_id: str) -> "list[ListedToolCall]":
    page = reading.tool_calls(run_id=run_id, limit=1000)
    found = [*page.items]
    while page.next_cursor is not None:
        page = reading.tool_calls(run_id=run_id, limit=1000, cursor=page.next_cursor)
        found += page.items
    return found


def summary(call: Call, run_id: RunId, at: At = None, happened_at: HappenedAt = None, fold: Fold = False) -> None:
    """Summarize a run: how it went, its key decisions, its problems, what worked.

    Key decisions are the first five that failed or were rated outstanding. The narrative is the run's own where it recorded
    one at its end.
    """
    from runfold.queries.runs.summary import MODELS

    with asking(call, *MODELS, fold=fold, at=at, happened_at=happened_at) as reading:
        found = reading.summary(run_id)
    if call.json:
        call.answer({**as_json(found.standing), **found.model_dump(mode="json", exclude={"standing"})})
        return
    from runfold.terminal.runs import print_summary

    print_summary(call.out, found)


def runs(
    call: Call,
    *,
    count: Annotated[bool, typer.Option("--count", help="Say only how many there are.", rich_help_panel=PAGES)] = False,
    at: At = None,
    happened_at: HappenedAt = None,
    fold: Fold = False,
    **asked: Any,
) -> None:
    """List runs, newest first: by agent, status, goal, tool, duration …

    Different options must all match. Runs that have no duration yet are not found by duration.
    """
    with asking(call, "run_summaries", fold=fold, at=at, happened_at=happened_at) as reading:
        if count:
            _print_count(call, reading, asked)
            return
        page = page_of(reading.runs, asked)
    if call.json:
        answer(call, page)
        return
    from runfold.terminal.tables import run_table

    print_page(call, run_table(page.items), page, "run")


def _print_count(call: Call, reading: "Reading", asked: dict[str, Any]) -> None:
    from runfold.errors import UsageError
    from runfold.terminal.text import counted, left_out

    of_pages = {"order_by", "order", "limit", "cursor", "all"}
    if given := sorted(name for name in of_pages & asked.keys() if asked[name]):
        raise UsageError(f"--count says how many there are in all; leave out --{given[0].replace('_', '-')}")
    found = reading.count_runs(**{name: value for name, value in asked.items() if name not in of_pages})
    if call.json:
        call.answer({**as_json(found.standing), "runs": found.runs})
        return
    call.out.print(f"{counted(found.runs, 'run')} as of position {found.standing.position}", soft_wrap=True)
    if remark := left_out(found.standing.superseded_threads):
        call.out.print(remark, style="dim", soft_wrap=True)


def tool_calls(call: Call, *, at: At = None, happened_at: HappenedAt = None, fold: Fold = False, **asked: Any) -> None:
    """List tool calls, newest first: by tool, status, run, agent, error …; those of one run oldest first.

    The calls of one run alone are read from the log, and are never behind. What its past left open is among them; with
    --scope path all calls along its path from the root are.
    """
    of_log = len(asked.get("run_id", ())) == 1 or asked.get("scope") == "path"
    with asking(call, *(() if of_log else ("tool_calls",)), fold=fold and not of_log, at=at, happened_at=happened_at) as reading:
        page = page_of(reading.tool_calls, {**asked, "content": True})
    if call.json:
        answer(call, page)
        return
    from runfold.terminal.tables import tool_call_table

    print_page(call, tool_call_table(page.items), page, "tool call")


def decisions(call: Call, *, at: At = None, happened_at: HappenedAt = None, fold: Fold = False, **asked: Any) -> None:
    """List decisions, newest first: by run, node, goal, type, outcome …

    In JSON each item has its texts (intent, options, reasoning, outcome, evaluation) under `words`.
    """
    with asking(call, "decision_log", fold=fold, at=at, happened_at=happened_at) as reading:
        page = page_of(reading.decisions, asked)
        words = reading.decision_words(page.items)
    if call.json:
        answer(call, page, with_words(page.items, (words[row.run_id, row.decision_id] for row in page.items)))
        return
    from runfold.terminal.tables import decision_table

    print_page(call, decision_table(page.items, words), page, "decision")


def diff(
    call: Call,
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="A run's id, as `runfold tree` shows it.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Another run's id, of any thread.")],
    version_a: Annotated[
        int | None, typer.Option("--version-a", metavar="N", help="The first run as of this version of it.")
    ] = None,
    version_b: Annotated[
        int | None, typer.Option("--version-b", metavar="N", help="The second run as of this version of it.")
    ] = None,
    at: At = None,
    happened_at: HappenedAt = None,
) -> None:
    """Show where two runs diverge, and what happened differently after that, side by side.

    Each run stands for its path from the root. The common part of both paths is named and left out; runs that have none,
    such as two attempts at one task, are compared from their beginnings. Messages, decisions, tool calls, approvals and
    endings are compared; usage and cost are of what comes after the common part. It is read from the log, not from read
    models.
    """
    with call.ledger() as ledger:
        reading = pinned(call, ledger, at, happened_at)
        found = reading.diff(run_a, run_b, version_a=version_a, version_b=version_b)
    if call.json:
        call.answer(found.model_dump(mode="json"))
        return
    from runfold.terminal.difference import print_difference

    print_difference(call.out, found)
