"""Tables: one function for each list, from its rows to what is drawn."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from runfold.terminal import styles
from runfold.terminal.text import duration, one_line, shown, to_the_minute

if TYPE_CHECKING:
    from runfold.handles.ledgers.keys import KeyView
    from runfold.history.heads import HeadView
    from runfold.projections.approval_queue import ApprovalRow
    from runfold.projections.decision_log import DecisionRow
    from runfold.projections.goals import GoalRow
    from runfold.projections.problems import ProblemRow
    from runfold.projections.runs.attention_row import AttentionRow
    from runfold.projections.runs.summary import RunSummary
    from runfold.projections.threads import ThreadRow
    from runfold.queries.approvals import ApprovalWords
    from runfold.queries.decisions import DecisionWords
    from runfold.queries.problems import ProblemWords
    from runfold.queries.runs.summary import RunSummaryView
    from runfold.queries.tool_calls import ListedToolCall

_OUTCOMES = {True: "success", False: "failure", None: "unknown"}
_PLACED = {"named": "named", "checked_out": "moved", "rewound": "rewound"}


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], wraps: str = "") -> Table:
    """A table whose cells stay whole, but for the column that `wraps` names. Columns named with a # are flush right."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for name in columns:
        fits = name == wraps
        made.add_column(
            name, no_wrap=not fits, overflow="fold" if fits else "ellipsis", justify="right" if name.startswith("#") else "left"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else shown("" if cell is None else str(cell)) for cell in row))
    for column in made.columns:
        column.header = str(column.header).removeprefix("#")
    return made


def status_cell(word: str, colours: Mapping[str, str]) -> Text:
    """Draw a state in its colour."""
    return shown(word, colours.get(word, ""))


def thread_table(threads: "Iterable[ThreadRow]") -> Table:
    """Draw threads."""
    heads = ("id", "title", "agent", "state", "#runs", "last active (UTC)", "#created at")
    rows = (
        (
            thread.thread_id,
            one_line(thread.title or "", 80),
            thread.agent_id,
            _state(thread),
            thread.runs,
            to_the_minute(thread.last_activity_at),
            thread.created_position,
        )
        for thread in threads
    )
    return table(heads, rows, wraps="title")


def _state(thread: "ThreadRow") -> str:
    return f"superseded by {', '.join(thread.superseded_by)}" if thread.superseded_by else thread.state


def head_table(heads: "Iterable[HeadView]") -> Table:
    """Draw the heads of a thread."""
    rows = (
        (
            head.name,
            head.run_id,
            "followed" if head.has_followed else "by hand",
            f"{_PLACED[head.placed.how]} at {head.placed.position} by {head.placed.by}" if head.placed else "never",
        )
        for head in heads
    )
    return table(("name", "run", "moved there", "last set by hand"), rows)


def run_table(runs: "Iterable[RunSummary]") -> Table:
    """Draw runs."""
    heads = ("id", "status", "agent", "#steps", "#calls", "#problems", "#duration", "created (UTC)")
    rows = (
        (
            run.run_id,
            status_cell(run.status, styles.RUN),
            one_line(run.agent_id, 40),
            run.steps,
            run.tool_calls,
            run.open_critical + run.open_warnings + run.open_minor,
            duration(run.duration_ns),
            to_the_minute(run.created_at),
        )
        for run in runs
    )
    return table(heads, rows, wraps="agent")


def attention_table(runs: "Iterable[AttentionRow]") -> Table:
    """Draw runs that need a person's attention."""
    rows = (
        (
            run.run_id,
            status_cell(run.severity, styles.SEVERITY),
            status_cell(run.status, styles.RUN),
            ", ".join(run.reasons),
            one_line(run.agent_id, 40),
            run.goal_id or "",
            to_the_minute(run.attention_since),
            to_the_minute(run.last_heard_at),
        )
        for run in runs
    )
    return table(
        ("run", "severity", "status", "reasons", "agent", "goal", "since (UTC)", "last heard of (UTC)"), rows, wraps="reasons"
    )


def failure_table(runs: "Iterable[RunSummaryView]") -> Table:
    """Draw failed runs."""
    rows = (
        (
            run.run_id,
            one_line(run.agent_id, 40),
            run.goal_id or "",
            to_the_minute(run.finished_at),
            one_line(f"{run.error.code}: {run.error.message}", 120) if run.error else "",
            run.tool_call_count,
            run.failed_tool_call_count,
            run.decision_count,
            run.problem_count,
        )
        for run in runs
    )
    heads = ("run", "agent", "goal", "failed (UTC)", "error", "#tool calls", "#of them failed", "#decisions", "#problems")
    return table(heads, rows, wraps="error")


