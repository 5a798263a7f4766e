"""JSON as a format needs it, leniently: a field that does not fit is told of and read as absent, and the rest is taken.

A record that is nothing without such a field does not fit as a whole. Here too are types of fields that many formats have:
times as machines write them, and counts.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from runfold.domain.values import INT_LIMIT, LABEL_LENGTH, PATTERN_WORDS
from runfold.errors import InvalidEvent, shortened

M = TypeVar("M", bound=BaseModel)
Steps = tuple[str | int, ...]

MOST_TOLD = 20
"""Fields of one record that are told of one by one."""
MOST_ROUNDS = 100
"""In each round all that does not fit is left out; what does not fit then is given up."""

MOST_DIGITS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((10**8, 10**11, 10**6), (10**11, 10**14, 10**3), (10**14, 10**17, 1), (10**17, 10**20, Fraction(1, 1000)))
"""Seconds, milliseconds, microseconds and nanoseconds since 1970, each between 1973 and 5138; what a unit has of microseconds."""


def fitted(shape: type[M], value: Any, tell: Callable[[str], None], path: str = "") -> M:
    """Return what fits of a value; `tell` is given what was left out, and why. Raises InvalidEvent where nothing is left."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        remnant = _Remnant(value, path)
        remnant.leave_out(error)
    for _ in range(MOST_ROUNDS):
        try:
            found = shape.model_validate(remnant.value())
        except ValidationError as error:
            remnant.leave_out(error)
        else:
            for said in remnant.left_out():
                tell(said)
            return found
    raise InvalidEvent(path, f"has more than {MOST_ROUNDS} faults one below the other")


class _Remnant:
    """A value without what did not fit."""

    def __init__(self, value: Any, path: str) -> None:
        self._whole, self._path = value, path
        self._reasons: dict[Steps, str] = {}
        """What was left out, by where it stands in the whole, and why."""
        self._kept: dict[Steps, list[int]] = {}
        """The indexes that are left of a list."""

    def value(self) -> Any:
        """Return what is left."""
        return self._without(self._whole, ())

    def left_out(self) -> Iterator[str]:
        """Yield what was left out, and why."""
        for steps, reason in islice(self._reasons.items(), MOST_TOLD):
            yield f"{self._named(steps)}: {reason}; it was left out"
        if len(self._reasons) > MOST_TOLD:
            yield f"{len(self._reasons) - MOST_TOLD:,} more fields do not fit; they were left out"

    def leave_out(self, error: ValidationError) -> None:
        """Take out what the faults are in, the innermost that can be. Raises InvalidEvent where that is the whole."""
        found: dict[Steps, ErrorDetails] = {}
        for fault in error.errors(include_url=False, include_input=False):
            found.setdefault(self._place(fault["loc"]), fault)
        around = {steps[:length] for steps in found for length in range(len(steps))}
        known = {steps[:length]: steps for steps in reversed(self._reasons) for length in range(len(steps))}
        for steps, fault in found.items():
            if steps in around:
                continue
            cause = known.get(steps)
            missing = fault["loc"][-1:] if fault["type"] == "missing" else ()
            inside, reason = (cause[len(steps) :], self._reasons[cause]) if cause else (missing, _reason(fault))
            if not steps:
                raise InvalidEvent(self._named(inside), reason)
            if cause:
                self._reasons = {one: said for one, said in self._reasons.items() if one[: len(steps)] != steps}
            self._reasons[steps] = ": ".join([*([".".join(map(str, inside))] if inside else []), reason])
        self._kept.clear()

    def _named(self, steps: Steps) -> str:
        return ".".join([*([self._path] if self._path else []), *(shortened(str(step), 40) for step in steps)])

    def _place(self, loc: Steps) -> Steps:
        """Where a fault stands in the whole: of its location what leads there, without the names of alternatives."""
        at, steps = self._whole, Steps()
        for step in loc:
            if isinstance(at, dict) and step in at and (*steps, step) not in self._reasons:
                steps, at = (*steps, step), at[step]
            elif isinstance(at, list) and isinstance(step, int) and step < len(kept := self._indexes(at, steps)):
                steps, at = (*steps, kept[step]), at[kept[step]]
        return steps

    def _indexes(self, members: list[Any], steps: Steps) -> list[int]:
        if steps not in self._kept:
            self._kept[steps] = [index for index in range(len(members)) if (*steps, index) not in self._reasons]
        return self._kept[steps]

    def _without(self, value: Any, steps: Steps) -> Any:
        if isinstance(value, dict):
            return {key: self._without(value[key], (*steps, key)) for key in value if (*steps, key) not in self._reasons}
        if isinstance(value, list):
            return [self._without(value[index], (*steps, index)) for index in self._indexes(value, steps)]
        return value


def _reason(fault: ErrorDetails) -> str:
    return PATTERN_WORDS.get(fault.get("ctx", {}).get("pattern", ""), fault["msg"])


def _number(value: Any) -> int | float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    is_digits = isinstance(value, str) and value.isascii() and value.isdecimal()
    return int(value) if is_digits and len(value) <= MOST_DIGITS else None


def _from_epoch(value: Any) -> Any:
    """A number that is a time for certain → that time; text goes on to be read as one."""
    if isinstance(value, bool) or (number := _number(value)) is None:
        return value if isinstance(value, str | datetime) else _no_time()
    for least, most, microseconds in _UNITS:
        if least <= number < most:
            return _EPOCH + timedelta(microseconds=round(number * microseconds))
    return _no_time()


def _no_time() -> Any:
    raise PydanticCustomError("time", "is no time that can be told for certain")


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise PydanticCustomError("time", "has no time zone")
    return _in_utc(moment)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("time", "is outside of the years 1 to 9999 in UTC") from None


def is_in_utc(moment: datetime) -> bool:
    """Return whether a moment with a zone is one of the years 1 to 9999 in UTC too: others cannot be kept."""
    return 1 < moment.year < 9999 or _has_year_in_utc(moment)


def _has_year_in_utc(moment: datetime) -> bool:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


def named(value: Any) -> str:
    """Return what a value is that does not fit, in words."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return shortened(repr(value), 60)


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("count", "is no number")
    return value


Moment = Annotated[datetime, BeforeValidator(_from_epoch), AfterValidator(_zoned)]
"""RFC 3339 with a zone, or seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size."""
LocalMoment = Annotated[datetime, BeforeValidator(_from_epoch), AfterValidator(_in_utc)]
"""The same, of a source whose times have no zone: they are taken for UTC."""
Count = Annotated[int, BeforeValidator(_no_flag), Field(ge=0, lt=INT_LIMIT)]
"""How many: of tokens, mostly."""
Name = Annotated[str, AfterValidator(lambda text: text[:LABEL_LENGTH])]
"""What something is called, as far as a label takes it."""
Amount = Annotated[float, BeforeValidator(_no_flag), Field(ge=0, lt=1e12)]
"""How much: of money."""
