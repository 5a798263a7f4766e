"""A conversation of Claude Code as its files hold it: what its thread is known by, and which call started which sub-agent."""

from dataclasses import dataclass, field
from functools import cached_property

from runfold.importers.claude.earlier import AGENTS_OF, MAIN_OF
from runfold.importers.claude.ids import Ids, first_version_thread
from runfold.importers.claude.lines import text_of
from runfold.importers.claude.nodes import MAIN, Call, Turn
from runfold.importers.claude.turns import Conversation, Story

TITLE_LENGTH = 80


@dataclass(frozen=True)
class Agent:
    """What is known of a sub-agent beside its lines."""

    kind: str | None = None
    description: str | None = None
    call_id: str | None = None
    """The provider's id of the call that started it."""
    workflow: str | None = None
    """The run of a workflow that it worked for."""


@dataclass(repr=False)
class Session:
    """A thread: its main line and its sub-agents."""

    story: Story
    agents: dict[str, Agent] = field(default_factory=dict)
    given_ids: Ids | None = None
    """Those of the thread that it goes into, where that is not its own."""

    @property
    def main(self) -> Conversation:
        """The main line, which may be empty."""
        return self.story.main or Conversation(MAIN)

    @cached_property
    def ids(self) -> Ids:
        """Return the ids of what it holds."""
        return self.given_ids or Ids(is_alone=self.story.main is None)

    @cached_property
    def roots(self) -> list[Turn]:
        """The turns that a thread may be known by, the earliest first."""
        held = [self.main] if self.main.turns else list(self.story.conversations.values())
        found = [turn for conversation in held for turn in conversation.turns if turn.left is None]
        return sorted(found, key=lambda turn: turn.opener.moment)

    @property
    def thread_id(self) -> str:
        """The same for the same first line, always; that of sub-agents without their main line for the same session."""
        return self.ids.of("thread", *self._main_key) if self.ids.is_alone else self.ids.thread(self.roots[0].opener)

    @property
    def _main_key(self) -> tuple[str, ...]:
        """What a main line that is not here is known by: the session that all its sub-agents name."""
        if self.story.sessions:
            return ("session", min(self.story.sessions))
        return self.roots[0].opener.line.key

    @property
    def main_run(self) -> str:
        """The run that stands for a main line that is not here."""
        return self.ids.of("run", *self._main_key, "main")

    @property
    def claims(self) -> tuple[str, ...]:
        """What other files of the same conversation find its thread by."""
        if self.ids.is_alone:
            return tuple(f"{AGENTS_OF}{session}" for session in self.story.sessions)
        return (*(f"{MAIN_OF}{session}" for session in self.story.sessions), *self._beginnings)

    @property
    def joins(self) -> tuple[str, ...]:
        """Sub-agents without their main line go into its thread, where it is in."""
        if not self.ids.is_alone:
            return ()
        return (*(f"{MAIN_OF}{session}" for session in self.story.sessions), *self._beginnings)

    @property
    def known_as(self) -> tuple[str, ...]:
        """What the thread may be known by where it is not by its first line."""
        if self.ids.is_alone:
            return self.claims
        is_cut = any(turn.opener.line.parent_uuid is not None and turn.opener.parent is None for turn in self.roots)
        return (*self._beginnings, *(f"{MAIN_OF}{session}" for session in self.story.sessions if is_cut))

    @cached_property
    def _beginnings(self) -> tuple[str, ...]:
        """Its first lines, and the first answer after each."""
        found: dict[str, None] = {}
        for turn in self.roots:
            found[f"root {' '.join(turn.opener.line.key)}"] = None
            answer = next((node for node in turn.nodes if node.is_model and node.line.request_id is not None), None)
            if answer is not None:
                found[f"answer {' '.join(answer.key)}"] = None
        return tuple(found)

    @property
    def replaces(self) -> tuple[str, ...]:
        """The threads that the first version made of its sessions, and those of its sub-agents without their main line."""
        if self.ids.is_alone:  # what the first version made of the whole session is not superseded by a part of it
            return ()
        old = [first_version_thread(session) for session in self.story.sessions]
        alone = Ids(is_alone=True)
        return (*old, *(alone.of("thread", "session", session) for session in self.story.sessions))

    @cached_property
    def started_by(self) -> dict[str, str]:
        """The sub-agents by the calls that started them, by our ids: a call's result, or the agent's own file, says so.

        Where neither does yet, it is the one call that asks for what the agent was asked first.
        """
        by_agent, by_workflow, by_call = dict[str, Call](), dict[str, Call](), dict[str, Call]()
        for call in self.story.calls:
            by_call.setdefault(call.block.id, call)
            said = call.result[1].tool_use_result if call.result is not None else None
            if isinstance(said, dict):
                for names, found in ((("agentId", "agent_id"), by_agent), (("runId",), by_workflow)):
                    if (name := next((text_of(said, name) for name in names if text_of(said, name)), None)) is not None:
                        found.setdefault(name, call)
        started: dict[str, str] = {}
        for key in self.story.conversations:
            about = self.agents.get(key, Agent())
            by = by_agent.get(key) or by_call.get(about.call_id or "") or by_workflow.get(about.workflow or "")
            if key != MAIN and by is not None and by.node.agent != key:
                started[key] = self.ids.call(by)
        unnamed = [key for key in self.story.conversations if key != MAIN and key not in started]
        taken = {call.key for call in by_agent.values()}
        return started | {key: self.ids.call(by) for key in unnamed if (by := self._asking(key, taken)) is not None}

    def _asking(self, agent: str, taken: set[tuple[str, ...]]) -> Call | None:
        """The only call, of those whose results name no agent, that asks for what the first line of an agent says."""
        first = self.story.conversations[agent].nodes[0]
        words = next((block.text for block, _ in first.parts if block.text), None)
        found = [call for call in self._by_prompt.get(words or "", ()) if call.key not in taken and call.node.agent != agent]
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_prompt(self) -> dict[str, list[Call]]:
        found: dict[str, list[Call]] = {}
        for call in self.story.calls:
            prompt = call.block.input.get("prompt") if isinstance(call.block.input, dict) else None
            if isinstance(prompt, str) and prompt:
                found.setdefault(prompt, []).append(call)
        return found

    @property
    def title(self) -> str | None:
        """The first words that ask the agent for something: what a person typed, as a prompt or as a command for the agent."""
        for node in self.main.nodes:
            if node.speaker is not None and node.speaker.wakes == "always" and (words := " ".join(node.speaker.words.split())):
                return words[:TITLE_LENGTH]
        return None
