"""What was said so far in an AG-UI conversation, and which of it a client repeats.

Clients send the whole conversation again, or only what is new; with the agent's message ids, with their own, or with none;
and put what the agent said under one id into one message. A message is known by its id, or else by its words; a tool call
and its answer by the call's id, as often as it is used.
"""

import hashlib
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from runfold.agui.content import words_of
from runfold.domain.parts import Part
from runfold.ids import stable_id
from runfold.importers.ag_ui.shapes import Sent

Span = tuple[int, ...]
"""Places in the history."""
_SPOKEN_TO = frozenset({"user", "system", "developer"})


@dataclass
class Call:
    """A tool call on its way through the turns."""

    id: str
    name: str
    arguments_text: str = ""
    approval_id: str | None = None
    approved_text: str | None = None
    """What was allowed; None while nothing was."""
    is_answered: bool = False
    answered_in: str = ""
    """The run that the ledger has the answer in, if it is of this import and what its client sent is not."""

    def is_open_in(self, run_id: str) -> bool:
        """Whether it waits for an answer, or for a run to say once more what it answered."""
        return not self.is_answered or self.answered_in == run_id


@dataclass
class Past:
    """Something that was said: a message's words, a tool's answer, or that calls were made."""

    role: str
    parts: tuple[Part, ...] = ()
    source_id: str = ""
    message_id: str = ""
    run_id: str = ""
    call_id: str = ""
    """Of a tool's message: the source's id of the call that it answers."""
    is_partial: bool = False
    """Whether its stream broke off."""
    is_void: bool = False
    """Whether its stream broke off before it said anything."""
    activity_type: str | None = None
    author: str | None = None
    place: int = 0
    """Where in the history it stands."""

    @property
    def words(self) -> str:
        """Return what it says."""
        return words_of(self.parts)

    def ids(self) -> tuple[str, ...]:
        """What the source calls it, where that is known."""
        return (self.source_id,) if self.source_id else ()


class History:
    """All that was said, in order, and the calls by the source's ids, of which each may stand for several."""

    def __init__(self) -> None:
        self.said: list[Past] = []
        self.calls: dict[str, list[Call]] = {}
        self.answers: dict[str, list[int]] = {}
        """The places of the answers to the calls of each id."""
        self.spans: dict[tuple[str, ...], list[Span]] = {}
        """Where something was said, in one message or in several under one id that follow each other in a run."""
        self.completed: set[str] = set()
        """The runs that came to their end: what was said in them is answered, be it by nothing."""
        self.remembered: dict[str, None] = {}
        """The runs that were read from the ledger: of their messages, the source's ids are seen by those made of them."""
        self._made: dict[str, Past] = {}
        self._resolved: set[str] = set()
        self._answered: Counter[str] = Counter()
        """How many calls of each id are known to be answered, of the oldest."""
        self._under: dict[tuple[str, str, str], tuple[Span, Any]] = {}

    def add(self, past: Past) -> Past:
        """Something more was said."""
        past.place = len(self.said)
        self.said.append(past)
        if past.run_id in self.remembered:
            self._made[past.message_id] = past
        if past.call_id:
            self.answers.setdefault(past.call_id, []).append(past.place)
        elif past.parts:
            self._index(past, past.place)
        return past

    def complete(self, past: Past, parts: tuple[Part, ...]) -> None:
        """A message that had begun has said this."""
        past.parts = parts
        self._index(past, past.place)

    def lengthen(self, past: Past, parts: tuple[Part, ...]) -> None:
        """There is more of the last message under an id than its stream had."""
        past.parts, past.is_partial = parts, False
        self._note(past, (past.place,), hashlib.sha256(_raw(past.words)).hexdigest())

    def call(self, source_id: str) -> Call | None:
        """The call that an answer under this id is for: the oldest that has none, or else the latest."""
        made = self.calls.get(source_id, [])
        return self.waiting(source_id) or (made[-1] if made else None)

    def waiting(self, source_id: str) -> Call | None:
        """The oldest call under this id that has no answer."""
        made = self.calls.get(source_id, [])
        while self._answered[source_id] < len(made):
            if not (call := made[self._answered[source_id]]).is_answered:
                return call
            self._answered[source_id] += 1
        return None

    def resolve(self, source_id: str) -> None:
        """Find the remembered messages that the source calls so."""
        if not source_id or source_id in self._resolved:
            return
        self._resolved.add(source_id)
        for run_id in self.remembered:
            for words in ((source_id,), ("sent", source_id)):
                past, again = self._made.get(stable_id("msg", run_id, *words)), 1
                while past is not None:
                    past.source_id = source_id
                    self._index(past, past.place)
                    again += 1
                    past = self._made.get(stable_id("msg", run_id, *words, str(again)))

    def latest(self, role: str, source_id: str) -> Past | None:
        """The last message that the source calls so."""
        found = self.spans.get((role, source_id)) if source_id else None
        return self.said[found[-1][0]] if found else None

    def _index(self, past: Past, place: int) -> None:
        text = hashlib.sha256(_raw(past.words))
        self._note(past, (place,), text.hexdigest())
        if not past.source_id:
            return
        self.spans.setdefault((past.role, past.source_id), []).append((place,))
        under = (past.run_id, past.role, past.source_id)
        span, so_far = self._under.get(under, ((), hashlib.sha256()))
        so_far.update(_raw(past.words))
        self._under[under] = ((*span, place), so_far)
        if span:
            self._note(past, (*span, place), so_far.hexdigest())

    def _note(self, past: Past, span: Span, words: str) -> None:
        self.spans.setdefault(("words", past.role, words), []).append(span)
        if not past.source_id:
            self.spans.setdefault(("unnamed", past.role, words), []).append(span)
        for known_as in past.ids():
            self.spans.setdefault(("id", past.role, words, known_as), []).append(span)


