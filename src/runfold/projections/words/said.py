"""What an event says in words: the passages that a search looks through, each with its place in the event."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
    says = _SAYS.get(type(event))
    for place, text in () if says is None else says(event):
        if not text:
            continue
        if len(text) > left:
            if left:
                found.append(Passage(place, text[:left]))
            return Said(found, is_whole=False)
        found.append(Passage(place, text))
        left -= len(text)
    return Said(found, is_whole=True)


Texts = Iterable[tuple[str, str | None]]


def _called(event: ToolCalled) -> Texts:
    return ("name", event.name), ("arguments", event.arguments_text if event.arguments is None else flat(event.arguments))


def _failed(event: ToolFailed) -> Texts:
    return ("error", f"{event.error.code}: {event.error.message}"), ("result", flat(event.result))


def _corrected(event: OutcomeCorrected) -> Texts:
    return *_of_outcome(event.replacement), ("reason", event.reason)


def _reported(event: ProblemReported) -> Texts:
    return ("description", event.description), ("root_cause", event.root_cause), ("suggested_fix", event.suggested_fix)


def _violated(event: ConstraintViolated) -> Texts:
    return ("description", event.description), ("details", flat(event.details))


def _of_decision(made: DecisionMade) -> Iterator[tuple[str, str | None]]:
    yield "intent", made.intent
    for option in made.options:
        for text in (option.description, *option.pros, *option.cons):
            yield "option", text
    yield "reasoning", made.reasoning
    for text in made.active_constraints:
        yield "constraint", text


def _of_outcome(outcome: Outcome) -> Texts:
    return ("summary", outcome.summary), ("error", outcome.error), ("result", flat(outcome.result))


def _of_content(content: Content) -> Texts:
    found: list[tuple[str, str | None]] = []
    for part in content:
        match part:
            case TextPart():
                found.append(("content", part.text))
            case ReasoningPart():
                found.append(("reasoning", part.text))
            case DataPart():
                found += [("name", part.name), ("data", flat(part.data))]
            case FilePart():
                url = None if part.url is None or part.url.startswith("data:") else part.url
                found += [("name", part.name), ("url", url)]
            case SourcePart():
                found += [(place, getattr(part, place)) for place in ("title", "url", "document_id")]
    return found


_SAYS: dict[type[Event], Callable[[Any], Texts]] = {
    MessageAdded: lambda event: _of_content(event.content),
    MessageRevised: lambda event: _of_content(event.content),
    MessagePartAppended: lambda event: (("content", event.text),),
    ToolCalled: _called,
    ToolSucceeded: lambda event: (("result", flat(event.result)),),
    ToolFailed: _failed,
    ToolCancelled: lambda event: (("reason", event.reason),),
    DecisionMade: _of_decision,
    OutcomeRecorded: lambda event: _of_outcome(event.outcome),
    OutcomeCorrected: _corrected,
    DecisionEvaluated: lambda event: (("evaluation", event.why_better),),
    ProblemReported: _reported,
    ProblemResolved: lambda event: (("resolution", event.resolution),),
    ConstraintViolated: _violated,
}
"""What each class of event says; the others say nothing."""


_LISTS = (list, tuple)


def flat(value: Any) -> str:
    """JSON as a person reads it: its names and values line by line, and texts as they are, without the escapes of JSON.

    No more of it than is looked through, and a character, which tells that there was more.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    lines: list[str] = []
    length, waiting = 0, [("", value)]
    while waiting and length <= LONGEST_TEXT:
        name, each = waiting.pop()
        if isinstance(each, dict):
            waiting += [(str(key), inner) for key, inner in reversed(each.items())]
            each = None
        elif isinstance(each, _LISTS):
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
