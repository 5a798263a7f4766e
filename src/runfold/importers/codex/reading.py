"""One rollout, line by line: each kind of line, and what it becomes."""

from dataclasses import dataclass
from typing import Any

from runfold.domain.parts import TextPart
from runfold.domain.values import digest
from runfold.importers.codex.calls import Calls
from runfold.importers.codex.content import AGENT, CLIENT, PERSON
from runfold.importers.codex.events import ASKING, BEGUN, CALL_ENDS, ITEM_ENDS, ITEMS_PASSED_BY, PASSED_BY, TURN_ENDS, TURN_STARTS
from runfold.importers.codex.heads import Head, is_older, session_id_of, sub_agent_of
from runfold.importers.codex.kinds import tell_misfits_of
from runfold.importers.codex.lines import EVENT, ITEM, Line
from runfold.importers.codex.messages import Messages, text_of
from runfold.importers.codex.path import FORMAT, Path, Place, Spawner, key_of
from runfold.importers.codex.usage import Meter, mark
from runfold.importers.sources import Piece, Report
from runfold.importers.turns.turn import Compacted, Finished, Noted, Said, Session
from runfold.importers.turns.values import Fault, mapping, text

_RUN_CONTEXT = ("turn_id", "model", "approval_policy", "approvals_reviewer", "cwd", "effort")
_OPENERS = {"subagent": AGENT, "guardian_review": CLIENT, "memory_consolidation": CLIENT}
_NO_ENDS = ("thread_rollback_failed", "active_turn_not_steerable")
"""Errors of what was asked of the client, which end no turn."""


@dataclass(frozen=True)
class _Identity:
    """Whose session it is."""

    agent_id: str
    speaker: str
    """Whose the prompts are: a person's, unless another agent or a program opened the session."""
    about: dict[str, str]

    @classmethod
    def of(cls, meta: dict[str, Any], session_id: str | None) -> "_Identity":
        """What the `session_meta` of a session tells."""
        kind = sub_agent_of(meta)
        if kind is None:
            return cls(FORMAT, _opener(meta), {})
        return cls(f"{FORMAT}:{kind}", AGENT, {} if session_id is None else {"session_id": session_id})


def _opener(meta: dict[str, Any]) -> str:
    """Who gives the prompts of a session that no other agent spawned: a person, where nothing says otherwise."""
    if "internal" in mapping(meta.get("source")):
        return CLIENT
    if meta.get("source") == "mcp":
        return "service:mcp-client"
    return _OPENERS.get(text(meta.get("thread_source")) or "", PERSON)


