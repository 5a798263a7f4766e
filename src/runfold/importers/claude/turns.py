"""The messages of a thread told apart into turns: what woke the agent, and all that followed until its turn ended.

What a message is a part of depends on what is above it, and on what stood before it in its own files, and on nothing else:
so it stays the same while a file grows, in whichever order files come, and where they are cut.

- A prompt opens a turn. A notice or a letter opens one where the turn before it has ended; else it is told within that turn.
- What the client writes by itself between two turns opens the next one early, and the prompt that follows joins it.
- A prompt leaves the turn that it hangs from. It is a branch where somebody went back: where an earlier prompt left that turn
  already, where the turn had gone on, where the file says that it forked there, or where its session only copied what it
  hangs from. That label alone (`forks`) depends on other files too.
- A second answer that hangs from where the turn had been answered already (the request was sent again) goes on from there
  in a turn of its own: the conversation goes on with it, and both answers stay and are counted.
"""

from dataclasses import dataclass, field

from runfold.importers.claude.compaction import kept_from
from runfold.importers.claude.forks import settle_kinds
from runfold.importers.claude.lines import Block
from runfold.importers.claude.nodes import MAIN, Call, Node, Nodes, Turn, same


@dataclass
class _Near:
    """The calls of one message that have the same id."""

    calls: list[Call]
    answered: int = 0
    """How many of the first have a result."""

    def next_one(self) -> Call:
        """The first without a result, or the last."""
        while self.answered < len(self.calls) and self.calls[self.answered].result is not None:
            self.answered += 1
        return self.calls[min(self.answered, len(self.calls) - 1)]


@dataclass(eq=False, repr=False)
class Conversation:
    """One agent's turns, and its messages in the order in which they were said."""

    agent: str
    turns: list[Turn] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    first_root: dict[int, Turn] = field(default_factory=dict)
    """The first turn of each file that hangs from nothing."""
    last_root: dict[int, Turn] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Story:
    """A thread as its files tell it."""

    conversations: dict[str, Conversation]
    """The main line's first, where there is one."""
    calls: list[Call]
    nodes: Nodes

    @property
    def sessions(self) -> tuple[str, ...]:
        """Return the sessions that its lines are of, in their order."""
        return tuple(self.nodes.sessions)

    @property
    def main(self) -> Conversation | None:
        """Return the main line's."""
        return self.conversations.get(MAIN)


def story_of(nodes: Nodes) -> Story:
    """Tell the turns apart."""
    nodes.settle()
    telling = _Telling(nodes)
    for node in nodes.messages():
        telling.tell(node)
    found = telling.conversations
    for conversation in found.values():
        settle_kinds(conversation.turns, conversation.nodes, nodes)
    ordered = {key: found[key] for key in sorted(found, key=lambda key: key != MAIN)}
    return Story(ordered, telling.calls, nodes)


