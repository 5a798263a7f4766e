"""Values as sources write them: what is odd is a problem of its own, and the rest of the record stands."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runfold.domain.event import refusal
from runfold.errors import shortened
from runfold.importers.fitting import Count, Moment, named

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


_CALLED: Mapping[type, str] = {str: "a text", dict: "an object", list: "an array"}
"""What values of a kind are called."""


def texts(*names: str) -> dict[str, type]:
    """Return fields that are read as text, for `tell_misfits`."""
    return dict.fromkeys(names, str)


def tell_misfits(said: Mapping[str, Any], kinds: Mapping[str, type], fault: Fault, at: str = "") -> None:
    """Tell of fields that hold another kind of value than is read of them: they are read as absent. Null says nothing."""
    for name, kind in kinds.items():
        if (value := said.get(name)) is not None and not isinstance(value, kind):
            fault(f"{at}{name}: is {named(value)}, not {_CALLED[kind]}; left out")


def text(value: Any) -> str | None:
    """Text that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def mapping(value: Any) -> dict[str, Any]:
    """An object, or an empty one where it is anything else."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """An array, or an empty one where it is anything else."""
    return value if isinstance(value, list) else []
