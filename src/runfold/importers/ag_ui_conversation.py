"""An AG-UI conversation while its turns are worked out, and while they are recorded."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runfold.commands.caller import Envelope
from runfold.domain.parts import Part
from runfold.errors import InvalidEvent
from runfold.ids import stable_id
from runfold.importers.recording import Recording, SourceRun
from runfold.importers.sources import OF_A_RECORD, Piece, Report, why
from runfold.importers.tally import Tally

FORMAT = "ag-ui"
PERSON, AGENT, CLIENT = "human:user", "agent:ag-ui", "service:ag-ui"


@dataclass
class Call:
    """A tool call on its way through the turns."""

    id: str
    name: str
    arguments_text: str = ""
    approval_id: str | None = None
    approved_text: str | None = None
    """What a person allowed; None while nobody has."""
    is_answered: bool = False


@dataclass
class Past:
    """A message that was said, as a client would repeat it. A tool's words are the id of its call."""

    role: str
    words: str
    calls: tuple[str, ...] = ()


class Stage:
    """The runs of a conversation while it is recorded."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.source_runs: dict[int, SourceRun] = {}
        self.past = frozenset(recording.known.ended)

    def source_run(self, turn: int) -> SourceRun:
        """A turn's run. Raises InvalidEvent where it could not be begun."""
        if turn not in self.source_runs:
            raise InvalidEvent("run", f"the run of turn {turn} could not be begun")
        return self.source_runs[turn]

    def is_past(self, turn: int) -> bool:
        """Whether the run had ended before this import: then what has no id is in."""
        return self.source_run(turn).first_id in self.past


Act = Callable[[Stage], object]


class Conversation:
    """Turns that follow each other: first worked out, which counts, and then recorded."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts = Tally(threads=1)
        self.acts: list[tuple[Piece, Act]] = []
        self.history: list[Past] = []
        self.calls: dict[str, Call] = {}
        """The latest call under each id of the source."""
        self.asked: dict[str, tuple[str, Call | None]] = {}
        """Open interrupts: the approval, and the call it is for."""
        self.state: Any = None
        self.last: int | None = None
        self.turn_of: dict[str, int] = {}
        """The turn of each run id of the source."""

    @property
    def thread_id(self) -> str:
        """The same for the same conversation, always."""
        return stable_id("thread", FORMAT, self.name)

    def record(self, recording: Recording) -> None:
        """Give all commands."""
        recording.in_one_go = True
        recording.begin(agent_id=FORMAT, title=self.name.rpartition("/")[2], external_ref=self.name, actor=CLIENT)
        stage = Stage(recording)
        for piece, act in self.acts:
            with recording.of(piece):
                act(stage)


class TurnWriter:
    """What both sides of a turn do: say, call, answer, set the state."""

    def __init__(self, talk: Conversation, number: int, at: Piece, report: Report) -> None:
        self.talk = talk
        self.number = number
        self.at = at
        """The record that is worked on."""
        self._report = report
        self._used: Counter[tuple[str, ...]] = Counter()

    def id(self, prefix: str, *words: object) -> str:
        """An id made from the source's words."""
        return stable_id(prefix, FORMAT, self.talk.name, str(self.number), *(str(word) for word in words))

    def numbered(self, prefix: str, *words: str) -> str:
        """The same for the first with these words; another one for each that comes after it."""
        self._used[words] += 1
        again = self._used[words]
        return self.id(prefix, *words, *([again] if again > 1 else []))

    def guard(self, take: Callable[[], None]) -> None:
        """Work on a record. What does not fit is a problem, and the rest goes in."""
        try:
            take()
        except OF_A_RECORD as error:
            self._report(self.at.problem(why(error)))

    def do(self, act: Act) -> None:
        """Have a command given when the conversation is recorded."""
        self.talk.acts.append((self.at, act))

    def source_run(self, stage: Stage) -> SourceRun:
        """This turn's run."""
        return stage.source_run(self.number)

    def say(self, role: str, parts: tuple[Part, ...], message_id: str, envelope: Envelope, call: Call | None = None) -> None:
        """Add a message."""
        self.talk.counts.messages += 1
        call_id = call.id if call else None
        self.do(
            lambda stage: self.source_run(stage).add_message(role, parts, message_id=message_id, tool_call_id=call_id, **envelope)
        )

    def call(self, source_id: str, name: str, text: str, message_id: str, envelope: Envelope) -> None:
        """A tool call."""
        call = self.talk.calls[source_id] = Call(self.id("call", source_id), name, text)
        self.talk.counts.tool_calls += 1
        self.do(
            lambda stage: self.source_run(stage).call_tool(
                name, text, call_id=call.id, message_id=message_id, provider_call_id=source_id, **envelope
            )
        )

    def answer(self, call: Call | None, source_id: str, content: Any, envelope: Envelope) -> None:
        """The result of a tool call."""
        if call is None:
            raise InvalidEvent("toolCallId", f"answers {source_id!r}, which no call has")
        call.is_answered = True
        self.do(lambda stage: self.source_run(stage).ending(call.id).succeed(content, **envelope))

    def set_state(self, state: Any, envelope: Envelope) -> None:
        """The shared state, whole."""
        self.talk.state = state
        self.do(lambda stage: stage.is_past(self.number) or self.source_run(stage).tip.set_state(state, **envelope))
