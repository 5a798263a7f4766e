"""`runfold diff`: two runs side by side, and where they part."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call, pinned
from runfold.cli.threads import At

if TYPE_CHECKING:
    from runfold.history.outline import Step
    from runfold.queries.difference import FirstDivergence, RunDiff

_MOST_COLUMNS = 160


def diff(
    call: Call,
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="A run's id, as `runfold tree` shows it.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Another's, of any thread.")],
    at: At = None,
) -> None:
    """Show where two runs part, and what happened differently after that, side by side.

    Each run stands for its path from the root. What both paths share is named and left out; runs that share nothing, such
    as two attempts at one task, are compared from their beginnings. Compared is what was said, decided, called, allowed
    and how it ended; usage and cost are of what comes after the common part. Straight from the log: needs no read model.
    """
    with call.ledger() as ledger:
        found = pinned(ledger, at).diff(run_a, run_b)
    if call.json:
        call.answer(found.model_dump(mode="json"))
        return
    from runfold.cli.beside import sides, steps_beside
    from runfold.cli.terminal import print_fitted

    width = min(call.out.width, _MOST_COLUMNS)
    print_fitted(call.out, sides(found), width)
    call.out.print(f"\n{_in_common(found)}", soft_wrap=True)
    if found.divergence:
        _print_divergence(call, found, found.divergence)
        call.out.print()
        print_fitted(call.out, steps_beside(found, width), width)
    elif found.pairs:
        call.out.print("Everything after that is the same.", style="bold")
    call.out.print(f"as of position {found.as_of}", style="dim")


def _in_common(found: "RunDiff") -> str:
    from runfold.cli.terminal import counted

    common = found.common
    if common is None:
        return "They have nothing in common; compared from their beginnings."
    if found.a.run_id == found.b.run_id:
        return "It is one run, compared with itself."
    held = [
        counted(common.messages, "message"),
        counted(common.decisions, "decision"),
        counted(common.tool_calls, "tool call"),
    ]
    return f"In common up to version {common.version} of {common.run_id} (position {common.position}): {', '.join(held)}."


def _print_divergence(call: Call, found: "RunDiff", first: "FirstDivergence") -> None:
    from runfold.cli.beside import summed
    from runfold.cli.terminal import one_line, shown

    before = summed(found.pairs[: first.number - 1])
    after = f", after {before} that are the same" if before else ""
    call.out.print(f"First divergence at step {first.number}{after}: {_what(first)}.", style="bold", soft_wrap=True)
    if choice := found.decision_divergence:
        intent, *chosen = (one_line(str(text), 80) for text in (choice.a.facts["intent"], *map(_choice, (choice.a, choice.b))))
        said = f"First other choice at decision {choice.ordinal}, {intent}: {' / '.join(chosen)}."
        call.out.print(shown(said), soft_wrap=True)


def _choice(step: "Step") -> str:
    return str(step.facts.get("choice") or step.facts["chosen"])


def _what(first: "FirstDivergence") -> str:
    if first.a is None or first.b is None:
        ended, more = ("A", first.b) if first.a is None else ("B", first.a)
        return f"{ended} has nothing more, the other {_named(more.kind) if more else ''}"
    if first.differs == ("kind",):
        return f"A has {_named(first.a.kind)}, B {_named(first.b.kind)}"
    names = ", ".join(name.replace("_", " ") for name in first.differs)
    return f"{_named(first.a.kind)} with another {names}"


def _named(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind.replace('_', ' ')}"
