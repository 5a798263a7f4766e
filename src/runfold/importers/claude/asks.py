"""What Claude Code asked its person: to approve a plan, to answer questions, or to let a tool run that was then rejected.

A tool that ran unasked, that failed by itself, or that a rule or a hook forbade, asked nobody. A plan and a question ask by
what they are: where nobody has answered yet they are open, and where the call failed or was stopped they have no verdict.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runfold.importers.claude.answers import answer_of, notes_of, written_answers
from runfold.importers.claude.endings import CallEnd, call_end
from runfold.importers.claude.speakers import Record

PLAN, QUESTION = "ExitPlanMode", "AskUserQuestion"
_EDITED = "## Approved Plan (edited by user):"

Option = dict[str, str]
Granted = Literal["granted", "denied"]


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
    verdict: Granted | None
    chosen: tuple[str, ...] = ()
    """The ids of the options that were chosen."""
    answer: str | None = None
    """What was answered to a question, as the client writes it."""
    comment: str | None = None
    """What the person typed beside it, and nothing else."""
    edited: Any = None
    """The arguments as the person changed them."""

    @property
    def intent(self) -> str:
        """Return what was to be decided."""
        return self.message or f"let {self.action} go on"


def asks_of(call: Record, result: tuple[Record, Record] | None) -> list[Ask]:
    """Return what one call asked. `result` is the block that answers it, and the line that holds the block."""
    name = call.get("name")
    if not isinstance(name, str):
        return []
    if result is None:
        return _asked(name, call, None, {})
    block, record = result
    end, whole = call_end(block, record), record.get("toolUseResult")
    answered: Mapping[str, Any] = whole if isinstance(whole, Mapping) else {}
    if answered.get("awaitingLeaderApproval") is True:
        return []  # another agent is asked
    if end.verdict == "failed" or (end.verdict == "denied" and end.by != "person"):
        return _asked(name, call, CallEnd("cancelled"), {})  # nobody answers it any more
    if end.verdict == "succeeded" and name in {PLAN, QUESTION}:
        return _asked(name, call, _declined(end) or end, {**answered, "feedback": record.get("userFeedback")})
    return _asked(name, call, end, answered) if end.verdict != "succeeded" else []


def _declined(end: CallEnd) -> CallEnd | None:
    """An answer whose words say that there is none."""
    return CallEnd("denied", "person", end.message) if end.message.startswith("User declined to answer") else None


def _asked(name: str, call: Record, end: CallEnd | None, answered: Mapping[str, Any]) -> list[Ask]:
    verdict: Granted | None = None
    if end is not None and end.verdict != "cancelled":
        verdict = "denied" if end.verdict == "denied" else "granted"
    if name == QUESTION:
        return list(_questions(call, end, answered, verdict))
    if name == PLAN:
        return [_plan(call, end, answered, verdict)]
    if verdict != "denied" or end is None:
        return []
    return [_confirmation(call, "tool_call", f"let {name} run", verdict, end.comment)]


def _plan(call: Record, end: CallEnd | None, answered: Mapping[str, Any], verdict: Granted | None) -> Ask:
    if verdict != "granted" or end is None:
        return _confirmation(call, "confirmation", "carry out the plan", verdict, end.comment if end is not None else None)
    feedback = answered.get("feedback")
    comment = feedback.strip() or None if isinstance(feedback, str) else None
    plan = answered.get("plan")
    _, marked, written = end.message.partition(_EDITED)
    asked = call.get("input")
    arguments = asked if isinstance(asked, Mapping) else {}
    edited = None
    if answered.get("planWasEdited") is True or marked:
        changed = plan if isinstance(plan, str) and plan.strip() else written.strip()
        edited = {**arguments, "plan": changed} if changed and changed != arguments.get("plan") else None
    return _confirmation(call, "confirmation", "carry out the plan", verdict, comment, edited)


def _confirmation(
    call: Record,
    reason: Literal["confirmation", "tool_call"],
    yes: str,
    verdict: Granted | None,
    comment: str | None,
    edited: Any = None,
) -> Ask:
    options = (
        {"id": "approve", "label": "approve", "description": yes},
        {"id": "reject", "label": "reject", "description": "do not, and wait for the person"},
    )
    chosen = {"granted": ("approve",), "denied": ("reject",), None: ()}[verdict]
    arguments = call.get("input")
    return Ask(
        "confirmation", str(call["name"]), reason, None, arguments, options, verdict, chosen, comment=comment, edited=edited
    )


def _questions(call: Record, end: CallEnd | None, answered: Mapping[str, Any], verdict: Granted | None) -> Iterator[Ask]:
    asked = call.get("input")
    questions = asked.get("questions") if isinstance(asked, Mapping) else None
    known = [item for item in questions if _is_question(item)] if isinstance(questions, list) else []
    answers = answered.get("answers")
    if not isinstance(answers, Mapping):
        answers = written_answers(end.message, [item["question"] for item in known]) if end is not None else {}
    for index, question in enumerate(known):
        given = answers.get(question["question"]) if verdict == "granted" else None
        notes = notes_of(answered.get("annotations"), question["question"]) if end is not None else None
        yield _question(str(index), str(call["name"]), question, given, verdict, notes or (end.comment if end else None))


def _question(name: str, action: str, question: Record, given: Any, verdict: Granted | None, comment: str | None) -> Ask:
    offered = [_offered(option) for option in question.get("options") or () if _offered(option)[0]]
    options = [
        {"id": f"option-{number}", "label": label, "description": described or label}
        for number, (label, described) in enumerate(offered, 1)
    ]
    several = question.get("multiSelect")
    answer = answer_of(given, [label for label, _ in offered], several=several if isinstance(several, bool) else None)
    chosen = [options[place]["id"] for place in answer.chosen]
    if answer.own is not None:
        chosen.append("own-words")
        options.append({"id": "own-words", "label": "in the person's own words", "description": answer.own})
    said = [options[place]["label"] for place in answer.chosen] + ([answer.own] if answer.own is not None else [])
    return Ask(
        name,
        action,
        "input_required",
        question["question"],
        dict(question),
        tuple(options),
        verdict,
        tuple(chosen),
        ", ".join(said) or None,
        comment,
    )


def _is_question(item: Any) -> bool:
    is_asked = isinstance(item, dict) and isinstance(item.get("question"), str) and bool(item["question"].strip())
    return is_asked and isinstance(item.get("options") or [], list)


def _offered(option: Any) -> tuple[str, str]:
    """An option's label and description."""
    if isinstance(option, str):
        return option, ""
    if not isinstance(option, dict):
        return "", ""
    label, described = option.get("label"), option.get("description")
    return (label if isinstance(label, str) else ""), (described if isinstance(described, str) else "")
