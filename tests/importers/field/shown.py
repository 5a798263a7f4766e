"""What an import of Claude Code's sessions made of them, view by view."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runfold import Ledger
from runfold.domain.decision import DecisionMade
from runfold.importers.importing import import_paths
from runfold.importers.tally import Tally

PERSON, CLIENT = "human:user", "service:claude-code"


class Shown:
    """What was imported into a ledger of its own, as the views show it."""

    def __init__(self, ledger: Ledger, path: Path, tally: Tally) -> None:
        self.ledger = ledger
        self.path = path
        self.tally = tally
        self.threads = [item.stream for item in ledger.events(types=["thread.created"])]
        self.runs = [item.stream for item in ledger.events(types=["run.created"])]

    @classmethod
    def after_import(cls, ledger: Ledger, path: Path) -> "Shown":
        """Import a file or folder and look at it."""
        return cls(ledger, path, import_paths(ledger, "claude-code", [path]))

    def again(self) -> int:
        """Import it once more; returns how many events that made."""
        return import_paths(self.ledger, "claude-code", [self.path]).events

    def said(self) -> list[tuple[str | None, str]]:
        """The conversation: who said what, without results of tools and what has no words."""
        (thread,) = self.threads
        messages = self.ledger.thread(thread).messages()
        return [(message.author, message.text) for message in messages if message.role != "tool" and message.text]

    def ends(self) -> list[tuple[str, str | None]]:
        """The status of each run, and the code of its error."""
        views = [self.ledger.run(run).view() for run in self.runs]
        return [(view.status, view.error.code if view.error else None) for view in views]

    def kinds(self) -> list[str]:
        """How each run came from another."""
        parents = [self.ledger.run(run).view().parent for run in self.runs]
        return [parent.kind for parent in parents if parent is not None]

    def calls(self) -> list[tuple[str, str | None, str | None]]:
        """The status of each call, with its error's code and message."""
        found = [call for run in self.runs for call in self.ledger.now.tool_calls(run_id=run).items]
        return [
            (call.status, call.error.code if call.error else None, call.error.message if call.error else None) for call in found
        ]

    def codes(self) -> list[str | None]:
        """The code of each call's error."""
        return [code for _, code, _ in self.calls()]

    def asked(self) -> list[str]:
        """The status of each approval."""
        asked = [item.stream for item in self.ledger.events(types=["approval.requested"])]
        return [self.ledger.now.approval(one).status for one in asked]

    def agreed(self) -> list[str | None]:
        """What each approval allows."""
        asked = [item.stream for item in self.ledger.events(types=["approval.requested"])]
        return [self.ledger.now.approval(one).effective_arguments_text for one in asked]

    def votes(self) -> list[tuple[str, str, str | None]]:
        """Each vote on an approval: by whom, which, and the comment."""
        asked = [item.stream for item in self.ledger.events(types=["approval.requested"])]
        return [(vote.voter, vote.verdict, vote.comment) for one in asked for vote in self.ledger.now.approval(one).votes]

    def choices(self) -> list[list[str]]:
        """What was chosen by each decision, in words."""
        made = [item.event for item in self.ledger.events(types=["decision.made"])]
        return [event.choice.split("; ") for event in made if isinstance(event, DecisionMade)]

    def used(self) -> list[tuple[Any, Any, Any]]:
        """Each model call: its model, and the tokens in and out."""
        used: list[Mapping[str, Any]] = [item.as_json()["data"] for item in self.ledger.events(types=["usage.recorded"])]
        return [(one["model"], one["tokens"]["input_tokens"], one["tokens"]["output_tokens"]) for one in used]

    def typed(self) -> list[str]:
        """What is credited to a person."""
        return [words for author, words in self.said() if author == PERSON]

    def order(self) -> list[str]:
        """The roles of the conversation."""
        return [message.role for message in self.ledger.thread(self.threads[0]).messages()]

    def results(self) -> list[str]:
        """What the tools answered."""
        return [message.text for message in self.ledger.thread(self.threads[0]).messages() if message.role == "tool"]

    def ended_by(self) -> list[str]:
        """Who ended each call that did not succeed."""
        return [str(item.metadata.actor) for item in self.ledger.events(types=["tool.failed", "tool.cancelled"])]

    def title(self) -> str | None:
        """The title of the thread."""
        return self.ledger.thread(self.threads[0]).view().title

    def times(self) -> list[tuple[str, str]]:
        """When each run was made, and last heard of."""
        views = [self.ledger.run(run).view() for run in self.runs]
        return [(view.created_at.isoformat(), view.last_event_at.isoformat()) for view in views]

    def cost(self) -> str:
        """What all of it costs."""
        self.ledger.fold("usage")
        total = self.ledger.now.usage().total
        return f"{total.cost} {total.currency}"

    def cuts(self) -> list[tuple[Any, Any, Any]]:
        """Where the model's memory was cut: why, and the tokens before and after."""
        cut: list[Mapping[str, Any]] = [item.as_json()["data"] for item in self.ledger.events(types=["context.compacted"])]
        return [(one["trigger"], one["tokens_before"], one["tokens_after"]) for one in cut]

    def notes(self) -> int:
        """How many notes the import made."""
        return len(self.tally.notes)
