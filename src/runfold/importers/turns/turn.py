"""A session as its reader leaves it: turns, and what happened in each, in order. Plain data; no ledger is known here.

Every id is made by the reader from the source's own, so a step that two files hold is one step.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from runfold.domain.compaction import CompactionTrigger
from runfold.domain.message import Role
from runfold.domain.parts import Part
from runfold.importers.sources import Piece

UNTOLD = "the turn ended, and no answer is told"
"""Why an approval is closed that the source leaves open in a turn that it says ended well."""


@dataclass(frozen=True)
class Said:
    """A message."""

    role: Role
    parts: tuple[Part, ...]
    call_id: str | None = None


@dataclass(frozen=True)
class Called:
    """The agent asked for a tool."""

    name: str
    arguments: Any
    provider_id: str | None


@dataclass(frozen=True)
class CallEnded:
    """A tool answered, could not, or is not waited for any more."""

    call_id: str
    outcome: Literal["succeeded", "failed", "cancelled"]
    result: Any = None
    message: str = ""
    """Why it failed or was cancelled."""
    code: str = "tool_error"


@dataclass(frozen=True)
class Asked:
    """Somebody has to say whether it may go on, or what the answer is."""

    action: str
    reason: Literal["confirmation", "input_required", "tool_call"]
    message: str | None
    arguments: Any
    call_id: str | None
    choices: tuple[dict[str, str], ...] = ()
    """Each with `id`, `label` and `description`."""


@dataclass(frozen=True)
class Answered:
    """What was said to it, by the actor of the step."""

    approval_id: str
    granted: bool
    comment: str | None = None
    response: dict[str, Any] | None = None
    call_id: str | None = None
    """The call that a refusal ends."""


@dataclass(frozen=True)
class Chosen:
    """One of several options was taken."""

    intent: str
    options: tuple[dict[str, str], ...]
    """Each with `id` and `description`."""
    chosen: str
    context: dict[str, Any]
    also_chosen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Used:
    """What one call of a model used, or what a session used of one where that is all that is told."""

    provider: str | None
    model: str | None
    tokens: dict[str, int | None]
    raw: dict[str, Any]


@dataclass(frozen=True)
class Compacted:
    """The model's memory was cut."""

    trigger: CompactionTrigger
    tokens_before: int | None = None
    tokens_after: int | None = None
    summary_message_id: str | None = None


@dataclass(frozen=True)
class Noted:
    """Something about the run: a patch of its metadata."""

    patch: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """The agent's turn ended."""

    status: Literal["completed", "failed", "cancelled"]
    stop_reason: str
    message: str | None = None
    code: str = "error"


Fact = Said | Called | CallEnded | Asked | Answered | Chosen | Used | Compacted | Noted | Finished


@dataclass(frozen=True)
class Step:
    """Something that happened in a turn."""

    id: str
    fact: Fact
    actor: str
    at: datetime | None
    piece: Piece
    wakes: bool = True
    """Whether an agent is at work with it; what a machine writes beforehand begins no turn."""


@dataclass
class Turn:
    """One turn: a run."""

    run_id: str
    parent: str | None
    """The run before it, or the one that spawned it."""
    kind: Literal["continues", "branches", "spawned_by"]
    agent_id: str
    actor: str
    at: datetime | None
    piece: Piece
    metadata: dict[str, Any] = field(default_factory=dict)
    spawning_call: str | None = None
    """The call that started it, where one did."""
    rewound: bool = False
    """Whether a person went back for it."""
    steps: dict[str, Step] = field(default_factory=dict)

    def add(self, step: Step) -> bool:
        """Take a step in. Returns whether it is new."""
        if step.id in self.steps:
            return False
        self.steps[step.id] = step
        return True

    @property
    def finish(self) -> Finished | None:
        """Return how it ended, where that was said."""
        step = self.steps.get(finish_id(self.run_id))
        return step.fact if step is not None and isinstance(step.fact, Finished) else None


def finish_id(run_id: str) -> str:
    """The id of the step that ends a run."""
    return f"end {run_id}"


def call_end_id(call_id: str) -> str:
    """The id of the step that ends a call."""
    return f"end {call_id}"


@dataclass
class Session:
    """A conversation: its turns by run id, those that others hang from first."""

    thread_id: str
    format: str
    external_ref: str | None
    source_ids: tuple[str, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    title: str | None = None
    turns: dict[str, Turn] = field(default_factory=dict)
