"""Who said what in a line of Claude Code, whether it wakes the agent, and which words are the author's own.

Lines of type `user` hold more than a person typed. Who wrote one is what the line states (`origin`, `isMeta` and their
like), else what its text begins with. A person is named only where nothing says otherwise: never for an origin that is not
known. Functions here know one record and nothing else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runfold.importers.claude.envelopes import Kind, Marked, hook_reminder, marked, own_words, starts_with_message

PERSON, CLIENT = "human:user", "service:claude-code"

Record = Mapping[str, Any]
Wakes = Literal["always", "if_ended", "never"]
"""Whether a line opens a turn: a prompt always does; a notice does where the turn before it has ended, else it is told to
the agent within that turn; what the client writes for itself never does."""

_AGENTS = frozenset({"peer", "coordinator", "teammate", "agent", "subagent"})
_TURN_ORIGINS = {"task_notification": "task-notification", "auto_continuation": "auto-continuation"}
_TYPED = ("typed", "queued", "suggestion_accepted")


@dataclass(frozen=True)
class Speaker:
    """The author of a line's words."""

    author: str
    """`human:user`, `agent:name` or `service:name`."""
    kind: Kind
    wakes: Wakes
    words: str = ""
    """The author's own, without what the client put around and between them."""
    interrupted_by: str | None = None
    """Who stopped the agent here."""

    @property
    def is_typed(self) -> bool:
        """Return whether it is a prompt that a person typed."""
        return self.author == PERSON and self.kind == "prompt"


def speaker_of(record: Record, caller: str | None = None) -> Speaker | None:
    """Return who said the words of a `user` line or an `attachment`; None where it says nothing beside results of tools.

    `caller` is the agent that started the conversation, for a sub-agent's: what nobody else is named for is its words.
    """
    match record.get("type"):
        case "user":
            return _of_user(record, caller)
        case "attachment":
            return _of_attachment(record, caller)
    return None


def texts_of(content: Any) -> Iterator[str]:
    """The texts of a message's content."""
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and block.get("type") == "text" and isinstance(text := block.get("text"), str):
            yield text


def interrupted_by(record: Record) -> str | None:
    """Return who stopped the agent with this line; None where it is no interruption."""
    said = speaker_of(record)
    return said.interrupted_by if said is not None else None


def _of_user(record: Record, caller: str | None) -> Speaker | None:
    message = record.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    blocks = content if isinstance(content, list) else []
    results = sum(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)
    if results and results == len(blocks):
        return None
    if isinstance(record.get("planContent"), str):  # the client made a prompt of a plan that was accepted
        return Speaker(CLIENT, "prompt", "always", "\n".join(texts_of(content)))
    said = _speaker(record, list(texts_of(content)), caller)
    if results and said.wakes != "never":
        return Speaker(said.author, said.kind, "never", said.words, said.interrupted_by)
    if not results and said.kind == "prompt" and _is_of_a_tool(record, blocks):
        return Speaker(CLIENT, "note", "never", said.words, said.interrupted_by)
    return said


def _is_of_a_tool(record: Record, blocks: list[Any]) -> bool:
    """Whether a line has what a tool returned, in a form that is not known: then nobody typed it, unless that is stated."""
    if _origin(record) == "human" or record.get("promptSource") in _TYPED:
        return False
    return any(record.get(name) is not None for name in ("toolUseResult", "sourceToolAssistantUUID")) or any(
        isinstance(block, dict) and isinstance(block.get("tool_use_id"), str) for block in blocks
    )


def _of_attachment(record: Record, caller: str | None) -> Speaker | None:
    """What was typed or told while the agent worked."""
    attachment = record.get("attachment")
    if not isinstance(attachment, dict) or attachment.get("type") != "queued_command":
        return None
    mode, stated = attachment.get("commandMode"), {**record, **attachment}
    if mode not in (None, "prompt") and not isinstance(attachment.get("origin"), dict):
        stated["origin"] = {"kind": str(mode)}
    said = _speaker(stated, list(texts_of(attachment.get("prompt"))), caller)
    return Speaker(said.author, said.kind, "never", said.words, said.interrupted_by)


def queued_content(record: Record) -> Any:
    """Return the content of a message that was queued while the agent worked, as a message has it; None for another line."""
    attachment = record.get("attachment")
    if record.get("type") != "attachment" or not isinstance(attachment, dict) or attachment.get("type") != "queued_command":
        return None
    prompt = attachment.get("prompt")
    return prompt if isinstance(prompt, str | list) and prompt else None


