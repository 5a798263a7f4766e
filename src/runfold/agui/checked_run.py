"""What the checker knows of a stream: where in a run it is, what is open, the state, and who owns what."""

from collections import Counter
from datetime import datetime
from typing import Any

import jsonpatch

from runfold.agui.owners import Owners
from runfold.agui.rules import Broken
from runfold.domain.step import apply_patch

_PATCH_FAULTS = (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, IndexError, ValueError)
_ENDS = {"text": "text message", "reasoning": "reasoning message", "span": "span of reasoning", "call": "tool call"}
_STREAMED = {
    "TEXT_MESSAGE_START": ("text", "start"),
    "TEXT_MESSAGE_CONTENT": ("text", "go on"),
    "TEXT_MESSAGE_END": ("text", "end"),
    "REASONING_MESSAGE_START": ("reasoning", "start"),
    "REASONING_MESSAGE_CONTENT": ("reasoning", "go on"),
    "REASONING_MESSAGE_END": ("reasoning", "end"),
    "REASONING_START": ("span", "start"),
    "REASONING_END": ("span", "end"),
    "TOOL_CALL_START": ("call", "start"),
    "TOOL_CALL_ARGS": ("call", "go on"),
    "TOOL_CALL_END": ("call", "end"),
}
_CHUNKS = {"TEXT_MESSAGE_CHUNK": "text", "REASONING_MESSAGE_CHUNK": "reasoning", "TOOL_CALL_CHUNK": "call"}
_UNSEEN = object()
"""The state where nothing has said what it is."""
_MOST_CALLS = 100_000