class Reader:
    """Reads one file into the turns of its conversation."""

    def __init__(self, root: str, head: Head, session: Session, spawns: dict[str, Spawner], report: Report) -> None:
        self._own = _Identity.of(head.own, head.session_id)
        self._copied = _Identity.of(head.metas[-1] if head.metas else {}, None)
        """Of the session whose lines a fork, or a sub-agent that was given its parent's past, begins with."""
        self.path = Path(root, session, self._own.agent_id, self._own.about)
        self.path.take_waiting = self._take_waiting
        self._session_id = head.session_id
        self._provider = text(head.own.get("model_provider"))
        self._model: str | None = None
        self._report = report
        self.meter = Meter()
        first = head.metas[-1] if head.metas else {}
        self._first_id = session_id_of(first)
        """The session that the conversation began with, as far as this file tells."""
        self._is_instructed = "forked_from_id" in first
        self._messages = Messages(self.path, self._own.speaker)
        self._calls = Calls(self.path, spawns, asks_person=self._own.speaker == PERSON)

    def take(self, line: Line) -> None:
        """Take in one line."""
        tell_misfits_of(line, self.fault(line.piece))
        self._take(line)

    def _take(self, line: Line) -> None:
        match line.kind:
            case "session_meta":
                self._meta(line)
            case "response_item":
                self._item(line)
            case "event_msg":
                self._event(line)
            case "turn_context":
                self._context(line)
            case "compacted":
                self._compacted(line)
            case "inter_agent_communication":
                self._messages.letter(line)
            case kind:
                self._unknown(kind, line)

    def close(self) -> None:
        """Say what is left over at the end of the file."""
        for line in self.path.waiting:
            self._report(line.piece.note("lines before a prompt that has not come yet; they go in with it"))

    def fault(self, piece: Piece) -> Fault:
        """What takes the faults of one record's values."""
        return lambda reason: self._report(piece.problem(reason))

    def _take_waiting(self, lines: list[Line]) -> None:
        for line in lines:
            self._take(line)

    def _unknown(self, kind: str, line: Line) -> None:
        self._report(line.piece.note(f"records of the kind {kind.strip()[:80]!r}, which is not known: not imported"))

    def _meta(self, line: Line) -> None:
        """What the model is told at first."""
        base = line.payload.get("base_instructions")
        words = text(mapping(base).get("text")) or text(base)
        if base and not isinstance(base, str) and "text" not in mapping(base):
            self._report(line.piece.note("instructions of a session in a form that is not known: not imported"))
        if line.payload.get("instructions"):  # the words of a project's or a person's files, which mostly come as a message too
            self._report(line.piece.note("instructions in the first line of a session, which are not imported"))
        if session_id_of(line.payload) == self._first_id and words is not None and not self._is_instructed:
            self._is_instructed = True
            message = {"type": "message", "role": "system", "content": words}
            self.path.waiting.append(Line(ITEM, message, line.at, line.piece))

    def _enter(self, line: Line) -> None:
        """Go into the turn that a line names, where it names one. A prompt may have opened it before."""
        turn_id, current = text(line.payload.get("turn_id")), self.path.current
        if turn_id is None or (line.kind != EVENT and current is not None and not current.is_named):
            return
        if current is None or current.key != key_of(turn_id):
            known = self.path.named(turn_id)
            self.path.is_copied = is_older(turn_id, self._session_id)
            identity = self._copied if self.path.is_copied else self._own
            self.path.agent_id, self.path.metadata, self._messages.speaker = identity.agent_id, identity.about, identity.speaker
            if known is None:
                self.path.open(line, key_of(turn_id))
            elif not self.path.has_ended(known):
                self.path.current = known

    def _context(self, line: Line) -> None:
        said = line.payload
        self._enter(line)
        self._model = text(said.get("model")) or self._model
        self._calls.reviewer = text(said.get("approvals_reviewer")) or self._calls.reviewer
        if (policy := text(said.get("approval_policy"))) is not None:
            self._calls.asks_nobody = policy == "never"
        patch = {name: said[name] for name in _RUN_CONTEXT if isinstance(said.get(name), str)}
        sandbox = said.get("sandbox_policy")
        if mode := text(sandbox) or text(mapping(sandbox).get("type")) or text(mapping(sandbox).get("mode")):
            patch["sandbox"] = mode
        if (place := self.path.current) is None:
            self.path.waiting.append(line)
        elif patch:
            self.path.add(place, f"context {place.run_id}", Noted(patch), CLIENT, line, wakes=False)

    def _item(self, line: Line) -> None:
        kind = line.type
        if kind == "message":
            if (wrong := self._messages.item(line)) is not None:
                self._report(line.piece.problem(wrong))
        elif kind == "agent_message":
            self._messages.letter(line)
        elif kind == "reasoning":
            self._messages.reasoning(line)
        elif kind.endswith("_call"):
            if not self._calls.call(line):
                self._unknown(f"response_item {kind}", line)
        elif kind.endswith("_output"):
            self._calls.output(line)
        elif kind not in ITEMS_PASSED_BY:
            self._unknown(f"response_item {kind}", line)

    def _event(self, line: Line) -> None:
        kind = line.type
        if kind == "user_message":
            self._messages.event(line, "user")
        elif kind == "agent_message":
            self._messages.event(line, "assistant")
        elif kind == "token_count":
            self._counted(line)
        elif kind in TURN_STARTS:
            self._enter(line)
            if (place := self.path.current) is not None:
                self.path.add(place, f"start {place.run_id}", Noted({}), CLIENT, line)
        elif kind in TURN_ENDS or kind in {"turn_aborted", "error"}:
            self._ended(line, kind)
        elif kind in CALL_ENDS or kind == ITEM_ENDS:
            self._calls.ended(line)
        elif kind in BEGUN:
            self._calls.begun(line)
        elif kind in ASKING or kind == "guardian_assessment":
            self._calls.asked(line)
        elif kind == "collab_agent_spawn_end":
            self._calls.spawned(text(line.payload.get("new_thread_id")), text(line.payload.get("call_id")))
        elif kind == "thread_rolled_back":
            self._rolled_back(line)
        elif kind == "thread_name_updated":
            self.path.session.title = text(line.payload.get("thread_name")) or self.path.session.title
        elif kind not in PASSED_BY:
            self._unknown(f"event_msg {kind}", line)

    def _ended(self, line: Line, kind: str) -> None:
        """The end of a turn: of the one that is named, or else of the one that is under way."""
        said = line.payload
        place = self._turn_that(text(said.get("turn_id")))
        if place is None:
            self._report(line.piece.note(f"events of the kind {kind!r} for turns that are not told of: no end was imported"))
        if place is None or self.path.has_ended(place):
            return
        if kind == "turn_aborted":
            reason = text(said.get("reason")) or "aborted"
            actor = self._messages.speaker if reason == "interrupted" else CLIENT
            self.path.finish(line, place, Finished("cancelled", "cancelled", reason), actor)
        elif kind == "error":
            if said.get("codex_error_info") not in _NO_ENDS:
                self.path.finish(line, place, _failure(said), AGENT)
        elif isinstance(error := said.get("error"), dict | str):
            self.path.finish(line, place, _failure(error if isinstance(error, dict) else {"message": error}), AGENT)
        else:
            self._calls.settle(line, place)
            self.path.finish(line, place, Finished("completed", "end_turn"), AGENT)

    def _turn_that(self, turn_id: str | None) -> Place | None:
        """The turn that is named so. The one under way has that name too, unless it has another or was not told."""
        if turn_id is not None and (named := self.path.named(turn_id)) is not None:
            return named
        current = self.path.current
        return None if turn_id is not None and current is not None and current.is_named else current

    def _counted(self, line: Line) -> None:
        used = self.meter.used(line.payload, self._provider, self._model, self.fault(line.piece))
        if used is None:
            return
        words = mark(used)
        place = self.path.last or self.path.open(line, self.path.follows(words))
        step_id = self.path.id("usage", place, digest(words), self.path.nth(place, "usage", words))
        self.path.add(place, step_id, used, AGENT, line, wakes=False)

    def _compacted(self, line: Line) -> None:
        """The model's memory was cut: what it saw from here on is the summary. Who asked for that is not told."""
        words = text(line.payload.get("message"))
        place = self.path.current or self.path.open(line, self.path.follows(text_of(line.payload)))
        marked = digest(words or text_of(line.payload))
        number = self.path.nth(place, "compacted", marked)
        summary_id = None
        if words is not None:
            summary_id = self.path.id("msg", place, "compacted", marked, number)
            said = Said("user", (TextPart(text=words),))
            self.path.add(place, summary_id, said, CLIENT, line, wakes=False)
        step_id = self.path.id("compaction", place, marked, number)
        self.path.add(place, step_id, Compacted("auto", summary_message_id=summary_id), CLIENT, line)

    def _rolled_back(self, line: Line) -> None:
        """A person went back over so many turns: the next one leaves from before them."""
        number = line.payload.get("num_turns")
        if isinstance(number, int) and not isinstance(number, bool) and number > 0:
            self.path.roll_back(number, self._was_prompted)
        else:
            self._report(line.piece.problem(f"num_turns: {str(number)[:40]!r} is not a number of turns; not imported"))

    def _was_prompted(self, place: Place) -> bool:
        """Whether somebody's words opened the turn: one that only compacted is none of those that are rolled back."""
        steps = self.path.turn(place).steps.values()
        return any(isinstance(step.fact, Said) and step.fact.role == "user" and step.wakes for step in steps)


def _failure(error: dict[str, Any]) -> Finished:
    info = error.get("codex_error_info")
    code = text(info) or next(iter(mapping(info)), None)
    return Finished("failed", "error", text(error.get("message")) or "the turn failed", code or "error")
