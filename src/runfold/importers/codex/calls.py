"""The tool calls of one rollout: asked for, allowed or refused, ended, and the agents that they spawned.

An id of a call comes from the provider, and a provider may give it again: so it counts within its turn, and what ends a call
belongs to the last one that had the id.
"""

from dataclasses import dataclass, replace
from typing import Any

from runfold.domain.parts import FilePart
from runfold.importers.codex.content import AGENT, CLIENT, PERSON, parts_of
from runfold.importers.codex.lines import Line
from runfold.importers.codex.messages import text_of
from runfold.importers.codex.outcomes import GUARDIAN, POLICY, Outcome, of_event, of_item, of_output
from runfold.importers.codex.path import Path, Place, Spawner
from runfold.importers.turns.questions import questions_of
from runfold.importers.turns.turn import UNTOLD, Answered, Asked, Called, CallEnded, Said, call_end_id
from runfold.importers.turns.values import listing, mapping, text

_AT_ONCE = {"web_search_call": "web_search", "image_generation_call": "image_generation"}
"""Calls that the provider carries out itself: the item tells the end too."""
_QUESTIONS = "request_user_input"
"""The tool with which the agent asks its person."""
_REVIEWING = {"guardian_subagent", "guardian", "auto_review"}


@dataclass(frozen=True)
class _Open:
    """A call, as what follows needs it."""

    id: str
    place: Place
    name: str
    arguments: Any
    ended: bool = False
    approval: str | None = None
    """What was asked for it and is not answered yet."""


