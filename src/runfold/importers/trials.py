"""Trials of a benchmark: an agent and a (simulated) customer talk until one of them stops, and the result may be scored.

A trial is a thread with one run, tagged with its task as the run's goal. A score is the outcome of one decision, to solve
the task: a reward below 1 is a failed outcome of a completed run, not a failed run. The agent's usage and the simulated
user's are told apart by `node_id`. Costs are the benchmark's own sums, so their source is `local`; it writes 0 where it found no
price, so a cost of 0 with tokens is not known, and only `raw` keeps it. A trial whose record breaks off, or that says nothing of
its end, goes on. Nobody speaks as a person unless the source says that it was one. A result belongs to the open call whose id it
names, or else to the oldest open one where one of the two has no id: ids repeat, and may be empty.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, Literal

from runfold.commands.caller import Envelope
from runfold.ids import stable_id
from runfold.importers.recording import Recording, SourceRun
from runfold.importers.sources import Piece

VERSION = 2
"""Of the importers of both benchmarks: since the second, costs are `local`, and only what is stated is an end."""
_SCHEME = f"version {VERSION}"
"""Part of every id."""
AGENT, USER = "agent", "user_simulator"
_PERSONS = {AGENT: "agent", USER: "user"}
_FINEST, _EXACT = Decimal("1e-18"), Context(prec=60)
"""What is left of an amount, and what holds every amount that a source may state."""
_PLAIN = re.compile(r"[A-Za-z0-9_:-]{1,200}")
ATTEMPT = {"id": "attempt", "description": "work on the task in a conversation, with the tools there are"}


@dataclass(frozen=True)
class Called:
    """A tool call. Arguments as text are kept to the letter."""

    provider_id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Said:
    """A message of a trial, and where it stands in the source."""

    piece: Piece
    role: Literal["system", "user", "assistant", "tool"]
    text: str | None
    calls: tuple[Called, ...] = ()
    answers: str | None = None
    """Of a tool's message: the id of its call, as the source has it."""
    is_error: bool = False
    at: datetime | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    usage: dict[str, Any] | None = None
    """As the source has it; None where it reports none."""
    cost: float | None = None


@dataclass(frozen=True)
class Trial:
    """One attempt at a task."""

    format: str
    id: str
    piece: Piece
    task_id: str
    said: tuple[Said, ...]
    goal: str = ""
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    agent_id: str = AGENT
    agent_model: str | None = None
    user_model: str | None = None
    reward: float | None = None
    reward_info: dict[str, Any] | None = None
    user_cost: float | None = None
    """For the trial as a whole, where the source has no costs of single messages."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    stop_reason: str | None = None
    """How the trial ended; None where that is not said."""
    failure: str | None = None
    """Why the run failed; a score never makes it fail."""
    failure_message: str | None = None
    people: frozenset[str] = frozenset()
    """Which of the two sides is a person, where the source says so."""
    told_apart_by: tuple[str, ...] | None = None
    """What makes it unique where it comes from; its id where that is nothing else."""

    @property
    def thread_id(self) -> str:
        """The same for the same trial, always."""
        return stable_id("thread", self.format, _SCHEME, *self.key)

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it unique where it comes from."""
        return (self.id,) if self.told_apart_by is None else self.told_apart_by

    @property
    def first_version_thread_id(self) -> str:
        """The thread that the importer's first version made of it."""
        return stable_id("thread", self.format, self.id)

    @property
    def goal_id(self) -> str:
        """The task as a goal: the same in all trials of it. Its own words where they can be an id."""
        words = ":".join(["task", *([str(self.metadata["domain"])] if "domain" in self.metadata else []), self.task_id])
        return words if _PLAIN.fullmatch(words) else stable_id("task", self.format, words)

    def record(self, recording: Recording) -> None:
        """Give all its commands."""
        _Recorder(self, recording).record()


