"""What narrows a list from a read model: conditions in SQL, each with its values, from what a caller asks for."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Literal

from runfold.domain.durations import duration
from runfold.domain.values import texts
from runfold.errors import InvalidEvent, UsageError
from runfold.projector.tables.indexes import BEGINNING, beginning_of

OneOrMore = str | Iterable[str]
"""One value or several, of which any will do. None at all do not narrow."""
Operator = Literal["eq", "gt", "gte", "lt", "lte"]


class Where:
    """Conditions that all hold, on the columns of `t`."""

    def __init__(self) -> None:
        self.equal: dict[str, tuple[Any, ...]] = {}
        """By column: the values of which it has any. None alone: it has none."""
        self.among: dict[str, tuple[Any, ...]] = {}
        """By column: values of which another condition lets it have only some. Nothing is looked up by them."""
        self.bounds: dict[tuple[str, str], Any] = {}
        """By column and `>=` or `<=`: the value."""
        self._others: list[tuple[str, tuple[Any, ...]]] = []

    def but(self, **equal: Any) -> "Where":
        """The same, and these columns have these values."""
        other = Where()
        other.equal, other.bounds, other._others = dict(self.equal), dict(self.bounds), list(self._others)
        other.among = dict(self.among)
        for column, value in equal.items():
            other.one_of(column, (value,))
        return other

    @property
    def text(self) -> str:
        """All of them in SQL."""
        return " AND ".join(["true", *(text for text, _ in self._all())])

    @property
    def parameters(self) -> list[Any]:
        """The values of `text`, in order."""
        return [value for _, values in self._all() for value in values]

    def hidden(self, columns: Collection[str], bounds: Collection[tuple[str, str]]) -> tuple[list[str], list[Any]]:
        """All but what is said of these columns and bounds; in a form for which no index is looked for."""
        rest = [(f"({text}) IS TRUE", values) for text, values in self._all(columns, bounds)]
        return [text for text, _ in rest], [value for _, values in rest for value in values]

    def add(self, condition: str, *values: Any) -> None:
        """One more, in SQL."""
        self._others.append((condition, values))

    def one_of(self, column: str, values: tuple[Any, ...]) -> None:
        """The column has one of these values."""
        if values and column in self.equal:
            values = tuple(value for value in values if value in self.equal[column])
            self.equal[column] = values
        elif values:
            self.equal[column] = values

    def begins_as(self, column: str, values: tuple[Any, ...]) -> None:
        """The column, a long text, has the beginning of one of these values, as indexes have it."""
        beginnings = tuple(value and value[:BEGINNING] for value in values)
        self._others.append(_equal(beginning_of(f't."{column}"'), beginnings))

    def at_least(self, column: str, value: Any) -> None:
        """The column has this value or a greater one."""
        self._bound(column, ">=", value)

    def at_most(self, column: str, value: Any) -> None:
        """The column has this value or a smaller one."""
        self._bound(column, "<=", value)

    def has_any(self, column: str, values: tuple[str, ...]) -> None:
        """The column, an array, has any of these."""
        if values:
            self.add(f't."{column}" && %b', list(values))

    def compared(self, column: str, operator: str, number: int) -> None:
        """The column stands so to a number; nothing does where there is none."""
        match operator:
            case "eq":
                self.one_of(column, (number,))
            case "gt" | "gte":
                self.at_least(column, number + (operator == "gt"))
            case _:
                self.at_most(column, number - (operator == "lt"))

    def _bound(self, column: str, side: str, value: Any) -> None:
        if (column, side) in self.bounds:
            self.add(f't."{column}" {side} %b', value)
        else:
            self.bounds[column, side] = value

    def _all(
        self, columns: Collection[str] = (), bounds: Collection[tuple[str, str]] = ()
    ) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for column, values in self.equal.items():
            if column not in columns:
                yield _equal(f't."{column}"', values)
        for (column, side), value in self.bounds.items():
            if (column, side) not in bounds:
                yield f't."{column}" {side} %b', (value,)
        yield from self._others


def _equal(term: str, values: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    if values == (None,):
        return f"{term} IS NULL", ()
    return (f"{term} = %b", values) if len(values) == 1 else (f"{term} = ANY(%b)", (list(values),))


def words(name: str, given: OneOrMore | None, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The same where only some words mean something, others the same as one of them. Raises UsageError for the rest."""
    known, aliases = list(known), aliases or {}
    found = tuple(dict.fromkeys(aliases.get(value, value) for value in texts(name, given)))
    for value in found:
        if value not in known:
            also = f" (also {', '.join(f'{alias} for {word}' for alias, word in aliases.items())})" if aliases else ""
            raise UsageError(f"unknown {name} {value!r}; expected one of {', '.join(known)}{also}", name=name, value=value)
    return found


def number(name: str, given: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number. Raises UsageError."""
    if type(given) is not int or (least is not None and given < least) or (most is not None and given > most):
        within = "" if least is None else f" from {least}" if most is None else f" from {least} to {most}"
        raise UsageError(f"{name} takes a whole number{within}, not {given!r}", name=name)
    return given


def seconds(name: str, given: Any, least: int | None = None, most: float | None = None) -> float:
    """A number that may have a fraction. Raises UsageError."""
    is_number = type(given) in {int, float} and isfinite(given)
    if not is_number or (least is not None and given < least) or (most is not None and given > most):
        within = "" if least is None else f" from {least}" if most is None else f" from {least} to {most:g}"
        raise UsageError(f"{name} takes a number{within}, not {repr(given)[:60]}", name=name)
    return float(given)


def truth(name: str, given: Any) -> bool:
    """True or false. Raises UsageError."""
    if type(given) is not bool:
        raise UsageError(f"{name} is true or false, not {given!r}", name=name)
    return given


def moment(name: str, given: Any) -> datetime:
    """A time with a zone. Raises UsageError."""
    try:
        if isinstance(given, datetime) and given.tzinfo is not None:
            return given.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{name} is outside of the years 1 to 9999 in UTC: {given!r}", name=name) from None
    raise UsageError(f"{name} takes a time with its zone, such as 2026-01-31T09:30:00Z, not {repr(given)[:60]}", name=name)


def before(moment: datetime, length: timedelta) -> datetime:
    """The moment that was so long before another; where that is none, the first there is."""
    try:
        return moment - length
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def span(name: str, given: Any) -> timedelta:
    """A duration: 90s, 15m, 1h, 7d or a timedelta. Raises UsageError."""
    try:
        return duration(name, given)
    except InvalidEvent:
        raise UsageError(f"{name} takes a duration such as 90s, 15m, 1h or 7d, not {given!r}", name=name) from None
