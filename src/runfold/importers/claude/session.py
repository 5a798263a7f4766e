"""A session of Claude Code as its files hold it: lines put together to entries, and entries to the branches of a tree.

One message of the API is spread over several lines, which repeat its `usage`: it is one entry, and the last usage counts.
Where a line's parent is not the end of its branch, the person went back and asked again: a new branch begins. Results of
parallel tool calls, and lines of one API message, also have a common parent, and are no branch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from runfold.importers.sources import CamelShape, Piece, Shape

INTERRUPTED = "[Request interrupted by user"
_COMMAND = ("<command-name>", "<local-command-", "<command-message>", "<bash-input>", "<bash-stdout>")

_NEEDED = {
    "text": ("text",),
    "thinking": ("thinking",),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name"),
    "tool_result": ("tool_use_id",),
    "image": ("source",),
    "document": ("source",),
}


class Block(Shape):
    """A part of a message's content. `raw` is all of it."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str | None = None
    id: str = ""
    name: str = ""
    input: Any = None
    tool_use_id: str = ""
    content: Any = None
    is_error: bool | None = None
    source: dict[str, Any] = Field(default_factory=dict)
    raw: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _with_raw(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise PydanticCustomError("block", "is not an object")
        missing = [name for name in _NEEDED.get(str(value.get("type")), ()) if value.get(name) is None]
        if missing:
            raise PydanticCustomError("block", "a {kind} block has no {name}", {"kind": value["type"], "name": missing[0]})
        return {**value, "raw": value}


class ApiMessage(Shape):
    """What the API was sent, or answered."""

    id: str | None = None
    model: str | None = None
    content: list[Block]
    usage: dict[str, Any] | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _as_blocks(cls, value: Any) -> Any:
        return [{"type": "text", "text": value}] if isinstance(value, str) else value


class Line(CamelShape):
    """A line that is a message, or a part of one."""

    type: Literal["user", "assistant"]
    uuid: str
    parent_uuid: str | None = None
    session_id: str
    timestamp: datetime
    message: ApiMessage
    agent_id: str | None = None
    is_sidechain: bool = False
    is_meta: bool = False
    is_compact_summary: bool = False
    tool_use_result: Any = None
    cwd: str | None = None
    version: str | None = None
    git_branch: str | None = None

    @property
    def is_machine_made(self) -> bool:
        """Return whether the client wrote this user's line by itself: a caveat, a command and its output, a summary."""
        is_command = bool(self.message.content) and self.message.content[0].text.startswith(_COMMAND)
        return self.is_meta or self.is_compact_summary or is_command


@dataclass
class Entry:
    """One message of the source: a user's line, or all lines of one API message."""

    lines: list[tuple[Line, Piece]]
    branch: "Branch"
    index: int
    """Its place in its branch."""

    @property
    def line(self) -> Line:
        """Return its first line."""
        return self.lines[0][0]

    @property
    def piece(self) -> Piece:
        """Return where its first line stands."""
        return self.lines[0][1]

    @property
    def source_id(self) -> str:
        """The API message's id, or the line's."""
        return self.line.message.id or self.line.uuid

    @property
    def is_assistant(self) -> bool:
        """Return whether the agent wrote it."""
        return self.line.type == "assistant"

    def blocks(self) -> Iterator[tuple[Block, Line]]:
        """Yield its content in order, each part with its line."""
        for line, _ in self.lines:
            for block in line.message.content:
                yield block, line

    def calls(self) -> Iterator[tuple[Block, Line]]:
        """The tool calls in it."""
        return ((block, line) for block, line in self.blocks() if block.type == "tool_use")

    def results(self) -> Iterator[Block]:
        """The results of tools in it."""
        return (block for block, _ in self.blocks() if block.type == "tool_result" and not self.is_assistant)

    @property
    def has_words(self) -> bool:
        """Return whether a user's line holds anything beside results of tools."""
        return any(block.type != "tool_result" for block, _ in self.blocks()) or not list(self.results())

    @property
    def is_interruption(self) -> bool:
        """Return whether the person stopped the agent here."""
        return not self.is_assistant and any(block.text.startswith(INTERRUPTED) for block, _ in self.blocks())


@dataclass(eq=False)
class Branch:
    """A line of the conversation. All but the first leave another one after an entry of it."""

    left: Entry | None
    entries: list[Entry] = field(default_factory=list)


@dataclass
class Conversation:
    """One agent's entries in the order of the file, and the branches they make."""

    branches: list[Branch] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    @classmethod
    def of(cls, lines: Sequence[tuple[Line, Piece]], parents: dict[str, str | None]) -> Self:
        """Put lines together. `parents` also holds the records that are no messages, through which parents are found."""
        conversation = cls()
        grower = _Grower(conversation, parents)
        for line, piece in lines:
            grower.take(line, piece)
        return conversation

    @cached_property
    def called(self) -> dict[str, Block]:
        """Each call, by its own id."""
        return {block.id: block for entry in self.entries for block, _ in entry.calls()}

    @cached_property
    def answered(self) -> dict[str, tuple[Block, Line]]:
        """The result of each call that has one, by the call's own id."""
        return {
            block.tool_use_id: (block, line)
            for entry in self.entries
            for block, line in entry.blocks()
            if block.type == "tool_result"
        }


class _Grower:
    """Lines, one by one → entries and branches."""

    def __init__(self, conversation: Conversation, parents: dict[str, str | None]) -> None:
        self.found = conversation
        self.parents = parents
        self.entry_of: dict[str, Entry] = {}
        self.caller: dict[str, Entry] = {}
        """The entry that called a tool."""
        self.by_message: dict[str, Entry] = {}

    def take(self, line: Line, piece: Piece) -> None:
        """Add a line. One that was copied, as an earlier line of the session, adds nothing."""
        if line.uuid in self.entry_of:
            return
        known = self.by_message.get(line.message.id or "") if line.type == "assistant" else None
        if known is not None:
            known.lines.append((line, piece))
            entry = known
        else:
            branch = self._branch(line)
            entry = Entry([(line, piece)], branch, len(branch.entries))
            branch.entries.append(entry)
            self.found.entries.append(entry)
        self.entry_of[line.uuid] = entry
        if line.type == "assistant" and line.message.id:
            self.by_message[line.message.id] = entry
        for block, _ in entry.calls():
            self.caller[block.id] = entry

    def _branch(self, line: Line) -> Branch:
        above = self._above(line)
        if above is None:
            return self._current()
        turn = self._turn(above)
        tail = above.branch.entries[above.index + 1 :]
        if self._answers(line) is above.branch or all(self._turn(entry) is turn for entry in tail):
            return above.branch
        last = max((entry for entry in above.branch.entries if self._turn(entry) is turn), key=lambda entry: entry.index)
        self.found.branches.append(Branch(left=last))
        return self.found.branches[-1]

    def _current(self) -> Branch:
        if not self.found.branches:
            self.found.branches.append(Branch(left=None))
        return self.found.entries[-1].branch if self.found.entries else self.found.branches[0]

    def _above(self, line: Line) -> Entry | None:
        """The nearest message above a line, through whatever stands between."""
        seen, at = set[str](), line.parent_uuid
        while at is not None and at not in seen:
            if at in self.entry_of:
                return self.entry_of[at]
            seen.add(at)
            at = self.parents.get(at)
        return None

    def _turn(self, entry: Entry) -> Entry:
        """The message whose call an entry answers, or the entry itself."""
        if entry.is_assistant or entry.has_words:
            return entry
        return next((self.caller[block.tool_use_id] for block in entry.results() if block.tool_use_id in self.caller), entry)

    def _answers(self, line: Line) -> Branch | None:
        """The branch whose call a line answers."""
        blocks = line.message.content if line.type == "user" else []
        if any(block.type != "tool_result" for block in blocks):
            return None
        return next((self.caller[block.tool_use_id].branch for block in blocks if block.tool_use_id in self.caller), None)
