"""What a list can be narrowed by, as fields of a form: made from the description that HTTP and the command line use.

The words in a page's address are those of HTTP, so that the same query string asks the same of both. Times, whole numbers and
durations are read here from text; what a value may be, the question checks.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from runfold.api.words import word_of
from runfold.domain.durations import parse_duration
from runfold.domain.times import EXAMPLE, parse_time
from runfold.errors import UsageError
from runfold.pages.typed import as_number, as_time
from runfold.queries.lists.parameters import ListParameter, parameters_of

Control = Literal["choice", "several", "flag", "time", "number", "duration", "text"]
Given = Sequence[tuple[str, str]]
"""A query string: words and their texts, in order."""

MOST_VALUES = 50
"""So many values of one filter are read; an address is no place for more."""
_LENGTH, _OPERATOR = "_ns", "_operator"
_BESIDE = {"cursor", "order_by", "order", "limit", "min_position", "wait_seconds"}
"""Parameters that narrow nothing."""
_WHOLE = re.compile("-?[0-9]{1,18}", re.ASCII)


class Filter(NamedTuple):
    """One field: what it is called in the address and on the page, what it takes, and what it is given."""

    name: str
    """Of the argument in Python."""
    word: str
    label: str
    help: str
    control: Control
    words: tuple[str, ...]
    is_repeatable: bool
    given: tuple[str, ...]
    """The texts of the address; a duration as people write it, a number and a time as HTTP takes them."""
    default: Any = None
    operator: "Filter | None" = None
    """How it is compared, where it is a number."""


class Chip(NamedTuple):
    """A filter that is in use, with the address without it."""

    label: str
    value: str
    without: str


class Filters(NamedTuple):
    """The fields of a list as an address fills them in."""

    fields: tuple[Filter, ...]
    others: tuple[tuple[str, str], ...]
    """What else the address says: order, page, moment."""

    def asked(self) -> dict[str, Any]:
        """Return the filters as arguments of the question. Raises UsageError for what can be read as none."""
        asked: dict[str, Any] = {}
        for each in self._all():
            if each.given:
                values = [_read(each, text) for text in each.given]
                asked[each.name] = values if each.is_repeatable else values[-1]
        return asked

    def address(self, without: Iterable[str] = (), **changes: object) -> str:
        """Return the query string, without some words and with others changed; None takes a word out."""
        left_out = {*without, *changes}
        pairs = [(word, text) for word, text in (*self.pairs(), *self.others) if word not in left_out]
        return urlencode([*pairs, *((word, str(value)) for word, value in changes.items() if value is not None)])

    def pairs(self) -> list[tuple[str, str]]:
        """Return the filters as an address says them, in the words and the values of HTTP."""
        return [(each.word, _written(each, text)) for each in self._all() for text in each.given]

    def chips(self) -> list[Chip]:
        """Return the filters in use, each with the address that leaves it out."""
        found = []
        for each in self.fields:
            for text in each.given:
                compared = (
                    f"{_SIGNS[each.operator.given[-1] if each.operator.given else each.operator.default]} "
                    if each.operator
                    else ""
                )
                found.append(Chip(each.label, f"{compared}{text}", self._without(each, text)))
        return found

    def _without(self, filter: Filter, text: str) -> str:
        gone = {(filter.word, _written(filter, text))}
        if filter.operator is not None:
            gone |= {(filter.operator.word, each) for each in filter.operator.given}
        pairs = [pair for pair in (*self.pairs(), *self.others) if pair not in gone and pair[0] not in {"cursor", "row"}]
        return urlencode(pairs)

    def _all(self) -> Iterable[Filter]:
        for each in self.fields:
            yield each
            if each.operator is not None and each.given:
                yield each.operator


_SIGNS = {"eq": "=", "gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}


def filters_of(described: type, given: Given, beside: Iterable[str] = ()) -> Filters:
    """Return the fields of a list that a `TypedDict` describes, filled in from a query string; `beside` are the page's own words.

    Raises UsageError for a word that is neither: left aside, it would look as if it had been heeded.
    """
    known = parameters_of(described)
    operators = {name for name in known if name.endswith(_OPERATOR)}
    fields = [_field(known, name) for name in known if name not in _BESIDE | operators]
    return filled(fields, given, (*beside, *(name for name in known if name in _BESIDE)))


def filled(fields: Iterable[Filter], given: Given, beside: Iterable[str]) -> Filters:
    """Return fields as a query string fills them in. Raises UsageError for a word that is of none, nor of the page itself."""
    found, others = list(fields), set(beside)
    named = {word: each for field in found for each in (field, field.operator) if each for word in (each.name, each.word)}
    texts: dict[str, list[str]] = {}
    for word, text in given:
        if word not in named and word not in others:
            allowed = sorted({*others, *(each.word for each in named.values())})
            raise UsageError(f"unknown parameter {word[:60]!r}; expected one of {', '.join(allowed)}", name=word)
        if word in named and text.strip():
            texts.setdefault(named[word].name, []).append(text.strip())
    kept = tuple((word, text) for word, text in given if word not in named and text)
    return Filters(tuple(_given(each, texts) for each in found), kept)


def _given(filter: Filter, texts: Mapping[str, Sequence[str]]) -> Filter:
    values = texts.get(filter.name, ())
    values = values[:MOST_VALUES] if filter.is_repeatable else values[-1:]
    written = map(_WRITTEN[filter.control], values) if filter.control in _WRITTEN else values
    return filter._replace(given=tuple(written), operator=filter.operator and _given(filter.operator, texts))


def is_plain(filters: Filters, given: Given) -> bool:
    """Return whether a query string says its filters as HTTP would, without empty fields: then it is the page's address."""
    return sorted([*filters.pairs(), *filters.others]) == sorted(given)


