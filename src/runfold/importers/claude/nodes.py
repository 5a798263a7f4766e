"""The lines of one thread's files put together to messages, each of which hangs from another.

A message of the source is a node: a user's line, what was typed while the agent worked, a compaction's boundary, or all
lines of one answer. What has the same uuid, or the same message id and request id, is the same message, in whichever file it
stands. An answer without a request id, as early versions wrote them, is a message id and lines that hang from one another.
Lines that are no messages only tell what hangs from what.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from runfold.importers.claude.asks import Ask
from runfold.importers.claude.endings import ApiError, api_error, is_answer
from runfold.importers.claude.lines import Block, Line, text_of
from runfold.importers.claude.speakers import Speaker, speaker_of
from runfold.importers.claude.usage import Used

AGENT = "agent:claude-code"
MAIN = ""
"""The key of the main line, beside those of sub-agents."""

Kind = Literal["answer", "user", "boundary", "passing"]
Phase = Literal["pending", "active", "ended"]


@dataclass(eq=False, slots=True, repr=False)
class Call:
    """A tool call, by a key that no other call has."""

    key: tuple[str, ...]
    node: "Node"
    block: Block
    line: Line
    result: tuple[Block, Line] | None = None
    asks: list[Ask] | None = None
    """What it asked its person, once that was looked for: when it is whole."""


@dataclass(eq=False, slots=True, repr=False)
class Node:
    """A message of the source, or a line that only tells what hangs from what."""

    kind: Kind
    key: tuple[str, ...]
    """What it is known by: its uuid, or the ids of an answer."""
    agent: str
    """Whose conversation it is in: the main line's, or a sub-agent's by its id."""
    before: "Node | None"
    """The line before it in its file and conversation."""
    lines: list[Line]
    parts: list[tuple[Block, Line]] = field(default_factory=list)
    known: set[tuple[str, str | bytes]] = field(default_factory=set)
    """What tells its parts apart, of those that a later line of the same answer was compared with."""
    compared: int = 0
    """How many these are."""
    files: list[int] = field(default_factory=list)
    reported: Line | None = None
    """The line whose usage counts."""
    stop_reason: str | None = None
    speaker: Speaker | None = None
    calls: list[Call] = field(default_factory=list)
    results: list[tuple[Block, Call | None]] = field(default_factory=list)
    parent: "Node | None" = None
    step: "Node | None" = None
    """The answer, or the line that woke the agent, that it comes after or is."""
    followed: bool = False
    """Whether an answer of the same turn comes after this step."""
    turn: "Turn | None" = None
    order: int = -1
    """Its place in its conversation."""
    place: int = -1
    """Its place in its turn."""
    phase: Phase = "active"
    is_placed: bool = False
    used: tuple[Used, ...] | None = None
    """What the answer used, once that was looked for: when it is whole."""
    odd: list[str] = field(default_factory=list)
    """What did not fit of that."""
    kept_from: "Node | None" = None
    """Of a compaction's boundary: the first message that was kept as it was."""

    @property
    def line(self) -> Line:
        """Return its first line."""
        return self.lines[0]

    @property
    def moment(self) -> tuple[float, int]:
        """Return what puts it in order: its time, then its place. What has no time comes last."""
        time = self.line.timestamp
        return (time.timestamp() if time is not None else float("inf"), self.order)

    @property
    def is_model(self) -> bool:
        """Return whether a model wrote it."""
        return self.kind == "answer" and is_answer(self.line.record)

    @property
    def error(self) -> ApiError | None:
        """Return the error of the API that stands in an answer's place."""
        return api_error(self.line.record) if self.kind == "answer" else None

    @property
    def has_words(self) -> bool:
        """Return whether it holds anything beside results of tools, and is a message by itself."""
        return self.kind == "answer" or any(block.type != "tool_result" for block, _ in self.parts) or not self.results

    @property
    def ends_turn(self) -> bool:
        """Return whether the answer says that the agent's turn ended, and asks for no tool."""
        ended = self.stop_reason in {"end_turn", "stop_sequence"} and not self.calls
        return self.is_model and ended and any(block.type != "thinking" for block, _ in self.parts)

    def identities(self) -> set[tuple[str, str | bytes]]:
        """Return what tells its parts apart."""
        if self.compared < len(self.parts):
            self.known.update(block.identity for block, _ in self.parts[self.compared :])
            self.compared = len(self.parts)
        return self.known

    def take(self, line: Line) -> None:
        """Take in a line of the same answer; of what was written before, nothing."""
        known = self.identities()
        added = [(block, line) for block in line.blocks if not known or block.identity not in known]
        self.lines.append(line)
        self.parts += added
        if line.usage is not None and (added or self.reported is None or line.piece.file == self.reported.piece.file):
            self.reported = line
        self.stop_reason = text_of(line.message, "stop_reason") or self.stop_reason


