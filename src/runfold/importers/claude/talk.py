"""What one agent's conversation with Claude Code becomes: messages, calls, approvals, decisions, usage and the ends of runs.

A person's answer to a plan or a question is a vote on an approval and a decision with its options. A run ends well where
the agent had the last word, is cancelled where the person interrupted it, has failed as `incomplete` where its files end
before the agent's answer, and goes on waiting where the person had not answered yet.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from runfold.commands.caller import Envelope
from runfold.domain.approval_events import ONLY_PEOPLE
from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from runfold.domain.thread import MAIN
from runfold.ids import stable_id
from runfold.importers.claude.asks import Ask, asks_of, said
from runfold.importers.claude.session import Block, Branch, Conversation, Entry, Line
from runfold.importers.claude.usage import Used, usages_of
from runfold.importers.recording import Recording, SourceRun

FORMAT = "claude-code"
PERSON, AGENT, CLIENT = "human:user", "agent:claude-code", "service:claude-code"

Spawn = Callable[[Block, str, int], None]
"""Called with each call, its run and its version there: a sub-agent may have been started by it."""


def used_in(entry: Entry) -> tuple[Used, ...]:
    """Return what an API message used, by the last line's word: one usage for each run of a model. Raises InvalidEvent."""
    reported = [line.message.usage for line, _ in entry.lines if line.message.usage is not None]
    if not entry.is_assistant or not reported:
        return ()
    return usages_of(reported[-1], entry.lines[-1][0].message.model)


