"""The sub-agents of an agent, each a run that the agent's run spawned."""

from runfold.handles.run import Run
from runfold.http.agents.recording import Recording
from runfold.http.agents.words import Event
from runfold.ids import stable_id


class SubAgents:
    """Records the sub-agents of one run."""

    def __init__(self, recorder: Recording) -> None:
        self._recorder = recorder
        self.runs: dict[str, Run] = {}
        """Their runs, by the ids that the agent gave them."""
        self._open: set[str] = set()
        self._unknown: set[str] = set()

    def run_of(self, event: Event) -> Run:
        """Return the run that an event is of: the agent's, or its sub-agent's."""
        owner = event.get("subagentRunId")
        return self._recorder.run if owner is None else self.runs.get(owner, self._recorder.run)

    def look_at(self, event: Event, kind: str) -> None:
        """Note where an event names a sub-agent that nobody started: it counts as the run's own. Once for each is enough."""
        owner = event.get("subagentRunId")
        if owner is None or owner in self.runs or owner in self._unknown or kind.startswith("SUBAGENT_"):
            return
        self._unknown.add(owner)
        fact = f"{kind} is of the sub-agent {owner!r}, which was not started; what is of it counts as the run's own"
        self._recorder.problem("known-owner", fact)

    def take(self, event: Event, kind: str) -> None:
        """Take in that one starts, or ends."""
        name, recorder = event["subagentRunId"], self._recorder
        if kind == "SUBAGENT_STARTED":
            self._start(event, name)
            return
        child = self.runs.get(name)
        if child is None:
            recorder.problem("subagent-start", f"{kind} for {name!r}, which was not started, was left out")
            return
        recorder.close_open(owner=name)
        if kind == "SUBAGENT_ERROR":
            recorder.send(child.submit_fail(event["message"], code=event.get("code") or "error"), "recordable")
        elif (event.get("outcome") or {}).get("type") != "suspended":
            recorder.send(child.submit_complete(event.get("result")), "recordable")
        self._open.discard(name)

    def close(self) -> None:
        """The run is over: so are they."""
        for name in sorted(self._open):
            self._recorder.problem("subagent-end", f"the sub-agent {name!r} was open at the end, and ended with it")
        self._open.clear()

    def _start(self, event: Event, name: str) -> None:
        recorder, above = self._recorder, event.get("parentSubagentRunId")
        if name in self.runs:
            recorder.problem("subagent-once", f"the sub-agent {name!r} was started already; its second start was left out")
            return
        if above is not None and above not in self.runs:
            fact = f"the sub-agent {name!r} is of {above!r}, which was not started; it counts as the run's own"
            recorder.problem("subagent-parent", fact)
        child_id = stable_id("run", recorder.run.id, name)
        about = {key: event[key] for key in ("parentToolCallId", "parentMessageId") if event.get(key)}
        started = recorder.ledger.thread(recorder.thread_id).submit_start_run(
            run_id=child_id,
            agent_id=event.get("name") or "sub-agent",
            parent=self.runs.get(above or "", recorder.run).id,
            kind="spawned_by",
            metadata={**about, "ag_ui": {"subagentRunId": name}},
        )
        self.runs[name] = recorder.ledger.run(child_id)
        self._open.add(name)
        recorder.send(started, "recordable")