class _Telling:
    """Nodes, one by one, those above first."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.conversations: dict[str, Conversation] = {}
        self.calls: list[Call] = []
        self._callers: dict[tuple[str, str], list[Call]] = {}
        self._nearest: dict[tuple[int, str], _Near] = {}
        """The calls of an id that are the nearest to a message, for ids that several calls have."""
        """The calls of a conversation that have one provider's id."""
        self._written: dict[tuple[int, object], Node] = {}
        """Users' lines by what they hang from and their time: copies are the same there."""

    def tell(self, node: Node) -> None:
        """Place a node, and before it all that it hangs from and that is not placed yet."""
        waiting, seen = [node], {id(node)}
        while waiting:
            at = waiting[-1]
            above = None if at.is_placed else self._above(at)
            if above is not None and not above.is_placed and id(above) not in seen:
                seen.add(id(above))
                waiting.append(above)
                continue
            waiting.pop()
            if not at.is_placed:
                self._place(at, above if above is not None and above.is_placed else None)

    def _above(self, node: Node) -> Node | None:
        """The message that a node hangs from, through whatever stands between."""
        at, trail, seen = self._parent(node), list[Node](), {id(node)}
        while at is not None and at.kind == "passing":
            if at.is_placed or id(at) in seen:
                at = at.parent if at.is_placed else None
                break
            seen.add(id(at))
            trail.append(at)
            at = self._parent(at)
        for passed in trail:
            passed.parent, passed.is_placed = at, True
        return at

    def _parent(self, node: Node) -> Node | None:
        line = node.line
        uuid = line.parent_uuid
        if node.kind == "boundary":
            logical = line.record.get("logicalParentUuid")
            uuid = logical if isinstance(logical, str) else uuid
        if uuid is None:  # what is no message begins no conversation: where one resumed, it stands after what was there
            is_said = "parentUuid" not in line.record or node.kind in {"boundary", "passing"}
            return node.before if is_said else None
        found = self.nodes.named(uuid, node.files[0])
        return found if found is not None and found is not node else node.before

    def _place(self, node: Node, above: Node | None) -> None:
        node.is_placed = True
        if above is not None and above.agent != node.agent:
            above = None
        if node.kind == "user" and self._is_copy(node, above):
            return
        node.parent = above
        conversation = self.conversations.setdefault(node.agent, Conversation(node.agent))
        node.order = len(conversation.nodes)
        conversation.nodes.append(node)
        self._match(node)
        if node.kind == "boundary":
            node.kept_from = self.nodes.named(kept_from(node.line), node.files[0])
        turn = self._turn(node, above, conversation)
        turn.append(node)
        self._advance(node, above, turn)

    def _is_copy(self, node: Node, above: Node | None) -> bool:
        """Say whether the same was written by the same at the same time in the same place, as copies under new uuids are."""
        if above is None or node.line.timestamp is None:
            return False
        known = self._written.setdefault((id(above), node.line.timestamp), node)
        if known is node or not same(known, node):
            return False
        known.files += node.files
        node.kind, node.parent = "passing", known
        return True

    # Calls and results

    def _match(self, node: Node) -> None:
        """Find the calls of a node, and those that its results answer: the nearest above that has the id."""
        taken: dict[str, int] = {}
        for block, line in node.parts:
            if block.type == "tool_use" and node.kind == "answer":
                ordinal = taken[block.id] = taken.get(block.id, 0) + 1
                key = (*node.key, block.id, *([str(ordinal)] if ordinal > 1 else []))
                call = Call(key, node, block, line)
                node.calls.append(call)
                self.calls.append(call)
                self._callers.setdefault((node.agent, block.id), []).append(call)
            elif block.type == "tool_result" and node.kind == "user":
                call_of = self._called(node, block)
                node.results.append((block, call_of))
                if call_of is not None and call_of.result is None:
                    call_of.result = block, line

    def _called(self, node: Node, block: Block) -> Call | None:
        calls = self._callers.get((node.agent, block.tool_use_id), [])
        if len(calls) <= 1:
            return calls[0] if calls else None
        near = self._near(node.parent, block.tool_use_id)
        return calls[-1] if near is None else near.next_one()

    def _near(self, above: Node | None, call_id: str) -> "_Near | None":
        """The calls of an id in the nearest message that has some: each message is looked at once for an id."""
        at, passed, found = above, list[tuple[int, str]](), None
        while at is not None and (found := self._nearest.get((id(at), call_id))) is None:
            passed.append((id(at), call_id))
            if near := [call for call in at.calls if call.block.id == call_id]:
                found = _Near(near)
                break
            at = at.parent
        if found is not None:
            self._nearest |= dict.fromkeys(passed, found)
        return found

    # Turns

    def _turn(self, node: Node, above: Node | None, conversation: Conversation) -> Turn:
        if above is None or above.turn is None:
            return self._root(node, conversation)
        turn = above.turn
        waits = turn.pending if above.phase == "ended" and turn.pending is not None else None
        if waits is not None and (waits.awake is None or _wakes(node) == "never"):
            return waits
        if _wakes(node) == "always":
            joins = above.phase == "pending" and turn.awake is None
            return turn if joins else self._opened(node, turn, above, conversation)
        if above.phase == "ended":
            opened = self._opened(node, turn, above, conversation)
            if _wakes(node) == "never":
                turn.pending = opened
            return opened
        step = above.step if node.is_model and above.step is not None and above.step.turn is turn else None
        if step is not None and step.followed:
            return self._opened(node, turn, above, conversation)
        if step is not None:
            step.followed = True
        return turn

    def _root(self, node: Node, conversation: Conversation) -> Turn:
        last = next((conversation.last_root[file] for file in node.files if file in conversation.last_root), None)
        if last is not None and last.awake is None:
            return last
        earlier = next((conversation.first_root[file] for file in node.files if file in conversation.first_root), None)
        turn = Turn(node, earlier, None, "continues" if earlier is None else "branches")
        conversation.turns.append(turn)
        for file in node.files:
            conversation.first_root.setdefault(file, turn)
            conversation.last_root[file] = turn
        return turn

    def _opened(self, node: Node, turn: Turn, above: Node, conversation: Conversation) -> Turn:
        went_on = turn.last_step > above.order and _share(conversation.nodes[turn.last_step], node)
        left_before = not turn.left_in.isdisjoint(node.files)
        is_branch = not node.is_model and (went_on or left_before or self.nodes.leaves_fork(node))
        opened = Turn(node, turn, above, "branches" if is_branch else "continues")
        turn.left_in.update(node.files)
        conversation.turns.append(opened)
        return opened

    def _advance(self, node: Node, above: Node | None, turn: Turn) -> None:
        """Say how things stand after a node."""
        was_active = above is not None and above.turn is not None and above.phase == "active"
        if node.is_model or node.error is not None or _wakes(node) != "never":
            turn.awake = turn.awake or node
        stopped = node.speaker is not None and node.speaker.interrupted_by is not None
        if stopped and was_active and above is not None and above.turn is not None and above.turn.ended is None:
            above.turn.ended = node
        if node.error is not None or node.ends_turn:
            turn.ended, node.phase = node, "ended"
        elif stopped and was_active and turn.ended is node:
            node.phase = "ended"
        else:
            node.phase = "pending" if turn.awake is None else "active"
        is_step = node.is_model or node is turn.awake
        node.step = node if is_step else above.step if above is not None else None
        if is_step:
            turn.last_step = node.order


def _wakes(node: Node) -> str:
    """Whether a node opens a turn: see `speakers.Wakes`. Results and answers go on with one, or begin one that nobody asked."""
    if node.speaker is not None:
        return node.speaker.wakes
    return "if_ended" if node.kind == "user" or node.is_model or node.error is not None else "never"


def _share(one: Node, other: Node) -> bool:
    """Return whether two lines stand in one file."""
    return not set(one.files).isdisjoint(other.files)
