"""The lines of a conversation, each with its moment and whose doing it is: what was said, called, asked for and allowed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from rich.text import Text

from runfold.domain.json_text import json_text
from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, SourcePart, TextPart
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunFailed
from runfold.history.approvals import Approvals, approval_view
from runfold.history.compactions import Compaction
from runfold.history.views import Message, ToolCallView
from runfold.terminal.approval_words import ApprovalWords
from runfold.terminal.text import one_line, shown
from runfold.terminal.words import FEW_WORDS, FEWER_WORDS, Words, in_words

_STYLES = {"user": "bold cyan", "assistant": "bold green", "tool": "yellow", "system": "magenta", "developer": "magenta"}


class Line(NamedTuple):
    """One line: where it stands in the ledger, when it happened, who or what it is, whose doing, and the words."""

    position: int
    at: datetime | None
    who: Text
    by: str
    words: Text


@dataclass(frozen=True)
class Lines:
    """Makes the lines; without `full`, what is long is cut."""

    calls: Mapping[str, ToolCallView]
    answers: Mapping[str, Message]
    """The message in which the model saw what came of a call, by the call."""
    full: bool = False

    @property
    def words(self) -> Words:
        """How texts and JSON are written."""
        return Words(self.full)

    def of_messages(self, messages: Iterable[Message]) -> Iterator[Line]:
        """What was said, without what stands at its call, and without messages that only carry calls."""
        carrying = {call.message_id for call in self.calls.values()}
        for message in messages:
            if message.tool_call_id in self.calls and message.role == "tool":
                continue
            words = self._said(message)
            if words.plain.strip():
                yield Line(message.added_position, message.added_at, _who(message), message.actor or "", words)
            elif message.id not in carrying:
                nothing = Text("says nothing", "dim italic")
                yield Line(message.added_position, message.added_at, _who(message), message.actor or "", nothing)

    def of_calls(self) -> Iterator[Line]:
        """What was called, with what came of it."""
        for call in self.calls.values():
            who = Text("tool", _STYLES["tool"])
            yield Line(call.requested_position, call.requested_at, who, call.actor or "", self._called(call))

    def of_cuts(self, cuts: Iterable[Compaction]) -> Iterator[Line]:
        """Where the model's memory was cut."""
        return (Line(cut.position, cut.compacted_at, Text("memory", "bold yellow"), "", _cut(cut)) for cut in cuts)

    def of_approvals(self, approvals: Approvals) -> Iterator[Line]:
        """Who was asked, and who decided what."""
        for events in approvals.values():
            told = ApprovalWords(approval_view(events), self.calls, self.words)
            for recorded in events:
                if (words := told.of(recorded)) is not None:
                    yield Line(recorded.position, recorded.happened_at, Text("approval", "bold yellow"), told.by(recorded), words)

    def of_events(self, events: Iterable[Recorded]) -> Iterator[Line]:
        """What else happened to the runs: bad ends, and with `full` everything that has no other line."""
        for recorded in events:
            match recorded.event:
                case RunFailed() as failed:
                    who, words = Text("run", "bold red"), self._failure(failed.error.code, failed.error.message)
                case RunCancelled() as cancelled:
                    who, words = Text("run", "bold red"), Text(f"cancelled{self.words.because(cancelled.reason)}", "red")
                case event:
                    data = event.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
                    who, words = Text(recorded.type, "dim"), shown(in_words(data, "", None), "dim")
            yield Line(recorded.position, recorded.happened_at, who, str(recorded.metadata.actor), words)

    def _said(self, message: Message) -> Text:
        text = "".join(self._part(part) for part in message.content)
        words = shown(text if self.full else "\n".join(line for line in text.splitlines() if line.strip()))
        if message.revision > 1:
            words.append(f"  (revision {message.revision}, position {message.position})", "italic yellow")
        if message.streaming:
            words.append(" …", "dim")
        return words

    def _part(self, part: Part) -> str:
        match part:
            case TextPart() | ReasoningPart():
                return part.text
            case _ if self.full:
                return f"[{in_words(part.model_dump(mode='json', exclude_none=True), '', None)}]"
            case FilePart():
                return f"[file {part.name or part.url or part.file_id or part.media_type}]"
            case SourcePart():
                return f"[source {part.title or part.url or part.document_id or ''}]"
            case DataPart():
                return f"[data {one_line(json_text(part.data), FEWER_WORDS)}]"

    def _called(self, call: ToolCallView) -> Text:
        words = shown(f"{call.name} {self.words.json(call.arguments, call.arguments_text)}".rstrip())
        if call.effective_arguments_text is not None:
            done = "allowed with" if call.status == "called" else "executed with"
            words.append(f"; {done} ", "bold yellow")
            words.append_text(shown(self.words.json(call.effective_arguments, call.effective_arguments_text)))
        words.append_text(self._outcome(call))
        answer = self.answers.get(call.id)
        is_told = answer is not None and (self.full or (call.status == "succeeded" and call.result is None))
        if answer is not None and is_told:
            text = self._said(answer)
            if text.plain.strip() and text.plain not in words.plain:
                words.append_text(
                    Text.assemble(("\n→ " if self.full else " → "), text if self.full else self._cut(text), style="dim")
                )
        return words

    def _outcome(self, call: ToolCallView) -> Text:
        match call.status:
            case "called" if call.approval_status == "open" or (call.needs_approval and call.approval_status is None):
                return Text(" → waits for approval", "cyan")
            case "called" | "started":
                return Text(" → …", "dim")
            case "failed":
                error = call.error
                code = ": ".join(filter(None, (error.code, error.type))) if error and self.full else None
                words = Text.assemble(" → ", self._failure(code, error.message if error else ""), style="red")
            case "cancelled":
                return shown(f" → cancelled{self.words.because(call.reason)}", "red")
            case _ if call.result is None:
                return Text("" if call.id in self.answers else " → done", "dim")
            case _:
                words = Text()
        if call.result is not None and (self.full or call.status == "succeeded"):
            words.append_text(shown(f" → {self.words.json(call.result, json_text(call.result))}", "dim"))
        return words

    def _failure(self, code: str | None, message: str) -> Text:
        return shown(f"failed: {f'{code}: ' if code else ''}{self.words.text(message)}", "red")

    def _cut(self, text: Text) -> Text:
        return shown(one_line(text.plain, FEW_WORDS))


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


def answers_of(messages: Iterable[Message], calls: Mapping[str, ToolCallView]) -> dict[str, Message]:
    """The message in which the model saw what came of a call, by the call."""
    tool_messages = ((message.tool_call_id, message) for message in messages if message.role == "tool")
    return {call_id: message for call_id, message in tool_messages if call_id is not None and call_id in calls}