class Talk:
    """One agent's conversation on its way into the ledger."""

    def __init__(
        self, recording: Recording, session_id: str, key: str, conversation: Conversation, kind: str, spawn: Spawn
    ) -> None:
        self.recording = recording
        self.session_id = session_id
        self.key = key
        """Which conversation of the session: `main`, or a sub-agent's id."""
        self.conversation = conversation
        self.agent = f"agent:{kind}"
        self.spawn = spawn
        self.source_runs: dict[Branch, SourceRun] = {}
        self.first: SourceRun | None = None
        self.ours: dict[str, str] = {}
        """Our id of each call told so far, by the call's own."""

    @property
    def first_run_id(self) -> str:
        """The run of its first branch."""
        return self.id("run")

    def id(self, prefix: str, *words: str) -> str:
        """An id made from the source's words."""
        return stable_id(prefix, FORMAT, self.session_id, self.key, *words)

    def begin(self, **request: Any) -> None:
        """Start its first run."""
        self.first = self.recording.source_run(self.first_run_id, **request)
        if self.conversation.branches:
            self.source_runs[self.conversation.branches[0]] = self.first

    def end_if_empty(self) -> None:
        """End a run that no message is in: it was there for its sub-agents."""
        run = self.first.end() if self.first is not None and not self.conversation.entries else None
        if run is not None:
            run.complete(actor=CLIENT)

    def tell(self, entry: Entry) -> None:
        """Give the commands for one entry, and end its branch with its last."""
        with self.recording.of(entry.piece):
            source_run = self.source_runs.get(entry.branch) or self._branch(entry)
            if entry.is_assistant:
                self._tell_assistant(source_run, entry)
            else:
                self._tell_user(source_run, entry)
        if entry is entry.branch.entries[-1] and entry.branch in self.source_runs:
            with self.recording.of(entry.piece):
                self._end(self.source_runs[entry.branch], entry)

    def _branch(self, entry: Entry) -> SourceRun:
        """A run that leaves the one it was rewound from just before what came next there; the thread goes on with it."""
        left = entry.branch.left
        assert left is not None, "only the first branch leaves no other"  # noqa: S101
        run_id = self.id("run", "branch", entry.source_id)
        is_new = run_id not in self.recording.known.runs
        after = left.branch.entries[left.index + 1]
        request: dict[str, Any] = {"parent": self.source_runs[left.branch].first_id}
        if (place := self.recording.known.added_at.get(self._message_id(after))) is not None:
            request = {"parent": place[0], "at_version": place[1] - 1}
        source_run = self.recording.source_run(run_id, kind="branches", actor=PERSON, occurred_at=entry.line.timestamp, **request)
        if is_new and self.key == "main":
            self.recording.thread.move_head(MAIN, run_id, reason="rewound", actor=PERSON, occurred_at=entry.line.timestamp)
        self.source_runs[entry.branch] = source_run
        return source_run

    def _message_id(self, entry: Entry) -> str:
        """The id of an entry's first message."""
        result = next(entry.results(), None)
        return self.id("msg", entry.source_id, *([] if result is None else [result.tool_use_id]))

    def _tell_assistant(self, source_run: SourceRun, entry: Entry) -> None:
        message_id = self._message_id(entry)
        parts = [part for block, _ in entry.blocks() if block.type != "tool_use" for part in parts_of(block)]
        source_run.add_message(
            "assistant", tuple(parts), message_id=message_id, actor=self.agent, occurred_at=entry.line.timestamp
        )
        for block, line in entry.calls():
            self._call(source_run, block, line, message_id)
        self._use(source_run, entry)

    def _call(self, source_run: SourceRun, block: Block, line: Line, message_id: str) -> None:
        call_id = self.ours[block.id] = self.id("call", block.id)
        asks = asks_of(block, self.conversation.answered.get(block.id))
        envelope: Envelope = {"actor": self.agent, "occurred_at": line.timestamp}
        source_run.call_tool(
            block.name,
            block.input,
            call_id=call_id,
            message_id=message_id,
            provider_call_id=block.id,
            **envelope,
        )
        run_id, version = self.recording.known.added_at[call_id]
        for ask in asks:
            self.recording.batch.run(run_id).request_approval(
                ask.action,
                arguments=ask.arguments,
                call_id=call_id,
                reason=ask.reason,
                message=ask.message,
                choices=[{**option} for option in ask.options],
                approval_id=self.id("approval", block.id, ask.name),
                approver_kinds=ONLY_PEOPLE,
                requester_excluded=None,
                **envelope,  # the person at the terminal is asked
            )
        self.spawn(block, run_id, version)

    def _use(self, source_run: SourceRun, entry: Entry) -> None:
        for used in used_in(entry):
            source_run.use(
                self.id("usage", entry.source_id, *(() if used.iteration is None else (f"iteration {used.iteration}",))),
                provider="anthropic",
                actor=self.agent,
                occurred_at=entry.lines[-1][0].timestamp,
                **used.fields(),
            )

    def _tell_user(self, source_run: SourceRun, entry: Entry) -> None:
        for block in entry.results():
            self._answer(source_run, entry, block)
        if not entry.has_words:
            return
        line = entry.line
        writer = CLIENT if line.is_machine_made else PERSON if self.key == "main" else AGENT
        parts = tuple(part for block, _ in entry.blocks() if block.type != "tool_result" for part in parts_of(block))
        envelope: Envelope = {"actor": writer, "occurred_at": line.timestamp}
        source_run.add_message("user", parts, message_id=self.id("msg", entry.source_id), author=writer, **envelope)
        if entry.is_interruption:
            for theirs, ours in self.ours.items():
                if theirs not in self.conversation.answered and f"end {ours}" not in self.recording.known.home:
                    source_run.ending(ours).cancel("interrupted by the user", **envelope)

    def _answer(self, source_run: SourceRun, entry: Entry, block: Block) -> None:
        """The result of a tool: a message, whatever the person said to it, and the end of the call."""
        call_id = self.ours.get(block.tool_use_id)
        message_id = self.id("msg", entry.source_id, block.tool_use_id)
        envelope: Envelope = {"actor": CLIENT, "occurred_at": entry.line.timestamp}
        call = self.conversation.called.get(block.tool_use_id)
        asks = asks_of(call, (block, entry.line)) if call is not None else []
        for ask in asks:
            with self.recording.of(entry.piece):
                self._decide(source_run, call_id or "", ask, block, entry.line)
        source_run.add_message(
            "tool", tuple(result_parts(block.content)), message_id=message_id, tool_call_id=call_id, **envelope
        )
        if call_id is None or any(ask.verdict == "denied" for ask in asks):
            return  # a denied call has failed with the denial
        ending = source_run.ending(call_id)
        if block.is_error:
            ending.fail(said(block.content), code="tool_error", **envelope)
        else:
            whole = entry.line.tool_use_result
            ending.succeed(whole if isinstance(whole, dict | list) else block.content, **envelope)

    def _decide(self, source_run: SourceRun, call_id: str, ask: Ask, block: Block, line: Line) -> None:
        envelope: Envelope = {"actor": PERSON, "occurred_at": line.timestamp}
        approval = self.recording.batch.approval(self.id("approval", block.tool_use_id, ask.name))
        if ask.verdict == "denied":
            self.recording.known.home.setdefault(f"end {call_id}", self.recording.known.home[call_id])
            approval.deny(said(block.content), **envelope)
        else:
            approval.grant(response=None if ask.answer is None else {"answer": ask.answer}, **envelope)
        if ask.chosen is None:
            return
        decision_id = self.id("dec", block.tool_use_id, ask.name)
        source_run.run(decision_id).decide(
            ask.intent,
            options=[{"id": option["id"], "description": _described(option)} for option in ask.options],
            chosen=ask.chosen,
            decision_type="path_choice",
            decision_id=decision_id,
            context={"approval_id": approval.id, "call_id": call_id},
            **envelope,
        )

    def _end(self, source_run: SourceRun, last: Entry) -> None:
        """End a branch after its last entry, unless the person still has to answer."""
        envelope: Envelope = {"actor": self.agent, "occurred_at": last.lines[-1][0].timestamp}
        calls = [block for entry in last.branch.entries for block, _ in entry.calls()]
        unanswered = [block for block in calls if f"end {self.ours.get(block.id)}" not in self.recording.known.home]
        if last.is_interruption:
            if (run := source_run.end()) is not None:
                run.cancel("interrupted by the user", actor=PERSON, occurred_at=envelope["occurred_at"])
        elif any(asks_of(block, None) for block in unanswered):
            return
        elif (run := source_run.end()) is not None:
            if unanswered or _awaits_agent(last.branch):
                run.fail(
                    "the session's files end before the agent's answer", code="incomplete", stop_reason="incomplete", **envelope
                )
            else:
                run.complete(**envelope)


