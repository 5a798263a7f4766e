"""One run: at a glance, in a few sentences, and why it failed."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from runfold.domain.json_text import json_text
from runfold.terminal.console import print_whole
from runfold.terminal.tables import made_call_table
from runfold.terminal.text import counted, duration, one_line, shown

if TYPE_CHECKING:
    from runfold.history.views import RunView
    from runfold.queries.runs.failure import FailureAnalysis
    from runfold.queries.runs.summary import RunSummaryView
    from runfold.queries.tool_calls import ListedToolCall

_MOST_PARTS = 10


def print_run(out: Console, view: "RunView", calls: "list[ListedToolCall]") -> None:
    """Print a run's state, what it counts, and its tool calls."""
    parent = view.parent
    facts = {
        "status": f"{view.status} ({view.stop_reason})" if view.stop_reason not in {None, view.status} else view.status,
        "thread": view.thread_id,
        "agent": view.agent_id,
        "parent": f"{parent.kind} {parent.run_id} at version {parent.at_version}" if parent else "none: a root",
        "goal": f"{view.goal.id}: {view.goal.description}" if view.goal else None,
        "attempt": str(view.attempt),
        "worker": view.worker,
        "workflow": view.workflow_id,
        "waits for": ", ".join(view.waiting_for) or None,
        "input": None if view.input is None else one_line(json_text(view.input)),
        "output": None if view.output is None else one_line(json_text(view.output)),
        "error": f"{view.error.code}: {one_line(view.error.message)}" if view.error else None,
        "counts": f"{counted(view.messages, 'message')}, {counted(view.tool_calls, 'tool call')} ({view.open_tool_calls} open), "
        f"{counted(view.decisions, 'decision')}, {counted(view.problems, 'problem')}",
        "memory": f"cut {counted(view.compactions, 'time')}; see `runfold thread --as-seen`" if view.compactions else None,
        "created": f"{view.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "last event": f"{view.last_event_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    out.print(shown(view.id, "bold"))
    _print_facts(out, facts)
    if calls:
        out.print()
        print_whole(out, made_call_table(calls, view.id))


def print_summary(out: Console, found: "RunSummaryView") -> None:
    """Print a run in a few sentences."""
    metrics = found.metrics
    lasted = "" if found.duration_ms is None else f" after {duration(found.duration_ms * 10**6)}"
    out.print(shown(f"{found.run_id}  {found.status}{lasted}", "bold"), soft_wrap=True)
    out.print(shown(found.narrative), soft_wrap=True)
    has_outcomes = bool(metrics.successful_decisions + metrics.failed_decisions)
    rates = f"{found.success_rate:.0%} successful, {found.resolved_success_rate:.0%} of those with an outcome"
    rates = rates if has_outcomes else "nobody said what came of them"
    facts = {
        "goal": found.goal_id,
        "error": f"{found.error.code}: {found.error.message}" if found.error else None,
        "messages": f"{found.message_count:,}",
        "calls": f"{counted(found.model_call_count, 'model call')}, {counted(found.tool_call_count, 'tool call')}"
        + (f" ({found.failed_tool_call_count:,} failed)" if found.failed_tool_call_count else ""),
        "decisions": f"{found.decision_count:,}{f': {rates}' if found.decision_count else ''}",
        "problems": f"{found.problem_count:,}",
        "tokens": f"{metrics.total_tokens:,} used by decisions" if metrics.total_tokens else None,
        "nodes": " → ".join(metrics.nodes_executed) or None,
    }
    _print_facts(out, facts)
    lists = {
        "Key decisions": found.key_decisions,
        "Critical problems": found.critical_problems,
        "Warnings": found.warnings,
        "What worked": found.successes,
    }
    print_lists(out, lists)
    out.print(f"\nas of position {found.standing.position}", style="dim")


def print_failure(out: Console, found: "FailureAnalysis") -> None:
    """Print why a run failed."""
    out.print(shown(f"{found.run_id}  {found.error.code}: {found.error.message}", "bold"), soft_wrap=True)
    out.print(shown(f"  failed at  {found.failure_point}"), soft_wrap=True)
    out.print(shown(f"  because    {found.root_cause}"), soft_wrap=True)
    parts = [part.line for part in found.failed_parts]
    left = [f"… and {len(parts) - _MOST_PARTS:,} before; --json names them all"] if len(parts) > _MOST_PARTS else []
    lists = {
        "What failed": [*left, *parts[-_MOST_PARTS:]],
        "Decisions up to the first without success": found.decision_chain,
        "Problems": found.problems,
        "What to try": found.suggestions,
    }
    print_lists(out, lists)
    out.print(f"\nas of position {found.standing.position}", style="dim")


def print_lists(out: Console, lists: "Mapping[str, Iterable[str]]") -> None:
    """Print each list that is not empty, under its title."""
    for title, lines in lists.items():
        texts = list(lines)
        if texts:
            out.print(f"\n{title}", style="bold")
        for text in texts:
            out.print(shown(f"  {text}"), soft_wrap=True)


def _print_facts(out: Console, facts: Mapping[str, str | None]) -> None:
    for name, fact in facts.items():
        if fact is not None:
            out.print(shown(f"  {name:<11}{fact}"), soft_wrap=True)