class _Recorder:
    """A trial on its way into the ledger."""

    def __init__(self, trial: Trial, recording: Recording) -> None:
        self.trial = trial
        self.recording = recording
        self.source_run: SourceRun
        self.open: dict[str, str] = {}
        """Calls without a result, oldest first: our id → the source's."""
        self.decision_id = self.id("dec", "solve")

    def id(self, prefix: str, *words: object) -> str:
        return stable_id(prefix, self.trial.format, _SCHEME, *self.trial.key, *(str(word) for word in words))

    def record(self) -> None:
        trial = self.trial
        self.recording.begin(
            title=trial.title, external_ref=trial.id, metadata=trial.metadata, **self._as(None, trial.started_at)
        )
        self.source_run = self.recording.source_run(
            self.id("run"),
            parent=None,
            agent_id=trial.agent_id,
            goal={"id": trial.goal_id, "description": trial.goal},
            metadata=trial.metadata,
            **self._as(AGENT, trial.started_at),
        )
        with self.recording.of(trial.piece):
            self._decide()
        for said in trial.said:
            with self.recording.of(said.piece):
                self._say(said.piece.name, said)
        with self.recording.of(trial.piece):
            self._end()

    def _as(self, who: str | None, at: datetime | None) -> Envelope:
        envelope: Envelope = {}
        if who is not None:
            name = self.trial.agent_id if who == AGENT else who
            envelope["actor"] = f"human:{_PERSONS[who]}" if who in self.trial.people else f"agent:{name}"
        if at is not None:
            envelope["occurred_at"] = at
        return envelope

    def _say(self, index: str, said: Said) -> None:
        who = USER if said.role == "user" else AGENT
        envelope = self._as(who, said.at)
        if said.role in {"tool", "system"}:
            envelope["actor"] = "service:environment"
        message_id = self.id("msg", index)
        call_id = self._answered(said) if said.role == "tool" else None
        self.source_run.add_message(
            said.role,
            () if said.text is None else said.text,
            message_id=message_id,
            tool_call_id=call_id,
            author=USER if said.role == "user" and USER not in self.trial.people else None,
            **envelope,
        )
        if call_id is not None:
            self._answer(call_id, said, envelope)
        for number, call in enumerate(said.calls):
            ours = self.id("call", index, number)
            self.open[ours] = call.provider_id
            self.source_run.call_tool(
                call.name,
                call.arguments,
                call_id=ours,
                message_id=message_id,
                provider_call_id=call.provider_id or None,
                **envelope,
            )
        self._use(index, said, who, envelope)

    def _answered(self, said: Said) -> str | None:
        """The call that a tool's message answers."""
        named = next((ours for ours, theirs in self.open.items() if theirs and theirs == said.answers), None)
        found = named or next((ours for ours, theirs in self.open.items() if not (theirs and said.answers)), None)
        if found is None:
            return None
        del self.open[found]
        return found

    def _answer(self, call_id: str, said: Said, envelope: Envelope) -> None:
        call = self.source_run.ending(call_id)
        if said.is_error:
            call.fail(said.text or "", code="tool_error", **envelope)
        else:
            call.succeed(said.text, **envelope)

    def _use(self, index: str, said: Said, who: str, envelope: Envelope) -> None:
        model = self.trial.user_model if who == USER else self.trial.agent_model
        usage_id = self.id("usage", index) if said.usage is not None else None
        if usage_id is not None:
            raw = {**(said.usage or {}), **({} if said.cost is None else {"cost": said.cost})}
            self.source_run.use(
                usage_id,
                model=model,
                input_tokens=said.input_tokens,
                output_tokens=said.output_tokens,
                node_id=who,
                raw=raw,
                **envelope,
            )
        if said.cost is not None and not (said.cost == 0 and (said.input_tokens or said.output_tokens)):
            cost_id = self.id("cost", index)
            self.source_run.bill(cost_id, usage_id).report_cost(
                money(said.cost), source="local", usage_id=usage_id, model=model, node_id=who, cost_id=cost_id, **envelope
            )

    def _decide(self) -> None:
        if self.trial.reward is None:
            return
        self.source_run.run(self.decision_id).decide(
            f"solve task {self.trial.task_id}",
            options=[ATTEMPT],
            chosen="attempt",
            decision_type="path_choice",
            node_id=AGENT,
            decision_id=self.decision_id,
            **self._as(AGENT, self.trial.started_at),
        )

    def _end(self) -> None:
        trial, envelope = self.trial, self._as(AGENT, self.trial.ended_at)
        evaluator: Envelope = {**envelope, "actor": "service:evaluator"}
        if trial.reward is not None:
            self.source_run.conclude(
                self.decision_id,
                success=trial.reward >= 1,
                result=trial.reward_info,
                summary=f"reward {trial.reward:g}",
                **evaluator,
            )
        if trial.user_cost is not None:
            cost_id = self.id("cost", "user")
            self.source_run.bill(cost_id).report_cost(
                money(trial.user_cost), source="local", node_id=USER, cost_id=cost_id, **envelope
            )
        if trial.failure is None and trial.stop_reason is None:
            return
        run_to_end = self.source_run.end()
        if run_to_end is None:
            return
        if trial.failure is not None:
            run_to_end.fail(trial.failure_message or trial.failure, code=trial.failure, **envelope)
        else:
            run_to_end.complete(stop_reason=trial.stop_reason or "end_turn", **envelope)


def money(amount: float) -> str:
    """A binary float → a decimal amount to 15 significant digits, which is all that a float holds for certain.

    What a float wrote as 0.0010199999999999999 is 0.00102; the figure as it was written is kept in the usage's `raw`.
    """
    return f"{Decimal(f'{amount:.15g}').quantize(_FINEST, context=_EXACT):f}"