def made_call_table(calls: "Iterable[ListedToolCall]", run_id: str) -> Table:
    """Draw the tool calls of one run, those that its past left open among them."""

    def status(call: "ListedToolCall") -> str:
        return call.status if call.requested_run_id in {None, run_id} else f"{call.status} (asked for by {call.requested_run_id})"

    rows = ((call.requested_position, call.name, status(call), _arguments(call, 60), call.call_id) for call in calls)
    return table(("#position", "tool", "status", "arguments", "id"), rows, wraps="arguments")


def tool_call_table(calls: "Iterable[ListedToolCall]") -> Table:
    """Draw tool calls of any runs."""
    rows = (
        (
            call.call_id,
            one_line(call.name or "", 40),
            status_cell(call.status, styles.TOOL_CALL),
            _arguments(call, 80),
            call.run_id,
            call.error_code or "",
            duration(call.duration_ns),
            to_the_minute(call.requested_at),
        )
        for call in calls
    )
    heads = ("id", "tool", "status", "arguments", "run", "error", "#duration", "requested (UTC)")
    return table(heads, rows, wraps="arguments")


def decision_table(decisions: "Iterable[DecisionRow]", words: "Mapping[tuple[str, str], DecisionWords]") -> Table:
    """Draw decisions, with what was decided."""
    rows = (
        (
            row.run_id,
            row.ordinal,
            row.decision_type,
            row.node_id or "",
            one_line(words[row.run_id, row.decision_id].line, 120),
            status_cell(_OUTCOMES[row.outcome_success], styles.OUTCOME),
            to_the_minute(row.made_at),
        )
        for row in decisions
    )
    return table(("run", "#no", "type", "node", "decision", "outcome", "made (UTC)"), rows, wraps="decision")


def approval_table(approvals: "Iterable[ApprovalRow]", words: "Mapping[str, ApprovalWords]") -> Table:
    """Draw approvals, with the arguments that were requested, and those that were granted where they are others."""
    heads = ("id", "status", "action", "arguments", "run", "requested (UTC)", "expires", "decided by")
    rows = (
        (
            row.approval_id,
            status_cell(row.status, styles.APPROVAL),
            one_line(row.action, 40),
            _allowed(words[row.approval_id]),
            row.run_id,
            to_the_minute(row.requested_at),
            to_the_minute(row.expires_at),
            row.decided_by or "",
        )
        for row in approvals
    )
    return table(heads, rows, wraps="arguments")


def _arguments(call: "ListedToolCall", limit: int) -> str:
    """What a call asked, and what was allowed where that is something else."""
    asked, allowed = one_line(call.arguments_text or "", limit), call.effective_arguments_text
    if allowed is None:
        return asked
    return f"{asked}; {'allowed' if call.status == 'called' else 'executed'} with {one_line(allowed, limit)}"


def _allowed(words: "ApprovalWords") -> str:
    asked, allowed = words.arguments_text, words.effective_arguments_text
    return one_line(asked, 80) + (f"; granted with {one_line(allowed, 80)}" if allowed and allowed != asked else "")


def problem_table(problems: "Iterable[ProblemRow]", words: "Mapping[tuple[str, str], ProblemWords]") -> Table:
    """Draw problems, with their descriptions."""
    heads = ("severity", "status", "description", "run", "goal", "reported (UTC)")
    rows = (
        (
            status_cell(row.severity, styles.SEVERITY),
            row.status,
            one_line(words[row.run_id, row.problem_id].description, 120),
            row.run_id,
            row.goal_id or "",
            to_the_minute(row.reported_at),
        )
        for row in problems
    )
    return table(heads, rows, wraps="description")


def goal_table(goals: "Iterable[GoalRow]") -> Table:
    """Draw goals."""
    heads = ("goal", "#runs", "#completed", "#failed", "#open", "#decisions", "#violations", "last run (UTC)")
    rows = (
        (
            one_line(row.goal_id, 80),
            row.runs,
            row.completed_runs,
            row.failed_runs,
            row.open_runs,
            row.decisions,
            row.hard_violations + row.soft_violations,
            to_the_minute(row.last_run_at),
        )
        for row in goals
    )
    return table(heads, rows, wraps="goal")


def row_table(columns: Sequence[str], rows: Iterable[Any]) -> Table:
    """Draw rows of any read model, all columns of them."""
    cells = (tuple(_cell(getattr(row, column)) for column in columns) for row in rows)
    return table(columns, cells, wraps=columns[-1])


def _cell(value: Any) -> str:
    return "" if value is None else one_line(str(value), 60)


def key_table(keys: "Iterable[KeyView]") -> Table:
    """Draw API keys."""
    rows = (
        (
            key.id,
            status_cell(key.status, styles.KEY),
            key.label,
            key.owner,
            ", ".join(key.scopes),
            f"{to_the_minute(key.created_at)} by {key.created_by}",
            to_the_minute(key.expires_at),
            f"{to_the_minute(key.revoked_at)} by {key.revoked_by}" if key.revoked_at else "",
        )
        for key in keys
    )
    return table(("id", "status", "label", "owner", "scopes", "created (UTC)", "expires", "revoked"), rows)
