"""A conversation as of a run, a position or a time: what was said, and between it the tools that were called."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, SourcePart, TextPart
from runfold.domain.values import json_text
from runfold.history.compactions import Compaction, fold_compactions, model_context
from runfold.history.path import COMPACTION_EVENTS, TOOL_CALL_EVENTS, History, fold_tool_calls
from runfold.history.views import Message, ToolCallView
from runfold.terminal.text import one_line, shown

_STYLES = {"user": "bold cyan", "assistant": "bold green", "tool": "yellow", "system": "magenta", "developer": "magenta"}
_CALL_WORDS = 160


@dataclass(frozen=True)
class Conversation:
    """What was said and done along the path of one run."""

    thread_id: str
    run_id: str | None
    path: tuple[str, ...]
    as_of: int
    messages: list[Message]
    tool_calls: list[ToolCallView]
    compactions: list[Compaction] = field(default_factory=list)

    @classmethod
    def of(cls, thread_id: str, history: History | None, as_of: int) -> "Conversation":
        """The conversation at the end of a path; empty where the thread has no run."""
        if history is None:
            return cls(thread_id, None, (), as_of, [], [])
        path = tuple(segment.run_id for segment in history.path)
        calls, cuts = fold_tool_calls(history.events(TOOL_CALL_EVENTS)), fold_compactions(history.events(COMPACTION_EVENTS))
        return cls(thread_id, path[-1], path, as_of, history.messages(), calls, cuts)

    def as_seen(self) -> "Conversation":
        """What of it the model saw: after its last cut the summary, what was kept, and what came later."""
        seen = model_context(self.compactions, self.messages, self.tool_calls)
        return replace(self, messages=[*seen.messages], tool_calls=[*seen.tool_calls], compactions=self.compactions[-1:])

    def as_json(self) -> dict[str, Any]:
        """The conversation as JSON."""
        return {
            "as_of": self.as_of,
            "thread_id": self.thread_id,
            "run_id": self.run_id,
            "path": list(self.path),
            "messages": [message.model_dump(mode="json") for message in self.messages],
            "tool_calls": [call.model_dump(mode="json") for call in self.tool_calls],
            "compactions": [cut.model_dump(mode="json") for cut in self.compactions],
        }

    def drawn(self) -> Table:
        """Draw the conversation: the position, who, and what."""
        grid = Table.grid(padding=(0, 1), expand=False)
        grid.add_column(justify="right", style="dim", no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for position, who, words in self._lines():
            grid.add_row(str(position), who, words)
        return grid

    def _lines(self) -> Iterable[tuple[int, Text, Text]]:
        answered = {message.tool_call_id for message in self.messages if message.role == "tool"}
        said = [(message.added_position, _who(message), _words(message)) for message in self.messages]
        done = [
            (call.requested_position, Text("tool", _STYLES["tool"]), _call(call, with_result=call.id not in answered))
            for call in self.tool_calls
        ]
        cuts = [(cut.position, Text("memory", "bold yellow"), _cut(cut)) for cut in self.compactions]
        return sorted([*said, *done, *cuts], key=lambda line: line[0])


def _cut(cut: Compaction) -> Text:
    sizes = [f"{number:,}" for number in (cut.tokens_before, cut.tokens_after) if number is not None]
    tokens = f": {' → '.join(sizes)} tokens" if len(sizes) == 2 else f", {sizes[0]} tokens" if sizes else ""
    kept = "the summary, what was kept" if cut.kept_from_message_id else "the summary"
    seen = f"{kept} and what follows" if cut.summary_message_id else "what follows"
    return Text(f"── cut ({cut.trigger}{tokens}); it sees {seen} ──", "yellow")


_EXPECTED = {"user": "human:", "assistant": "agent:"}
"""Who is meant by a role, unless the author is named."""


def _who(message: Message) -> Text:
    """The role, or the author where it is somebody else than the role makes one think."""
    author, expected = message.author, _EXPECTED.get(message.role)
    named = author if author is not None and expected is not None and not author.startswith(expected) else None
    return shown(message.name or named or message.role, _STYLES.get(message.role, "bold"))


def _words(message: Message) -> Text:
    words = shown("".join(_part(part) for part in message.content))
    if message.revision > 1:
        words.append(f"  (revision {message.revision}, position {message.position})", "italic yellow")
    if message.streaming:
        words.append(" …", "dim")
    return words


def _part(part: Part) -> str:
    match part:
        case TextPart() | ReasoningPart():
            return part.text
        case FilePart():
            return f"[file {part.name or part.url or part.file_id or part.media_type}]"
        case SourcePart():
            return f"[source {part.title or part.url or part.document_id or ''}]"
        case DataPart():
            return f"[data {one_line(json_text(part.data), 80)}]"


def _call(call: ToolCallView, *, with_result: bool) -> Text:
    words = shown(f"{call.name} {in_words(call.arguments, call.arguments_text)}")
    match call.status:
        case "called" if call.needs_approval:
            words.append(" → waits for approval", "cyan")
        case "called" | "started":
            words.append(" → …", "dim")
        case "failed":
            words.append_text(shown(f" → failed: {one_line(call.error.message if call.error else '', _CALL_WORDS)}", "red"))
        case "cancelled":
            words.append(" → cancelled", "red")
        case _ if with_result:
            words.append_text(shown(f" → {in_words(call.result, json_text(call.result))}", "dim"))
    return words


def in_words(value: Any, text: str) -> str:
    """JSON as people write it, on one line: `order=7, amount=19.90 EUR`."""
    if isinstance(value, dict):
        text = ", ".join(f"{name}={member if isinstance(member, str) else json_text(member)}" for name, member in value.items())
    elif isinstance(value, str):
        text = value
    return one_line(text, _CALL_WORDS)


def beside(left: tuple[str, Conversation], right: tuple[str, Conversation], width: int) -> Table:
    """Draw two conversations side by side, each under its title."""
    drawn = Table(box=box.ROUNDED, width=width, border_style="dim", header_style="bold", padding=(0, 1))
    for title, _ in (left, right):
        drawn.add_column(title, ratio=1)
    drawn.add_row(left[1].drawn(), right[1].drawn())
    return drawn
