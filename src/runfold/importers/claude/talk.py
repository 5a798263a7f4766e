"""What one agent's conversation with Claude Code becomes: messages, calls, approvals, decisions, usage and the ends of runs.

A person's answer to a plan or a question is a vote on an approval and a decision with its options. A run ends where its lines
say so: completed where the model's last answer says that its turn ended, failed where an error of the API is recorded,
cancelled where somebody interrupted it. One of which no line says so is running, last heard of then.
"""

from collections.abc import Callable
from typing import Any

from runfold.commands.caller import Envelope
from runfold.domain.approval_events import ONLY_PEOPLE
from runfold.domain.thread import MAIN as MAIN_HEAD
from runfold.errors import InvalidEvent
from runfold.importers.claude.asks import Ask, asks_of
from runfold.importers.claude.compaction import stated
from runfold.importers.claude.content import content_of, parts_of, result_parts
from runfold.importers.claude.earlier import Earlier
from runfold.importers.claude.endings import call_end
from runfold.importers.claude.forks import leaves_what_is_in
from runfold.importers.claude.ids import Ids
from runfold.importers.claude.lines import Block, Line, text_of
from runfold.importers.claude.nodes import MAIN, Call, Node, Turn
from runfold.importers.claude.speakers import CLIENT, PERSON
from runfold.importers.claude.usage import Used, provider_of, usages_of
from runfold.importers.recording import Recording, SourceRun
from runfold.importers.sources import OF_A_RECORD

Spawn = Callable[[Call, str, int], None]
"""Called with each call, its run and its version there: a sub-agent may have been started by it."""


def used_in(node: Node) -> tuple[Used, ...]:
    """Return what an answer used, by its last line's word: one usage for each run of a model. `odd` is what did not fit."""
    if node.used is None:
        line = node.reported if node.is_model else None
        usage = line.usage if line is not None else None
        node.used = () if line is None or usage is None else usages_of(usage, text_of(line.message, "model"), node.odd.append)
    return node.used


def asked_by(call: Call) -> list[Ask]:
    """Return what a call asked its person, and what they said."""
    if call.asks is None:
        result = None if call.result is None else (call.result[0].raw, call.result[1].record)
        call.asks = asks_of(call.block.raw, result)
    return call.asks


