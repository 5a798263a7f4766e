"""A conversation as of a run, a position or a time: what was said, and between it tools that were called, and approvals."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from runfold.domain.message import MessageAdded, MessagePartAppended, MessageRedacted, MessageRevised, MessageSealed
from runfold.domain.recorded import Recorded
from runfold.history.approvals import Approvals, approval_view, as_allowed
from runfold.history.compactions import Compaction, fold_compactions, model_context
from runfold.history.path import COMPACTION_EVENTS, TOOL_CALL_EVENTS, History, fold_tool_calls
from runfold.history.said import Said
from runfold.history.views import Message, ToolCallView
from runfold.terminal.conversation_lines import Line, Lines, answers_of
from runfold.terminal.text import shown

_BAD_ENDS = ("run.failed", "run.cancelled")
_WITH_LINES = ("message.", "tool.", "context.")
"""The types that messages, calls and cuts are told by."""


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
    approvals: Approvals = field(default_factory=dict)
    """The events of the approvals that were asked for."""
    others: Sequence[Recorded] = ()
    """What else is told of the runs: their bad ends; of a full conversation every event."""
    is_full: bool = False
    """Whether nothing is cut or left out where it is drawn."""

    @classmethod
    def of(cls, thread_id: str, history: History | None, as_of: int, *, full: bool = False) -> "Conversation":
        """The conversation at the end of a path; empty where the thread has no run."""
        if history is None:
            return cls(thread_id, None, (), as_of, [], [])
        path = tuple(segment.run_id for segment in history.path)
        approvals = history.approvals()
        calls = as_allowed(fold_tool_calls(history.events(TOOL_CALL_EVENTS)), approvals)
        cuts = fold_compactions(history.events(COMPACTION_EVENTS))
        said = history.said()
        others = list(_untold(history.events(), said) if full else history.events(_BAD_ENDS))
        return cls(thread_id, path[-1], path, as_of, said.shown(), calls, cuts, approvals, others, full)

    def as_seen(self) -> "Conversation":
        """What of it the model saw: after its last cut the summary, what was kept, and what came later."""
        seen = model_context(self.compactions, self.messages, self.tool_calls)
        after = min((each.added_position for each in seen.messages if each.id != _summary(self.compactions)), default=0)
        return replace(
            self,
            messages=[*seen.messages],
            tool_calls=[*seen.tool_calls],
            compactions=self.compactions[-1:],
            approvals={approval: events for approval, events in self.approvals.items() if events[0].position >= after},
            others=[each for each in self.others if each.position >= after],
        )

    def only(self, messages: list[Message]) -> "Conversation":
        """Some messages of it and nothing else."""
        return replace(self, messages=messages, tool_calls=[], compactions=[], approvals={}, others=())

    def as_json(self) -> dict[str, Any]:
        """The conversation as JSON."""
        return {
            "as_of": self.as_of,
            "thread_id": self.thread_id,
            "run_id": self.run_id,
            "path": list(self.path),
            "messages": [message.model_dump(mode="json") for message in self.messages],
            "tool_calls": [call.model_dump(mode="json") for call in self.tool_calls],
            "approvals": [approval_view(events).model_dump(mode="json") for events in self.approvals.values()],
            "compactions": [cut.model_dump(mode="json") for cut in self.compactions],
        }

    def drawn(self, *, in_brief: bool = False) -> Table:
        """Draw the conversation: the position, when, who, whose doing, and what; in brief the position, who and what."""
        grid = Table.grid(padding=(0, 1), expand=False)
        grid.add_column(justify="right", style="dim", no_wrap=True)
        if not in_brief:
            grid.add_column(style="dim", no_wrap=True)
        grid.add_column(no_wrap=True)
        if not in_brief:
            grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        day = ""
        for line in self.lines():
            if in_brief:
                grid.add_row(str(line.position), line.who, line.words)
                continue
            at = line.at.astimezone(UTC) if line.at else None
            if at and day != (day := f"{at:%Y-%m-%d}"):
                grid.add_row("", day, Text("UTC", "dim"))
            grid.add_row(str(line.position), f"{at:%H:%M:%S}" if at else "", line.who, shown(line.by), line.words)
        return grid

    def lines(self) -> list[Line]:
        """Its lines in the order of the ledger; what came of a call stands at the call."""
        calls = {call.id: call for call in self.tool_calls}
        make = Lines(calls, answers_of(self.messages, calls), self.is_full)
        found = [
            *make.of_messages(self.messages),
            *make.of_calls(),
            *make.of_cuts(self.compactions),
            *make.of_approvals(self.approvals),
            *make.of_events(self.others),
        ]
        return sorted(found, key=lambda line: line.position)


def _untold(events: Iterable[Recorded], said: Said) -> Iterator[Recorded]:
    """The events that no message, call or cut tells, and the former wordings of messages, unless these may not be shown."""
    revised = {message.id: message.position for message in said.messages.values() if message.revision > 1}
    for recorded in events:
        event = recorded.event
        if said.hides(event):
            is_told = True
        elif isinstance(event, MessageAdded | MessagePartAppended):
            is_told = revised.get(event.message_id, recorded.position) == recorded.position
        elif isinstance(event, MessageRevised):
            is_told = event.message_id not in revised or (revised[event.message_id] == recorded.position and not event.reason)
        else:
            is_told = recorded.type.startswith(_WITH_LINES) and not isinstance(event, MessageRedacted | MessageSealed)
        if not is_told:
            yield recorded


def _summary(cuts: Sequence[Compaction]) -> str | None:
    return cuts[-1].summary_message_id if cuts else None


def beside(left: tuple[str, Conversation], right: tuple[str, Conversation], width: int) -> Table:
    """Draw two conversations side by side, each under its title."""
    drawn = Table(box=box.ROUNDED, width=width, border_style="dim", header_style="bold", padding=(0, 1))
    for title, _ in (left, right):
        drawn.add_column(title, ratio=1)
    drawn.add_row(left[1].drawn(in_brief=True), right[1].drawn(in_brief=True))
    return drawn
