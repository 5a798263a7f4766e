"""What streams in pieces: the agent's texts, its reasoning and its tool calls, from their start to their end.

A message stands where it began. A piece that says all of it itself (a chunk) opens what it names, and goes on with what is open
where it names nothing. What a chunk has opened is closed by any other event.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from runfold.agui.content import same_json
from runfold.commands.caller import Envelope
from runfold.domain.parts import Part, ReasoningPart, TextPart, longer
from runfold.errors import InvalidEvent
from runfold.importers.ag_ui.conversation import AGENT, TurnWriter
from runfold.importers.ag_ui.history import Call, Past
from runfold.importers.ag_ui.shapes import AgUiEvent
from runfold.importers.ag_ui.told import author_told, by_told, streamed_parts

Kind = Literal["text", "reasoning", "call"]
NOT_STARTED = "pieces of messages that were not started, taken as their start"
AGAIN = "calls announced again as they were approved, which are one call"


@dataclass
class Opened:
    """A text or call that has begun."""

    kind: Kind
    source_id: str
    role: str = ""
    name: str = ""
    parent_id: str = ""
    deltas: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    before: tuple[Part, ...] | None = None
    """What the message said before it went on; None where it begins."""
    past: Past | None = None
    """Its place in the conversation, which is where it began."""

    @property
    def text(self) -> str:
        """Return what there is of it."""
        return "".join(self.deltas)


@dataclass
class _Group:
    """The message that tool calls belong to."""

    parent_id: str
    message_id: str


class Streams:
    """The texts and calls of one run's events → commands."""

    def __init__(self, turn: TurnWriter) -> None:
        self.turn = turn
        self._open: dict[tuple[Kind, str], Opened] = {}
        self._chunk: Opened | None = None
        """What chunks are adding to."""
        self._group: _Group | None = None
        self._parts: set[str] = set()
        self._said: dict[str, _Group] = {}
        """This run's messages by the source's id: a call may name one as its own."""

    @property
    def open_ids(self) -> frozenset[str]:
        """The ids of the messages that are not complete."""
        return frozenset(source_id for kind, source_id in self._open if kind != "call" and source_id)

    def take(self, event: AgUiEvent, kind: Kind, phase: str, envelope: Envelope) -> None:
        """Take in a piece. Raises InvalidEvent for what does not fit."""
        source_id = event.tool_call_id if kind == "call" else event.message_id
        if self._is_part(event, source_id):
            return
        if phase == "CHUNK":
            opened = self._chunked(event, kind, source_id, envelope)
        else:
            self.close_chunk(envelope)
            opened = self._opened(event, kind, source_id, envelope, is_start=phase == "START")
        if event.delta is not None:
            opened.deltas.append(_string(event.delta))
        if phase == "END" and kind == "call" and event.told.get("is_implied") is True:
            self._leave_out(opened)
        elif phase == "END":
            if isinstance(whole := event.told.get("arguments"), str):
                opened.deltas[:] = [whole]
            self._end(opened, envelope)

    def close_chunk(self, envelope: Envelope) -> None:
        """Another event came: what chunks were adding to is complete."""
        if (chunk := self._chunk) is not None:
            self._chunk = None
            self._end(chunk, envelope)

    def finish(self, envelope: Envelope) -> None:
        """The run is over: what was begun and not ended is taken as far as it came."""
        self._chunk = None
        for opened in list(self._open.values()):
            if opened.kind == "call" and opened.told:
                self._leave_out(opened)
            else:
                self._end(opened, envelope)

    def break_off(self, envelope: Envelope) -> None:
        """The events end before the run does. Texts are taken as far as they came; of a call it is not said what it asks."""
        self._chunk = None
        for opened in list(self._open.values()):
            if opened.kind == "call":
                self._leave_out(opened)
            else:
                self._end(opened, envelope, is_partial=True)

    def end_call(self, source_id: str, envelope: Envelope) -> None:
        """A call is answered: so it was complete."""
        if (opened := self._open.get(("call", source_id))) is not None:
            self._end(opened, envelope)
        self._group = None

    def _is_part(self, event: AgUiEvent, source_id: str) -> bool:
        """Whether it is of what was thought for another message, which has it among its parts."""
        if "part_of" in event.told:
            self._parts.add(source_id)
        return source_id in self._parts

    def _leave_out(self, opened: Opened) -> None:
        self._open.pop((opened.kind, opened.source_id), None)
        self.turn.report(self.turn.at.note("tool calls whose arguments had not all come when the events broke off"))

    def _chunked(self, event: AgUiEvent, kind: Kind, source_id: str, envelope: Envelope) -> Opened:
        chunk = self._chunk
        if chunk is not None and chunk.kind == kind and source_id in {"", chunk.source_id}:
            return chunk
        self.close_chunk(envelope)
        if (kind, source_id) in self._open:
            return self._open[kind, source_id]
        self._chunk = self._opened(event, kind, source_id, envelope, is_start=bool(source_id))
        return self._chunk

    def _opened(self, event: AgUiEvent, kind: Kind, source_id: str, envelope: Envelope, *, is_start: bool) -> Opened:
        if found := self._open.get((kind, source_id)):
            return found
        if kind == "call" and not event.tool_call_name:
            fact = f"is missing where the call {source_id!r} starts" if is_start else f"is missing: {source_id!r} was not started"
            raise InvalidEvent("toolCallName", fact)
        if not is_start and (source_id or kind == "text"):
            self.turn.report(self.turn.at.note(NOT_STARTED))
        role = "reasoning" if kind == "reasoning" else event.role or "assistant"
        opened = Opened(kind, source_id, role, event.tool_call_name, event.parent_message_id)
        opened.told = event.told
        self._open[kind, source_id] = opened
        if event.told.get("is_again") is True and self._goes_on(opened):
            return opened
        if kind != "call" and (role != "user" or opened.told):
            opened.past = self._begin(opened, envelope)
        return opened

    def _goes_on(self, opened: Opened) -> bool:
        """Whether a message of the past goes on."""
        known = self.turn.talk.history.latest(opened.role, opened.source_id)
        if opened.kind == "call" or known is None:
            return False
        opened.past, opened.before = known, known.parts
        return True

    def _begin(self, opened: Opened, envelope: Envelope) -> Past:
        message_id = self.turn.numbered("msg", opened.source_id)
        self._group = None
        if opened.told:
            self.turn.talk.known_ids.add(opened.source_id)
        if opened.source_id:
            self._said[opened.source_id] = _Group(opened.source_id, message_id)
        past = Past(opened.role, (), opened.source_id, message_id, self.turn.run_id, author=author_told(opened.told))
        return self.turn.say(past, {**envelope, "actor": by_told(opened.told, str(envelope.get("actor", AGENT)))})

    def _end(self, opened: Opened, envelope: Envelope, *, is_partial: bool = False) -> None:
        del self._open[opened.kind, opened.source_id]
        if opened.kind == "call":
            self._end_call(opened, envelope)
        else:
            self._end_text(opened, envelope, is_partial)

    def _end_text(self, opened: Opened, envelope: Envelope, is_partial: bool) -> None:
        text = opened.text
        part: Part = ReasoningPart(text=text) if opened.kind == "reasoning" else TextPart(text=text)
        parts = (part,) if opened.before is None else longer(opened.before, text)
        if opened.past is None and self._is_echo(opened, part):
            return
        past = opened.past or self._begin(opened, envelope)
        past.is_partial = is_partial
        past.is_void = is_partial and not opened.text and not opened.told
        self.turn.talk.history.complete(past, streamed_parts(opened.told, text, parts))

    def _is_echo(self, opened: Opened, part: Part) -> bool:
        """Whether the agent's side only gives back what the client said."""
        known = self.turn.talk.history.latest("user", opened.source_id)
        return known is not None and known.parts == (part,)

    def _end_call(self, opened: Opened, envelope: Envelope) -> None:
        source_id, name, text = opened.source_id, opened.name, opened.text
        known = self.turn.talk.history.call(source_id)
        if known is not None and known.name == name and known.approved_text is not None and known.is_open_in(self.turn.run_id):
            self._use_approval(known, known.approved_text, text, envelope)
            return
        message_id = (
            self._holder_told(opened) if opened.told else self._group_of(opened.parent_id, source_id, envelope).message_id
        )
        self.turn.call(source_id, name, text, message_id, envelope)

    def _use_approval(self, call: Call, approved: str, text: str, envelope: Envelope) -> None:
        if not same_json(text, approved):
            raise InvalidEvent("delta", f"{call.name} is called with other arguments than were approved")
        self.turn.report(self.turn.at.note(AGAIN))
        key, approval_id = self.turn.id("exec", call.id), call.approval_id or ""
        self.turn.do(lambda stage: stage.recording.batch.approval(approval_id).consume(approved, execution_key=key, **envelope))

    def _holder_told(self, opened: Opened) -> str | None:
        """The message that a call belongs to, as a ledger tells, which needs none made for it; None where it has none."""
        if opened.parent_id in self._said:
            return self._said[opened.parent_id].message_id
        known = self.turn.talk.history.latest("assistant", opened.parent_id)
        return known.message_id if known is not None else None

    def _group_of(self, parent_id: str, source_id: str, envelope: Envelope) -> _Group:
        """The message that a call belongs to: the one it names, that of the call before it, or a new one."""
        if parent_id in self._said:
            return self._said[parent_id]
        if self._group is None or self._group.parent_id != parent_id:
            message_id = self.turn.numbered("msg", parent_id or source_id)
            self._group = _Group(parent_id, message_id)
            self.turn.say(Past("assistant", (), parent_id, message_id, self.turn.run_id), envelope)
            if parent_id:
                self._said[parent_id] = self._group
        return self._group


def _string(delta: Any) -> str:
    if not isinstance(delta, str):
        raise InvalidEvent("delta", f"is {type(delta).__name__}, not text")
    return delta
