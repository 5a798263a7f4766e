"""The JSON Schemas of all event types, in every version of their shape, as the package brings them."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from runfold.errors import EventTypeNotFound

_FOLDER = resources.files("runfold") / "schemas" / "events"
_NAME = re.compile(r"(?P<type>.+)\.v(?P<version>[0-9]+)\.json")


@cache
def versions() -> Mapping[str, tuple[int, ...]]:
    """Return each event type with the versions of its shape, the present one last."""
    found: dict[str, list[int]] = {}
    for each in _FOLDER.iterdir():
        if named := _NAME.fullmatch(each.name):
            found.setdefault(named["type"], []).append(int(named["version"]))
    return {name: tuple(sorted(known)) for name, known in sorted(found.items())}


@cache
def event_schema(type: str, version: int | None = None) -> str:
    """Return the JSON Schema of what is stored for a type, in its present version or another. Raises EventTypeNotFound."""
    known = versions().get(type)
    if known is None:
        raise EventTypeNotFound(type)
    if version is not None and version not in known:
        raise EventTypeNotFound(f"{type} version {version}")
    return (_FOLDER / f"{type}.v{version or known[-1]}.json").read_text(encoding="utf-8")
