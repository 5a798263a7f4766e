"""What the boundary of a compaction says of it: who asked for it, how many tokens there were, and what was kept."""

from typing import Any, Literal

from runfold.importers.claude.lines import Line


def stated(line: Line) -> dict[str, Any]:
    """Return what `compact_context` takes of a boundary; a count that is none is left out."""
    about = _metadata(line)
    counts = {"tokens_before": about.get("preTokens"), "tokens_after": about.get("postTokens")}
    trigger: Literal["auto", "manual"] = "manual" if about.get("trigger") == "manual" else "auto"
    return {"trigger": trigger, **{name: count for name, count in counts.items() if type(count) is int and count >= 0}}


def kept_from(line: Line) -> str | None:
    """Return the uuid of the first line that was kept as it was."""
    segment = _metadata(line).get("preservedSegment")
    head = segment.get("headUuid") if isinstance(segment, dict) else None
    return head if isinstance(head, str) else None


def _metadata(line: Line) -> dict[str, Any]:
    about = line.record.get("compactMetadata")
    return about if isinstance(about, dict) else {}
