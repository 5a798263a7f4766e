"""The client's side of an AG-UI turn: the messages it sends, the state, and its answers to interrupts."""

from functools import partial
from typing import Any

from runfold.commands.caller import Envelope
from runfold.errors import InvalidEvent
from runfold.importers.ag_ui_content import edited, parts_of, text_or_none, words_of
from runfold.importers.ag_ui_conversation import AGENT, CLIENT, PERSON, Past, Stage, TurnWriter
from runfold.importers.ag_ui_shapes import Request, Resume, Sent
from runfold.importers.sources import shaped


class RequestPlan:
    """A request → commands."""

    def __init__(self, turn: TurnWriter) -> None:
        self.turn = turn
        self.talk = turn.talk
        self.matched = 0
        """How much of the history the client has repeated so far."""
        self.resumed: int | None = None
        """The turn that this one resumes: its run ends once this one has used what was granted to it."""

    def plan(self, request: Request) -> None:
        """Votes on what was asked, the run, the state, and the messages that are new."""
        for resume in request.resume:
            self.turn.guard(partial(self._vote, resume))
        self._begin(request)
        if request.state is not None and request.state not in ({}, self.talk.state):
            self.turn.set_state(request.state, {"actor": CLIENT})
        self.repeat(request.messages)

    def conclude(self) -> None:
        """The run that was resumed has done its part."""
        if (resumed := self.resumed) is not None:
            self.turn.do(lambda stage: (run := stage.source_run(resumed).end()) is not None and run.complete(actor=AGENT))

    def repeat(self, messages: tuple[dict[str, Any], ...], *words: str) -> None:
        """Messages of the client or of a snapshot: those of the history, and new ones."""
        self.matched = 0
        for index, sent in enumerate(messages):
            self.turn.guard(partial(self._take, sent, index, words))

    def _begin(self, request: Request) -> None:
        turn, talk, before = self.turn, self.talk, self.talk.last
        parent = talk.turn_of.get(request.parent_run_id or "", before)
        kind = "resumes" if request.resume else "continues" if parent == before else "branches"
        sent = {"tools": list(request.tools), "context": list(request.context)}
        about = {"turn": turn.number, "source_thread_id": request.thread_id, "source_run_id": request.run_id}
        asked: dict[str, Any] = {} if parent is None else {"kind": kind, "auto_deny": True}

        def begin(stage: Stage) -> None:
            if before is not None and not request.resume:
                stage.source_run(before).end()
            stage.source_runs[turn.number] = stage.recording.source_run(
                turn.id("run"),
                parent=None if parent is None else stage.source_run(parent).first_id,
                input={name: value for name, value in sent.items() if value},
                metadata={name: value for name, value in about.items() if value},
                actor=CLIENT,
                **asked,
            )

        turn.do(begin)
        self.resumed = before if request.resume else None
        talk.counts.runs += 1
        talk.last = talk.turn_of[request.run_id] = turn.number

    def _vote(self, resume: Resume) -> None:
        approval_id, call = self.talk.asked.pop(resume.interrupt_id, ("", None))
        if not approval_id:
            raise InvalidEvent("resume", f"no open interrupt has the id {resume.interrupt_id!r}")
        payload = resume.payload if isinstance(resume.payload, dict) else {"payload": resume.payload}
        if resume.status == "cancelled" or payload.get("approved") is False:
            reason = "cancelled by the client" if resume.status == "cancelled" else text_or_none(payload.get("reason"))
            self.turn.do(lambda stage: stage.recording.batch.approval(approval_id).deny(reason, actor=PERSON))
            return
        text = edited(payload, call.arguments_text if call else None)
        if call is not None:
            call.approved_text = text or call.arguments_text
        self.turn.do(
            lambda stage: stage.recording.batch.approval(approval_id).grant(arguments=text, response=payload, actor=PERSON)
        )

    def _take(self, raw: dict[str, Any], index: int, words: tuple[str, ...]) -> None:
        sent = shaped(Sent, raw, f"messages.{index}")
        past = Past(sent.role, words_of(sent), tuple(call.id for call in sent.tool_calls))
        for place in range(self.matched, len(self.talk.history)):
            if self.talk.history[place] == past:
                self.matched = place + 1
                return
        self.talk.history.append(past)
        self.matched = len(self.talk.history)
        message_id = self.turn.id("msg", "sent", *words, index)
        envelope: Envelope = {"actor": PERSON if sent.role == "user" else CLIENT}
        call = self.talk.calls.get(sent.tool_call_id) if sent.role == "tool" else None
        self.turn.say(sent.role, parts_of(sent.content), message_id, envelope, call)
        if sent.role == "tool":
            self.turn.answer(call, sent.tool_call_id, sent.content, envelope)
        for made in sent.tool_calls:
            self.turn.call(made.id, made.function.name, made.function.arguments, message_id, envelope)
