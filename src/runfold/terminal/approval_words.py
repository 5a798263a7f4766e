"""What a conversation says of an approval: what was asked for, who voted how, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from runfold.domain.approval_events import (
    ApprovalConsumed,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalVoteCast,
    ApprovalVoteRefused,
    ApprovalWithdrawn,
    VoteEvent,
)
from runfold.domain.recorded import Recorded
from runfold.history.approvals import as_read, is_edited
from runfold.history.views import ApprovalView, ToolCallView
from runfold.terminal.text import shown
from runfold.terminal.words import Words

_NOTHING = "null"
_CAUSES = {
    "run_cancelled": "its run was cancelled",
    "run_failed": "its run failed",
    "new_input": "new input came",
    "call_ended": "its call ended",
}


@dataclass(frozen=True)
class ApprovalWords:
    """The words for each event of one approval. The vote that alone decided stands in the decision."""

    view: ApprovalView
    calls: Mapping[str, ToolCallView]
    words: Words

    def by(self, recorded: Recorded) -> str:
        """Whose doing an event is: of a decision the voters'."""
        event = recorded.event
        if isinstance(event, ApprovalRequested):
            return event.requested_by
        if isinstance(event, VoteEvent):
            return event.voter
        decided = isinstance(event, ApprovalGranted | ApprovalDenied)
        return ", ".join(vote.voter for vote in self.view.votes if decided) or str(recorded.metadata.actor)

    def of(self, recorded: Recorded) -> Text | None:
        """The words for an event; None where another has them."""
        match recorded.event:
            case ApprovalRequested() as asked:
                return self._asked(asked)
            case VoteEvent() as vote:
                return self._vote(vote)
            case ApprovalGranted() | ApprovalDenied() | ApprovalExpired() | ApprovalWithdrawn() as end:
                return self._ended(end)
            case ApprovalConsumed() as used if self.words.full:
                return shown(f"used by {used.execution_key}", "dim")
        return None

    def _asked(self, asked: ApprovalRequested) -> Text:
        words = shown(f"asks for {asked.action}")
        call = self.calls.get(asked.call_id or "")
        has_more = call is None or is_edited(call.arguments_text, asked.arguments_text)
        if asked.arguments_text != _NOTHING and (self.words.full or has_more):
            words.append_text(shown(f" {self.words.json(as_read(asked.arguments_text), asked.arguments_text)}".rstrip()))
        words.append_text(shown(self.words.because(asked.message)))
        if asked.rule.quorum > 1:
            words.append(f" ({asked.rule.quorum} must agree)", "dim")
        if self.words.full:
            words.append_text(shown(f" ({asked.reason})", "dim"))
        if self.words.full and asked.response_schema is not None:
            words.append_text(shown(f"; answers {self.words.json(asked.response_schema, '')}"))
        for choice in asked.choices:
            words.append_text(shown(f"; {self.words.text(choice.label)}{self.words.because(choice.description)}"))
        if self.view.status == "open":
            words.append(" → waits for approval", "cyan")
        return words

    def _vote(self, vote: VoteEvent) -> Text | None:
        if isinstance(vote, ApprovalVoteRefused):
            words = Text(f"votes {vote.verdict}, too late: it is {vote.status}")
        elif isinstance(vote, ApprovalVoteCast) and (self.words.full or not self._alone_decided):
            words = Text(f"votes {vote.verdict}")
        else:
            return None
        words.append_text(shown(self.words.because(vote.comment)))
        if vote.on_behalf_of is not None:
            words.append_text(shown(f" on behalf of {vote.on_behalf_of}"))
        if vote.edited_arguments_text is not None:
            words.append_text(self._with_others(vote.edited_arguments_text))
        if vote.response is not None:
            words.append_text(shown(f"; answers {self.words.json(vote.response, '')}"))
        return words

    def _ended(self, end: ApprovalGranted | ApprovalDenied | ApprovalExpired | ApprovalWithdrawn) -> Text:
        match end:
            case ApprovalGranted():
                return (
                    Text("granted", "green").append_text(self._with_others(end.effective_arguments_text)).append(self._comments())
                )
            case ApprovalDenied():
                said = "" if end.reason in {vote.comment for vote in self.view.votes} else self.words.because(end.reason)
                return shown(f"denied{said}{self._comments()}", "red")
            case ApprovalExpired():
                return Text("expired; nobody had decided", "red")
            case ApprovalWithdrawn():
                return Text(f"withdrawn: {_CAUSES[end.cause]}", "red")

    @property
    def _alone_decided(self) -> bool:
        return len(self.view.votes) == 1 and self.view.status in {"granted", "denied"}

    def _comments(self) -> str:
        """Return what the votes say that have no line of their own."""
        if self.words.full or not self._alone_decided:
            return ""
        return shown("".join(self.words.because(vote.comment) for vote in self.view.votes)).plain

    def _with_others(self, text: str) -> Text:
        if not is_edited(self.view.arguments_text, text):
            return Text()
        return Text.assemble((" with other arguments: ", "bold yellow"), shown(self.words.json(as_read(text), text)))
