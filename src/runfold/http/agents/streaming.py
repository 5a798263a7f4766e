"""What an agent streams: texts, reasoning and the arguments of tool calls, recorded piece by piece."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from runfold.agui.content import parts_of
from runfold.agui.conversation import Conversation
from runfold.domain.message import Role
from runfold.history.path import thread_tree
from runfold.http.agents.ids import message_id_of
from runfold.http.agents.past import path_events
from runfold.http.agents.recording import Recording
from runfold.http.agents.words import Event

TOGETHER_SECONDS, TOGETHER_CHARACTERS = 0.1, 4096
"""Later words are recorded together: those of so long, or so many."""
Kind = Literal["text", "reasoning", "call"]


@dataclass
class Piece:
    """A text, or the arguments of a call, while it streams."""

    kind: Kind
    id: str
    owner: str | None
    name: str = ""
    parent_id: str | None = None
    words: list[str] = field(default_factory=list)
    """All of them, of a call; of a text those that wait."""
    waiting: list[str] = field(default_factory=list)
    size: int = 0
    """The characters that wait."""
    recorded: int = 0
    """The characters that are recorded."""
    flushed_at: float | None = None
    is_noted: bool = False
    """Whether it was noted that somebody else went on with it."""
    is_joined: bool = False
    """Whether it was begun before this process recorded it: the agent may begin it again."""


class Streaming:
    """The pieces of one run."""

    def __init__(self, recorder: Recording) -> None:
        self._recorder = recorder
        self._open: dict[tuple[Kind, str], Piece] = {}
        self._chunk: Piece | None = None
        self._ended: set[tuple[Kind, str]] = set()
        self._owners: dict[str, str | None] = {}
        """Whose the messages of this run are."""
        self._again: set[str] = set()
        """Calls of the past that are announced again."""
        self._last_text: str | None = None
        self._due: asyncio.TimerHandle | None = None
        """Set while words wait: when they are recorded, whatever comes."""
        self._fault: Exception | None = None

    def take(self, event: Event, kind: str, phase: str) -> None:
        """Take in a piece. Raises, too, what kept words that waited from being recorded."""
        self._require_whole()
        of: Kind = kind  # type: ignore[assignment]  # it is one of these
        given = event.get("toolCallId" if of == "call" else "messageId") or ""
        item_id = message_id_of(given) if given else ""
        if phase == "CHUNK":
            self._take_chunk(event, of, item_id)
            return
        self.close_chunk()
        if phase == "START":
            self._start(event, of, item_id)
            return
        piece = self._open.get((of, item_id))
        if piece is None and of == "call" and item_id in self._again:
            return
        if piece is not None and event.get("subagentRunId") not in {None, piece.owner} and not piece.is_noted:
            piece.is_noted = True
            fact = f"{event['type']} for {item_id!r} is of {event['subagentRunId']!r}, and its start was not; the start stands"
            self._recorder.problem("same-owner", fact)
        if piece is None:
            what = "ended already" if (of, item_id) in self._ended else "was not started"
            self._recorder.problem(f"{of}-start", f"{event['type']} for {item_id!r}, which {what}, was left out")
        elif phase == "END":
            self._end(piece)
        else:
            self._add(piece, event["delta"])

    def close_chunk(self) -> None:
        """Another event came: what chunks were adding to is complete."""
        if (chunk := self._chunk) is not None:
            self._chunk = None
            self._end(chunk)

    def end_call(self, call_id: str) -> None:
        """A call is answered: so it was complete."""
        if (piece := self._open.get(("call", call_id))) is not None:
            self._recorder.problem("result-after-call", f"the result of {call_id!r} came before its end, which it is")
            self._end(piece)

    def close(self, owner: str | None = None) -> None:
        """The run is over, or a sub-agent: texts end as far as they came; calls whose arguments are not whole are none."""
        self._chunk = None
        for piece in list(self._open.values()):
            if owner is not None and piece.owner != owner:
                continue
            self._recorder.problem(f"{piece.kind}-end", f"{piece.kind} {piece.id!r} was open at the end")
            if piece.kind == "call":
                self._flush(piece)
                del self._open["call", piece.id]
            else:
                self._end(piece)

    def flush(self) -> None:
        """Record the words that wait. Raises as `take`."""
        self._require_whole()
        if self._due is not None:
            self._due.cancel()
            self._due = None
            for piece in self._open.values():
                self._flush(piece)

    def _flush_in_time(self) -> None:
        try:
            self.flush()
        except Exception as error:  # it is told to who works on the run
            self._fault = error

    def _require_whole(self) -> None:
        if (fault := self._fault) is not None:
            self._fault = None
            raise fault

    def resume(self, conversation: Conversation) -> None:
        """Go on with what another process began to record."""
        for message in conversation.messages.values():
            if message.is_streaming:
                kind: Kind = "reasoning" if message.role == "reasoning" else "text"
                piece = self._open[kind, message.id] = Piece(kind, message.id, message.subagent_run_id, is_joined=True)
                piece.recorded = len(message.text)
        for call in conversation.calls.values():
            if call.id not in self._recorder.calls:
                piece = self._open["call", call.id] = Piece("call", call.id, None, call.name, is_joined=True)
                piece.words, piece.recorded = [call.arguments], len(call.arguments)

    async def repeat(self, messages: list[dict[str, Any]]) -> None:
        """Take in a snapshot of all messages: what is new of them, and what reads otherwise."""
        self.flush()
        known = await self._recorder.in_thread(self._conversation)
        for message in messages:
            self._repeat(message, known)

    def _conversation(self) -> Conversation:
        reader, recorder = self._recorder.ledger.now.reader, self._recorder
        found = Conversation()
        for recorded in path_events(reader, thread_tree(reader, recorder.thread_id), recorder.run.id):
            found.take(recorded)
        return found

    def _repeat(self, message: dict[str, Any], known: Conversation) -> None:
        recorder, item_id, role = self._recorder, message_id_of(str(message["id"])), message["role"]
        parts, run = parts_of(message.get("content"), role), self._recorder.run_of(message)
        kind: Kind = "reasoning" if role == "reasoning" else "text"
        if (piece := self._open.get((kind, item_id))) is not None:
            self._catch_up(piece, message.get("content") or "")
        elif (found := known.messages.get(item_id)) is None:
            if role == "tool":
                told = {"type": "", "toolCallId": message.get("toolCallId") or "", "messageId": item_id}
                recorder.take_result({**told, "content": message.get("content") or ""})
            elif role != "activity" and (parts or not message.get("toolCalls")):
                recorder.send(run.submit_add_message(role, parts, message_id=item_id, name=message.get("name")), "id-once")
        elif role in {"assistant", "user", "system", "developer"} and parts and parts != found.parts:
            recorder.send(run.message(item_id).submit_revise(parts), "recordable")
        for call in message.get("toolCalls") or ():
            self._repeat_call(call, item_id, known)

    def _repeat_call(self, call: dict[str, Any], parent_id: str, known: Conversation) -> None:
        call_id, text = message_id_of(call["id"]), call["function"].get("arguments") or ""
        if (piece := self._open.get(("call", call_id))) is not None:
            self._catch_up(piece, text)
        elif call_id not in known.calls and call_id not in self._recorder.calls:
            name = call["function"]["name"]
            self._recorder.calls[call_id] = False
            self._recorder.asked[call_id] = name, text
            asked = self._recorder.run.submit_call_tool(name, text, call_id=call_id, message_id=parent_id)
            self._recorder.send(asked, "id-once")

    def _catch_up(self, piece: Piece, text: str) -> None:
        """Take the rest of a piece whose beginning is recorded."""
        self._flush(piece)
        piece.is_joined = True
        if len(text) > piece.recorded:
            self._add(piece, text[piece.recorded :])

    def _take_chunk(self, event: Event, kind: Kind, item_id: str) -> None:
        chunk = self._chunk
        if chunk is None or chunk.kind != kind or item_id not in {"", chunk.id}:
            self.close_chunk()
            chunk = self._open.get((kind, item_id))
            if chunk is None:
                if not item_id:
                    self._recorder.problem("chunk-start", f"{event['type']} without an id, where none is open, was left out")
                    return
                if not self._start(event, kind, item_id):
                    return
                chunk = self._open[kind, item_id]
            self._chunk = chunk
        if event.get("delta"):
            self._add(chunk, event["delta"])

    def _start(self, event: Event, kind: Kind, item_id: str) -> bool:
        recorder = self._recorder
        if (piece := self._open.get((kind, item_id))) is not None:
            if not piece.is_joined:
                recorder.problem(f"{kind}-once", f"{event['type']} for {item_id!r}, which is open, was left out")
            return False
        if (kind, item_id) in self._ended:
            recorder.problem("id-once", f"{event['type']} for {item_id!r}, which has ended, was left out")
            return False
        if kind == "call":
            return self._start_call(event, item_id)
        role: Role = "reasoning" if kind == "reasoning" else event.get("role") or "assistant"
        if kind == "text":
            self._last_text = item_id
            self._owners[item_id] = event.get("subagentRunId")
        self._open[kind, item_id] = Piece(kind, item_id, event.get("subagentRunId"))
        run = recorder.run_of(event)
        recorder.send(run.submit_add_message(role, message_id=item_id, name=event.get("name"), streaming=True), "id-once")
        return True

    def _start_call(self, event: Event, item_id: str) -> bool:
        recorder, name = self._recorder, event.get("toolCallName")
        if not name:
            recorder.problem("chunk-start", f"{event['type']} for {item_id!r} names no tool, and was left out")
            return False
        if item_id in recorder.calls:
            self._again.add(item_id)
            return False  # announced again, as it was approved: it is one call
        given = event.get("parentMessageId")
        parent_id, owner = message_id_of(given) if given else None, event.get("subagentRunId")
        if parent_id is not None and self._owners.get(parent_id, owner) != owner:
            fact = f"the message {given!r} of the call {item_id!r} is another's; the call was recorded without it"
            recorder.problem("same-owner", fact)
            parent_id = None
        self._open["call", item_id] = Piece("call", item_id, event.get("subagentRunId"), name, parent_id)
        call = recorder.run_of(event).tool_call(item_id)
        recorder.send(call.submit_append_arguments("", name=name, message_id=parent_id), "id-once")
        return True

    def _add(self, piece: Piece, delta: str) -> None:
        if not delta:
            return
        piece.waiting.append(delta)
        piece.size += len(delta)
        if piece.kind == "call":
            piece.words.append(delta)
        now = time.monotonic()
        if piece.flushed_at is None or piece.size >= TOGETHER_CHARACTERS or now - piece.flushed_at >= TOGETHER_SECONDS:
            piece.flushed_at = now
            self._flush(piece)
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._flush_in_time)

    def _flush(self, piece: Piece) -> None:
        if not piece.waiting:
            return
        text, offset = "".join(piece.waiting), piece.recorded
        piece.waiting, piece.size, piece.recorded, piece.flushed_at = [], 0, offset + len(text), time.monotonic()
        run = self._recorder.run_of({"subagentRunId": piece.owner})
        if piece.kind == "call":
            self._recorder.send(run.tool_call(piece.id).submit_append_arguments(text, offset=offset), "recordable")
        else:
            self._recorder.send(run.message(piece.id).submit_append_text(text, offset=offset), "recordable")

    def _end(self, piece: Piece) -> None:
        self._flush(piece)
        del self._open[piece.kind, piece.id]
        self._ended.add((piece.kind, piece.id))
        run = self._recorder.run_of({"subagentRunId": piece.owner})
        if piece.kind != "call":
            self._recorder.send(run.message(piece.id).submit_seal(), "recordable")
            return
        self._recorder.calls[piece.id] = False
        self._recorder.asked[piece.id] = piece.name, "".join(piece.words)
        asked = run.submit_call_tool(piece.name, "".join(piece.words), call_id=piece.id, message_id=piece.parent_id)
        self._recorder.send(asked, "id-once")