def _speaker(record: Record, texts: list[str], caller: str | None) -> Speaker:
    marks = [marked(text) for text in texts]
    stopped = next((mark for mark in marks if mark is not None and mark.kind == "interruption"), None)
    own = [own_words(text) if mark is None else mark.beside for text, mark in zip(texts, marks, strict=True) if _may_be_own(mark)]
    words = "\n".join(text for text in own if text)
    by = None if stopped is None else (CLIENT if record.get("interruptedByShutdown") else PERSON)
    origin = _origin(record)
    if record.get("isCompactSummary") is True:
        return Speaker(CLIENT, "summary", "never", "\n".join(texts))
    if origin not in {None, "human", "sdk"}:
        return _told(record, origin or "", marks, texts)
    if _is_injected(record):
        return _injected(record, marks, texts, by)
    is_human = origin == "human" or record.get("promptSource") == "typed"
    only = _first_mark(texts, marks, words, is_human=is_human)
    if only is not None:
        return only if by is None else Speaker(only.author, only.kind, only.wakes, only.words, by)
    if texts and not words and all(mark is None for mark in marks):
        hooked = any(hook_reminder(text) for text in texts)
        return Speaker("service:hook" if hooked else CLIENT, "hook" if hooked else "reminder", "never", "\n".join(texts))
    return Speaker(_default(record, origin, caller), "prompt", "always", words, by)


def _may_be_own(mark: Marked | None) -> bool:
    return mark is None or (mark.kind == "interruption" and bool(mark.beside))


def _first_mark(texts: list[str], marks: list[Marked | None], words: str, *, is_human: bool) -> Speaker | None:
    """The speaker of a line that is marked throughout; None where somebody's own words stand in it."""
    if words:
        return None
    for text, mark in zip(texts, marks, strict=True):
        if mark is None:
            continue
        if is_human and mark.kind != "interruption" and (mark.beside or not mark.is_enclosed):
            return Speaker(PERSON, "prompt", "always", mark.beside or text.strip())
        if mark.kind == "command":
            wakes: Wakes = "always" if starts_with_message(text) or is_human else "never"
            return Speaker(PERSON if is_human else mark.author, "command", wakes, mark.words)
        return Speaker(mark.author, mark.kind, "if_ended" if mark.kind in {"notice", "letter", "hook"} else "never", mark.words)
    return None


def _told(record: Record, origin: str, marks: list[Marked | None], texts: list[str]) -> Speaker:
    """What the line states to come from something that is no person."""
    mark = next((mark for mark in marks if mark is not None and mark.kind in {"letter", "notice", "hook"}), None)
    words = mark.words if mark is not None else "\n".join(texts)
    if origin in _AGENTS:
        stated = record.get("origin")
        named = _name(stated if isinstance(stated, dict) else {})
        if named is None and mark is not None and mark.kind == "letter" and mark.author != "agent:peer":
            return Speaker(mark.author, "letter", "if_ended", words)
        return Speaker(f"agent:{named or origin}", "letter", "if_ended", words)
    if origin == "unclassified" and mark is not None:
        return Speaker(mark.author, mark.kind, "if_ended", words)
    return Speaker(f"service:{origin[:400]}", "notice", "if_ended", words)


def _name(origin: Mapping[str, Any]) -> str | None:
    for key in ("name", "fromName", "teammateId", "teammate_id", "from", "senderTaskId", "fromSession"):
        value = origin.get(key)
        if isinstance(value, str) and value.strip() and value != "unknown" and not value.startswith("uds:"):
            return value.strip()[:400]
    return None


def _is_injected(record: Record) -> bool:
    flags = ("isMeta", "isVisibleInTranscriptOnly", "turnCompanion", "isSynthetic")
    return any(record.get(flag) is True for flag in flags) or (
        record.get("promptSource") == "system" and _origin(record) != "human"
    )


def _injected(record: Record, marks: list[Marked | None], texts: list[str], by: str | None) -> Speaker:
    """What the client put in by itself."""
    mark = next((mark for mark in marks if mark is not None), None)
    wakes: Wakes
    if mark is not None and mark.kind != "shell":
        wakes = "if_ended" if mark.kind in {"notice", "letter", "hook"} else "never"
        return Speaker(mark.author, mark.kind, wakes, mark.words, by)
    wakes = "if_ended" if record.get("promptSource") == "system" else "never"
    return Speaker(CLIENT, "note", wakes, "\n".join(texts), by)


def _origin(record: Record) -> str | None:
    """What the line states of its origin: `human`, another kind, or None."""
    origin = record.get("origin")
    kind = origin.get("kind") if isinstance(origin, dict) else origin
    if isinstance(kind, str) and kind.strip():
        return kind.strip()
    turn = record.get("turnOrigin")
    if isinstance(turn, str) and turn.strip() and turn != "unknown":
        return _TURN_ORIGINS.get(turn, turn.strip())
    return None


def _default(record: Record, origin: str | None, caller: str | None) -> str:
    """The author of words that nothing marks."""
    if origin == "human":
        return PERSON
    if caller is not None and record.get("promptSource") not in _TYPED:
        return caller
    if origin == "sdk" or record.get("promptSource") == "sdk":
        return "service:sdk"
    return PERSON
