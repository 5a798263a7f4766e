"""The messages of one rollout. Most stand there twice, as an item and as an event: whichever comes first is taken."""

import json
from collections import Counter
from typing import Any, Literal

from runfold.domain.parts import Part, TextPart
from runfold.domain.values import digest
from runfold.importers.codex.content import (
    AGENT,
    CLIENT,
    context_of,
    image,
    is_machine_made,
    is_stated_machine_made,
    parts_of,
    reasoning_of,
    texts_of,
)
from runfold.importers.codex.lines import Line
from runfold.importers.codex.path import Path, Place
from runfold.importers.turns.turn import Called, Finished, Said, call_end_id
from runfold.importers.turns.values import listing, text

_MACHINE_KINDS = ("user_instructions", "environment_context")


class Messages:
    """Puts messages into the turns of a path, and begins turns with prompts."""

    def __init__(self, path: Path, speaker: str) -> None:
        self.path = path
        self.speaker = speaker
        """Whose the prompts are."""
        self._untold: Counter[str] = Counter()
        """Items whose event has not come yet; below zero, events whose item has not."""

    def item(self, line: Line) -> str | None:
        """A message as the model's provider has it. Returns what is wrong with it."""
        role, content = line.payload.get("role"), line.payload.get("content")
        texts = texts_of(content)
        words = "\n".join(texts)
        if role == "assistant":
            self._say(self.path.current or self.path.open(line, self.path.follows(words)), line, role, texts, AGENT)
        elif role in ("system", "developer") or (
            role == "user" and (is_machine_made(words) or is_stated_machine_made(line.payload))
        ):
            if self.path.current is None:
                self.path.waiting.append(line)
            else:
                self._say(self.path.current, line, role, texts, CLIENT)
        elif role == "user":
            if self.path.current is None or not self._was_told(self.path.current, role, texts):
                self._say(self._prompted(line, words), line, role, texts, self.speaker)
        else:
            return f"role: {str(role)[:40]!r} is not one of user, assistant, developer, system; not imported"
        return None

    def event(self, line: Line, role: Literal["user", "assistant"]) -> None:
        """A message as the client shows it."""
        words, actor = text(line.payload.get("message")), self.speaker if role == "user" else AGENT
        if words is None:
            return
        last = self.path.last
        if last is not None and self._untold[name := _name(last, role, words)] > 0:
            self._untold[name] -= 1
            return
        if role == "user" and (is_machine_made(words) or line.payload.get("kind") in _MACHINE_KINDS):
            return  # an item holds it
        if role == "user":
            place = self._prompted(line, words)
        else:
            place = self.path.current or self.path.open(line, self.path.follows(words))
        self._untold[_name(place, role, words)] -= 1
        parts: tuple[Part, ...] = (
            TextPart(text=words),
            *(image(url) for url in listing(line.payload.get("images")) if isinstance(url, str)),
        )
        self._add(place, line, self._id(place, role, words), role, parts, actor)

    def reasoning(self, line: Line) -> None:
        """What the model thought, as far as it is told."""
        place = self.path.current or self.path.open(line, self.path.follows(text_of(line.payload)))
        words = text(line.payload.get("id")) or digest(text_of(line.payload))
        step_id = self.path.id("msg", place, "reasoning", words, self.path.nth(place, "reasoning", words))
        self.path.add(place, step_id, Said("reasoning", (reasoning_of(line.payload),)), AGENT, line)

    def letter(self, line: Line) -> None:
        """Another agent's words."""
        author, content = text(line.payload.get("author")), line.payload.get("content")
        words = text_of([author, content])
        place = self.path.current or self.path.open(line, self.path.follows(words))
        step_id = self.path.id("msg", place, "letter", digest(words), self.path.nth(place, "letter", words))
        whose = (author or "").removeprefix("/root")
        self.path.add(place, step_id, Said("user", tuple(parts_of(content))), f"{AGENT}{whose}", line)

    def _prompted(self, line: Line, words: str) -> Place:
        """The turn that a prompt belongs to: a new one, unless the client had said that one began."""
        current = self.path.current
        if current is not None and current.is_named:
            return current
        if current is not None:
            self._answered(line, current)
        return self.path.open(line, self.path.follows(words))

    def _answered(self, line: Line, place: Place) -> None:
        """End a turn of a file that tells no ends: the agent answered, left no call open, and was given the next prompt."""
        turn = self.path.turn(place)
        talk = [step for step in turn.steps.values() if isinstance(step.fact, Said | Called)]
        is_answer = bool(talk) and isinstance(talk[-1].fact, Said) and talk[-1].fact.role == "assistant"
        left = [step for step in talk if isinstance(step.fact, Called) and call_end_id(step.id) not in turn.steps]
        if is_answer and not left:
            last = talk[-1]
            self.path.finish(Line(line.kind, {}, last.at, last.piece), place, Finished("completed", "end_turn"), AGENT)

    def _say(self, place: Place, line: Line, role: Any, texts: list[str], actor: str) -> None:
        """A message of an item, unless an event told it already."""
        if role == "assistant" and self._was_told(place, role, texts):
            return
        words = "\n".join(texts)
        step_id = self._id(place, role, words)
        for candidate in {words, *texts}:
            self._untold[_name(place, role, candidate)] += 1
        self._add(place, line, step_id, role, tuple(parts_of(line.payload.get("content"))), actor)

    def _add(self, place: Place, line: Line, step_id: str, role: Any, parts: tuple[Part, ...], actor: str) -> None:
        """Add a message. What an editor put before a person's words is a message of the client's."""
        if role == "user" and actor != CLIENT and parts and isinstance(parts[0], TextPart):
            context, typed = context_of(parts[0].text)
            if context is not None:
                said, parts = Said("user", (TextPart(text=context),)), (TextPart(text=typed), *parts[1:])
                self.path.add(place, self.path.id("msg", place, "context", step_id), said, CLIENT, line, wakes=False)
        self.path.add(place, step_id, Said(role, parts), actor, line, wakes=actor != CLIENT)

    def _was_told(self, place: Place, role: str, texts: list[str]) -> bool:
        """Whether an event told these words before the item."""
        for candidate in dict.fromkeys(("\n".join(texts), *texts)):
            if self._untold[name := _name(place, role, candidate)] < 0:
                self._untold[name] += 1
                return True
        return False

    def _id(self, place: Place, role: str, words: str) -> str:
        return self.path.id("msg", place, role, digest(words), self.path.nth(place, role, words))


def text_of(value: Any) -> str:
    """Any JSON as one text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _name(place: Place, role: str, words: str) -> str:
    return f"{place.key}\x1f{role}\x1f{words}"
