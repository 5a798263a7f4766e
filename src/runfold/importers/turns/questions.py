"""Questions that an agent put to its person, with the answers that each offers."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runfold.importers.turns.turn import Asked, Chosen
from runfold.importers.turns.values import listing, mapping, text


@dataclass(frozen=True)
class Question:
    """One question."""

    name: str
    """What tells it apart from others of the same call."""
    words: str
    options: tuple[dict[str, str], ...]
    """Each with `id`, `label` and `description`."""
    raw: Any

    def asked(self, action: str, call_id: str | None) -> Asked:
        """The request for an answer."""
        return Asked(action, "input_required", self.words, self.raw, call_id, self.options)

    def chosen(self, answers: Sequence[str], approval_id: str) -> Chosen:
        """The choice that answers are; words that no option has are the person's own."""
        options = [{"id": option["id"], "description": _described(option)} for option in self.options]
        picked = []
        for answer in answers:
            found = next((option["id"] for option in self.options if answer in (option["label"], option["id"])), None)
            if found is None:
                found = f"own-words-{len(options)}"
                options.append({"id": found, "description": answer})
            picked.append(found)
        return Chosen(self.words, tuple(options), picked[0], {"approval_id": approval_id}, tuple(picked[1:]))


def question(name: str, words: str, offered: Iterable[Any], raw: Any) -> Question:
    """A question whose answers are labels, or objects with a `label`."""
    options = []
    for number, option in enumerate(offered, 1):
        label = option if isinstance(option, str) else text(mapping(option).get("label"))
        if label:
            described = text(mapping(option).get("description")) or label
            options.append({"id": f"option-{number}", "label": label, "description": described})
    return Question(name, words, tuple(options), raw)


def questions_of(arguments: Any) -> list[Question]:
    """The questions in the arguments of a call: one of them, or a list; none where their form is another."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return []
    told = mapping(arguments)
    several = listing(told.get("questions")) or [told]
    found = []
    for number, one in enumerate(several):
        words = text(mapping(one).get("question")) or text(mapping(one).get("prompt"))
        if words is not None:
            offered = listing(one.get("options")) or listing(one.get("choices"))
            found.append(question(text(one.get("id")) or str(number), words, offered, one))
    return found


def _described(option: dict[str, str]) -> str:
    return option["label"] if option["label"] == option["description"] else f"{option['label']}: {option['description']}"
