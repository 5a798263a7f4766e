"""A thread of Claude Code on its way into the ledger: its runs and those of its sub-agents, and what it holds, counted."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from runfold.domain.run_events import FOLLOWED
from runfold.domain.thread import MAIN as MAIN_HEAD
from runfold.history.tree import Node as TreeNode
from runfold.history.tree import Tree
from runfold.importers.claude.earlier import AGENTS_OF, MAIN_OF, Earlier
from runfold.importers.claude.ids import FORMAT, Ids, first_version_thread
from runfold.importers.claude.nodes import MAIN, Call, Node, Turn
from runfold.importers.claude.session import Line, text_of
from runfold.importers.claude.speakers import CLIENT, PERSON
from runfold.importers.claude.talk import Talk, content_of
from runfold.importers.claude.turns import Conversation, Story, story_of
from runfold.importers.recording import Recording

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
        return sorted(found, key=lambda turn: _moment(turn.opener))

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

    def record(self, recording: Recording) -> None:
        """Give all its commands."""
        session, earlier = self, None
        if recording.known.exists and recording.thread.id != self.thread_id:
            earlier = Earlier.of(recording.thread.events())
            session = self._joining(earlier)
        _SessionRecorder(session, recording, earlier).record()

    def _joining(self, earlier: Earlier) -> "Session":
        """The same, with the ids of the thread that it goes into, and without what sub-agents repeat of that."""
        ids = Ids(is_alone=not earlier.has_main)
        repeated = earlier.owned(self.story, replace(ids, aliases=earlier.aliases(self.story, ids, content_of)))
        story = story_of(self.story.nodes.without(repeated)) if repeated else self.story
        return Session(story, self.agents, replace(ids, aliases=earlier.aliases(story, ids, content_of)))


class _SessionRecorder:
    """A thread on its way into the ledger."""

    def __init__(self, session: Session, recording: Recording, earlier: Earlier | None = None) -> None:
        self.session = session
        self.earlier = earlier
        self.recording = recording
        self.ids = session.ids
        self.told: set[str] = set()
        self.agent_of: dict[str, list[str]] = {}
        """The sub-agents that a call started."""
        for agent, call_id in session.started_by.items():
            self.agent_of.setdefault(call_id, []).append(agent)

    def record(self) -> None:
        """The main line with the sub-agents that its calls started, and those of which no call is known.

        Where only sub-agents are given, their main line is a run without messages, whose end nobody saw.
        """
        nodes = [node for conversation in self.session.story.conversations.values() for node in conversation.nodes]
        first = min(nodes, key=_moment)
        self._begin(first.line)
        main = Talk(self.recording, self.ids, MAIN, FORMAT, self._spawn, {"parent": None})
        main.earlier = self.earlier
        root = self.session.roots[0].opener
        root_id = self.ids.run(root)
        if self.earlier is not None and self.earlier.root is not None:
            root_id = self.earlier.root
        elif not self.session.main.turns:
            root_id = self.session.main_run
            self.recording.source_run(root_id, parent=None, **_envelope(PERSON, first.line))
        for node in self.session.main.nodes:
            main.tell(node)
            if node is root:
                self._tell_unlinked(root_id)
        self._tell_unlinked(root_id)
        for agent in self.session.story.conversations:
            if agent != MAIN:  # started by one that nobody started
                self._tell(agent, parent=root_id, at_version=1)
        if not self.session.main.turns and self.earlier is None:
            self._hear_of(root_id, max((node.lines[-1] for node in nodes), key=_time))
        self._settle_head()

    def _begin(self, first: Line) -> None:
        sessions, record = self.session.story.sessions, first.record
        about = {"session_id": first.session_id, "cwd": text_of(record, "cwd"), "version": text_of(record, "version")}
        about["git_branch"] = text_of(record, "gitBranch")
        metadata: dict[str, Any] = {name: value for name, value in about.items() if value is not None}
        if len(sessions) > 1:
            metadata["session_ids"] = list(sessions)
        more = {} if first.session_id is None else {"external_ref": first.session_id}
        self.recording.begin(agent_id=FORMAT, metadata=metadata, **more, **_envelope(PERSON, first))
        if self.session.title is not None:
            self.recording.thread.rename(self.session.title, actor=CLIENT)

    def _spawn(self, call: Call, run_id: str, version: int) -> None:
        for agent in self.agent_of.get(self.ids.call(call), ()):
            self._tell(agent, parent=run_id, at_version=version, input=call.block.input)

    def _tell_unlinked(self, parent: str) -> None:
        for agent in self.session.story.conversations:
            if agent == MAIN or agent in self.session.started_by:
                continue
            call_id = self.earlier.spawners.get(agent) if self.earlier is not None else None
            if call_id is not None and (place := self.recording.known.added_at.get(call_id)) is not None:
                self._tell(agent, parent=place[0], at_version=place[1])
            else:
                self._tell(agent, parent=parent, at_version=1)

    def _tell(self, agent: str, **request: Any) -> None:
        """A sub-agent's whole conversation; once, also where two results name it."""
        if agent in self.told:
            return
        self.told.add(agent)
        known = self.session.agents.get(agent, Agent())
        kind = f"{FORMAT}:{known.kind}" if known.kind else FORMAT
        about = {"sub_agent": agent, "description": known.description, "workflow": known.workflow}
        metadata = {name: value for name, value in about.items() if value is not None}
        origin = {"kind": "spawned_by", "agent_id": kind, "metadata": metadata, **request}
        talk = Talk(self.recording, self.ids, agent, kind, self._spawn, origin)
        for node in self.session.story.conversations[agent].nodes:
            talk.tell(node)

    def _hear_of(self, root_id: str, last: Line) -> None:
        """Note when a run that no message is in was last heard of: through its sub-agents."""
        if last.timestamp is not None:
            heard = {"sub_agents_heard_at": last.timestamp.isoformat()}
            self.recording.batch.run(root_id).merge_metadata(heard, **_envelope(CLIENT, last))

    def _settle_head(self) -> None:
        """Let the thread go on where something happened last, in whichever file that stands, and whichever came first."""
        if not self.session.main.turns:
            return
        asleep = {self.ids.run(turn.opener) for turn in self.session.main.turns if turn.awake is None}
        thread = self.recording.thread
        tree = thread.tree()
        runs = _of_main_line(tree)
        active = self._active_at()
        last = max(
            (run for run in runs if run.run_id not in asleep),
            key=lambda run: (max(run.created_at, active.get(run.run_id, run.created_at)), run.created_at),
            default=None,
        )
        head = tree.heads.get(MAIN_HEAD)
        if last is None or head is None or head == last.run_id or last.run_id in _continued(tree, head):
            return
        thread.move_head(MAIN_HEAD, last.run_id, reason="rewound", actor=PERSON, occurred_at=last.created_at)

    def _active_at(self) -> dict[str, datetime]:
        """When the runs were last heard of: those that are in, and those of these files."""
        found = dict(self.recording.known.active_at)
        for turn in self.session.main.turns:
            run_id = self.ids.run(turn.opener)
            for node in turn.nodes:
                if (moment := node.lines[-1].timestamp) is not None:
                    found[run_id] = max(moment, found.get(run_id, moment))
        return found


def _of_main_line(tree: Tree) -> list[TreeNode]:
    """The runs that are no sub-agent's."""
    found: dict[str, TreeNode] = {}
    for node in tree.nodes.values():
        if node.parent is None or (node.parent.kind != "spawned_by" and node.parent.run_id in found):
            found[node.run_id] = node
    return list(found.values())


def _continued(tree: Tree, run_id: str) -> Iterator[str]:
    """The runs that a run continues."""
    parent = tree.nodes[run_id].parent
    while parent is not None and parent.kind in FOLLOWED:
        yield parent.run_id
        parent = tree.nodes[parent.run_id].parent


def _moment(node: Node) -> tuple[float, int]:
    moment = node.line.timestamp
    return (moment.timestamp() if moment is not None else float("inf"), node.order)


def _time(line: Line) -> float:
    return line.timestamp.timestamp() if line.timestamp is not None else float("-inf")


def _envelope(actor: str, line: Line) -> dict[str, Any]:
    return {"actor": actor} if line.timestamp is None else {"actor": actor, "occurred_at": line.timestamp}
