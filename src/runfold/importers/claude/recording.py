"""A session of Claude Code as a thread: what it holds, and its conversations given in their order.

What one conversation becomes stands in `talk`.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from runfold.ids import stable_id
from runfold.importers.claude.asks import asks_of
from runfold.importers.claude.session import Block, Conversation, Entry, Line
from runfold.importers.claude.talk import AGENT, CLIENT, FORMAT, PERSON, Talk, used_in
from runfold.importers.recording import Recording
from runfold.importers.tally import Tally

TITLE_LENGTH = 80

_TAGGED = re.compile(r"<([\w-]+)>.*?</\1>", re.DOTALL)
"""What the client puts between a person's words: the file that is open, reminders."""


@dataclass(frozen=True)
class Agent:
    """A sub-agent and its conversation."""

    id: str
    conversation: Conversation
    kind: str | None = None
    description: str | None = None


@dataclass
class Session:
    """A session with its sub-agents."""

    id: str
    main: Conversation
    agents: dict[str | None, Agent] = field(default_factory=dict)

    @property
    def thread_id(self) -> str:
        """The same for the same session, always."""
        return stable_id("thread", FORMAT, self.id)

    @property
    def conversations(self) -> list[Conversation]:
        """The main line, and those of the sub-agents."""
        return [self.main, *(agent.conversation for agent in self.agents.values())]

    @cached_property
    def started_by(self) -> dict[str, Agent]:
        """The sub-agent that a call started, by the call's own id: its result names it."""
        return {
            call_id: self.agents[agent_id]
            for conversation in self.conversations
            for call_id, (_, line) in conversation.answered.items()
            if isinstance(line.tool_use_result, dict)
            and isinstance(agent_id := line.tool_use_result.get("agentId"), str)
            and agent_id in self.agents
        }

    @property
    def title(self) -> str | None:
        """The first words of the person's own."""
        for entry in self.main.entries:
            if not entry.is_assistant and entry.has_words and not entry.line.is_machine_made:
                said = _TAGGED.sub(" ", " ".join(block.text for block, _ in entry.blocks()))
                if words := " ".join(said.split()):
                    return words[:TITLE_LENGTH]
        return None

    def counts(self) -> Tally:
        """Return what the session holds."""
        tally = Tally(threads=1, runs=0 if self.main.branches else 1)
        for conversation in self.conversations:
            tally.runs += len(conversation.branches)
            for entry in conversation.entries:
                _count(tally, entry, conversation)
        return tally

    def record(self, recording: Recording) -> None:
        """Give all its commands."""
        _SessionRecorder(self, recording).record()


def _count(tally: Tally, entry: Entry, conversation: Conversation) -> None:
    results = list(entry.results())
    tally.messages += len(results) + (entry.is_assistant or entry.has_words)
    tally.tool_errors += sum(bool(block.is_error) for block in results)
    for block, _ in entry.calls():
        tally.tool_calls += 1
        asks = asks_of(block, conversation.answered.get(block.id))
        tally.approvals += len(asks)
        tally.decisions += sum(ask.chosen is not None for ask in asks)
    for used in used_in(entry):
        tally.add_tokens(used.counts.input_tokens, used.counts.output_tokens)


class _SessionRecorder:
    """A session on its way into the ledger."""

    def __init__(self, session: Session, recording: Recording) -> None:
        self.session = session
        self.recording = recording
        self.told: set[str] = set()

    def record(self) -> None:
        """The sub-agents that no call started, and then the main line with those that its calls started."""
        entries, agents = self.session.main.entries, self.session.agents.values()
        first = min((entry.line for talk in self.session.conversations for entry in talk.entries), key=_moment)
        self._begin(first)
        main = self._talk("main", self.session.main)
        start = entries[0].line.timestamp if entries else first.timestamp
        main.begin(parent=None, actor=PERSON, occurred_at=start)
        linked = {agent.id for agent in self.session.started_by.values()}
        for agent in agents:
            if agent.id not in linked:
                self._tell(agent, parent=main.first_run_id)
        for entry in entries:
            main.tell(entry)
        main.end_if_empty()

    def _begin(self, first: Line) -> None:
        about = {"session_id": self.session.id, "cwd": first.cwd, "version": first.version, "git_branch": first.git_branch}
        self.recording.begin(
            agent_id=FORMAT,
            external_ref=self.session.id,
            actor=PERSON,
            occurred_at=first.timestamp,
            metadata={name: value for name, value in about.items() if value is not None},
        )
        if self.session.title is not None:
            self.recording.thread.rename(self.session.title, actor=CLIENT)

    def _talk(self, key: str, conversation: Conversation, kind: str = FORMAT) -> Talk:
        return Talk(self.recording, self.session.id, key, conversation, kind, self._spawn)

    def _spawn(self, call: Block, run_id: str, version: int) -> None:
        if (agent := self.session.started_by.get(call.id)) is not None:
            self._tell(agent, parent=run_id, at_version=version, input=call.input)

    def _tell(self, agent: Agent, **request: object) -> None:
        """A sub-agent's whole conversation; once, also where two results name it."""
        if agent.id in self.told:
            return
        self.told.add(agent.id)
        kind = f"{FORMAT}:{agent.kind}" if agent.kind else FORMAT
        talk = self._talk(agent.id, agent.conversation, kind)
        about = {"sub_agent": agent.id, "description": agent.description}
        talk.begin(
            kind="spawned_by",
            agent_id=kind,
            actor=AGENT,
            occurred_at=agent.conversation.entries[0].line.timestamp,
            metadata={name: value for name, value in about.items() if value is not None},
            **request,
        )
        for entry in agent.conversation.entries:
            talk.tell(entry)


def _moment(line: Line) -> datetime:
    return line.timestamp