class Calls:
    """The calls of one path, by their provider's ids."""

    def __init__(self, path: Path, spawns: dict[str, Spawner], *, asks_person: bool) -> None:
        self.path = path
        self.spawns = spawns
        """What spawned the agent of a session, by the session's id or the agent's path; for the whole conversation."""
        self.reviewer: str | None = None
        self.asks_nobody = False
        """Whether the client's policy is to ask for no approval."""
        self._asks_person = asks_person
        self._by_provider: dict[str, _Open] = {}
        self._unanswered: dict[str, tuple[Place, str | None]] = {}
        """What was asked and not answered: in which turn, and for which call."""

    def call(self, line: Line) -> bool:
        """A call that the agent made. Returns whether its kind is known."""
        item, kind = line.payload, line.type
        name, arguments = _asked_for(kind, item)
        if name is None:
            return False
        place = self._here(line)
        provider_id = text(item.get("call_id")) or text(item.get("id"))
        before = self._by_provider.get(provider_id or "")
        if (
            before is not None
            and before.place == place
            and (before.name, before.arguments) == (name, arguments)
            and not before.ended
        ):
            return True  # the same line again
        words = provider_id or text_of([name, arguments])
        call_id = self.path.id("call", place, words, self.path.nth(place, "call", words))
        opened = _Open(call_id, place, name, arguments)
        self.path.add(place, call_id, Called(name, arguments, provider_id), AGENT, line)
        if provider_id is not None:
            self._by_provider[provider_id] = opened
        if kind in _AT_ONCE:
            self._at_once(line, opened)
        if name == _QUESTIONS:
            self._put_questions(line, opened)
        return True

    def output(self, line: Line) -> None:
        """What a tool answered: a message, and the end of its call."""
        item = line.payload
        provider_id = text(item.get("call_id")) or text(item.get("id"))
        opened = self._by_provider.get(provider_id or "")
        if opened is None or self.path.has_ended(opened.place):
            if self.path.current is None:
                self.path.waiting.append(line)
            else:
                self._say(line, self.path.current, opened.id if opened else None, provider_id)
            return
        self._say(line, opened.place, opened.id, provider_id)
        output = item.get("output", item.get("tools", item.get("result")))
        outcome = of_output(output)
        if opened.name == _QUESTIONS and not opened.ended:
            self._take_answers(line, opened, outcome)
        self._spawn(opened, outcome)
        self._end(line, provider_id or "", opened, outcome)

    def ended(self, line: Line) -> None:
        """An event that tells the end of a call before its output does, or an item that is completed."""
        item = mapping(line.payload.get("item"))
        provider_id = text(item.get("id")) or text(line.payload.get("call_id")) or ""
        opened = self._by_provider.get(provider_id)
        outcome = of_item(item) if item else of_event(line.type, line.payload)
        if item.get("tool") == "spawnAgent":
            for session_id in listing(item.get("receiver_thread_ids")):
                self.spawned(text(session_id), provider_id)
        if opened is not None and outcome is not None and not self.path.has_ended(opened.place):
            self._end(line, provider_id, opened, outcome)

    def begun(self, line: Line) -> None:
        """A call is carried out: what was asked for it was granted."""
        provider_id = text(line.payload.get("call_id")) or ""
        opened = self._by_provider.get(provider_id)
        if opened is not None and opened.approval is not None:
            self._answer(line, provider_id, opened, granted=True)

    def asked(self, line: Line) -> None:
        """Somebody is asked whether a call may go on, or a reviewing agent has said."""
        event = line.payload
        provider_id = text(event.get("call_id")) or text(event.get("target_item_id")) or ""
        opened, place = self._by_provider.get(provider_id), None
        if opened is not None:
            place = opened.place
        if place is None or self.path.has_ended(place):
            place = self._here(line)
        name = text(event.get("approval_id")) or text(event.get("id")) or provider_id
        approval_id = self.path.id("approval", place, name)
        what = event.get("command", event.get("changes", event.get("action")))
        action = opened.name if opened is not None else line.type.removesuffix("_request").removesuffix("_approval")
        call_id = opened.id if opened is not None and opened.place == place else None
        self.path.add(place, approval_id, Asked(action, "tool_call", text(event.get("reason")), what, call_id), AGENT, line)
        self._unanswered.setdefault(approval_id, (place, call_id))
        if opened is not None:
            self._by_provider[provider_id] = opened = replace(opened, approval=approval_id)
        verdict = event.get("status")
        if line.type == "guardian_assessment" and verdict in ("approved", "denied"):
            fact = Answered(approval_id, verdict == "approved", text(event.get("rationale")), call_id=call_id)
            self.path.add(place, f"answer {approval_id}", fact, GUARDIAN, line)
            self._unanswered.pop(approval_id, None)
            if opened is not None:
                self._by_provider[provider_id] = replace(opened, approval=None, ended=verdict == "denied")

    def settle(self, line: Line, place: Place) -> None:
        """A turn ended well, so nothing is asked in it any more: what has no answer here was not granted by anybody."""
        for approval_id, (where, call_id) in list(self._unanswered.items()):
            if where == place:
                answered = Answered(approval_id, granted=False, comment=UNTOLD, call_id=call_id)
                self.path.add(place, f"answer {approval_id}", answered, CLIENT, line)
                del self._unanswered[approval_id]

    def spawned(self, session_id: str | None, provider_id: str | None) -> None:
        """A call spawned the agent of another session."""
        opened = self._by_provider.get(provider_id or "")
        if session_id is not None and opened is not None:
            self.spawns.setdefault(session_id, (opened.place.run_id, opened.id))

    def _put_questions(self, line: Line, opened: _Open) -> None:
        for asked in questions_of(opened.arguments):
            approval_id = self.path.id("approval", opened.place, opened.id, asked.name)
            self.path.add(opened.place, approval_id, asked.asked(opened.name, opened.id), AGENT, line)
            self._unanswered.setdefault(approval_id, (opened.place, opened.id))

    def _take_answers(self, line: Line, opened: _Open, outcome: Outcome) -> None:
        """What the person chose, or said in their own words. What has no answer stays open until the turn ends."""
        told = mapping(mapping(outcome.result).get("answers"))
        for asked in questions_of(opened.arguments):
            answers = [str(answer) for answer in listing(mapping(told.get(asked.name)).get("answers"))]
            approval_id = self.path.id("approval", opened.place, opened.id, asked.name)
            if answers and self._unanswered.pop(approval_id, None) is not None:
                answered = Answered(approval_id, granted=True, response={"answer": ", ".join(answers)}, call_id=opened.id)
                self.path.add(opened.place, f"answer {approval_id}", answered, self._decider(), line)
                decision_id = self.path.id("dec", opened.place, opened.id, asked.name)
                self.path.add(opened.place, decision_id, asked.chosen(answers, approval_id), self._decider(), line)

    def _spawn(self, opened: _Open, outcome: Outcome) -> None:
        if opened.name.rpartition(".")[2].rpartition("__")[2] != "spawn_agent":
            return
        told = mapping(outcome.result)
        for name in ("agent_id", "new_thread_id", "task_name", "agent_path"):
            if (words := text(told.get(name))) is not None:
                self.spawns.setdefault(words, (opened.place.run_id, opened.id))

    def _say(self, line: Line, place: Place, call_id: str | None, provider_id: str | None) -> None:
        output = line.payload.get("output", line.payload.get("tools"))
        content = mapping(output).get("content", output)
        words = text_of([provider_id, output])
        step_id = self.path.id("msg", place, "tool", words, self.path.nth(place, "tool", words))
        self.path.add(place, step_id, Said("tool", tuple(parts_of(content)), call_id), CLIENT, line, wakes=False)

    def _end(self, line: Line, provider_id: str, opened: _Open, outcome: Outcome) -> None:
        if opened.ended:
            return
        if outcome.how == "refused" and outcome.by == CLIENT and opened.approval is None and self.asks_nobody:
            outcome = replace(outcome, by=POLICY)
        if outcome.how == "refused" and (outcome.by != POLICY or opened.approval is not None):
            self._refuse(line, provider_id, opened, outcome)
        elif outcome.how == "refused":
            denied = CallEnded(opened.id, "failed", message=outcome.message, code="denied_by_policy")
            self.path.add(opened.place, call_end_id(opened.id), denied, outcome.by, line)
        else:
            if opened.approval is not None and outcome.how != "cancelled":
                opened = self._answer(line, provider_id, opened, granted=True)
            actor = outcome.by
            fact = CallEnded(opened.id, outcome.how, outcome.result, outcome.message, outcome.code)
            self.path.add(opened.place, call_end_id(opened.id), fact, actor, line)
        self._by_provider[provider_id] = replace(opened, ended=True, approval=None)

    def _refuse(self, line: Line, provider_id: str, opened: _Open, outcome: Outcome) -> None:
        approval_id, actor = opened.approval, outcome.by if outcome.by != CLIENT else self._decider()
        if approval_id is None:
            approval_id = self.path.id("approval", opened.place, provider_id, opened.id)
            asked = Asked(opened.name, "tool_call", None, opened.arguments, opened.id)
            self.path.add(opened.place, approval_id, asked, AGENT, line)
        answered = Answered(approval_id, granted=False, comment=outcome.comment, call_id=opened.id)
        self.path.add(opened.place, f"answer {approval_id}", answered, actor, line)
        self._unanswered.pop(approval_id, None)

    def _answer(self, line: Line, provider_id: str, opened: _Open, *, granted: bool) -> _Open:
        approval_id = opened.approval or ""
        self.path.add(
            opened.place, f"answer {approval_id}", Answered(approval_id, granted, call_id=opened.id), self._decider(), line
        )
        now = self._by_provider[provider_id] = replace(opened, approval=None)
        return now

    def _here(self, line: Line) -> Place:
        return self.path.current or self.path.open(line, self.path.follows(text_of(line.payload)))

    def _decider(self) -> str:
        """Who answers what the client asks: the person before it, unless an agent reviews or a program runs it."""
        if self.reviewer in _REVIEWING:
            return GUARDIAN
        return PERSON if self._asks_person else CLIENT

    def _at_once(self, line: Line, opened: _Open) -> None:
        status, image = line.payload.get("status"), text(line.payload.get("result"))
        if status == "failed":
            fact = CallEnded(opened.id, "failed", message="the provider says that it failed", code="provider_error")
        elif status in ("completed", "generating") or image is not None:
            fact = CallEnded(opened.id, "succeeded", {"status": status})
        else:
            return
        if image is not None:
            step_id = self.path.id("msg", opened.place, "tool", opened.id)
            said = Said("tool", (FilePart(media_type="image/png", data=image),), opened.id)
            self.path.add(opened.place, step_id, said, CLIENT, line, wakes=False)
        self.path.add(opened.place, call_end_id(opened.id), fact, CLIENT, line)


def _asked_for(kind: str, item: dict[str, Any]) -> tuple[str | None, Any]:
    """The tool that is called, and with what."""
    name = text(item.get("name"))
    match kind:
        case "function_call":
            space = text(item.get("namespace"))
            return (f"{space}.{name}" if space and name else name), item.get("arguments")
        case "custom_tool_call":
            return name, item.get("input")
        case "local_shell_call":
            return "local_shell", item.get("action")
        case "tool_search_call":
            return "tool_search", item.get("arguments", item.get("execution"))
        case kind if kind in _AT_ONCE:
            return _AT_ONCE[kind], item.get("action") or {
                name: item[name] for name in ("query", "revised_prompt") if name in item
            }
        case _:
            return None, None
