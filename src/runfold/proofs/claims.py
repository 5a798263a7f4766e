"""What a bundle is to show, as it says itself: how that is written, and read from somebody who must not be trusted."""

from typing import Any, NamedTuple

from runfold.proofs.container import CLAIMS, BundleUnreadable
from runfold.proofs.fields import count_in, object_in, text_in
from runfold.proofs.leaf import canonical


class Absence(NamedTuple):
    """What a bundle shows that there is not: an event of a type, of one tool call where it is named."""

    thread: str | None
    """The thread in which there is none; None: in the whole log."""
    type: str
    call: str | None = None


class Answer(NamedTuple):
    """Rows of a read model that a bundle shows to follow from its events, and the fold that they are by."""

    read_model: str
    key: tuple[str, ...]
    """What the keys of the rows are, or begin with, each value as a text."""
    thread: str | None
    """The thread that the rows are made of; None where that is the whole log."""
    position: int
    """The position of the last event of the checkpoint, as of which they are."""
    epoch: str
    """The history that the position is of."""
    version: int
    """The version of the projection."""
    fingerprint: str
    """The digest of its columns, its key and the types of the events that it looks at."""
    depends_on: str = ""
    """What else its rows depend on, such as a price list."""

    def named(self) -> str:
        """Return what a person finds it by."""
        return f"{self.read_model} {' '.join(self.key)}"


class Sample(NamedTuple):
    """Runs that were drawn for an audit: those of a population whose SHA-256 of a seed followed by their ids are the lowest."""

    seed: str
    n: int
    """How many were asked for; where the population is smaller, all of it is drawn."""
    position: int
    """As of which the population was counted."""
    population: int
    filters: dict[str, Any]
    """What the population was narrowed by."""


class Claims(NamedTuple):
    """What a bundle is to show."""

    threads: tuple[str, ...]
    """Those of which it holds everything."""
    log: bool = False
    """Whether it holds every leaf of the log."""
    absence: Absence | None = None
    answer: Answer | None = None
    sample: Sample | None = None


def write_claims(claims: Claims) -> str:
    """What a bundle is to show → the text of its claims."""
    said: dict[str, Any] = {"log": claims.log, "threads": list(claims.threads), "v": 1}
    if claims.absence is not None:
        said["absence"] = {name: value for name, value in claims.absence._asdict().items() if value is not None}
    if (answer := claims.answer) is not None:
        texts = {name: str(value) for name, value in answer._asdict().items() if value is not None}
        said["answer"] = texts | {"key": list(answer.key)}
    if (sample := claims.sample) is not None:
        said["sample"] = {name: str(value) for name, value in sample._asdict().items()} | {"filters": sample.filters}
    return canonical(said) + "\n"


def read_claims(text: str) -> Claims:
    """The text of claims → what a bundle is to show. Raises BundleUnreadable."""
    said = object_in(text.removesuffix("\n").encode(), CLAIMS)
    if said.get("v") != 1:
        raise BundleUnreadable(f"{CLAIMS} is of a version that this verifier does not know; take a newer one")
    threads, log = said.get("threads"), said.get("log")
    if set(said) - {"v", *Claims._fields} or not isinstance(log, bool) or not isinstance(threads, list):
        raise BundleUnreadable(f"{CLAIMS} says what this verifier does not know")
    absence = None
    if said.get("absence") is not None:
        absence = Absence(**{"thread": None, **_texts(said["absence"], Absence, {"type"}, "absent")})
    answer = None if said.get("answer") is None else _answer(said["answer"])
    sample = None if said.get("sample") is None else _sample(said["sample"])
    return Claims(tuple(text_in(thread, CLAIMS) for thread in threads), log, absence, answer, sample)


def _answer(said: Any) -> Answer:
    if not isinstance(said, dict) or not isinstance(key := said.get("key"), list):
        raise BundleUnreadable(f"{CLAIMS} does not say what is answered")
    others = {name: value for name, value in said.items() if name != "key"}
    texts = _texts(others, Answer, set(Answer._fields) - {"key", "thread"}, "answered")
    numbers = {name: count_in(texts[name], CLAIMS) for name in ("position", "version")}
    return Answer(**{"thread": None, **texts, **numbers, "key": tuple(text_in(value, CLAIMS) for value in key)})


def _sample(said: Any) -> Sample:
    if not isinstance(said, dict) or not isinstance(filters := said.get("filters"), dict):
        raise BundleUnreadable(f"{CLAIMS} does not say what is drawn")
    others = {name: value for name, value in said.items() if name != "filters"}
    texts = _texts(others, Sample, set(Sample._fields) - {"filters"}, "drawn")
    numbers = {name: count_in(texts[name], CLAIMS) for name in ("n", "position", "population")}
    return Sample(**{**texts, **numbers, "filters": filters})


def _texts(said: Any, kind: Any, needed: set[str], what: str) -> dict[str, Any]:
    """The fields of something that is claimed, all of them texts."""
    if not isinstance(said, dict) or set(said) - set(kind._fields) or not needed <= set(said):
        raise BundleUnreadable(f"{CLAIMS} does not say what is {what}")
    return {name: text_in(value, CLAIMS) for name, value in said.items()}