class CheckedRun:
    """The run that a stream is in, and what of the runs before it matters."""

    def __init__(self) -> None:
        self._thread_id = self._run_id = ""
        self._phase = "nothing"
        self._open: dict[str, dict[str, str | None]] = {kind: {} for kind in _ENDS}
        self._chunk: tuple[str, str] | None = None
        self._steps: set[tuple[str | None, str]] = set()
        self._subagents: dict[str, bool] = {}
        """Those that have started in this run, and whether they are open."""
        self._owners = Owners()
        self._state: Any = _UNSEEN
        self._activities: dict[str, tuple[str, Any]] = {}
        self._calls: dict[str, None] = {}
        self._knows_all_calls = False
        self._interrupts: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Return whether the last run has ended."""
        return self._phase in {"finished", "failed"}

    def require_place(self, kind: str) -> None:
        """Raise Broken where no event of this type may stand."""
        match self._phase:
            case "nothing" if kind not in {"RUN_STARTED", "RUN_ERROR"}:
                raise Broken("first-event", f"the first event is {kind}")
            case "running" if kind == "RUN_STARTED":
                raise Broken("one-run-at-a-time", f"the run {self._run_id!r} has not ended")
            case "finished" if kind not in {"RUN_STARTED", "RUN_ERROR"}:
                raise Broken("after-the-end", "the run has finished")
            case "failed" if kind != "RUN_STARTED":
                raise Broken("after-the-end", "the run has ended with RUN_ERROR")

    def take(self, kind: str, event: Any, raw: dict[str, Any]) -> None:
        """Take in an event that may stand here and has its fields. Raises Broken."""
        if self._chunk is not None and kind not in {*_CHUNKS, "RAW", "CUSTOM"}:
            self._chunk = None
        if kind in _STREAMED:
            self._streamed(*_STREAMED[kind], event)
        elif kind in _CHUNKS:
            self._chunked(_CHUNKS[kind], event)
        else:
            take = getattr(self, f"_{kind.lower()}", None)
            if take is None:
                self._owners.require_known(event, self._subagents)
            else:
                take(event, raw)

    def _streamed(self, kind: str, phase: str, event: Any) -> None:
        name = event.tool_call_id if kind == "call" else event.message_id
        found, owner = self._open[kind], event.subagent_run_id
        if phase == "start":
            if name in found:
                raise Broken(f"{kind}-once", f"the {_ENDS[kind]} {name!r} is open")
            self._owners.require_known(event, self._subagents)
            found[name] = self._owners.begin(kind, name, owner, getattr(event, "parent_message_id", None))
            if kind == "call":
                self._note_call(name)
            return
        if name not in found:
            raise Broken(f"{kind}-start", f"no {_ENDS[kind]} {name!r} is open")
        if owner is not None and owner != found[name]:
            raise Broken("same-owner", f"the {_ENDS[kind]} {name!r} is {_named(found[name])}")
        if phase == "end":
            del found[name]

    def _chunked(self, kind: str, event: Any) -> None:
        name = event.tool_call_id if kind == "call" else event.message_id
        if self._chunk is not None and self._chunk[0] == kind and name in {None, self._chunk[1]}:
            return
        if name is None:
            raise Broken("chunk-start", "it says no id, and no chunk stands before it that it could go on with")
        if name in self._open[kind]:
            return
        if kind == "call" and event.tool_call_name is None:
            raise Broken("chunk-start", f"the call {name!r} begins, and its toolCallName is missing")
        self._owners.require_known(event, self._subagents)
        self._owners.begin(kind, name, event.subagent_run_id, getattr(event, "parent_message_id", None))
        self._chunk = (kind, name)
        if kind == "call":
            self._note_call(name)

    def _note_call(self, call_id: str) -> None:
        self._calls[call_id] = None
        if len(self._calls) > _MOST_CALLS:
            self._calls.clear()
            self._knows_all_calls = False

    # How runs begin and end

    def _run_started(self, event: Any, _: dict[str, Any]) -> None:
        if self._thread_id and event.thread_id != self._thread_id:
            raise Broken("same-thread", f"its threadId is {event.thread_id!r}, and the stream's is {self._thread_id!r}")
        given = event.input
        self._require_answers(given)
        is_first = self._phase == "nothing"
        self._phase, self._thread_id, self._run_id = "running", event.thread_id, event.run_id
        for kind in self._open:
            self._open[kind].clear()
        self._steps.clear()
        self._subagents.clear()
        if given is None:
            return
        self._owners.take_messages(given.messages, instead=False)
        for message in given.messages:
            for call in getattr(message, "tool_calls", None) or ():
                self._note_call(call.id)
        if is_first:
            self._knows_all_calls = given.resume is None and given.parent_run_id is None and event.parent_run_id is None
        if given.state is not None:
            self._state = given.state

    def _require_answers(self, given: Any) -> None:
        """A run that resumes answers all that the one before it in this stream asked; one that answers nothing is new input."""
        asked, self._interrupts = self._interrupts, ()
        answers = [entry.interrupt_id for entry in (given.resume if given is not None else None) or ()]
        if not answers or not asked:
            return
        if sorted(answers) != sorted(asked):
            raise Broken("resume-all", f"it answers {', '.join(answers)}, and asked was {', '.join(asked)}")

    def _run_finished(self, event: Any, _: dict[str, Any]) -> None:
        if event.run_id != self._run_id:
            raise Broken("same-run", f"its runId is {event.run_id!r}, and the run is {self._run_id!r}")
        if event.thread_id != self._thread_id:
            raise Broken("same-thread", f"its threadId is {event.thread_id!r}, and the stream's is {self._thread_id!r}")
        for kind, found in self._open.items():
            if found:
                raise Broken(f"{kind}-end", f"the {_ENDS[kind]} {next(iter(found))!r} is open")
        if self._steps:
            raise Broken("step-end", f"the step {min(name for _, name in self._steps)!r} is open")
        if still := [name for name, is_open in self._subagents.items() if is_open]:
            raise Broken("subagent-end", f"the sub-agent {still[0]!r} is open")
        if event.outcome is not None and event.outcome.type == "interrupt":
            self._require_interrupts(event.outcome.interrupts)
        self._phase = "finished"

    def _run_error(self, *_: Any) -> None:
        self._phase = "failed"

    def _require_interrupts(self, interrupts: list[Any]) -> None:
        if not interrupts:
            raise Broken("fields", "outcome.interrupts: has none")
        ids = [interrupt.id for interrupt in interrupts]
        if (twice := next((one for one, times in Counter(ids).items() if times > 1), None)) is not None:
            raise Broken("interrupt-ids", f"two interrupts have the id {twice!r}")
        for interrupt in interrupts:
            if interrupt.reason == "tool_call" and interrupt.tool_call_id is None:
                raise Broken("interrupt-call", f"the interrupt {interrupt.id!r} names none")
            if interrupt.reason == "input_required" and interrupt.response_schema is None:
                raise Broken("interrupt-schema", f"the interrupt {interrupt.id!r} has none")
            if interrupt.expires_at is not None and not _is_time(interrupt.expires_at):
                raise Broken("interrupt-expiry", f"the interrupt {interrupt.id!r} expires at {interrupt.expires_at!r:.60}")
        self._interrupts = tuple(ids)

    # What happens in a run

    def _tool_call_result(self, event: Any, _: dict[str, Any]) -> None:
        call_id = event.tool_call_id
        if call_id in self._open["call"]:
            raise Broken("result-after-call", f"the call {call_id!r} is open")
        if self._knows_all_calls and call_id not in self._calls:
            raise Broken("result-of-call", f"nobody has made the call {call_id!r}")
        self._owners.require_known(event, self._subagents)
        self._owners.put("message", event.message_id, event.subagent_run_id)

    def _state_snapshot(self, event: Any, raw: dict[str, Any]) -> None:
        self._owners.require_known(event, self._subagents)
        self._state = raw["snapshot"]

    def _state_delta(self, event: Any, raw: dict[str, Any]) -> None:
        self._owners.require_known(event, self._subagents)
        if self._state is not _UNSEEN:
            self._state = _patched("state-patch", self._state, raw["delta"])

    def _messages_snapshot(self, event: Any, _: dict[str, Any]) -> None:
        seen: set[tuple[bool, str]] = set()
        for message in event.messages:
            key = (message.role in {"reasoning", "activity"}, message.id)
            if key in seen:
                raise Broken("message-ids", f"two of them have the id {message.id!r}")
            seen.add(key)
            for call in getattr(message, "tool_calls", None) or ():
                self._note_call(call.id)
        self._owners.take_messages(event.messages, instead=True)
        self._activities = {
            message.id: (message.activity_type, message.content) for message in event.messages if message.role == "activity"
        }

    def _activity_snapshot(self, event: Any, raw: dict[str, Any]) -> None:
        self._owners.require_known(event, self._subagents)
        if event.replace is not False or event.message_id not in self._activities:
            self._activities[event.message_id] = (event.activity_type, raw["content"])
            self._owners.put("activity", event.message_id, event.subagent_run_id)

    def _activity_delta(self, event: Any, raw: dict[str, Any]) -> None:
        self._owners.require_same("activity", event.message_id, event.subagent_run_id)
        known = self._activities.get(event.message_id)
        if known is None:
            raise Broken("activity-known", f"there is no activity {event.message_id!r}")
        if known[0] != event.activity_type:
            raise Broken("activity-type", f"the activity {event.message_id!r} is {known[0]!r}, not {event.activity_type!r}")
        self._activities[event.message_id] = (known[0], _patched("activity-patch", known[1], raw["patch"]))

    def _reasoning_encrypted_value(self, event: Any, _: dict[str, Any]) -> None:
        kinds = ("call",) if event.subtype == "tool-call" else ("message", "reasoning")
        for kind in kinds:
            self._owners.require_same(kind, event.entity_id, event.subagent_run_id)

    def _step_started(self, event: Any, _: dict[str, Any]) -> None:
        self._owners.require_known(event, self._subagents)
        step = (event.subagent_run_id, event.step_name)
        if step in self._steps:
            raise Broken("step-once", f"the step {event.step_name!r} is open")
        self._steps.add(step)

    def _step_finished(self, event: Any, _: dict[str, Any]) -> None:
        step = (event.subagent_run_id, event.step_name)
        if step not in self._steps:
            others = [owner for owner, name in self._steps if name == event.step_name]
            fact = f"the step {event.step_name!r} is not open"
            raise Broken("step-start", f"{fact} there, but {_named(others[0])}" if others else fact)
        self._steps.remove(step)

    def _subagent_started(self, event: Any, _: dict[str, Any]) -> None:
        name, parent = event.subagent_run_id, event.parent_subagent_run_id
        if name in self._subagents:
            raise Broken("subagent-once", f"the sub-agent {name!r} {'is open' if self._subagents[name] else 'has finished'}")
        if parent is not None and parent not in self._subagents:
            raise Broken("subagent-parent", f"the sub-agent {parent!r} has not started")
        self._subagents[name] = True

    def _subagent_finished(self, event: Any, _: dict[str, Any]) -> None:
        if not self._subagents.get(event.subagent_run_id, False):
            raise Broken("subagent-start", f"the sub-agent {event.subagent_run_id!r} is not open")
        self._subagents[event.subagent_run_id] = False

    _subagent_error = _subagent_finished


def _patched(rule: str, before: Any, patch: list[dict[str, Any]]) -> Any:
    try:
        return apply_patch(before, patch)
    except _PATCH_FAULTS as error:
        raise Broken(rule, f"it does not: {str(error) or type(error).__name__}"[:300]) from None


def _named(owner: str | None) -> str:
    return "the run's own" if owner is None else f"the sub-agent {owner!r}'s"


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None and "T" in text.upper()
    except ValueError:
        return False
