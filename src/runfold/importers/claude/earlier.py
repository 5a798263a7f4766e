"""What an earlier import recorded of a conversation, for a source that goes into the same thread and does not begin as it did.

That is a copy under new uuids, a sub-agent whose main line is in, or lines whose beginning stands elsewhere. Answers are
found by their ids, and other lines by what was said, and when.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from runfold.domain.message import MessageAdded
from runfold.domain.parts import Part
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCreated
from runfold.domain.thread import ThreadImported
from runfold.domain.tool_call import ToolCalled, ToolSucceeded
from runfold.importers.claims import PREFIX
from runfold.importers.claude.ids import Ids
from runfold.importers.claude.nodes import MAIN, Node
from runfold.importers.claude.turns import Story

MAIN_OF, AGENTS_OF = "main line of session ", "sub-agents of session "


@dataclass
class Earlier:
    """A thread as it is in the ledger."""

    has_main: bool = False
    """Whether it has a main line, and not only sub-agents without theirs."""
    root: str | None = None
    """Its first run."""
    last: str | None = None
    """The main line's last run."""
    agent_of: dict[str, str] = field(default_factory=dict)
    """The sub-agent that a run is of; the main line's are of none."""
    spawners: dict[str, str] = field(default_factory=dict)
    """The calls whose results name a sub-agent, by that."""
    calls: dict[str, str] = field(default_factory=dict)
    """The last call of each provider's id."""
    messages: dict[str, str] = field(default_factory=dict)
    """The run of each message."""
    said: dict[str, str] = field(default_factory=dict)
    """Users' messages by what was said, and when."""

    @classmethod
    def of(cls, events: Iterable[Recorded]) -> "Earlier":
        """Read a thread's events."""
        found = cls()
        for recorded in events:
            found._take(recorded)
        return found

    def _take(self, recorded: Recorded) -> None:
        match recorded.event:
            case ThreadImported() as imported:
                self.has_main |= any(key.startswith(f"{PREFIX}{MAIN_OF}") for key in imported.source_ids)
            case RunCreated() as created:
                parent = created.parent
                own = created.metadata.get("sub_agent") if parent is not None and parent.kind == "spawned_by" else None
                inherited = self.agent_of.get(parent.run_id, MAIN) if parent is not None else MAIN
                self.agent_of[recorded.stream] = str(own) if own is not None else inherited
                self.root = self.root or recorded.stream
                if self.agent_of[recorded.stream] == MAIN:
                    self.last = recorded.stream
            case ToolCalled() as called:
                self.calls[called.provider_call_id or ""] = called.call_id
            case ToolSucceeded(result=dict() as result) as ended if isinstance(result.get("agentId"), str):
                self.spawners.setdefault(str(result["agentId"]), ended.call_id)
            case MessageAdded() as added:
                self.messages[added.message_id] = recorded.stream
                if added.role == "user":
                    self.said.setdefault(said_at(added.content, recorded.metadata.occurred_at), added.message_id)
            case _:
                return

    def owned(self, story: Story, ids: Ids) -> set[str]:
        """Return the uuids of a sub-agent's lines that it repeats of its parent, and that are in as the parent's."""
        found = set[str]()
        for key, conversation in story.conversations.items():
            for node in conversation.nodes:
                run = self.messages.get(ids.message(node)) if key != MAIN else None
                if run is not None and self.agent_of.get(run, MAIN) != key:
                    found.update(line.uuid for line in node.lines)
        return found

    def aliases(self, story: Story, ids: Ids, content: Callable[[Node], tuple[Part, ...]]) -> dict[str, str]:
        """Return our ids of what is in under another uuid, and the ids that it has."""
        found: dict[str, str] = {}
        for conversation in story.conversations.values():
            for node in conversation.nodes:
                own = ids.message(node)
                if node.kind == "user" and own not in self.messages and not node.results:
                    known = self.said.get(said_at(content(node), node.line.timestamp))
                    if known is not None:
                        found[own] = known
            for turn in conversation.turns:
                run_id = ids.run(turn.opener)
                if run_id in self.agent_of:
                    continue
                messages = (ids.message(node) for node in turn.nodes)
                runs = (self.messages.get(found.get(message, message)) for message in messages)
                known_run = next((run for run in runs if run is not None), None)
                if known_run is not None:
                    found[run_id] = known_run
        return found


def said_at(content: tuple[Part, ...], moment: datetime | None) -> str:
    """What was said, and when, as one text."""
    return f"{moment} {[part.model_dump_json() for part in content]}"
