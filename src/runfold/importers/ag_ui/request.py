"""The client's side of an AG-UI turn: the messages it sends, the state, and its answers to interrupts."""

from functools import partial
from typing import Any

from runfold.agui.content import allows, edited, parts_of, text_or_none
from runfold.agui.wire_key import MESSAGE
from runfold.domain.parts import DataPart
from runfold.errors import InvalidEvent
from runfold.importers.ag_ui.conversation import AGENT, CLIENT, PERSON, Asked, Stage, TurnWriter
from runfold.importers.ag_ui.history import Past, Repeats
from runfold.importers.ag_ui.shapes import Request, Resume, Sent
from runfold.importers.ag_ui.told import author_told, by_told, parts_told
from runfold.importers.sources import shaped

_ACTORS = {"user": PERSON, "assistant": AGENT, "reasoning": AGENT}
LISTED = "messages of sub-agents that only a list of messages has, kept with the run whose list it is"


class RequestPlan:
    """A request → commands."""

    def __init__(self, turn: TurnWriter, about: dict[str, Any]) -> None:
        self.turn = turn
        self.talk = turn.talk
        self.about = about
        """What tells of the run: its ids in the source."""
        self.resumed: list[str] = []
        """The runs that this one resumes: they end once it has used what was granted to them."""

    def plan(self, request: Request, parent: str | None) -> None:
        """Votes on what was asked, the run, the state, and the messages that are new."""
        resumes = request.resume or ()
        for index, raw in enumerate(resumes):
            self.turn.guard(partial(self._vote, raw, index))
        self._begin(request, parent)
        if request.state is not None and request.state not in ({}, self.talk.state):
            self.turn.set_state(request.state, self.turn.as_actor(CLIENT))
        self.repeat(request.messages, "sent", is_whole=bool(resumes))

    def conclude(self) -> None:
        """The runs that were resumed have done their part."""
        for run_id in self.resumed:
            if not any(asked.run_id == run_id for asked in self._open()):
                self._complete(run_id)

    def repeat(self, messages: tuple[Any, ...], *words: str, is_whole: bool, open_ids: frozenset[str] = frozenset()) -> None:
        """Messages of the client or of a snapshot: those of the history, and new ones.

        A list that is not whole may be only what is new: then its last message is new where only its words are in the history.
        """
        repeats = Repeats(self.talk.history)
        for index, raw in enumerate(messages):
            is_last = index == len(messages) - 1 and not is_whole
            self.turn.guard(partial(self._take, repeats, raw, index, words, is_last, open_ids))

    def _begin(self, request: Request, parent: str | None) -> None:
        turn, talk, before = self.turn, self.talk, self.talk.last
        parent = before if parent is None else parent
        kind = "resumes" if request.resume else "continues" if parent == before else "branches"
        sent = {"tools": list(request.tools or ()), "context": list(request.context or ())}
        asked: dict[str, Any] = {} if parent is None else {"kind": kind, "auto_deny": True}
        withdrawn = self._withdrawn(parent) if kind == "continues" else []

        def begin(stage: Stage) -> None:
            if turn.run_id not in stage.recording.known.runs and parent is not None and withdrawn:
                stage.source_run(parent).end()
            stage.source_runs[turn.run_id] = stage.recording.source_run(
                turn.run_id,
                parent=None if parent is None else stage.source_run(parent).first_id,
                input={name: value for name, value in sent.items() if value},
                metadata={name: value for name, value in self.about.items() if value},
                **turn.as_actor(CLIENT),
                **asked,
            )

        turn.do(begin)
        talk.last = turn.run_id
        talk.runs.add(turn.run_id)

    def _withdrawn(self, run_id: str | None) -> list[str]:
        """What a run waits for, and no longer does once it is continued in place of an answer."""
        found = [asked.approval_id for asked in self._open() if asked.run_id == run_id]
        for waiting in (self.talk.asked, self.talk.asked_before):
            for key in [key for key, asked in waiting.items() if asked.approval_id in found]:
                del waiting[key]
        return found

    def _open(self) -> list[Asked]:
        return [*self.talk.asked.values(), *self.talk.asked_before.values()]

    def _vote(self, raw: Any, index: int) -> None:
        resume = shaped(Resume, raw, f"resume.{index}")
        payload = resume.payload if isinstance(resume.payload, dict) else {"payload": resume.payload}
        is_granted = resume.status != "cancelled" and allows(payload, f"resume.{index}.payload")
        asked = self.talk.take_asked(resume.interrupt_id)
        if asked is None:
            if self.talk.answered.get(resume.interrupt_id) != raw:
                self.turn.refuse_later("resume", f"no open interrupt has the id {resume.interrupt_id!r}")
            return
        self.talk.answered[resume.interrupt_id] = raw
        if asked.run_id not in self.resumed:
            self.resumed.append(asked.run_id)
        if is_granted:
            self._grant(resume, asked, payload)
        else:
            self._deny(resume, asked, payload)

    def _deny(self, resume: Resume, asked: Asked, payload: dict[str, Any]) -> None:
        is_cancelled = resume.status == "cancelled"
        reason = "cancelled by the client" if is_cancelled else text_or_none(payload.get("reason"))
        envelope = self.turn.as_actor(CLIENT if is_cancelled else by_told(resume.told, PERSON))
        self.turn.do(lambda stage: stage.recording.batch.approval(asked.approval_id).deny(reason, **envelope))

    def _grant(self, resume: Resume, asked: Asked, payload: dict[str, Any]) -> None:
        began_at, envelope = self.turn.began_at, self.turn.as_actor(by_told(resume.told, PERSON))
        if asked.expires_at is not None and began_at is not None and began_at >= asked.expires_at:
            self._expire(asked)
            return
        text = edited(payload, asked.call.arguments_text if asked.call else None)
        if asked.call is not None:
            asked.call.approved_text = text or asked.call.arguments_text
        self.turn.do(
            lambda stage: stage.recording.batch.approval(asked.approval_id).grant(arguments=text, response=payload, **envelope)
        )

    def _expire(self, asked: Asked) -> None:
        """An answer that came too late by the clock of those who asked."""
        expires_at = asked.expires_at
        envelope = self.turn.as_actor(CLIENT)
        self.turn.do(lambda stage: stage.recording.batch.approval(asked.approval_id).expire(**envelope))
        raise InvalidEvent(
            "resume", f"answers an interrupt that had expired at {expires_at:%Y-%m-%dT%H:%M:%SZ}; nothing is granted"
        )

    def _complete(self, run_id: str) -> None:
        self.turn.do(lambda stage: (run := stage.source_run(run_id).end()) is not None and run.complete(actor=AGENT))

    def _take(
        self, repeats: Repeats, raw: Any, index: int, words: tuple[str, ...], is_last: bool, open_ids: frozenset[str]
    ) -> None:
        sent = shaped(Sent, raw, f"messages.{index}")
        told = sent.told
        is_told_elsewhere = "part_of" in told or (bool(told) and bool(sent.subagent_run_id))
        if (sent.id and sent.id in open_ids) or is_told_elsewhere:
            return
        parts = parts_told(told, parts_of(sent.content, sent.role))
        if self._is_known(sent, parts) or (isinstance(told.get("revision"), int) and self._is_revised(sent, parts)):
            return
        if sent.role == "activity" and sent.activity_type:
            parts = self._activity(sent, parts)
        if sent.role == "tool":
            self._answer(repeats, sent, parts, words, index)
        elif sent.activity_type != MESSAGE or not told:
            self._say(repeats, sent, parts, words, index, is_last)

    def _say(
        self, repeats: Repeats, sent: Sent, parts: tuple[Any, ...], words: tuple[str, ...], index: int, is_last: bool
    ) -> None:
        told = sent.told
        if sent.content == "" and sent.role in {"assistant", "reasoning"} and "content" not in told:
            parts = ()
        new_calls = [made for made in sent.tool_calls or () if not made.is_partial and not repeats.call(made.id)]
        span = repeats.text(sent, parts) if parts else ()
        if span and is_last and sent.role == "user" and repeats.is_by_words_and_answered(span, sent):
            span = ()
        is_silent = not parts and sent.role in {"assistant", "reasoning"}
        if not new_calls and (span or (is_silent and ("content" not in told or bool(sent.tool_calls)))):
            return
        if not span and not new_calls and self._is_longer(sent, parts):
            return
        past = self._new(sent, () if span else parts, words, index)
        past.is_void = told.get("no_message") is True
        past.activity_type, past.author = sent.activity_type or None, author_told(told)
        message_id = None if past.is_void else past.message_id
        envelope = self.turn.as_actor(_spoken_by(sent))
        self.turn.say(past, envelope)
        for made in new_calls:
            self.turn.call(made.id, made.function.name, made.function.arguments, message_id, envelope)

    def _answer(self, repeats: Repeats, sent: Sent, parts: tuple[Any, ...], words: tuple[str, ...], index: int) -> None:
        if repeats.answer(sent, parts):
            return
        call, envelope = self.talk.history.call(sent.tool_call_id), self.turn.as_actor(CLIENT)
        past = self._new(sent, parts, words, index)
        past.call_id = sent.tool_call_id
        past.is_void = sent.told.get("no_message") is True
        self.turn.say(past, envelope, call)
        self.turn.answer(call, sent.tool_call_id, sent.content, sent.error, envelope, sent.told)

    def _new(self, sent: Sent, parts: tuple[Any, ...], words: tuple[str, ...], index: int) -> Past:
        if sent.subagent_run_id:
            self.turn.report(self.turn.at.note(LISTED))
        known_as = ("sent", sent.id) if sent.id else (*words, str(index))
        message_id = self.turn.numbered("msg", *known_as)
        return Past(sent.role, parts, sent.id, message_id, self.turn.run_id)

    def _is_known(self, sent: Sent, parts: tuple[Any, ...]) -> bool:
        """Whether it is an activity, or a message without words, that was told of before; from now on it is."""
        if not sent.id or not (sent.role == "activity" or ("content" in sent.told and not parts and not sent.tool_calls)):
            return False
        is_known = sent.id in self.talk.known_ids
        self.talk.known_ids.add(sent.id)
        return is_known

    def _activity(self, sent: Sent, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """What an activity holds; or, where it stands for a message that AG-UI cannot have, that message."""
        match parts:
            case (DataPart(data=data, name=None),) if "content" not in sent.told:
                parts = (DataPart(data=data, name=sent.activity_type),)
        value = sent.content
        if sent.activity_type == MESSAGE and sent.told and isinstance(value, dict):
            message_id, envelope = self.turn.numbered("msg", "sent", sent.id), self.turn.as_actor(CLIENT)
            inner, role = parts_told(value, ()), value.get("role", "tool")
            turn = self.turn
            turn.do(lambda stage: turn.source_run(stage).add_message(role, inner, message_id=message_id, **envelope))
        return parts

    def _is_revised(self, sent: Sent, parts: tuple[Any, ...]) -> bool:
        """Whether a message that was said reads otherwise now, as a ledger tells: then that is its wording."""
        known = self.talk.history.latest(sent.role, sent.id)
        if known is None:
            return False
        self.talk.history.lengthen(known, parts)
        return True

    def _is_longer(self, sent: Sent, parts: tuple[Any, ...]) -> bool:
        """Whether the client has more of a message than the stream that broke off: then that is what it says."""
        known = self.talk.history.latest(sent.role, sent.id)
        if known is None or not known.is_partial or not isinstance(sent.content, str) or not sent.content.startswith(known.words):
            return False
        self.talk.history.lengthen(known, parts)
        return True


def _spoken_by(sent: Sent) -> str:
    """Who says a message. What a sub-agent is asked, its agent asks."""
    actor = AGENT if sent.role == "user" and sent.subagent_run_id else _ACTORS.get(sent.role, CLIENT)
    return by_told(sent.told, actor)