def _awaits_agent(branch: Branch) -> bool:
    """Return whether the last word is not the agent's: what the client wrote by itself needs no answer."""
    spoken = (entry for entry in reversed(branch.entries) if entry.is_assistant or not entry.line.is_machine_made)
    last = next(spoken, None)
    return last is not None and not last.is_assistant


def _described(option: dict[str, str]) -> str:
    if option["description"] == option["label"]:
        return option["label"]
    return f"{option['label']}: {option['description']}"


def parts_of(block: Block) -> Iterator[Part]:
    """A block of content as parts of a message."""
    source = block.source
    match block.type:
        case "text":
            yield TextPart(text=block.text)
        case "thinking":
            yield ReasoningPart(text=block.thinking, signature=block.signature)
        case "redacted_thinking":
            yield ReasoningPart(text="", encrypted=block.data)
        case "image" | "document" if isinstance(source.get("media_type"), str) and isinstance(source.get("data"), str):
            yield FilePart(media_type=source["media_type"], data=source["data"])
        case _:
            yield DataPart(data=block.raw, name=block.type)


def result_parts(content: Any) -> Iterator[Part]:
    """Yield what a tool answered, as parts of a message."""
    if isinstance(content, str):
        yield TextPart(text=content)
        return
    for item in content if isinstance(content, list) else [] if content is None else [content]:
        try:
            yield from parts_of(Block.model_validate(item))
        except ValidationError:  # no block that is known: kept as it is
            yield DataPart(data=item)