class Talk:
    """One agent's conversation on its way into the ledger."""

    def __init__(self, recording: Recording, ids: Ids, agent: str, kind: str, spawn: Spawn, origin: dict[str, Any]) -> None:
        self.earlier: Earlier | None = None
        """What an earlier import recorded of the thread, where this one does not begin as that did."""
        self.recording = recording
        self.ids = ids
        self.is_main = agent == MAIN
        self.kind = kind
        self.agent = f"agent:{kind}"
        self.spawn = spawn
        self.origin = origin
        """What `start_run` takes for a turn that hangs from nothing."""
        self.source_runs: dict[Turn, SourceRun] = {}
        self.left_out: set[Turn] = set()
        """The turns whose run could not begin."""
        self.compacted: set[Node] = set()
        """The boundaries of compactions that were told of: each is, with the line after it, which may be its summary."""

    def tell(self, node: Node) -> None:
        """Give the commands for one message, and end its run with its last."""
        turn = node.turn
        if turn is None or turn in self.left_out:
            return
        with self.recording.of(node.line.piece):
            source_run = self.source_runs.get(turn) or self._begun(turn)
            if node is turn.awake and node is not turn.opener and not self._is_in(node):
                source_run.tip.start(**self._envelope(self._author(node), node.line))
            if node.parent is not None and node.parent.kind == "boundary" and node.parent not in self.compacted:
                self._compact(source_run, node.parent, node)
            if node.kind == "answer":
                self._tell_answer(source_run, node)
            elif node.kind == "user":
                self._tell_user(source_run, node)
        if node is turn.nodes[-1] and turn.is_over and turn in self.source_runs:
            with self.recording.of(node.line.piece):
                self._end(self.source_runs[turn], turn)

    # Runs

    def _begun(self, turn: Turn) -> SourceRun:
        """The run of a turn that begins now; one that cannot is left out with all that is in it."""
        try:
            if turn.parent in self.left_out:
                raise InvalidEvent("", "the turn that it goes on from was left out; so is this one")
            return self._begin(turn)
        except OF_A_RECORD:
            self.left_out.add(turn)
            raise

    def _begin(self, turn: Turn) -> SourceRun:
        """The run of a turn: asked for where only the client has written yet, else begun."""
        opener, run_id = turn.opener, self.ids.run(turn.opener)
        if turn.parent is None and (above := self._cut_from(opener)) is not None:
            source_run = SourceRun(self.recording, above)
            if source_run.is_open and (opener.speaker is None or opener.speaker.wakes != "always"):
                self.source_runs[turn] = source_run
                return source_run
            is_left = source_run.last_id in self.recording.known.continued
            self.origin = {"parent": source_run.last_id, "kind": "branches" if is_left else "continues"}
        request = {**self._parent(turn), **self._envelope(self._author(opener), opener.line)}
        if run_id not in self.recording.known.runs:
            known, above = self.recording.known, request.get("parent")
            if turn.left is not None and leaves_what_is_in(turn, known, str(above), self._first_id(turn.left)):
                turn.kind = request["kind"] = "branches"
                request.pop("auto_deny", None)
            thread = self.recording.thread
            begin = thread.start_run if turn.awake is opener else thread.create_run
            begin(run_id=run_id, **request)
            if turn.kind == "branches" and self.is_main and turn.awake is opener:
                envelope = self._envelope(self._author(opener), opener.line)
                thread.move_head(MAIN_HEAD, run_id, reason="rewound", **envelope)
        source_run = self.source_runs[turn] = SourceRun(self.recording, run_id)
        return source_run

    def _cut_from(self, opener: Node) -> str | None:
        """The run of a line that is not here, but was imported earlier; where that is not known, the one that was last."""
        uuid = opener.line.parent_uuid
        if self.earlier is None or not self.is_main or uuid is None or self.ids.run(opener) in self.earlier.agent_of:
            return None
        return self.earlier.messages.get(self.ids.of("msg", uuid)) or self.earlier.last

    def _parent(self, turn: Turn) -> dict[str, Any]:
        if turn.parent is None:
            return self.origin
        above = self.source_runs[turn.parent]
        request: dict[str, Any] = {"parent": above.last_id, "kind": turn.kind, "agent_id": self.kind}
        if turn.kind == "continues":
            request["auto_deny"] = True  # a question that was open when the conversation went on was not answered
        if turn.left is None:
            return {**request, "parent": above.first_id, "at_version": 1}
        following = turn.parent.next_after(turn.left)
        while following is not None and (place := self._place(following)) is None:
            following = turn.parent.next_after(following)
        if following is not None and place is not None:
            return {**request, "parent": place[0], "at_version": place[1] - 1}
        return request

    def _place(self, node: Node) -> tuple[str, int] | None:
        """The run and the version at which the first message of a node was added."""
        return self.recording.known.added_at.get(self._first_id(node))

    def _first_id(self, node: Node) -> str:
        return self.ids.result(node, *node.results[0]) if node.results else self.ids.message(node)

    def _is_in(self, node: Node) -> bool:
        return self._place(node) is not None

    def _end(self, source_run: SourceRun, turn: Turn) -> None:
        node = turn.ended
        if node is None or (run := source_run.end()) is None:
            return
        if node.error is not None:
            envelope = self._envelope(CLIENT, node.line)
            run.fail(node.error.message, code=node.error.code, stop_reason="llm_api_error", **envelope)
        elif node.speaker is not None:
            by = node.speaker.interrupted_by or CLIENT
            run.cancel("interrupted by the user" if by == PERSON else "interrupted", **self._envelope(by, node.line))
        else:
            run.complete(**self._envelope(self.agent, node.lines[-1]))

    # Messages

    def _author(self, node: Node) -> str:
        if node.speaker is not None:
            return node.speaker.author
        return self.agent if node.is_model else CLIENT

    def _envelope(self, actor: str, line: Line) -> Envelope:
        if line.timestamp is None:
            return {"actor": actor}
        return {"actor": actor, "occurred_at": line.timestamp}

    def _compact(self, source_run: SourceRun, boundary: Node, after: Node) -> None:
        self.compacted.add(boundary)
        compaction_id, more = self.ids.of("compaction", *boundary.key), stated(boundary.line)
        if after.speaker is not None and after.speaker.kind == "summary":
            more["summary_message_id"] = self.ids.message(after)
        if boundary.kept_from is not None and boundary.kept_from.has_words:
            more["kept_from_message_id"] = self.ids.message(boundary.kept_from)
        run = source_run.run(compaction_id)
        run.compact_context(compaction_id=compaction_id, **more, **self._envelope(CLIENT, boundary.line))

    def _tell_answer(self, source_run: SourceRun, node: Node) -> None:
        message_id, author = self.ids.message(node), self._author(node)
        parts = tuple(part for block, _ in node.parts if block.type != "tool_use" for part in parts_of(block))
        more = {} if node.is_model else {"author": author}
        with self.recording.of(node.line.piece):
            source_run.add_message("assistant", parts, message_id=message_id, **more, **self._envelope(author, node.line))
        for call in node.calls:
            with self.recording.of(call.line.piece):
                self._call(source_run, call, message_id)
        for used in used_in(node):
            with self.recording.of((node.reported or node.line).piece):
                self._use(source_run, node, used)
        for reason in node.odd:
            self.recording.tell(reason)

    def _use(self, source_run: SourceRun, node: Node, used: Used) -> None:
        iteration = () if used.iteration is None else (f"iteration {used.iteration}",)
        source_run.use(
            self.ids.of("usage", *node.key, *iteration),
            provider=provider_of(text_of(node.line.message, "id")),
            **self._envelope(self.agent, node.lines[-1]),
            **used.fields(),
        )

    def _call(self, source_run: SourceRun, call: Call, message_id: str) -> None:
        call_id, block = self.ids.call(call), call.block
        envelope = self._envelope(self.agent, call.line)
        source_run.call_tool(
            block.name, block.input, call_id=call_id, message_id=message_id, provider_call_id=block.id, **envelope
        )
        run_id, version = self.recording.known.added_at[call_id]
        for ask in asked_by(call):
            self.recording.batch.run(run_id).request_approval(
                ask.action,
                arguments=ask.arguments,
                call_id=call_id,
                reason=ask.reason,
                message=ask.message,
                choices=[{**option} for option in ask.options],
                approval_id=self.ids.approval(call, ask.name),
                approver_kinds=ONLY_PEOPLE,
                requester_excluded=None,
                **envelope,  # the person at the terminal is asked
            )
        self.spawn(call, run_id, version)

    def _tell_user(self, source_run: SourceRun, node: Node) -> None:
        for block, call in node.results:
            with self.recording.of(node.line.piece):
                self._answer(source_run, node, block, call)
        if node.has_words:
            author = self._author(node)
            envelope = self._envelope(author, node.line)
            source_run.add_message(
                "user", content_of(node), message_id=self.ids.message(node), author=author, keep_approvals=True, **envelope
            )
        if node.turn is not None and node.turn.ended is node and node.speaker is not None:
            self._stop_calls(source_run, node.turn, node)

    def _stop_calls(self, source_run: SourceRun, turn: Turn, node: Node) -> None:
        """Cancel the calls that were open when somebody interrupted the agent."""
        by = node.speaker.interrupted_by if node.speaker is not None else None
        for caller in turn.nodes[: node.place]:
            for call in caller.calls:
                call_id = self.ids.call(call)
                if call.result is None and f"end {call_id}" not in self.recording.known.home:
                    source_run.ending(call_id).cancel("interrupted by the user", **self._envelope(by or CLIENT, node.line))

    def _answer(self, source_run: SourceRun, node: Node, block: Block, call: Call | None) -> None:
        """The result of a tool: a message, whatever the person said to it, and the end of the call."""
        call_id, is_first = self._called(block, call)
        asks = asked_by(call) if call is not None and is_first else []
        for ask in asks:
            if call is not None and call_id is not None:
                with self.recording.of(node.line.piece):
                    self._decide(source_run, call, ask, node.line)
        envelope = self._envelope(CLIENT, node.line)
        message_id = self.ids.result(node, block, call)
        source_run.add_message(
            "tool", tuple(result_parts(block.content)), message_id=message_id, tool_call_id=call_id, **envelope
        )
        if call_id is None or not is_first or any(ask.verdict == "denied" for ask in asks):
            return  # a denied call has failed with the denial
        ending, end = source_run.ending(call_id), call_end(block.raw, node.line.record)
        if end.verdict == "succeeded":
            whole = node.line.tool_use_result if len(node.results) == 1 else None
            ending.succeed(whole if isinstance(whole, dict | list) else block.content, **envelope)
        elif end.verdict == "cancelled":
            ending.cancel(end.message or None, **self._envelope(end.actor, node.line))
        else:
            actor = CLIENT if end.verdict == "failed" else end.actor
            ending.fail(end.message, code=end.code, **self._envelope(actor, node.line))

    def _called(self, block: Block, call: Call | None) -> tuple[str | None, bool]:
        """The call that a result answers, and whether it is the first that does."""
        if call is not None:
            return self.ids.call(call), call.result is not None and call.result[0] is block
        call_id = self.earlier.calls.get(block.tool_use_id) if self.earlier is not None else None
        return call_id, call_id is not None and f"end {call_id}" not in self.recording.known.home

    def _decide(self, source_run: SourceRun, call: Call, ask: Ask, line: Line) -> None:
        call_id, envelope = self.ids.call(call), self._envelope(PERSON, line)
        approval = self.recording.batch.approval(self.ids.approval(call, ask.name))
        if ask.verdict == "denied":
            home = self.recording.known.home
            home.setdefault(f"end {call_id}", home[call_id])
            approval.deny(ask.comment, **envelope)
        elif ask.verdict == "granted":
            response = None if ask.answer is None else {"answer": ask.answer}
            approval.grant(comment=ask.comment, arguments=ask.edited, response=response, **envelope)
        if not ask.chosen:
            return
        decision_id = self.ids.of("dec", *call.key, ask.name)
        source_run.run(decision_id).decide(
            ask.intent,
            options=[{"id": option["id"], "description": _described(option)} for option in ask.options],
            chosen=ask.chosen[0],
            also_chosen=ask.chosen[1:],
            reasoning=ask.comment or "",
            decision_type="path_choice",
            decision_id=decision_id,
            context={"approval_id": approval.id, "call_id": call_id},
            **envelope,
        )


def _described(option: dict[str, str]) -> str:
    if option["description"] == option["label"]:
        return option["label"]
    return f"{option['label']}: {option['description']}"
