"""Two runs side by side: what they used and how they ended, and step by step what differs."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runfold.domain.json_text import json_text
from runfold.history.alignment import Pair
from runfold.history.outline import Kind, Step
from runfold.projections.usage_totals import UNSTATED
from runfold.queries.runs.difference import FirstDivergence, RunDiff, Side, Stretch
from runfold.queries.usage.totals import UsageTotals
from runfold.terminal import styles
from runfold.terminal.console import print_fitted
from runfold.terminal.text import counted, one_line, seconds, shown
from runfold.terminal.words import in_words

_MOST_COLUMNS = 160
_LONG, _SHORT, _CONTEXT = 320, 90, 40
"""Characters shown of what differs, of what does not, and of what comes before the first difference."""

_NOUNS: dict[Kind, str] = {
    "message": "message",
    "revision": "revision",
    "decision": "decision",
    "outcome": "outcome",
    "tool_call": "tool call",
    "tool_result": "tool result",
    "approval": "approval",
    "verdict": "verdict",
    "compaction": "compaction",
    "ending": "ending",
}
_WHO = {"tool_call": "tool", "tool_result": "tool", "verdict": "approval", "ending": "end"}
_WHO_STYLES = {
    "user": "bold cyan",
    "assistant": "bold green",
    "tool": "yellow",
    "decision": "bold blue",
    "outcome": "blue",
    "end": "bold",
}
_HEADING = {"tool", "action", "intent"}
"""Facts that stand beside who acted, in the first line of a cell."""
_UNNAMED = {"text", "status"}
_UNSHOWN = {"role", "name", "error_code"}


def print_difference(out: Console, found: RunDiff) -> None:
    """Print both runs as wholes, what they have in common, the first divergence, and every step after the common part."""
    width = min(out.width, _MOST_COLUMNS)
    print_fitted(out, _sides(found), width)
    out.print(f"\n{_in_common(found)}", soft_wrap=True)
    if found.divergence:
        _print_divergence(out, found, found.divergence)
        out.print()
        print_fitted(out, _steps_beside(found, width), width)
    elif found.pairs:
        out.print("Everything after that is the same.", style="bold")
    out.print(f"as of position {found.as_of}", style="dim")


def _in_common(found: RunDiff) -> str:
    common = found.common
    if common is None:
        return "They have nothing in common; compared from their beginnings."
    if found.a.run_id == found.b.run_id:
        return "Both are the same run."
    held = [
        counted(common.messages, "message"),
        counted(common.decisions, "decision"),
        counted(common.tool_calls, "tool call"),
    ]
    return f"In common up to version {common.version} of {common.run_id} (position {common.position}): {', '.join(held)}."


def _print_divergence(out: Console, found: RunDiff, first: FirstDivergence) -> None:
    before = _summed(found.pairs[: first.number - 1])
    after = f", after {before} that are the same" if before else ""
    out.print(f"First divergence at step {first.number}{after}: {_what(first)}.", style="bold", soft_wrap=True)
    if choice := found.decision_divergence:
        intent, *chosen = (one_line(str(text), 80) for text in (choice.a.facts["intent"], *map(_choice, (choice.a, choice.b))))
        said = f"First different choice at decision {choice.ordinal}, {intent}: {' / '.join(chosen)}."
        out.print(shown(said), soft_wrap=True)


def _choice(step: Step) -> str:
    return str(step.facts.get("choice") or step.facts["chosen"])


def _what(first: FirstDivergence) -> str:
    if first.a is None or first.b is None:
        ended, more = ("A", first.b) if first.a is None else ("B", first.a)
        return f"{ended} has ended, and the other has {_named(more.kind) if more else ''}"
    if first.differs == ("kind",):
        return f"A has {_named(first.a.kind)}, B {_named(first.b.kind)}"
    names = ", ".join(name.replace("_", " ") for name in first.differs)
    return f"{_named(first.a.kind)} with another {names}"


def _named(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind.replace('_', ' ')}"


def _sides(found: RunDiff) -> Table:
    """The two runs as wholes, then what their paths hold after they parted. What is the same is dim."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    made.add_column("")
    for run_id in (found.a.run_id, found.b.run_id):
        made.add_column(run_id, overflow="fold")
    a, b = _wholes(found.a, found.nodes_only_in_a), _wholes(found.b, found.nodes_only_in_b)
    parted, parted_in = ("after parting", found.common.run_id) if found.common else ("in all", None)
    a, b = (
        {**a, parted: _runs(found.a.after, parted_in), **_after(found.a.after)},
        {**b, parted: _runs(found.b.after, parted_in), **_after(found.b.after)},
    )
    for name in a:
        if a[name] or b[name]:
            style = "dim" if a[name] == b[name] else ""
            made.add_row(Text(name, "dim"), shown(a[name], style), shown(b[name], style))
    return made


def _wholes(side: Side, own_nodes: Sequence[str]) -> dict[str, str]:
    why = f" ({side.stop_reason})" if side.stop_reason not in {None, side.status} else ""
    return {
        "thread": side.thread_id,
        "agent": side.agent_id,
        "from": f"{side.parent_kind} {side.parent_run_id}" if side.parent_run_id else "",
        "status": f"{side.status}{why}",
        "took": _seconds(side.duration_ns),
        "decisions": f"{side.decisions}, {side.success_rate:.0%} came out well" if side.decisions else "",
        "only its nodes": ", ".join(own_nodes),
    }


