"""Where the lines of one rollout belong: the turns of its path through the conversation, and what each thing is called.

Lines have no ids. A turn has one in newer files (`turn_id`); in older ones its key is made from the turn before it and from
the words that opened it. Everything in a turn is named by the turn, by what it is, and by how often the same stood there
before. So a line has the same id in each copy of it, whichever file that is in and whatever follows there.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from runfold.domain.values import digest
from runfold.ids import stable_id
from runfold.importers.codex.content import CLIENT
from runfold.importers.codex.lines import Line
from runfold.importers.turns.turn import Fact, Finished, Session, Step, Turn, finish_id

FORMAT = "codex"

Spawner = tuple[str, str | None]
"""The run that spawned an agent, and its call."""


@dataclass(frozen=True)
class Place:
    """Where a turn stands."""

    key: str
    run_id: str

    @property
    def is_named(self) -> bool:
        """Return whether the source gave the turn an id."""
        return self.key.startswith("turn ")


@dataclass
class Path:
    """The path of one file through the turns of its conversation."""

    root: str
    session: Session
    agent_id: str
    metadata: dict[str, str] = field(default_factory=dict)
    """Of the runs that this file is the first to hold."""
    spawner: Spawner | None = None
    """What spawned the agent, for the first run that is its own."""
    is_copied: bool = False
    """Whether the lines are another session's, for they are older than the file's own."""
    before: list[Place] = field(default_factory=list)
    """The turns of the path, without those that were rolled back."""
    current: Place | None = None
    """The turn that is under way."""
    waiting: list[Line] = field(default_factory=list)
    """What the client wrote between two turns: it goes into the next one."""
    take_waiting: Callable[[list[Line]], None] = lambda _: None
    """Takes those lines in once a turn has begun."""
    _ended: set[str] = field(default_factory=set)
    _rewinds: int = 0
    _is_rewound: bool = False
    _seen: Counter[str] = field(default_factory=Counter)
    _opened: Counter[str] = field(default_factory=Counter)
    """How often each turn is on the path, by its key."""

    @property
    def last(self) -> Place | None:
        """Return the turn that is under way, or the last one."""
        return self.current or (self.before[-1] if self.before else None)

    def turn(self, place: Place) -> Turn:
        """The turn at a place."""
        return self.session.turns[place.run_id]

    def has_ended(self, place: Place) -> bool:
        """Return whether the turn ended, as far as this file goes."""
        return place.run_id in self._ended

    def id(self, prefix: str, place: Place, *words: str) -> str:
        """An id within a turn."""
        return stable_id(prefix, FORMAT, self.root, place.key, *words)

    def nth(self, place: Place, *words: str) -> str:
        """How often the same stood in this turn before."""
        name = "\x1f".join((place.key, *words))
        self._seen[name] += 1
        return str(self._seen[name] - 1)

    def add(self, place: Place, step_id: str, fact: Fact, actor: str, line: Line, *, wakes: bool = True) -> None:
        """Put a step into a turn, unless it is there."""
        self.turn(place).add(Step(step_id, fact, actor, line.at, line.piece, wakes))

    def named(self, turn_id: str) -> Place | None:
        """The turn of the path to which the source gave an id."""
        key = key_of(turn_id)
        return self._place(key) if self._opened[key] else None

    def follows(self, words: str) -> str:
        """The key of a turn that has no id of its own."""
        before = self.before[-1].key if self.before else f"session {self.root}"
        return digest(f"{before}\x1f{self._rewinds}\x1f{words}")

    def begin_after(self, turns: list[Place], *, went_back: bool) -> None:
        """Begin where another path stood, which a person may have gone back to."""
        self.before = turns
        self._opened.update(place.key for place in turns)
        self._is_rewound = went_back

    def open(self, line: Line, key: str) -> Place:
        """Begin a turn with a line."""
        place = self._place(key)
        if place.run_id not in self.session.turns:
            self.session.turns[place.run_id] = self._begun(place.run_id, line)
        self._is_rewound = False
        self.current = place
        self.before.append(place)
        self._opened[key] += 1
        waiting, self.waiting = self.waiting, []
        self.take_waiting(waiting)
        return place

    def finish(self, line: Line, place: Place, finished: Finished, actor: str) -> None:
        """End a turn."""
        self.add(place, finish_id(place.run_id), finished, actor, line)
        self._ended.add(place.run_id)
        if place == self.current:
            self.current = None

    def roll_back(self, turns: int, counts: Callable[[Place], bool]) -> None:
        """Go back over so many turns of those that count."""
        while turns > 0 and self.before:
            left = self.before.pop()
            self._opened[left.key] -= 1
            turns -= counts(left)
        self.current, self._is_rewound = None, True
        self._rewinds += 1

    def _place(self, key: str) -> Place:
        return Place(key, stable_id("run", FORMAT, self.root, key))

    def _begun(self, run_id: str, line: Line) -> Turn:
        parent = self.before[-1].run_id if self.before else None
        turn = Turn(run_id, parent, "continues", self.agent_id, CLIENT, line.at, line.piece, dict(self.metadata))
        if self._is_rewound:
            turn.kind, turn.rewound = "branches", True
        if self.spawner is not None and not self.is_copied:
            turn.kind, (turn.parent, turn.spawning_call) = "spawned_by", self.spawner
            self.spawner = None
        return turn


def key_of(turn_id: str) -> str:
    """The key of a turn that has an id."""
    return f"turn {turn_id}"
