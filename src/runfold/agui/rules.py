"""The rules of AG-UI's streams: each by its name, with what is right and where that is said.

`checker` finds the first that a stream breaks. A recorder names what it leaves out, or takes otherwise than it was said, by the
same rules, and by a few of its own.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Rule(NamedTuple):
    """What is right, and where that is said."""

    right: str
    reference: str


_BY_REFERENCE: dict[str, dict[str, str]] = {
    "https://html.spec.whatwg.org/multipage/server-sent-events.html": {
        "json": "each event is JSON text",
        "object": "each event is a JSON object",
        "sse-lines": "lines of a stream end in LF; CRLF keeps AG-UI's own client from telling frames apart",
        "sse-fields": "a line of a frame begins with data:, event:, id:, retry: or a colon",
        "frame-size": "a frame has at most 10 MiB of characters, which is what AG-UI's own client takes",
        "content-type": "the response is text/event-stream",
    },
    "https://docs.ag-ui.com/concepts/events": {
        "type": "each event has a type, in capitals with underscores, such as TEXT_MESSAGE_START",
        "no-null": "an optional field that has no value is left out, and never null",
        "fields": "each event has the fields of its type, each of its own type",
        "outcome": "a run ends with the outcome success, interrupt or cancelled; clients take any other for success",
        "first-event": "the first event is RUN_STARTED, or RUN_ERROR where the run could not start",
        "one-run-at-a-time": "a run ends, by RUN_FINISHED or RUN_ERROR, before the next one starts",
        "after-the-end": "after RUN_FINISHED comes RUN_STARTED, or one late RUN_ERROR; after RUN_ERROR only RUN_STARTED",
        "same-run": "RUN_FINISHED has the runId of the RUN_STARTED before it",
        "same-thread": "all runs of a stream, and their ends, have one threadId",
        "terminal": "a stream ends with RUN_FINISHED or RUN_ERROR; clients take one that breaks off for a success",
        "text-start": "TEXT_MESSAGE_CONTENT and TEXT_MESSAGE_END follow a TEXT_MESSAGE_START with their messageId",
        "text-once": "a text message that is open is ended before it is started again",
        "text-end": "every text message is ended before RUN_FINISHED",
        "reasoning-start": "REASONING_MESSAGE_CONTENT and _END follow a REASONING_MESSAGE_START with their messageId",
        "reasoning-once": "a reasoning message that is open is ended before it is started again",
        "reasoning-end": "every reasoning message is ended before RUN_FINISHED",
        "span-start": "REASONING_END follows a REASONING_START with its messageId",
        "span-once": "a span of reasoning that is open is ended before it is started again",
        "span-end": "every span of reasoning is ended before RUN_FINISHED",
        "call-start": "TOOL_CALL_ARGS and TOOL_CALL_END follow a TOOL_CALL_START with their toolCallId",
        "call-once": "a tool call that is open is ended before it is started again",
        "call-end": "every tool call is ended before RUN_FINISHED",
        "result-after-call": "TOOL_CALL_RESULT comes after the TOOL_CALL_END of its call",
        "result-of-call": "TOOL_CALL_RESULT answers a call that was made, in this stream or in the run's input",
        "chunk-start": "the first chunk of a message or call says its id, and that of a call its toolCallName",
        "step-once": "a step that is open is finished before its owner starts another of its name",
        "step-start": "STEP_FINISHED follows a STEP_STARTED with its stepName, of the same owner",
        "step-end": "every step is finished before RUN_FINISHED",
        "subagent-once": "a subagentRunId is of one invocation: it starts once in a run",
        "subagent-start": "SUBAGENT_FINISHED and SUBAGENT_ERROR follow a SUBAGENT_STARTED with their subagentRunId",
        "subagent-parent": "a parentSubagentRunId is of a sub-agent that has started in this run",
        "subagent-end": "every sub-agent is finished before RUN_FINISHED",
        "same-owner": "what a sub-agent opened it goes on with: subagentRunId is that of the start, or left out",
        "known-owner": "a subagentRunId is of a sub-agent that has started in this run",
        "activity-known": "ACTIVITY_DELTA follows an ACTIVITY_SNAPSHOT with its messageId",
        "activity-type": "ACTIVITY_DELTA has the activityType of its snapshot",
        "activity-patch": "ACTIVITY_DELTA applies to the content of its activity",
    },
    "https://docs.ag-ui.com/concepts/state": {
        "state-patch": "STATE_DELTA applies to the state that the snapshots and deltas before it make",
    },
    "https://docs.ag-ui.com/concepts/messages": {
        "message-ids": "the messages of a snapshot have each an id of their own",
    },
    "https://docs.ag-ui.com/concepts/interrupts": {
        "interrupt-ids": "the interrupts of a run have each an id of their own",
        "interrupt-call": "an interrupt whose reason is tool_call names its toolCallId",
        "interrupt-schema": "an interrupt whose reason is input_required has a responseSchema",
        "interrupt-expiry": "expiresAt is a time of RFC 3339, with its zone",
        "resume-all": "a run that resumes an interrupted one answers each of its interrupts, once, and no other",
    },
}
_OF_RECORDING = {
    "asked-run": "RUN_STARTED has the threadId and the runId that were asked for",
    "id-once": "an id is of one message, or of one call: what has ended, or is of another run, is not started again",
    "result-once": "a call has one result",
    "activity-replace": "ACTIVITY_SNAPSHOT with replace: false is of an activity that is not there yet",
    "recordable": "what an event says can be recorded: no text is larger than one takes, and nothing is added to what has ended",
    "too-many": "an agent that breaks rules again and again is not followed any further",
}
"""What the ledger asks of an agent beyond AG-UI."""
CHECKED = frozenset(name for rules in _BY_REFERENCE.values() for name in rules)
"""The rules that a checker may find broken."""
RULES: dict[str, Rule] = {
    **{name: Rule(right, where) for where, rules in _BY_REFERENCE.items() for name, right in rules.items()},
    **{name: Rule(right, "docs/guide/ag-ui.md") for name, right in _OF_RECORDING.items()},
}


@dataclass(frozen=True)
class Violation:
    """The first rule that a stream breaks: at which event, counted from 0, and what would be right."""

    index: int
    rule: str
    fact: str
    event_type: str | None = None

    @property
    def right(self) -> str:
        """Return what would be right."""
        return RULES[self.rule].right

    def __str__(self) -> str:
        named = f" ({self.event_type})" if self.event_type else ""
        return f"event {self.index}{named}: {self.rule}: {self.fact}; {self.right}"

    def as_json(self) -> dict[str, object]:
        """Return it for `--json`."""
        return {"index": self.index, "type": self.event_type, "rule": self.rule, "fact": self.fact, **RULES[self.rule]._asdict()}


class Broken(Exception):
    """A rule is broken."""

    def __init__(self, rule: str, fact: str) -> None:
        super().__init__(rule)
        self.rule, self.fact = rule, fact
