"""Which of the prompts on one message go on with the conversation, and which are branches, in whichever files they stand."""

from collections.abc import Mapping

from runfold.importers.claims import PREFIX
from runfold.importers.claude.nodes import Node, Nodes, Turn
from runfold.importers.recording import ImportedBefore

Files = Mapping[int, set[int]]


def settle_kinds(turns: list[Turn], said: list[Node], nodes: Nodes) -> None:
    """Make branches of the prompts on one message that are not the earliest, and of those that leave what others wrote.

    What is a branch already, by what its own file says, stays one.
    """
    groups: dict[int, list[Turn]] = {}
    for turn in turns:
        if turn.left is not None and turn.kind == "continues" and not turn.opener.is_model:
            groups.setdefault(id(turn.left), []).append(turn)
    below: dict[int, set[int]] = {left: set() for left in groups}
    for node in said:
        if node.parent is not None and id(node.parent) in below:
            below[id(node.parent)].update(node.files)
    for group in groups.values():
        first, *others = sorted(group, key=lambda turn: turn.opener.moment)
        for turn in others:
            turn.kind = "branches"
        if _leaves_a_copy(first, below, nodes) or _is_left_behind(first, said):
            first.kind = "branches"


def leaves_what_is_in(turn: Turn, known: ImportedBefore, run_id: str, message_id: str) -> bool:
    """Return whether earlier imports make a prompt a branch: one on the same run is in, or the session that this one copied.

    `run_id` and `message_id` are those that it hangs from.
    """
    if turn.opener.is_model:
        return False
    if run_id in known.continued:
        return True
    sessions = {source for source in known.source_ids if not source.startswith(PREFIX)}
    has_stopped = len(sessions) > known.branches[run_id]  # not all that are known went on with branches
    return has_stopped and turn.opener.line.session_id not in sessions and _is_copied(turn) and message_id in known.wording


def _is_copied(turn: Turn) -> bool:
    """Say whether the file of a turn holds what it hangs from, too."""
    return turn.left is not None and not set(turn.left.files).isdisjoint(turn.opener.files)


def _leaves_a_copy(turn: Turn, below: Files, nodes: Nodes) -> bool:
    """Say whether its file only copied what it hangs from, of a session that stopped there."""
    if turn.left is None or not _is_copied(turn):
        return False
    stopped = set(turn.left.files) - below[id(turn.left)]
    own = turn.opener.line.session_id
    return any(own not in nodes.sessions_in[file] for file in stopped if file in nodes.sessions_in)


def _is_left_behind(turn: Turn, said: list[Node]) -> bool:
    """Say whether the turn that it hangs from had gone on in another file."""
    if turn.left is None or turn.parent is None or turn.parent.last_step <= turn.left.order:
        return False
    last, opener = said[turn.parent.last_step], turn.opener
    if not set(last.files).isdisjoint(opener.files):
        return False
    return last.line.session_id != opener.line.session_id or last.moment < opener.moment
