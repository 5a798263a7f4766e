"""One file of events, line by line: each kind of event, and what it becomes."""

from typing import Any

from runfold.domain.parts import DataPart, Part, ReasoningPart, TextPart
from runfold.importers.copilot.agents import Agent, Turns
from runfold.importers.copilot.calls import Calls
from runfold.importers.copilot.events import PASSED_BY
from runfold.importers.copilot.kinds import tell_misfits_of
from runfold.importers.copilot.records import AGENT, CLIENT, FORMAT, PERSON, Record
from runfold.importers.copilot.totals import used_by_models
from runfold.importers.sources import Piece, Report
from runfold.importers.turns.turn import Compacted, Finished, Noted, Said, Session
from runfold.importers.turns.values import Fault, count, listing, mapping, text

_BY_SERVER = "user_abort"
"""Why a turn was stopped where a server says that its user wants it: that is the server's word."""
_TRIGGERS = {"manual": "manual", "context_limit_retry": "limit"}


class Reader:
    """Reads one file into the turns of its session."""

    def __init__(self, root: str, session: Session, report: Report) -> None:
        self.turns = Turns(root, session)
        self._report = report
        self._calls = Calls(self.turns)
        self._main = Agent(AGENT, FORMAT)
        self._agents: dict[str, Agent] = {}
        """Of sub-agents, by instance and by the call that started them."""
        self._seen: set[str] = set()
        self._turn_of: dict[str, str] = {}
        """The run that an event went into."""

    def fault(self, piece: Piece) -> Fault:
        """What takes the faults of one event's values."""
        return lambda reason: self._report(piece.problem(reason))

    def take(self, record: Record) -> None:
        """Take in one event. One that was there before, under the same id, is let by."""
        key = record.id or f"{record.words}\x1f{self.turns.nth('record', record.words)}"
        if key in self._seen:
            return
        self._seen.add(key)
        tell_misfits_of(record, self.fault(record.piece))
        agent = self._agent(record, key)
        self._take(agent, record, key)
        if agent.current is not None:
            self._turn_of[key] = agent.current.run_id

    def _take(self, agent: Agent, record: Record, key: str) -> None:  # noqa: C901, PLR0912  one case for each kind of event
        match record.type:
            case "user.message":
                self._prompt(agent, record, key)
            case "system.message" | "system.notification":
                self._notice(agent, record, key)
            case "assistant.turn_start":
                turn, agent.has_asked = self.turns.here(agent, record, key), False
                self.turns.add(turn, f"start {turn.run_id}", Noted({}), CLIENT, record)
            case "assistant.message":
                self._answer(agent, record, key)
            case "assistant.turn_end":
                if agent.has_answered and agent is self._main:
                    self._complete(agent, record)
            case "tool.execution_start":
                agent.has_answered, agent.has_asked = False, True
                self._calls.call(agent, record, key, record.data)
            case "tool.user_requested":
                self._calls.call(agent, record, key, record.data, actor=PERSON)
            case "tool.execution_complete":
                agent.has_asked = False
                self._calls.complete(agent, record, key)
            case "permission.requested":
                self._calls.permission_requested(agent, record, key)
            case "permission.completed":
                self._tell(record, self._calls.permission_completed(record))
            case "user_input.requested":
                self._calls.input_requested(agent, record, key)
            case "exit_plan_mode.requested":
                self._calls.plan_offered(agent, record, key)
            case "user_input.completed" | "exit_plan_mode.completed":
                self._tell(record, self._calls.answered(record))
            case "subagent.started":
                self._spawn(record, key)
            case "subagent.completed" | "subagent.failed":
                self._return(record)
            case "abort" | "session.error":
                self._stop(agent, record)
            case _:
                self._session_event(agent, record, key)

    def _tell(self, record: Record, wrong: str | None) -> None:
        if wrong is not None:
            self._report(record.piece.problem(wrong))

    def _session_event(self, agent: Agent, record: Record, key: str) -> None:
        match record.type:
            case "session.start":
                agent.model = text(record.data.get("selectedModel"))
            case "session.model_change":
                agent.model = text(record.data.get("newModel"))
            case "session.title_changed":
                self.turns.session.title = text(record.data.get("title")) or self.turns.session.title
            case "session.idle":
                if record.data.get("aborted") is not True and not self._main.is_early:
                    self._complete(self._main, record)
            case "session.compaction_complete" | "session.truncation":
                self._compacted(agent, record, key)
            case "session.snapshot_rewind":
                self._rewind(record)
            case "session.shutdown":
                self._shutdown(record, key)
            case kind if kind not in PASSED_BY:
                self._report(record.piece.note(f"events of the kind {kind[:80]!r}, which is not known: not imported"))

    def _agent(self, record: Record, key: str) -> Agent:
        """The agent that an event is about; a sub-agent whose beginning is not told begins with it."""
        if record.agent_id is None or record.type == "subagent.started":
            return self._main
        if record.agent_id not in self._agents:
            self._spawn(record, key)
        return self._agents[record.agent_id]

    def _prompt(self, agent: Agent, record: Record, key: str) -> None:
        """Words for the agent: they begin a turn, unless they were typed into one that goes on."""
        speaker, current = _speaker(record.data), agent.current
        if agent is not self._main:
            speaker = AGENT
        elif current is None or not (agent.is_early or record.data.get("delivery") == "steering"):
            self.turns.begin(agent, record, key)
        turn = self.turns.here(agent, record, key)
        if (mode := text(record.data.get("agentMode"))) is not None:
            self.turns.add(turn, f"mode {turn.run_id}", Noted({"agent_mode": mode}), CLIENT, record, wakes=False)
        parts: list[Part] = [TextPart(text=text(record.data.get("content")) or "")]
        parts += [DataPart(data=attached, name="attachment") for attached in listing(record.data.get("attachments"))]
        self.turns.add(turn, self.turns.id("msg", key), Said("user", tuple(parts)), speaker, record)

    def _notice(self, agent: Agent, record: Record, key: str) -> None:
        words, role = text(record.data.get("content")), record.data.get("role")
        if words is None:
            return
        turn = self.turns.here(agent, record, key, wakes=False)
        said = Said(role if role in ("system", "developer") else "user", (TextPart(text=words),))
        self.turns.add(turn, self.turns.id("msg", key), said, CLIENT, record, wakes=False)

    def _answer(self, agent: Agent, record: Record, key: str) -> None:
        data = record.data
        turn = self.turns.here(agent, record, key)
        agent.model = text(data.get("model")) or agent.model
        if agent.model is not None:
            self.turns.add(turn, f"model {turn.run_id}", Noted({"model": agent.model}), CLIENT, record, wakes=False)
        thought, opaque = text(data.get("reasoningText")), text(data.get("reasoningOpaque")) or text(data.get("encryptedContent"))
        parts: list[Part] = []
        if thought is not None or opaque is not None:
            parts.append(ReasoningPart(text=thought or "", encrypted=opaque))
        if (words := text(data.get("content"))) is not None:
            parts.append(TextPart(text=words))
        self.turns.add(turn, self.turns.id("msg", key), Said("assistant", tuple(parts)), agent.actor, record)
        requests = listing(data.get("toolRequests"))
        agent.has_asked = agent.has_asked or bool(requests)
        agent.has_answered = not agent.has_asked
        for request in requests:
            self._calls.call(agent, record, key, mapping(request))

    def _spawn(self, record: Record, key: str) -> None:
        """A sub-agent begins, started by a call."""
        data = record.data
        is_told = record.type == "subagent.started"
        provider_id = text(data.get("toolCallId")) if is_told else record.agent_id
        above = self._agents.get(text(data.get("parentId")) or "", self._main)
        call = self._calls.by_provider.get(provider_id or "")
        parent = call.turn if call is not None else self.turns.here(above, record, key)
        name = text(data.get("agentName")) or text(data.get("agentDisplayName")) or "sub-agent"
        agent = Agent(f"{AGENT}:{name}", f"{FORMAT}:{name}", model=text(data.get("model")) if is_told else None)
        words = ("agent", provider_id or record.agent_id or key)
        more: dict[str, Any] = {"kind": "spawned_by", "parent": parent.run_id, "spawning_call": call.id if call else None}
        turn = self.turns.begin(agent, record, "\x1f".join((*words, self.turns.nth(*words))), **more)
        about = {"name": name, "description": text(data.get("agentDescription")), "instance": record.agent_id}
        patch = {"sub_agent": {word: value for word, value in about.items() if value is not None}}
        self.turns.add(turn, f"start {turn.run_id}", Noted(patch), CLIENT, record)
        for instance in (provider_id, record.agent_id):
            if instance is not None:
                self._agents[instance] = agent

    def _return(self, record: Record) -> None:
        agent = self._agents.get(text(record.data.get("toolCallId")) or record.agent_id or "")
        if agent is None:
            return
        if record.type == "subagent.failed":
            message = text(record.data.get("error")) or "the sub-agent failed"
            self.turns.finish(agent, record, Finished("failed", "error", message, "subagent_failed"), agent.actor)
        elif record.data.get("cancelled") is True:
            self.turns.finish(agent, record, Finished("cancelled", "cancelled", "cancelled"), CLIENT)
        else:
            self._complete(agent, record)

    def _complete(self, agent: Agent, record: Record) -> None:
        if agent.current is not None:
            self._calls.settle(record, agent.current)
        self.turns.finish(agent, record, Finished("completed", "end_turn"), agent.actor)

    def _stop(self, agent: Agent, record: Record) -> None:
        """A turn was stopped, or failed. Neither is an end where none was under way."""
        if agent.current is None or agent.is_early:
            self._report(record.piece.note(f"events of the kind {record.type!r} outside of a turn: nothing was under way"))
            return
        data = record.data
        if record.type == "abort":
            reason = text(data.get("reason")) or "aborted"
            actor = PERSON if reason.startswith("user") and reason != _BY_SERVER else CLIENT
            self.turns.finish(agent, record, Finished("cancelled", "cancelled", reason), actor)
        else:
            code = text(data.get("errorCode")) or text(data.get("errorType")) or "error"
            message = text(data.get("message")) or "the session reports an error"
            self.turns.finish(agent, record, Finished("failed", "error", message, code), agent.actor)

    def _compacted(self, agent: Agent, record: Record, key: str) -> None:
        """The model's memory was cut."""
        data, fault = record.data, self.fault(record.piece)
        if data.get("success") is False:
            return
        turn = self.turns.here(agent, record, key, wakes=False)
        summary_id = None
        if (summary := text(data.get("summaryContent"))) is not None:
            summary_id = self.turns.id("msg", key)
            self.turns.add(turn, summary_id, Said("user", (TextPart(text=summary),)), CLIENT, record, wakes=False)
        names = ("preCompactionTokens", "postCompactionTokens")
        if record.type == "session.truncation":
            names = ("preTruncationTokensInMessages", "postTruncationTokensInMessages")
        before, after = (count(data.get(name), name, fault) for name in names)
        trigger: Any = _TRIGGERS.get(text(data.get("trigger")) or "", "limit" if record.type == "session.truncation" else "auto")
        fact = Compacted(trigger, before, after, summary_id)
        self.turns.add(turn, self.turns.id("compaction", key), fact, CLIENT, record, wakes=False)

    def _rewind(self, record: Record) -> None:
        """A person went back before an event: the next turn leaves from before the one that it was in."""
        run_id = self._turn_of.get(text(record.data.get("upToEventId")) or "")
        at = next((number for number, turn in enumerate(self.turns.path) if turn.run_id == run_id), None)
        if at is None:
            return
        del self.turns.path[at:]
        self._main.current, self.turns.rewound = None, True
        self._main.last = self.turns.path[-1].run_id if self.turns.path else None

    def _shutdown(self, record: Record, key: str) -> None:
        """What the session used: in the turn that is under way, or in a run of its own, for no turn is told apart."""
        used = list(used_by_models(record.data, self.fault(record.piece)))
        is_between = self._main.current is None or self._main.is_early
        if used:
            turn = self.turns.here(self._main, record, key, wakes=False)
            if is_between:
                about = Noted({"about": "what the session used, as it told at its end"})
                self.turns.add(turn, f"about {turn.run_id}", about, CLIENT, record)
            for fact in used:
                self.turns.add(turn, self.turns.id("usage", key, fact.model or ""), fact, CLIENT, record)
            if is_between:
                self.turns.finish(self._main, record, Finished("completed", "end_turn"), CLIENT)
        if record.data.get("shutdownType") == "error" and not is_between:
            message = text(record.data.get("errorReason")) or "the session ended with an error"
            self.turns.finish(self._main, record, Finished("failed", "error", message, "session_error"), CLIENT)


def _speaker(data: dict[str, Any]) -> str:
    """Who said it: a person, unless it is said to come from elsewhere."""
    source = text(data.get("source"))
    if data.get("isAutopilotContinuation") is True or data.get("crossSession") is not None:
        return CLIENT
    if source is not None and source.startswith("agent-"):
        return f"{AGENT}:{source.removeprefix('agent-')}"
    return PERSON if source in {None, "user"} else CLIENT
