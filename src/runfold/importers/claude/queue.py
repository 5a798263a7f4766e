"""Words that were typed while the agent worked, as older files have them: put into a queue, and taken out of it.

Newer files keep the words themselves, as an attachment; older ones only say that something was enqueued and later removed,
when the agent was told of it within its turn. What was dequeued stands as a line of its own, and what was popped back into
the input was not said. No operation has an id: a queue is emptied from its head unless an operation names what it took.
"""

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from runfold.importers.claude.speakers import queued_content, texts_of

ABSORBED = "absorbed_mid_turn"


class _Line:
    """Things that stand in line, of which the first may be taken out, and the first that is called something."""

    def __init__(self) -> None:
        self._things: OrderedDict[int, tuple[str, Any]] = OrderedDict()
        self._named: dict[str, deque[int]] = {}
        self._numbers = count()

    def add(self, name: str, thing: Any) -> None:
        """Put one at the end."""
        number = next(self._numbers)
        self._things[number] = name, thing
        self._named.setdefault(name, deque()).append(number)

    def take(self, name: str) -> bool:
        """Take out the first of a name. Returns whether there was one."""
        if not (numbers := self._named.get(name)):
            return False
        del self._things[numbers.popleft()]
        return True

    def first(self) -> Any:
        """Take out the first of all; None where there is none."""
        if not self._things:
            return None
        _, (name, thing) = self._things.popitem(last=False)
        self._named[name].popleft()
        return thing

    def all(self) -> list[Any]:
        """Take out all."""
        found = [thing for _, thing in self._things.values()]
        self._things.clear()
        self._named.clear()
        return found


@dataclass
class Queue:
    """The queue of one file, told its records one by one."""

    waiting: _Line = field(default_factory=_Line)
    taken: _Line = field(default_factory=_Line)
    """Words that were taken out for the agent, and when; nothing has said yet that they stand elsewhere."""
    attached: Counter[str] = field(default_factory=Counter)
    """Words that an attachment held before they were taken out."""
    answer: Any = None
    """The id of the answer whose lines come now."""

    def take(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Take in the next record. Returns the lines of what was said just before it, as a newer file has them."""
        match record.get("type"):
            case "queue-operation":
                self._operate(record)
            case "attachment":
                self._stands("\n".join(texts_of(queued_content(record))), ahead=True)
            case "user" if isinstance(message := record.get("message"), dict):
                self._stands("\n".join(texts_of(message.get("content"))), ahead=False)
            case "assistant" if isinstance(message := record.get("message"), dict) and record.get("isSidechain") is not True:
                return self._said_before(record, message.get("id"))
        return []

    def _operate(self, record: Mapping[str, Any]) -> None:
        words = "\n".join(texts_of(record.get("content")))
        match record.get("operation"):
            case "enqueue":
                self.waiting.add(words, words)
            case "popAll" if not words:
                self.waiting.all()
            case "dequeue" | "popAll":
                self._out(words)
            case "remove":
                taken = self._out(words)
                if not taken.strip() or record.get("reason") not in (None, ABSORBED):
                    return
                if self.attached[taken.strip()] > 0:
                    self.attached[taken.strip()] -= 1
                else:
                    self.taken.add(taken.strip(), (taken, record.get("timestamp")))

    def _out(self, words: str) -> str:
        """Take words out of the queue: those that are named, or the ones at its head."""
        if words:
            self.waiting.take(words)
            return words
        return self.waiting.first() or ""

    def _stands(self, words: str, *, ahead: bool) -> None:
        """Note that words stand in a line of their own."""
        if not self.taken.take(words.strip()) and ahead and words.strip():
            self.attached[words.strip()] += 1

    def _said_before(self, record: Mapping[str, Any], answer: Any) -> list[dict[str, Any]]:
        """What the agent was told before it began an answer, each as a line that hangs from what the answer hangs from."""
        is_new, self.answer = answer is None or answer != self.answer, answer
        uuid = record.get("uuid")
        if not is_new or not isinstance(uuid, str):
            return []
        again = Counter[str]()
        made = []
        for words, moment in self.taken.all():
            again[words] += 1
            digest = hashlib.sha256(f"{uuid}\n{again[words]}\n{words}".encode("utf-8", "surrogatepass")).hexdigest()
            made.append(
                {
                    "type": "attachment",
                    "uuid": f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}",
                    "parentUuid": record.get("parentUuid"),
                    "sessionId": record.get("sessionId"),
                    "timestamp": moment if isinstance(moment, str) else record.get("timestamp"),
                    "attachment": {"type": "queued_command", "prompt": words, "commandMode": "prompt"},
                }
            )
        return made
