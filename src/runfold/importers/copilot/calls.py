"""The tool calls of a session, and what was asked before they ran."""

import re
from dataclasses import dataclass, replace
from typing import Any

from runfold.domain.parts import DataPart, Part, TextPart
from runfold.importers.copilot.agents import Agent, Turns
from runfold.importers.copilot.permissions import HOOK, Verdict, refusal_of, verdict_of
from runfold.importers.copilot.records import CLIENT, PERSON, Record
from runfold.importers.turns.questions import Question, question, questions_of
from runfold.importers.turns.turn import UNTOLD, Answered, Asked, Called, CallEnded, Said, Turn, call_end_id
from runfold.importers.turns.values import listing, mapping, text

_ASK = "ask_user"
"""The tool with which the agent asks its person."""
_ANSWER = re.compile(r"\AUser (?:selected|responded|answered)(?: with)?:?\s*")
"""What the client puts before the person's answer."""
_NOBODY = "The user is not available to respond"
"""How the client begins what it answers by itself where nobody is there."""


@dataclass(frozen=True)
class Call:
    """A call, as what follows needs it."""

    id: str
    turn: Turn
    agent: Agent
    name: str
    arguments: Any
    has_ended: bool = False


@dataclass(frozen=True)
class _Question:
    """Something that was asked and is not answered yet."""

    approval_id: str
    turn: Turn
    call_key: str | None
    by_hook: bool = False
    asked: Question | None = None