class Repeats:
    """One list of messages that a client or a snapshot holds, against the history: what of it is new?"""

    def __init__(self, history: History) -> None:
        self._history = history
        self._pointer = 0
        self._claimed: set[int] = set()
        self._calls: Counter[str] = Counter()
        self._answers: dict[str, dict[str | None, deque[int]]] = {}
        """Where answers to the calls of each id are that may still be claimed: all, and by their words."""
        self._seen: Counter[str] = Counter()
        """How many answers of each id are among them."""
        self._passed: Counter[tuple[str, ...]] = Counter()

    def text(self, sent: Sent, parts: tuple[Part, ...]) -> Span:
        """The places of the messages that this one repeats; none where it is new."""
        words = hashlib.sha256(_raw(words_of(parts))).hexdigest()
        self._history.resolve(sent.id)
        span = self._first(("id", sent.role, words, sent.id), sent) if sent.id else ()
        if not span and not (sent.id and sent.told):  # by its words alone only where its id says nothing
            kind = "unnamed" if sent.role == "user" and sent.id else "words"
            span = self._first((kind, sent.role, words), sent, self._pointer)
        if span:
            self._claim(span[0], *span)
        return span

    def call(self, source_id: str) -> bool:
        """Whether a call is known: the first under an id is the first that was made under it, and so on."""
        self._calls[source_id] += 1
        return self._calls[source_id] <= len(self._history.calls.get(source_id, ()))

    def answer(self, sent: Sent, parts: tuple[Part, ...]) -> bool:
        """Whether a tool's answer is known. One that a call still waits for is not, unless it is word for word another's."""
        source_id, words = sent.tool_call_id, words_of(parts)
        places = self._history.answers.get(source_id, [])
        answers = self._answers.setdefault(source_id, {None: deque()})
        for place in places[self._seen[source_id] :]:
            answers[None].append(place)
            answers.setdefault(self._history.said[place].words, deque()).append(place)
        self._seen[source_id] = len(places)
        known, same = self._first_of(answers[None]), self._first_of(answers.get(words, deque()))
        if self._history.waiting(source_id) is not None:
            known = same if self._calls[source_id] else None
        found = known if same is None or known is None else same
        if found is None:
            return False
        self._claim(found, found)
        return True

    def _first_of(self, places: deque[int]) -> int | None:
        while places and places[0] in self._claimed:
            places.popleft()
        return places[0] if places else None

    def is_by_words_and_answered(self, span: Span, sent: Sent) -> bool:
        """Whether only its words say that it is this message, and it was answered."""
        said = self._history.said
        if not span or any(sent.id in said[place].ids() for place in span):
            return False
        return said[span[-1]].run_id in self._history.completed or any(
            past.role not in _SPOKEN_TO for past in said[span[-1] + 1 :]
        )

    def _claim(self, first: int, *places: int) -> None:
        self._claimed.update(places)
        self._pointer = max(self._pointer, first + 1)

    def _first(self, key: tuple[str, ...], sent: Sent, least: int = 0) -> Span:
        spans = self._history.spans.get(key, ())
        while self._passed[key] < len(spans) and spans[self._passed[key]][0] in self._claimed:
            self._passed[key] += 1
        for span in spans[self._passed[key] :]:
            if span[0] >= least and self._claimed.isdisjoint(span) and not self._is_anothers(span, sent, key):
                return span
        return ()

    def _is_anothers(self, span: Span, sent: Sent, key: tuple[str, ...]) -> bool:
        """Two messages of a person that have each an id of their own are two, whatever they say."""
        past = self._history.said[span[0]]
        return key[0] == "unnamed" and bool(past.source_id) and past.source_id != sent.id


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
