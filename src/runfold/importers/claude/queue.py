"""Words that were typed while the agent worked, as older files have them: put into a queue, and taken out of it.

Newer files keep the words themselves, as an attachment; older ones only say that something was enqueued and later removed,
when the agent was told of it within its turn. What was dequeued stands as a line of its own, and what was popped back into
the input was not said. No operation has an id: a queue is emptied from its head unless an operation names what it took.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runfold.importers.claude.speakers import queued_content, texts_of

ABSORBED = "absorbed_mid_turn"


@dataclass
class Queue:
    """The queue of one file, told its records one by one."""

    waiting: deque[str] = field(default_factory=deque)
    taken: list[tuple[str, Any]] = field(default_factory=list)
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
                self.waiting.append(words)
            case "popAll" if not words:
                self.waiting.clear()
            case "dequeue" | "popAll":
                self._out(words)
            case "remove":
                taken = self._out(words)
                if not taken.strip() or record.get("reason") not in (None, ABSORBED):
                    return
                if self.attached[taken.strip()] > 0:
                    self.attached[taken.strip()] -= 1
                else:
                    self.taken.append((taken, record.get("timestamp")))

    def _out(self, words: str) -> str:
        """Take words out of the queue: those that are named, or the ones at its head."""
        if words:
            if words in self.waiting:
                self.waiting.remove(words)
            return words
        return self.waiting.popleft() if self.waiting else ""

    def _stands(self, words: str, *, ahead: bool) -> None:
        """Note that words stand in a line of their own."""
        for index, (taken, _) in enumerate(self.taken):
            if taken.strip() == words.strip():
                del self.taken[index]
                return
        if ahead and words.strip():
            self.attached[words.strip()] += 1

    def _said_before(self, record: Mapping[str, Any], answer: Any) -> list[dict[str, Any]]:
        """What the agent was told before it began an answer, each as a line that hangs from what the answer hangs from."""
        is_new, self.answer = answer is None or answer != self.answer, answer
        uuid = record.get("uuid")
        if not is_new or not self.taken or not isinstance(uuid, str):
            return []
        taken, self.taken = self.taken, []
        again = Counter[str]()
        made = []
        for words, moment in taken:
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
