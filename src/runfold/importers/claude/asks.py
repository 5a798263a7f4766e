"""What Claude Code asked its person: to approve a plan, to answer questions, or to let a tool run that was then rejected.

A tool that ran unasked, or that failed by itself, asked nobody. Where nobody has answered yet, the question is open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from runfold.importers.claude.session import Block, Line
from runfold.importers.sources import CamelShape

REJECTED = "The user doesn't want to proceed with this tool use"
PLAN, QUESTION = "ExitPlanMode", "AskUserQuestion"

Option = dict[str, str]


class Choice(CamelShape):
    """One answer that a question offers."""

    label: str
    description: str | None = None


class Question(CamelShape):
    """A question with its answers."""

    question: str
    options: tuple[Choice, ...] = ()


class Questions(CamelShape):
    """The arguments of a call that asks, and what its result repeats."""

    questions: tuple[Question, ...] = ()
    answers: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """One thing that the person was asked, and what they said."""

    name: str
    """What tells it apart from others of the same call."""
    action: str
    reason: Literal["confirmation", "input_required", "tool_call"]
    message: str | None
    arguments: Any
    options: tuple[Option, ...]
    """Each with `id`, `label` and `description`."""
    verdict: Literal["granted", "denied"] | None
    chosen: str | None = None
    """The id of the option that was chosen."""
    answer: str | None = None
    """In the person's words, where a question was answered."""

    @property
    def intent(self) -> str:
        """Return what was to be decided."""
        return self.message or f"let {self.action} go on"


def asks_of(call: Block, result: tuple[Block, Line] | None) -> list[Ask]:
    """Return what one call asked."""
    verdict: Literal["granted", "denied"] | None = None
    if result is not None:
        block = result[0]
        if block.is_error and not said(block.content).startswith(REJECTED):
            return []
        verdict = "denied" if block.is_error else "granted"
    if call.name == QUESTION:
        return list(_questions(call, result[1].tool_use_result if result else None, verdict))
    if call.name == PLAN:
        return [_confirmation(call, "confirmation", "carry out the plan", verdict)]
    return [_confirmation(call, "tool_call", f"let {call.name} run", verdict)] if verdict == "denied" else []


def said(content: Any) -> str:
    """The words of a tool's result."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str))


def _confirmation(
    call: Block, reason: Literal["confirmation", "tool_call"], yes: str, verdict: Literal["granted", "denied"] | None
) -> Ask:
    options = (
        {"id": "approve", "label": "approve", "description": yes},
        {"id": "reject", "label": "reject", "description": "do not, and wait for the person"},
    )
    chosen = {"granted": "approve", "denied": "reject", None: None}[verdict]
    return Ask("confirmation", call.name, reason, None, call.input, options, verdict, chosen)


def _questions(call: Block, answered: Any, verdict: Literal["granted", "denied"] | None) -> Iterator[Ask]:
    try:
        asked = Questions.model_validate(call.input)
        answers = Questions.model_validate(answered).answers if isinstance(answered, dict) else {}
    except ValidationError:  # another version's form: the call is recorded as any other
        return
    for index, question in enumerate(asked.questions):
        options = [
            {"id": f"option-{number}", "label": choice.label, "description": choice.description or choice.label}
            for number, choice in enumerate(question.options, 1)
        ]
        answer = answers.get(question.question)
        words = None if answer is None else ", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)
        chosen = next((option["id"] for option in options if option["label"] == words), None)
        if words is not None and chosen is None:
            chosen = "own-words"
            options.append({"id": chosen, "label": "in the person's own words", "description": words})
        yield Ask(
            str(index),
            call.name,
            "input_required",
            question.question,
            call.input["questions"][index],
            tuple(options),
            verdict,
            chosen,
            words,
        )
