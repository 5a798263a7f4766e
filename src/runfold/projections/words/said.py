"""What an event says in words: the passages that a search looks through, each with its place in the event."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from runfold.domain.decision import DecisionEvaluated, DecisionMade, Outcome, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.message import Content, MessageAdded, MessagePartAppended, MessageRevised
from runfold.domain.parts import DataPart, FilePart, ReasoningPart, SourcePart, TextPart
from runfold.domain.problem import ConstraintViolated, ProblemReported, ProblemResolved
from runfold.domain.tool_call import ToolCalled, ToolCancelled, ToolFailed, ToolSucceeded

LONGEST_TEXT = 20_000
"""Of one event so many characters are looked through, of a streamed message as well."""


class Passage(NamedTuple):
    """A text of an event, and what of the event it is."""

    place: str
    text: str


class Said(NamedTuple):
    """What an event says, up to `LONGEST_TEXT` characters."""

    passages: Sequence[Passage]
    is_whole: bool
    """Whether that is all."""


def said_by(event: Event) -> Said:
    """The passages of an event."""
    found: list[Passage] = []
    left = LONGEST_TEXT
    for place, text in _passages(event):
        if not text:
            continue
        if len(text) > left:
            if left:
                found.append(Passage(place, text[:left]))
            return Said(found, is_whole=False)
        found.append(Passage(place, text))
        left -= len(text)
    return Said(found, is_whole=True)


Texts = Iterator[tuple[str, str | None]]


def _passages(event: Event) -> Texts:
    match event:
        case MessageAdded() | MessageRevised():
            yield from _of_content(event.content)
        case MessagePartAppended():
            yield "content", event.text
        case ToolCalled():
            yield "name", event.name
            yield "arguments", event.arguments_text if event.arguments is None else flat(event.arguments)
        case ToolSucceeded():
            yield "result", flat(event.result)
        case ToolFailed():
            yield "error", f"{event.error.code}: {event.error.message}"
            yield "result", flat(event.result)
        case ToolCancelled():
            yield "reason", event.reason
        case DecisionMade():
            yield from _of_decision(event)
        case OutcomeRecorded():
            yield from _of_outcome(event.outcome)
        case OutcomeCorrected():
            yield from _of_outcome(event.replacement)
            yield "reason", event.reason
        case DecisionEvaluated():
            yield "evaluation", event.why_better
        case ProblemReported():
            yield "description", event.description
            yield "root_cause", event.root_cause
            yield "suggested_fix", event.suggested_fix
        case ProblemResolved():
            yield "resolution", event.resolution
        case ConstraintViolated():
            yield "description", event.description
            yield "details", flat(event.details)
        case _:
            return


def _of_decision(made: DecisionMade) -> Texts:
    yield "intent", made.intent
    for option in made.options:
        for text in (option.description, *option.pros, *option.cons):
            yield "option", text
    yield "reasoning", made.reasoning
    for text in made.active_constraints:
        yield "constraint", text


def _of_outcome(outcome: Outcome) -> Texts:
    yield "summary", outcome.summary
    yield "error", outcome.error
    yield "result", flat(outcome.result)


def _of_content(content: Content) -> Texts:
    for part in content:
        match part:
            case TextPart():
                yield "content", part.text
            case ReasoningPart():
                yield "reasoning", part.text
            case DataPart():
                yield "name", part.name
                yield "data", flat(part.data)
            case FilePart():
                yield "name", part.name
                yield "url", None if part.url is None or part.url.startswith("data:") else part.url
            case SourcePart():
                for place in ("title", "url", "document_id"):
                    yield place, getattr(part, place)


def flat(value: Any) -> str:
    """JSON as a person reads it: its names and values line by line, and texts as they are, without the escapes of JSON.

    No more of it than is looked through, and a character, which tells that there was more.
    """
    if isinstance(value, str):
        return value
    lines: list[str] = []
    length, waiting = 0, [("", value)]
    while waiting and length <= LONGEST_TEXT:
        name, each = waiting.pop()
        if isinstance(each, dict):
            waiting += [(str(key), inner) for key, inner in reversed(each.items())]
            each = None
        elif isinstance(each, list | tuple):
            waiting += [(name, inner) for inner in reversed(each)]
            continue
        line = _line(name, each)
        lines.append(line)
        length += len(line) + 1
    return "\n".join(filter(None, lines))


def _line(name: str, value: Any) -> str:
    text = (
        ""
        if value is None
        else value
        if isinstance(value, str)
        else str(value).lower()
        if value is True or value is False
        else str(value)
    )
    return f"{name}: {text}" if name and text else name or text
