"""The turns of one agent of a session: of the main one, or of a sub-agent that a call started."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from runfold.ids import stable_id
from runfold.importers.copilot.records import CLIENT, FORMAT, VERSION, Record
from runfold.importers.turns.turn import Fact, Finished, Session, Step, Turn, finish_id


@dataclass
class Agent:
    """One agent, and the turn that it is in."""

    actor: str
    agent_id: str
    current: Turn | None = None
    last: str | None = None
    """The run before the next one."""
    is_early: bool = False
    """Whether the turn holds only what the client wrote before it."""
    has_answered: bool = False
    """Whether the last answer asked for no tool: then the turn's end is the agent's own."""
    has_asked: bool = False
    """Whether the model's turn asked for a tool, in any of the messages that its answer may be split into."""
    model: str | None = None

    @property
    def is_main(self) -> bool:
        """Return whether it is the agent that the person talks to."""
        return self.agent_id == FORMAT


@dataclass
class Turns:
    """The turns of one file, added to those of its session."""

    root: str
    session: Session
    ended: set[str] = field(default_factory=set)
    rewound: bool = False
    path: list[Turn] = field(default_factory=list)
    """The main agent's turns, without those that a person went back over."""
    seen: Counter[str] = field(default_factory=Counter)

    def id(self, prefix: str, *words: str) -> str:
        """An id within the session."""
        return stable_id(prefix, FORMAT, str(VERSION), self.root, *words)

    def nth(self, *words: str) -> str:
        """How often the same stood in this file before."""
        name = "\x1f".join(words)
        self.seen[name] += 1
        return str(self.seen[name] - 1)

    def begin(self, agent: Agent, record: Record, key: str, **more: Any) -> Turn:
        """Begin a turn of an agent."""
        run_id = self.id("run", key)
        turn = Turn(run_id, agent.last, "continues", agent.agent_id, CLIENT, record.at, record.piece)
        if self.rewound and agent.is_main:
            turn.kind, turn.rewound, self.rewound = "branches", True, False
        for name, value in more.items():
            setattr(turn, name, value)
        agent.current = self.session.turns.setdefault(run_id, turn)
        agent.last, agent.is_early, agent.has_answered, agent.has_asked = run_id, False, False, False
        if agent.is_main:
            self.path.append(agent.current)
        return agent.current

    def here(self, agent: Agent, record: Record, key: str, *, wakes: bool = True) -> Turn:
        """The turn that an agent is in; one that begins here where it is in none."""
        if agent.current is None:
            self.begin(agent, record, key)
            agent.is_early = True
        assert agent.current is not None, "a turn was begun"  # noqa: S101
        agent.is_early = agent.is_early and not wakes
        return agent.current

    def add(self, turn: Turn, step_id: str, fact: Fact, actor: str, record: Record, *, wakes: bool = True) -> None:
        """Put a step into a turn, unless it is there."""
        turn.add(Step(step_id, fact, actor, record.at, record.piece, wakes))

    def finish(self, agent: Agent, record: Record, finished: Finished, actor: str) -> None:
        """End the turn that an agent is in."""
        if agent.current is not None and agent.current.run_id not in self.ended:
            self.add(agent.current, finish_id(agent.current.run_id), finished, actor, record)
            self.ended.add(agent.current.run_id)
        agent.current = None
