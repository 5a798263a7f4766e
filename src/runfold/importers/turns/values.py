"""Values as sources write them: what is odd is a problem of its own, and the rest of the record stands."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runfold.domain.event import refusal
from runfold.errors import shortened
from runfold.importers.fitting import Count, Moment

Fault = Callable[[str], None]
"""Called with what is wrong with one value of a record."""

T = TypeVar("T")
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
_COUNT: TypeAdapter[int] = TypeAdapter(Count)


def moment(value: Any, name: str, fault: Fault) -> datetime | None:
    """A time with its zone, or a number whose size tells its unit. None where none is given, or it is a fault."""
    return _fitting(_MOMENT, value, name, fault, "the record went in with the time of the one before")


def count(value: Any, name: str, fault: Fault) -> int | None:
    """A number of tokens. None where none is given, or it is a fault."""
    return _fitting(_COUNT, value, name, fault, "the rest of the record went in")


def _fitting(kind: TypeAdapter[T], value: Any, name: str, fault: Fault, so: str) -> T | None:
    if value is None:
        return None
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        fault(f"{name}: {shortened(repr(value))}: {refusal(error).reason}; {so}")
        return None


def text(value: Any) -> str | None:
    """Text that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def mapping(value: Any) -> dict[str, Any]:
    """An object, or an empty one where it is anything else."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """An array, or an empty one where it is anything else."""
    return value if isinstance(value, list) else []
