"""The sub-agents of an AG-UI turn: each is a run that the turn's spawned, and has what is attributed to it."""

from collections.abc import Callable
from typing import Any, Protocol

from runfold.commands.caller import Envelope
from runfold.errors import InvalidEvent
from runfold.importers.ag_ui.conversation import Stage, TurnWriter
from runfold.importers.ag_ui.shapes import AgUiEvent
from runfold.importers.ag_ui.streams import Streams
from runfold.importers.sources import Piece

NOT_STARTED = "events of sub-agents that did not start in their run, taken as the run's own"


class Answering(Protocol):
    """Who takes in the events of one run."""

    turn: TurnWriter
    streams: Streams
    is_over: bool

    def take_own(self, event: AgUiEvent, piece: Piece, envelope: Envelope) -> None:
        """Take in an event."""


class Subagents:
    """The sub-agents of one run's events."""

    def __init__(self, turn: TurnWriter, answering: Callable[[TurnWriter], Answering]) -> None:
        self._turn = turn
        self._answering = answering
        self._known: dict[str, Answering] = {}
        self._homes: dict[tuple[bool, str], Answering] = {}
        """Whose the messages and calls are that sub-agents began."""

    def owner_of(self, event: AgUiEvent) -> Answering | None:
        """Return the sub-agent that an event is of; None where it is the run's own, or of one that nobody started."""
        if event.type.startswith("SUBAGENT_"):
            return None
        if event.subagent_run_id and event.subagent_run_id not in self._known:
            self._turn.report(self._turn.at.note(NOT_STARTED))
        is_call = event.type.startswith("TOOL_CALL_")
        key = (is_call, event.tool_call_id if is_call else event.message_id)
        owner = self._known.get(event.subagent_run_id) or (self._homes.get(key) if key[1] else None)
        if owner is not None and key[1]:
            self._homes[key] = owner
        return owner

    def take(self, event: AgUiEvent, envelope: Envelope) -> None:
        """Take in that a sub-agent started or ended. Raises InvalidEvent for one that did not start."""
        if event.type == "SUBAGENT_STARTED":
            self._start(event, envelope)
            return
        found = self._known.get(event.subagent_run_id)
        if found is None or found.is_over:
            raise InvalidEvent("subagentRunId", f"the sub-agent {event.subagent_run_id!r} was not started")
        found.streams.finish(envelope)
        turn = found.turn
        if event.type == "SUBAGENT_ERROR":
            found.is_over = True
            message, code = event.message or "the sub-agent failed", event.code or "error"
            turn.do(lambda stage: (run := turn.source_run(stage).end()) is not None and run.fail(message, code=code, **envelope))
        elif not self._is_suspended(event):
            found.is_over = True
            output = {} if event.result is None else {"output": event.result}
            turn.do(lambda stage: (run := turn.source_run(stage).end()) is not None and run.complete(**output, **envelope))

    def finish(self, envelope: Envelope) -> None:
        """The run is over: what they began is taken as far as it came."""
        for found in self._known.values():
            found.streams.finish(envelope)

    def break_off(self, envelope: Envelope) -> None:
        """The events end before the run does."""
        for found in self._known.values():
            found.streams.break_off(envelope)

    def _start(self, event: AgUiEvent, envelope: Envelope) -> None:
        if event.subagent_run_id in self._known:
            raise InvalidEvent("subagentRunId", f"the sub-agent {event.subagent_run_id!r} was started before")
        above = self._known.get(event.parent_subagent_run_id)
        own = self._turn
        parent = above.turn if above is not None else own
        turn = TurnWriter(own.talk, own.numbered("run", "subagent", event.subagent_run_id), own.at, own.report)
        self._known[event.subagent_run_id] = self._answering(turn)
        own.talk.subagents.add(turn.run_id)
        about = {
            "source_run_id": event.subagent_run_id,
            "parentToolCallId": event.parent_tool_call_id,
            "parentMessageId": event.parent_message_id,
        }
        given: dict[str, Any] = {"agent_id": str(event.name or "sub-agent")[:500]}
        if isinstance(event.description, str) and event.description:
            given["goal"] = {"id": "description", "description": event.description}

        def begin(stage: Stage) -> None:
            stage.source_runs[turn.run_id] = stage.recording.source_run(
                turn.run_id,
                parent=parent.source_run(stage).first_id,
                kind="spawned_by",
                metadata={name: value for name, value in about.items() if value},
                **given,
                **envelope,
            )

        own.do(begin)

    def _is_suspended(self, event: AgUiEvent) -> bool:
        return event.outcome is not None and event.outcome.type == "suspended"
