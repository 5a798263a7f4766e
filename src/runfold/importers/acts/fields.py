"""The fields of a record from outside, asked for one by one: one of another kind is a problem, and the rest is taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runfold.domain.values import INT_LIMIT
from runfold.importers.acts.kinds import Place
from runfold.importers.fitting import named
from runfold.importers.sources import Report

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_MONEY = 1e12
"""An amount from there on is none: it is kept to 18 decimals, and what is larger was counted in something else."""


@dataclass(frozen=True)
class Fields:
    """An object of a source. What is absent or null is None, or empty."""

    value: dict[str, Any]
    place: Place
    report: Report

    @classmethod
    def of(cls, value: Any, place: Place, report: Report) -> "Fields":
        """An object; anything else is a problem, and has no fields."""
        if not isinstance(value, dict):
            if value is not None:
                report(place.problem(f"is {named(value)}, not an object; left out"))
            value = {}
        return cls(value, place, report)

    def __bool__(self) -> bool:
        return bool(self.value)

    def raw(self, name: str) -> Any:
        """The value as it is."""
        return self.value.get(name)

    def problem(self, name: str, reason: str) -> None:
        """Report a problem with a field."""
        self.report(self.place.at(name).problem(reason))

    def text(self, name: str) -> str | None:
        """A text."""
        found: str | None = self._typed(name, str, "a text")
        return found

    def flag(self, name: str) -> bool | None:
        """True or false."""
        found: bool | None = self._typed(name, bool, "true or false")
        return found

    def word(self, name: str) -> str | None:
        """A text or a whole number, as text: what sources use as an id. None for an empty one."""
        value = self.value.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(name) or None

    def count(self, name: str) -> int | None:
        """A whole number from 0, also where it is written as 12.0."""
        value = self.value.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < INT_LIMIT:
            self.problem(name, f"is {named(value)}, not a count; left out")
            return None
        return value

    def number(self, name: str) -> float | None:
        """A number."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
            self.problem(name, f"is {named(value)}, not a number; left out")
            return None
        return float(value)

    def amount(self, name: str) -> float | None:
        """An amount of money: a number from 0."""
        value = self.number(name)
        if value is not None and not 0 <= value < MOST_MONEY:
            self.problem(name, f"is {value:g}, not an amount of money; left out")
            return None
        return value

    def object(self, name: str) -> "Fields":
        """An object."""
        return Fields.of(self.value.get(name), self.place.at(name), self.report)

    def items(self, name: str) -> list[Any]:
        """The elements of an array."""
        return self._typed(name, list, "an array") or []

    def objects(self, name: str) -> Iterator["Fields"]:
        """The elements of an array of objects."""
        for index, value in enumerate(self.items(name)):
            yield Fields.of(value, self.place.at(name, index), self.report)

    def time(self, name: str) -> datetime | None:
        """A time of RFC 3339. One without a zone is taken for UTC, as its writer's other times are."""
        value = self.value.get(name)
        if value is None or value == "":
            return None
        try:
            moment = datetime.fromisoformat(value if isinstance(value, str) else "none")
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.problem(name, f"is {named(value)}, not a time of RFC 3339; left out")
            return None

    def _typed(self, name: str, kind: type, called: str) -> Any:
        value = self.value.get(name)
        if value is None or isinstance(value, kind):
            return value
        self.problem(name, f"is {named(value)}, not {called}; left out")
        return None


def from_nanoseconds(count: int) -> datetime | None:
    """A moment in nanoseconds since 1970, to the microsecond; None where there is no such moment."""
    try:
        return _EPOCH + timedelta(microseconds=count // 1000)
    except OverflowError:
        return None


def fitting(tokens: dict[str, int], of: Fields) -> dict[str, int]:
    """Counts of which no part exceeds its whole. A total that is too small is a problem, and left to the raw report."""
    output, total = tokens.get("output_tokens"), tokens.get("total_tokens")
    kept = dict(tokens)
    if output is not None and tokens.get("reasoning_output_tokens", 0) > output:
        kept["reasoning_beside"] = True  # as some providers report it
    if total is not None and tokens.get("input_tokens", 0) + (output or 0) > total:
        of.report(of.place.problem("has a total below its input and output; the total is left out"))
        del kept["total_tokens"]
    return kept