def _runs(after: Stretch, parted_in: str | None) -> str:
    if len(after.runs) > 1:
        return " → ".join(after.runs)
    return "the rest of it" if after.runs == (parted_in,) else "the whole run" if after.runs else "no more"


def _after(after: Stretch) -> dict[str, str]:
    steps = [counted(number, _NOUNS[kind]) for kind, number in after.steps.items() if kind != "ending"]
    return {
        "  steps": ", ".join(steps),
        "  lasted": _seconds(after.elapsed_ns),
        "  tokens": _tokens(after.usage),
        "  cost": ", ".join(_costs(after.usage)),
    }


def _seconds(nanoseconds: int | None) -> str:
    return seconds(None if nanoseconds is None else nanoseconds / 10**9)


def _tokens(usage: UsageTotals) -> str:
    counts = {
        "in": usage.input_tokens,
        "out": usage.output_tokens,
        "read from cache": usage.cache_read_input_tokens,
        "written to cache": usage.cache_creation_input_tokens,
    }
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count is not None)
    return f"{said or 'not reported'}, {counted(usage.calls, 'call')}" if usage.calls else ""


def _by(source: str) -> str:
    return "reported" if source == UNSTATED else f"by {source}"


def _costs(usage: UsageTotals) -> Iterator[str]:
    for currency, cost in usage.costs.items():
        sources = [*(f"{amount:f} {_by(source)}" for source, amount in cost.reported.items())]
        sources += [f"{amount:f} at list prices" for amount in cost.computed.values()]
        yield f"{cost.total:f} {currency} ({', '.join(sources)})"
    if usage.calls_without_cost:
        yield f"of {counted(usage.calls_without_cost, 'call')} not known"


def _steps_beside(found: RunDiff, width: int) -> Table:
    """Every step after the common part: the same ones folded away, the others beside each other."""
    made = Table(box=box.ROUNDED, width=width, border_style="dim", header_style="bold", padding=(0, 1))
    for side in (found.a, found.b):
        made.add_column(side.run_id, ratio=1, overflow="fold")
    for are_same, pairs in groupby(found.pairs, key=lambda pair: pair.how == "same"):
        if are_same:
            folded = Text(f"… the same: {_summed(pairs)}", "dim italic")
            made.add_row(folded, folded)
        else:
            for pair in pairs:
                made.add_row(*_cells(pair))
        made.add_section()
    return made


def _summed(pairs: Iterable[Pair]) -> str:
    """`2 messages, 1 tool call`: steps that are the same."""
    counts: dict[Kind, int] = {}
    for step in (pair.a for pair in pairs if pair.a):
        counts[step.kind] = counts.get(step.kind, 0) + 1
    return ", ".join(counted(number, _NOUNS[kind]) for kind, number in counts.items())


def _cells(pair: Pair) -> tuple[Text, Text]:
    nothing = Text("")
    return (
        _cell(pair.a, pair.b, pair.differs) if pair.a else nothing,
        _cell(pair.b, pair.a, pair.differs) if pair.b else nothing,
    )


def _cell(step: Step, other: Step | None, differs: Sequence[str]) -> Text:
    """The position and who, and below it the facts: those that differ from the first difference on, the others short and dim."""
    facts = step.facts
    who = str(facts.get("name") or facts.get("role") or _WHO.get(step.kind, step.kind))
    cell = Text.assemble((f"{step.position} ", "dim"), shown(who, _WHO_STYLES.get(who, "magenta")))
    for name in _HEADING & facts.keys():
        cell.append_text(shown(f" {one_line(str(facts[name]), _SHORT)}", "" if name in differs else "dim"))
    if step.kind in {"revision", "tool_result", "verdict"}:
        cell.append(f" ({_NOUNS[step.kind]} of what was before)", "dim italic")
    for name in [name for name in facts if name not in _HEADING | _UNSHOWN]:
        cell.append(" · " if "\n" in cell.plain else "\n", "dim")
        if name not in _UNNAMED:
            cell.append(f"{name.replace('_', ' ')} ", "dim")
        cell.append_text(_fact(name, facts[name], other, differs))
    return cell


def _fact(name: str, value: Any, other: Step | None, differs: Sequence[str]) -> Text:
    style = styles.RUN.get(str(value), "") if name == "status" else ""
    if other is None or differs == ("kind",):
        return shown(one_line(_words(value), _LONG), style)
    if name not in differs:
        return shown(one_line(_words(value), _SHORT), "dim")
    if name not in other.facts:
        return shown(one_line(_words(value), _LONG), style)
    return shown(_from_difference(_words(value), _words(other.facts[name])), style)


def _words(value: Any) -> str:
    return value if isinstance(value, str) else in_words(value, json_text(value)) if isinstance(value, dict) else json_text(value)


def _from_difference(text: str, other: str) -> str:
    """Return the part of a text that differs, with a little of what comes before it."""
    one, two = " ".join(text.split()), " ".join(other.split())
    if one == two:
        return f"{one_line(one, _SHORT)} (only blanks and line ends differ)"
    same = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    start = same - _CONTEXT if same > _CONTEXT * 2 else 0
    return ("…" if start else "") + one_line(one[start:], _LONG)