@dataclass(eq=False, repr=False)
class Turn:
    """One turn of an agent."""

    opener: Node
    parent: "Turn | None"
    left: Node | None
    """The message of the parent that it hangs from; None where it leaves the parent before its first message."""
    kind: Literal["continues", "branches"]
    nodes: list[Node] = field(default_factory=list)
    awake: Node | None = None
    """What woke the agent; None while only the client has written."""
    last_step: int = -1
    """The place of its last answer or prompt."""
    ended: Node | None = None
    """What ended it."""
    left_in: set[int] = field(default_factory=set)
    """The files in which other turns left it."""
    pending: "Turn | None" = None
    """The turn that the client opened after it."""

    def next_after(self, node: Node) -> Node | None:
        """The message of the turn that came after another one of it."""
        return self.nodes[node.place + 1] if node.place + 1 < len(self.nodes) else None

    def append(self, node: Node) -> None:
        """Add a message at the end."""
        node.turn, node.place = self, len(self.nodes)
        self.nodes.append(node)

    @property
    def is_over(self) -> bool:
        """Return whether the last that is told of it is its end."""
        return self.ended is not None and (self.ended.turn is not self or self.ended.order >= self.last_step)


class Nodes:
    """All nodes of a thread."""

    def __init__(self) -> None:
        self.all: list[Node] = []
        """In the order of their first lines, file by file."""
        self.by_uuid: dict[str, Node] = {}
        self.sessions: dict[str, None] = {}
        self.sessions_in: dict[int, set[str]] = {}
        """The sessions that the lines of each main file are of."""
        self.taken: list[tuple[Line, int, str | None]] = []
        """All lines, as they were taken."""
        self._answers: dict[tuple[str, ...], Node] = {}
        self._last: dict[tuple[int, str], Node] = {}
        self._side: dict[str, str] = {}
        """The sub-agent of each line that a main file has of one."""
        self._over: dict[tuple[int, int], Node] = {}
        """The message above lines that are none, for each of them and the file that means it, once that was found."""
        self._forked: set[tuple[int, str]] = set()
        self._copies: list[tuple[Line, Node, int]] = []
        self._twins: set[str] = set()
        """Uuids that several lines have, which are not the same."""
        self._own: dict[tuple[int, str], Node] = {}
        """The nodes of such uuids, by the file that means them."""

    def take(self, line: Line, file: int, agent: str | None) -> None:
        """Take in the next line of a file."""
        self.taken.append((line, file, agent))
        if line.session_id is not None:
            self.sessions.setdefault(line.session_id)
            if agent is None:
                self.sessions_in.setdefault(file, set()).add(line.session_id)
        if isinstance(line.record.get("forkedFrom"), dict):
            self._forked.add((file, line.uuid))
        known = self.named(line.uuid, file)
        if known is None or not self._is_of(line, known):
            if known is not None and file not in known.files:
                self._twins.add(line.uuid)
            known = self._node(line, agent or self._agent_of(line), file)
        if not known.files or known.files[-1] != file:
            known.files.append(file)
        self._last[file, known.agent] = known

    def without(self, uuids: set[str]) -> "Nodes":
        """Return the same lines put together anew, without some."""
        rest = Nodes()
        for line, file, agent in self.taken:
            if line.uuid not in uuids:
                rest.take(line, file, agent)
        return rest

    def named(self, uuid: str | None, file: int) -> Node | None:
        """Return the node that a file means by a uuid."""
        if uuid in self._twins and (own := self._own.get((file, uuid or ""))) is not None:
            return own
        return self.by_uuid.get(uuid or "")

    def above(self, node: Node) -> Node | None:
        """Return the node that its `parentUuid` names."""
        return self.named(node.line.parent_uuid, node.files[0])

    def _is_of(self, line: Line, known: Node) -> bool:
        """Return whether a line is the one that is known by its uuid: made-up uuids may be those of several."""
        if len(line.key) == 1:
            return True
        if known.kind == "answer":
            return line.type == "assistant" and line.message_id == known.line.message_id
        return line.key == known.line.key

    def leaves_fork(self, node: Node) -> bool:
        """Return whether it is the first of its own after what a fork copied."""
        above = node.line.parent_uuid
        if above is None:
            return False
        return any((file, above) in self._forked and (file, node.line.uuid) not in self._forked for file in node.files)

    def settle(self) -> None:
        """Find what copies under new uuids are copies of: what is above an answer is above it in every copy."""
        for line, node, file in self._copies:
            copied, original = self.named(line.parent_uuid, file), self.above(node)
            while copied is not None and original is not None and copied is not original and same(copied, original):
                above, above_original = self.above(copied), self.above(original)
                copied.kind, copied.parent, copied.is_placed = "passing", original, True
                original.files += copied.files
                copied, original = above, above_original

    def messages(self) -> Iterator[Node]:
        """Yield those that are more than lines that tell what hangs from what."""
        return (node for node in self.all if node.kind != "passing")

    def _node(self, line: Line, agent: str, file: int) -> Node:
        if line.type == "assistant":
            key = self._answer_key(line, file)
            if (known := self._answers.get(key)) is not None:
                self._name(line.uuid, known, file)
                self._copies.append((line, known, file))
                known.take(line)
                return known
            node = Node("answer", key, agent, self._last.get((file, agent)), [])
            node.take(line)
            self._answers[key] = node
        else:
            node = Node(_kind(line), line.key, agent, self._last.get((file, agent)), [line])
            node.parts = [(block, line) for block in line.blocks]
            if node.kind == "user":
                node.speaker = speaker_of(line.record, AGENT if agent != MAIN else None)
        node.files.append(file)
        self._name(line.uuid, node, file)
        self.all.append(node)
        return node

    def _name(self, uuid: str, node: Node, file: int) -> None:
        self.by_uuid.setdefault(uuid, node)
        if uuid in self._twins:
            self._own[file, uuid] = node

    def _answer_key(self, line: Line, file: int) -> tuple[str, ...]:
        message_id, request_id = line.message_id, line.request_id
        if message_id is None:
            return line.key
        if request_id is not None:
            return (message_id, request_id)
        above = self._message_above(line, file)
        if above is not None and above.kind == "answer" and above.line.message_id == message_id:
            return above.key
        first = self._answers.get((message_id,))
        if first is None or _is_again(first, line):
            return (message_id,)
        return (message_id, *line.key)

    def _message_above(self, line: Line, file: int) -> Node | None:
        """The message that a line hangs from, through lines that are none; None where these hang from one another alone."""
        above, passed = self.named(line.parent_uuid, file), dict[int, None]()
        while above is not None and above.kind == "passing" and id(above) not in passed:
            passed[id(above)] = None
            above = self._over.get((id(above), file)) or above.parent or self.named(above.line.parent_uuid, file)
        if above is None or above.kind == "passing":
            return None
        self._over.update(dict.fromkeys(((one, file) for one in passed), above))
        return above

    def _agent_of(self, line: Line) -> str:
        """The sub-agent that a line of a main file belongs to, as early versions wrote them: by id, or by first line."""
        if not line.is_sidechain:
            return MAIN
        agent = line.agent_id or self._side.get(line.parent_uuid or "", line.uuid)
        self._side[line.uuid] = agent
        return agent


def same(one: Node, other: Node) -> bool:
    """Return whether two lines that stand at one place say the same."""
    if one.kind != "user" or other.kind != "user" or one.agent != other.agent:
        return False
    return [block.raw for block in one.line.blocks] == [block.raw for block in other.line.blocks]


def _is_again(first: Node, line: Line) -> bool:
    if not line.blocks or line.timestamp != first.line.timestamp:
        return False
    known = first.identities()
    return all(block.identity in known for block in line.blocks)


def _kind(line: Line) -> Kind:
    if line.type == "user" or line.blocks:
        return "user"
    return "boundary" if line.type == "system" and line.record.get("subtype") == "compact_boundary" else "passing"
