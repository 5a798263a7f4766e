"""Runs that a run spawned, as AG-UI's sub-agents of it: the id of one is its run's."""

from typing import Any

from ag_ui.core import SubagentErrorEvent

from runfold.agui.opened import Opened
from runfold.agui.wire import WireEvent, wire
from runfold.domain.run_events import RunCancelled, RunCompleted, RunCreated, RunFailed


class Subagents:
    """The sub-agents of a run, and theirs. One that goes on after its run was interrupted starts again."""

    def __init__(self, run_id: str, opened: Opened) -> None:
        self._run_id = run_id
        self._opened = opened
        self._fields: dict[str, dict[str, Any]] = {}
        self._done: set[str] = set()
        self._shown: set[str] = set()
        """Those that a client has seen start since the run did."""

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._fields

    def note(self, run_id: str, created: RunCreated) -> None:
        """Take in that a run of the thread was created; it may be a sub-agent's."""
        parent = created.parent
        if parent is None or not (parent.run_id in self or (parent.kind == "spawned_by" and parent.run_id == self._run_id)):
            return
        fields: dict[str, Any] = {"name": created.agent_id}
        if created.goal is not None and created.goal.description:
            fields["description"] = created.goal.description
        if parent.run_id in self:
            fields["parent_subagent_run_id"] = parent.run_id
        for name, key in (("parent_tool_call_id", "parentToolCallId"), ("parent_message_id", "parentMessageId")):
            if isinstance(created.metadata.get(key), str):
                fields[name] = created.metadata[key]
        self._fields[run_id] = fields

    def start(self, run_id: str, told: dict[str, Any]) -> list[WireEvent]:
        """Start a sub-agent, and those above it, where they have not."""
        if ("subagent", run_id) in self._opened or run_id in self._done:
            return []
        fields = dict(self._fields[run_id])
        parent = fields.get("parent_subagent_run_id")
        above = self.start(parent, told) if parent is not None else []
        if parent is not None and parent not in self._shown:
            del fields["parent_subagent_run_id"]
        self._shown.add(run_id)
        return [*above, self._opened.start("subagent", run_id, told, **fields)]

    def has_open(self, run_id: str) -> bool:
        """Return whether a run is a sub-agent that has not ended: of what comes later nothing can be told under its id."""
        return run_id in self._fields and run_id not in self._done

    def start_again(self) -> None:
        """The run starts once more: none of them has, since."""
        self._shown.clear()

    def join(self) -> None:
        """A client comes that sees no more than what is open."""
        self._shown = {run_id for run_id in self._shown if ("subagent", run_id) in self._opened}

    def end(self, run_id: str, event: RunCompleted | RunFailed | RunCancelled, told: dict[str, Any]) -> list[WireEvent]:
        """End a sub-agent as its run did."""
        begun = [*self.start(run_id, told), *self._opened.end_of(run_id, told)]
        self._done.add(run_id)
        if isinstance(event, RunCompleted):
            output = {} if event.output is None else {"result": event.output}
            return [*begun, *self._opened.end("subagent", run_id, told, outcome={"type": "success"}, **output)]
        self._opened.forget("subagent", run_id)
        if isinstance(event, RunFailed):
            return [
                *begun,
                wire(SubagentErrorEvent, told, subagent_run_id=run_id, message=event.error.message, code=event.error.code),
            ]
        reason = event.reason or "cancelled"
        return [*begun, wire(SubagentErrorEvent, told, subagent_run_id=run_id, message=reason, code="cancelled")]
