"""A thread of Claude Code on its way into the ledger: its runs and those of its sub-agents."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from runfold.domain.run_events import FOLLOWED
from runfold.domain.thread import MAIN as MAIN_HEAD
from runfold.history.tree import Node as TreeNode
from runfold.history.tree import Tree
from runfold.importers.claude.content import content_of
from runfold.importers.claude.earlier import Earlier
from runfold.importers.claude.ids import FORMAT, Ids
from runfold.importers.claude.lines import Line, text_of
from runfold.importers.claude.nodes import MAIN, Call
from runfold.importers.claude.session import Agent, Session
from runfold.importers.claude.speakers import CLIENT, PERSON
from runfold.importers.claude.talk import Talk
from runfold.importers.claude.turns import story_of
from runfold.importers.recording import Recording

TITLE_LENGTH = 80
_OF_THE_TERMINAL = frozenset({PERSON, CLIENT, "service:hook"})
"""Whose words come first where a person opened the session."""


def record(session: Session, recording: Recording) -> None:
    """Give all commands of a thread."""
    earlier = None
    if recording.known.exists and recording.thread.id != session.thread_id:
        earlier = Earlier.of(recording.thread.events())
        session = _joining(session, earlier)
    _SessionRecorder(session, recording, earlier).record()


def _joining(session: Session, earlier: Earlier) -> Session:
    """The same, with the ids of the thread that it goes into, and without what sub-agents repeat of that."""
    ids, story = Ids(is_alone=not earlier.has_main), session.story
    repeated = earlier.owned(story, replace(ids, aliases=earlier.aliases(story, ids, content_of)))
    if repeated:
        story = story_of(story.nodes.without(repeated))
    return Session(story, session.agents, replace(ids, aliases=earlier.aliases(story, ids, content_of)))


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
        first = min(nodes, key=lambda node: node.moment)
        self._begin(first.line)
        main = Talk(self.recording, self.ids, MAIN, FORMAT, self._spawn, {"parent": None})
        main.earlier = self.earlier
        root = self.session.roots[0].opener
        root_id = self.ids.run(root)
        if self.earlier is not None and self.earlier.root is not None:
            root_id = self.earlier.root
        elif not self.session.main.turns:
            root_id = self.session.main_run
            self.recording.source_run(root_id, parent=None, **_envelope(CLIENT, first.line))
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
        with self.recording.of(root.line.piece):
            self._settle_head()

    @property
    def _opened_by(self) -> str:
        """Whose session it is: a person's, unless a program or an agent spoke first; the client's without its main line."""
        if not self.session.main.turns:
            return CLIENT
        speaker = self.session.roots[0].opener.speaker
        return PERSON if speaker is None or speaker.author in _OF_THE_TERMINAL else speaker.author

    def _begin(self, first: Line) -> None:
        sessions, record = self.session.story.sessions, first.record
        about = {"session_id": first.session_id, "cwd": text_of(record, "cwd"), "version": text_of(record, "version")}
        about["git_branch"] = text_of(record, "gitBranch")
        metadata: dict[str, Any] = {name: value for name, value in about.items() if value is not None}
        if len(sessions) > 1:
            metadata["session_ids"] = list(sessions)
        more = {} if first.session_id is None else {"external_ref": first.session_id}
        self.recording.begin(agent_id=FORMAT, metadata=metadata, **more, **_envelope(self._opened_by, first))
        if self.session.title is not None:
            with self.recording.of(first.piece):
                self.recording.rename(self.session.title, CLIENT)

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
        thread.move_head(MAIN_HEAD, last.run_id, reason="rewound", actor=self._opened_by, occurred_at=last.created_at)

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


def _time(line: Line) -> float:
    return line.timestamp.timestamp() if line.timestamp is not None else float("-inf")


def _envelope(actor: str, line: Line) -> dict[str, Any]:
    return {"actor": actor} if line.timestamp is None else {"actor": actor, "occurred_at": line.timestamp}