def _field(known: Mapping[str, ListParameter], name: str) -> Filter:
    said = known[name]
    compared = f"{name.removesuffix(_LENGTH)}{_OPERATOR}"
    return Filter(
        name=name,
        word=word_of(name),
        label=name.removesuffix("_id").removesuffix(_LENGTH).replace("_", " "),
        help=said.help,
        control=_control(said),
        words=said.words,
        is_repeatable=said.is_repeatable,
        given=(),
        default=said.default,
        operator=_field(known, compared) if compared in known and compared != name else None,
    )


def _control(said: ListParameter) -> Control:
    if said.name.endswith(_LENGTH) or said.kind is timedelta:
        return "duration"
    if said.words:
        return "several" if said.is_repeatable else "choice"
    kinds: Mapping[str, Control] = {"bool": "flag", "datetime": "time", "date": "time", "int": "number", "float": "number"}
    return kinds.get(said.kind.__name__, "text")


def _as_duration(text: str) -> str:
    """Nanoseconds as people write a length, in the largest unit that is exact; what is none stays as it is."""
    if _WHOLE.fullmatch(text):
        for unit in ("d", "h", "m", "s", "ms"):
            number, rest = divmod(int(text), parse_duration(f"1{unit}") // timedelta(microseconds=1) * 1000)
            if number > 0 and not rest:
                return f"{number}{unit}"
    return text


_WRITTEN: Mapping[Control, Callable[[str], str]] = {"duration": _as_duration, "number": as_number, "time": as_time}
"""How what was typed stands in the address, and in the field again."""


def _read(filter: Filter, text: str) -> Any:
    """Return a text as the question takes it. Raises UsageError."""
    match filter.control:
        case "time":
            refusal = f"{filter.word} takes a time such as {EXAMPLE}, not {text[:60]!r}"
            return parse_time(text, day="to" if filter.word == "to" else "from", refusal=refusal)
        case "flag":
            if text not in {"true", "false"}:
                raise UsageError(f"{filter.word} is true or false, not {text[:60]!r}", name=filter.word)
            return text == "true"
        case "number":
            if not _WHOLE.fullmatch(text):
                raise UsageError(f"{filter.word} takes a whole number, not {text[:60]!r}", name=filter.word)
            return int(text)
        case "duration" if filter.name.endswith(_LENGTH):
            return _nanoseconds(filter, text)
        case _:
            return text


def _nanoseconds(filter: Filter, text: str) -> int:
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        return parse_duration(text) // timedelta(microseconds=1) * 1000
    except ValueError:
        raise UsageError(
            f"{filter.label} takes a length such as 1500ms, 90s, 15m or 2h, not {text[:60]!r}", name=filter.word
        ) from None


def _written(filter: Filter, text: str) -> str:
    """Return a text as HTTP takes it."""
    if filter.control == "duration" and filter.name.endswith(_LENGTH):
        try:
            return str(_nanoseconds(filter, text))
        except UsageError:
            return text
    return text