class Calls:
    """The calls of one file, by their provider's ids."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.by_provider: dict[str, Call] = {}
        self._questions: dict[str, _Question] = {}

    def call(self, agent: Agent, record: Record, key: str, told: dict[str, Any], *, actor: str | None = None) -> None:
        """The agent, or a person, asked for a tool. The request and the start of its execution are one call."""
        provider_id, name = text(told.get("toolCallId")), text(told.get("name")) or text(told.get("toolName"))
        if name is None:
            return
        known = self.by_provider.get(provider_id or "")
        if known is not None and not known.has_ended:
            return
        turn = self.turns.here(agent, record, key)
        words = (turn.run_id, provider_id) if provider_id is not None else (turn.run_id, key, name)
        call_id = self.turns.id("call", *words, self.turns.nth("call", *words))
        arguments = told.get("arguments")
        self.turns.add(turn, call_id, Called(name, arguments, provider_id), actor or agent.actor, record)
        if provider_id is not None:
            self.by_provider[provider_id] = Call(call_id, turn, agent, name, arguments)
            self._put_question(record, self.by_provider[provider_id], provider_id)

    def _put_question(self, record: Record, call: Call, provider_id: str) -> None:
        """A call that asks the person: files tell no more of that than its arguments and its result."""
        for asked in questions_of(call.arguments)[:1] if call.name == _ASK else []:
            approval_id = self.turns.id("approval", call.id)
            self.turns.add(call.turn, approval_id, asked.asked(call.name, call.id), call.agent.actor, record)
            self._questions[f"call {provider_id}"] = _Question(approval_id, call.turn, provider_id, asked=asked)

    def complete(self, agent: Agent, record: Record, key: str) -> None:
        """What a tool answered: a message, and the end of its call."""
        data = record.data
        provider_id = text(data.get("toolCallId")) or ""
        known = self.by_provider.get(provider_id)
        turn = known.turn if known is not None else self.turns.here(agent, record, key, wakes=False)
        if turn.run_id in self.turns.ended:
            turn = self.turns.here(agent, record, key, wakes=False)
        result, error = mapping(data.get("result")), mapping(data.get("error"))
        words = text(result.get("content")) or text(result.get("detailedContent")) or text(error.get("message"))
        parts: tuple[Part, ...] = (TextPart(text=words),) if words is not None else (DataPart(data=data.get("result")),)
        step_id = self.turns.id("msg", "tool", key)
        said = Said("tool", parts, None if known is None else known.id)
        self.turns.add(turn, step_id, said, CLIENT, record, wakes=False)
        if known is None or known.has_ended or known.turn.run_id in self.turns.ended:
            return
        put = self._questions.get(f"call {provider_id}")
        if put is not None and data.get("success") is not False and words is not None:
            del self._questions[f"call {provider_id}"]
            self._take_answer(put, record, _ANSWER.sub("", words, count=1).strip(), is_marked=_ANSWER.match(words) is not None)
        self.by_provider[provider_id] = replace(known, has_ended=True)
        if (verdict := refusal_of(error)) is not None:
            self._refuse(known, record, key, verdict)
        elif data.get("success") is False or error:
            code, message = text(error.get("code")) or "tool_error", words or "the tool failed"
            failed = CallEnded(known.id, "failed", result or None, message, code)
            self.turns.add(known.turn, call_end_id(known.id), failed, CLIENT, record)
        else:
            structured = result.get("structuredContent")
            succeeded = CallEnded(known.id, "succeeded", words if structured is None else structured)
            self.turns.add(known.turn, call_end_id(known.id), succeeded, CLIENT, record)

    def permission_requested(self, agent: Agent, record: Record, key: str) -> None:
        """Somebody, or a rule, has to let it go on."""
        asked = mapping(record.data.get("permissionRequest"))
        action = text(asked.get("kind")) or "permission"
        message = text(asked.get("intention")) or text(asked.get("warning"))
        fact = Asked(action, "tool_call", message, asked, None)
        by_hook = record.data.get("resolvedByHook") is True
        self._ask(agent, record, key, fact, text(asked.get("toolCallId")), by_hook=by_hook)

    def permission_completed(self, record: Record) -> str | None:
        """What was said to it. Returns what is wrong with it."""
        request_id = text(record.data.get("requestId")) or ""
        question = self._questions.get(request_id)
        if question is None:
            return _nothing_open(request_id)
        verdict = verdict_of(record.data, by_hook=question.by_hook)
        if verdict is None:
            kind = str(mapping(record.data.get("result")).get("kind"))[:60]
            return f"result.kind: {kind!r} is no verdict that is known; the request stays open"
        del self._questions[request_id]
        self._answer(question, record, verdict)
        return None

    def input_requested(self, agent: Agent, record: Record, key: str) -> None:
        """The person is asked a question, which a call may have put already."""
        provider_id = text(record.data.get("toolCallId"))
        asked = question("", text(record.data.get("question")) or "", listing(record.data.get("choices")), record.data)
        put = self._questions.get(f"call {provider_id}")
        if put is not None:
            self._questions[text(record.data.get("requestId")) or key] = put
            return
        self._ask(agent, record, key, asked.asked(_ASK, None), provider_id, asked)

    def plan_offered(self, agent: Agent, record: Record, key: str) -> None:
        """The person is asked to approve a plan."""
        plan = {name: record.data[name] for name in ("summary", "planContent", "actions") if name in record.data}
        fact = Asked("exit_plan_mode", "confirmation", text(record.data.get("summary")), plan, None)
        self._ask(agent, record, key, fact, None)

    def answered(self, record: Record) -> str | None:
        """The person answered a question, or said what they think of a plan. Returns what is wrong with that."""
        data, request_id = record.data, text(record.data.get("requestId")) or ""
        put = self._questions.get(request_id)
        if put is None:
            return _nothing_open(request_id)
        if record.type == "exit_plan_mode.completed":
            if not isinstance(granted := data.get("approved"), bool):
                return "approved: is neither true nor false, so nobody's verdict is told; the request stays open"
            self._answer(put, record, Verdict(granted, PERSON, text(data.get("feedback"))))
        else:
            if (answer := text(data.get("answer"))) is None:
                return "answer: is missing, so nobody's answer is told; the question stays open"
            self._questions.pop(f"call {put.call_key}", None)
            self._take_answer(put, record, answer, is_marked=True)
        del self._questions[request_id]
        return None

    def _take_answer(self, put: _Question, record: Record, answer: str, *, is_marked: bool) -> None:
        """An answer is the person's where it is marked as one, and is not what the client says where nobody is there."""
        by = PERSON if is_marked and not answer.startswith(_NOBODY) else CLIENT
        self._answer(put, record, Verdict(granted=True, by=by), {"answer": answer})
        if put.asked is not None and by == PERSON:
            chosen = put.asked.chosen([answer], put.approval_id)
            self.turns.add(put.turn, self.turns.id("dec", put.approval_id), chosen, PERSON, record)

    def settle(self, record: Record, turn: Turn) -> None:
        """A turn ended well, so nothing is asked in it any more: what ran was let run, and nobody says by whom.

        A question, and a plan, that nobody is told to have answered was not granted by that.
        """
        for request_id, put in list(self._questions.items()):
            if put.turn is not turn:
                continue
            known = self.by_provider.get(put.call_key or "")
            has_run = known is not None and known.has_ended and put.asked is None
            self._answer(put, record, Verdict(has_run, CLIENT, UNTOLD))
            del self._questions[request_id]

    def _ask(
        self,
        agent: Agent,
        record: Record,
        key: str,
        fact: Asked,
        provider_id: str | None,
        asked: Question | None = None,
        *,
        by_hook: bool = False,
    ) -> None:
        known = self.by_provider.get(provider_id or "")
        turn = known.turn if known is not None else self.turns.here(agent, record, key)
        if turn.run_id in self.turns.ended:
            turn, known = self.turns.here(agent, record, key), None
        request_id = text(record.data.get("requestId")) or key
        approval_id = self.turns.id("approval", turn.run_id, request_id, self.turns.nth("approval", turn.run_id, request_id))
        if known is not None:
            fact = replace(fact, call_id=known.id, action=known.name)
        self.turns.add(turn, approval_id, fact, agent.actor, record)
        self._questions[request_id] = _Question(approval_id, turn, provider_id if known else None, by_hook, asked)

    def _answer(self, question: _Question, record: Record, verdict: Verdict, response: dict[str, Any] | None = None) -> None:
        known = self.by_provider.get(question.call_key or "")
        call_id = known.id if known is not None and not known.has_ended else None
        if question.turn.run_id in self.turns.ended:
            return  # withdrawn with the end of the turn
        fact = Answered(question.approval_id, verdict.granted, verdict.comment, response, call_id)
        self.turns.add(question.turn, f"answer {question.approval_id}", fact, verdict.by, record)
        if known is not None and call_id is not None and not verdict.granted:
            self.by_provider[question.call_key or ""] = replace(known, has_ended=True)

    def _refuse(self, known: Call, record: Record, key: str, verdict: Verdict) -> None:
        """A refusal that no event asked about: the end of the call is all there is of it. Only a person was asked something."""
        if verdict.by != PERSON:
            code = "denied_by_hook" if verdict.by == HOOK else "denied"
            denied = CallEnded(known.id, "failed", message=verdict.comment or code, code=code)
            self.turns.add(known.turn, call_end_id(known.id), denied, verdict.by, record)
            return
        approval_id = self.turns.id("approval", known.id, key)
        asked = Asked(known.name, "tool_call", None, known.arguments, known.id)
        self.turns.add(known.turn, approval_id, asked, known.agent.actor, record)
        answered = Answered(approval_id, granted=False, comment=verdict.comment, call_id=known.id)
        self.turns.add(known.turn, f"answer {approval_id}", answered, verdict.by, record)


def _nothing_open(request_id: str) -> str:
    return f"requestId: nothing is open that was asked as {request_id[:80]!r}; not imported"
