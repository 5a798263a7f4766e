"""Events, one a line: the position, the time, the type, the stream, and what the event says in a few words."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from runfold.domain.json_text import json_text
from runfold.terminal.text import one_line, shown

if TYPE_CHECKING:
    from runfold.domain.recorded import Recorded

_FOR_MACHINES = frozenset(
    {
        "thread_id",
        "run_id",
        "request_digest",
        "arguments_digest",
        "effective_digest",
        "arguments",
        "metadata",
        "raw",
        "options",
        "votes",
        "ordinal",
        "execution_key",
        "agent_version",
        "code_version",
        "state_changes",
        "expires_at",
    }
)
_FIRST_WORDS = ("role", "name", "title", "intent", "action", "severity", "content", "text", "description", "message", "reason")


def print_event(out: Console, recorded: "Recorded") -> None:
    """Print an event on one line, which a terminal cuts at its width."""
    stream = _short(recorded.stream) if out.is_terminal else recorded.stream
    line = Text.assemble(
        (f"{recorded.position:>8} ", "bold"),
        (f"{recorded.recorded_at:%Y-%m-%d %H:%M:%S} ", "dim"),
        (f"{recorded.type:<25} ", "cyan"),
        f"{stream} ",
        shown(in_a_few_words(recorded), "dim"),
    )
    if out.is_terminal:
        out.print(line, no_wrap=True, overflow="ellipsis")
    else:
        out.print(line, soft_wrap=True)


def _short(stream: str) -> str:
    """A stream's id with its middle cut: the end of a UUID tells it from its neighbours."""
    return stream if len(stream) <= 24 else f"{stream.partition('_')[0]}_…{stream[-8:]}"


def in_a_few_words(recorded: "Recorded") -> str:
    """Return the fields of an event, without those that only machines read, or that nobody is shown."""
    event = recorded.event
    fields = {
        name: value
        for name, value in event.model_dump(mode="json", exclude_defaults=True, exclude=event.undisclosed or None).items()
        if name not in _FOR_MACHINES and value not in (None, "", [], {})
    }
    if "content" in fields:
        fields["content"] = _content(recorded)
    words = [str(fields.pop(name)) for name in _FIRST_WORDS if name in fields]
    words += [f"{name}={value if isinstance(value, str) else json_text(value)}" for name, value in fields.items()]
    return one_line("  ".join(words))


def _content(recorded: "Recorded") -> str:
    """The words of a message's parts; a part that is not made of words by its kind. What is one word is that word."""
    parts = getattr(recorded.event, "content", ())
    if isinstance(parts, str):
        return parts
    return " ".join(word for part in parts if (word := str(getattr(part, "text", part.type))))
