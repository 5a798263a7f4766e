"""Values held to a JSON Schema that came with them: patterns take bounded time, and nothing is looked up elsewhere."""

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from runfold.commands.schema_steps import require_few_steps, require_small
from runfold.domain.values import json_fault
from runfold.errors import InvalidEvent

if TYPE_CHECKING:
    from jsonschema_rs import Validator

_MOST_STEPS_BACK = 50_000
_MOST_CHARACTERS, _MOST_COUNTED = 500, 1000


class Mismatch(NamedTuple):
    """Says where a value is not what its schema says, and how."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def require_schema(name: str, schema: dict[str, Any] | None) -> None:
    """Raise InvalidEvent for what is no JSON Schema, or refers to what is elsewhere."""
    if schema is not None:
        _validator(name, schema)


def mismatch(name: str, value: Any, schema: dict[str, Any]) -> Mismatch | None:
    """Return where a value is not what its schema says, without the value's own words; None where it is. Raises InvalidEvent."""
    validator = _validator("schema", schema)
    if json_fault(value) is not None:
        return None  # it is refused for that
    require_few_steps(name, value, schema)
    found = list(islice(validator.iter_errors(value), _MOST_COUNTED + 1))
    if not found:
        return None
    path = ".".join([name, *map(str, found[0].instance_path)])
    more = f" (and {len(found) - 1} more)" if 1 < len(found) <= _MOST_COUNTED else " (and many more)" if len(found) > 1 else ""
    return Mismatch(path, found[0].message[:_MOST_CHARACTERS] + more)


def _validator(name: str, schema: dict[str, Any]) -> "Validator":
    import jsonschema_rs  # noqa: PLC0415  every command loads this module, and few hold values to a schema

    if json_fault(schema) is not None:
        raise InvalidEvent(name, "is no JSON")
    require_small(name, schema)
    patterns = jsonschema_rs.FancyRegexOptions(backtrack_limit=_MOST_STEPS_BACK)
    try:
        return jsonschema_rs.validator_for(schema, pattern_options=patterns, offline=True, mask="it")
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        where = "".join(f".{step}" for step in getattr(error, "instance_path", ()))
        reason = str(getattr(error, "message", error)).splitlines()[0][:_MOST_CHARACTERS]
        raise InvalidEvent(f"{name}{where}", f"is no JSON Schema that stands by itself: {reason}") from None
