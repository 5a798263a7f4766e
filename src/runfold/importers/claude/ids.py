"""The ids of what is made from a session: from the source's own ids, and from nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runfold.ids import stable_id
from runfold.importers.claude.lines import Block
from runfold.importers.claude.nodes import Call, Node

FORMAT = "claude-code"
VERSION = 2


def first_version_thread(session_id: str) -> str:
    """Return the thread that the importer's first version made of a session."""
    return stable_id("thread", FORMAT, session_id)


@dataclass(frozen=True)
class Ids:
    """Ids of one thread's things. Those of sub-agents without their main line are others than those beside it."""

    is_alone: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The ids that things have which an earlier import knows by other uuids."""

    def of(self, prefix: str, *words: str) -> str:
        """Return an id made from the source's ids."""
        made = stable_id(prefix, FORMAT, str(VERSION), *(("alone",) if self.is_alone else ()), *words)
        return self.aliases.get(made, made)

    def thread(self, root: Node) -> str:
        """Return a thread's, from its first line."""
        return self.of("thread", *root.line.key)

    def run(self, opener: Node) -> str:
        """Return a turn's, from the line that opened it."""
        return self.of("run", *opener.line.key)

    def message(self, node: Node) -> str:
        """Return a message's: an answer's from the message id and the request id."""
        return self.of("msg", *node.key)

    def call(self, call: Call) -> str:
        """Return a call's: from the answer and the id that its provider gave it there."""
        return self.of("call", *call.key)

    def approval(self, call: Call, name: str) -> str:
        """Return that of what a call asked."""
        opener = call.node.turn.opener if call.node.turn is not None else call.node
        return self.of("approval", *opener.line.key, *call.key, name)

    def result(self, node: Node, block: Block, call: Call | None) -> str:
        """Return a result's: of the first that a call has, from the call."""
        if call is not None and call.result is not None and call.result[0] is block:
            return self.result_of(self.call(call))
        return self.of("msg", *node.key, block.tool_use_id)

    def result_of(self, call_id: str) -> str:
        """Return that of a call's first result."""
        return self.of("msg", call_id, "result")
