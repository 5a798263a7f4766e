"""Which projections there are: built-in, brought by installed packages, or named as module:Class."""

import re
import sys
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from importlib.util import module_from_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, get_args

from runfold import projections
from runfold.domain.event import Event
from runfold.errors import InvalidProjection, ProjectionNotFound
from runfold.projections.columns import Column, columns_of
from runfold.projections.projection import AnyProjection, Projection, Row

ENTRY_POINTS = "runfold.projections"
"""The group of entry points under which a package brings its own: `tool_uses = "my.module:ToolUses"`."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,38}")
_KEY_TYPES = {"text", "bigint", "date"}
_RESERVED = {"tenant_id", "position", "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}
_COLUMN_BYTES = 59
"""PostgreSQL cuts a name at 63, and two columns that are compared have a word before their names."""


@cache
def known() -> Mapping[str, AnyProjection]:
    """All projections that are found by their plain names. Raises InvalidProjection."""
    found: dict[str, AnyProjection] = {}
    for module in iter_modules(projections.__path__):
        for projection in _of_module(module.name):
            _add(found, projection)
    for entry in entry_points(group=ENTRY_POINTS):
        _add(found, load(entry.value))
    return found


@cache
def _of_module(name: str) -> tuple[AnyProjection, ...]:
    """The projections that a module of this package defines."""
    module = import_module(f"{projections.__name__}.{name}")
    defined = [found for found in vars(module).values() if getattr(found, "__module__", "") == module.__name__]
    return tuple(
        load(f"{module.__name__}:{found.__name__}")
        for found in defined
        if isinstance(found, type) and issubclass(found, Projection) and found is not Projection
    )


def find(name: str) -> AnyProjection | None:
    """Return a projection by its plain name; None where there is none.

    One of this package has the name of its module, and the others are not loaded to find it.
    """
    if any(module.name == name for module in iter_modules(projections.__path__)):
        for projection in _of_module(name):
            if projection.name == name:
                return projection
    return known().get(name)


def chosen(names: Iterable[str | AnyProjection] = ()) -> dict[str, AnyProjection]:
    """Projections by plain name or module:Class, or as they are; all that are known where none is named.

    A module that is named is imported, so a name must come from whoever runs the program, and never from a request or
    from the database. Raises ProjectionNotFound, InvalidProjection.
    """
    found: dict[str, AnyProjection] = {}
    for name in names:
        projection = name if isinstance(name, Projection) else load(name) if ":" in name else named(name)
        for other in (find(projection.name), found.get(projection.name)):
            _require_other_name(projection, other)
        if not is_built_in(projection):
            _require_no_name_of_totals(projection, known().values())
        found[projection.name] = projection
    return found or dict(known())


def is_built_in(projection: AnyProjection) -> bool:
    """Return whether a projection comes with this package."""
    return type(projection).__module__.startswith(f"{projections.__name__}.")


def named(name: str) -> AnyProjection:
    """A projection by its plain name. Raises ProjectionNotFound."""
    found = find(name)
    if found is None:
        raise ProjectionNotFound(name)
    return found


def load(source: str) -> AnyProjection:
    """A projection by module:Class, of a module on the Python path or in the working folder. Raises InvalidProjection."""
    module, _, class_name = source.partition(":")
    try:
        found = getattr(_imported(module), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidProjection(
            source, f"cannot be imported ({error}); name it as module:Class, on the Python path or in this folder"
        ) from None
    except (Exception, SystemExit) as error:  # whatever a module of somebody else raises when it is loaded
        raise InvalidProjection(source, f"cannot be imported: its module raised {error!r}") from error
    if not (isinstance(found, type) and issubclass(found, Projection)):
        raise InvalidProjection(source, f"is {found!r}, and no subclass of runfold.Projection; make it one")
    try:
        projection = found()
    except (Exception, SystemExit) as error:  # whatever its own __init__ raises
        raise InvalidProjection(source, f"cannot be made ({error!r}); it is made without arguments") from error
    return checked(projection, source)


def _imported(name: str) -> ModuleType:
    """A module. One that is nowhere on the Python path may lie in the working folder, from which nothing else is imported."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        if error.name != top or (spec := PathFinder.find_spec(top, [str(Path.cwd())])) is None or spec.loader is None:
            raise
    module = sys.modules[top] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[top]
        raise
    return import_module(name)


def source_of(projection: AnyProjection) -> str:
    """A projection → module:Class."""
    return f"{type(projection).__module__}:{type(projection).__qualname__}"


def checked(projection: AnyProjection, source: str = "") -> AnyProjection:
    """The same, if it says all that a projection must. Raises InvalidProjection."""
    for fault in _faults(projection):
        raise InvalidProjection(source or source_of(projection), fault)
    return projection


def _add(known: dict[str, AnyProjection], projection: AnyProjection) -> None:
    _require_other_name(projection, known.setdefault(projection.name, projection))
    for each in known.values():
        _require_no_name_of_totals(each, known.values())


def _require_no_name_of_totals(projection: AnyProjection, others: Iterable[AnyProjection]) -> None:
    """Raise InvalidProjection where totals of another have its name."""
    for other in others:
        if projection.name in {totals.name for totals in other.totals}:
            fact = f"is called {projection.name}, as totals of {other.name} are; give it another name"
            raise InvalidProjection(source_of(projection), fact)


def _require_other_name(projection: AnyProjection, other: AnyProjection | None) -> None:
    """Raise InvalidProjection where another one has its name, and so its table."""
    if other is not None and type(other) is not type(projection):
        fact = f"is called {projection.name}, as {source_of(other)} is; give it another name"
        raise InvalidProjection(source_of(projection), fact)


def _faults(projection: AnyProjection) -> Iterable[str]:
    for said in ("name", "row", "key", "events"):
        if not hasattr(projection, said):
            yield f"does not say its {said}; see runfold.Projection"
    if not (isinstance(projection.name, str) and _NAME.fullmatch(projection.name)):
        yield f"is called {projection.name!r}; a name is up to 39 small letters, digits and _, a letter first"
    if not (type(projection.version) is int and projection.version > 0):
        yield f"has version {projection.version!r}; it is a whole number from 1"
    if not (projection.__doc__ or "").strip():
        yield "has no docstring; say in a sentence what a row is, for the people who read the table"
    if not (isinstance(projection.row, type) and issubclass(projection.row, Row)):
        yield f"has rows of {projection.row!r}, which is no subclass of runfold.Row; make it one"
    events: Any = projection.events
    if not isinstance(events, tuple) or not events or not all(_is_event_type(kind) for kind in events):
        yield f"looks at the events {events!r}; name a tuple of classes of events, at least one"
    if projection.partition not in {None, "thread", "goal"}:
        yield f"says partition = {projection.partition!r}; it is 'thread' or 'goal', or is left out where a row is made from any"
    yield from _row_faults(projection)


def _is_event_type(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event) and hasattr(kind, "type")


def _row_faults(projection: AnyProjection) -> Iterable[str]:
    try:
        columns = {column.name: column for column in columns_of(projection.row)}
    except TypeError as error:
        yield f"cannot have a table: {error}"
        return
    if taken := _RESERVED & columns.keys():
        yield f"has rows with {', '.join(sorted(taken))}, which every table has by itself; call it something else"
    for name in columns:
        if len(name.encode()) > _COLUMN_BYTES:
            yield f"has rows with {name}, which is longer than a column's name may be; use up to {_COLUMN_BYTES} bytes"
    for said, names in (("key", projection.key), *(("index", index) for index in projection.indexes)):
        if type(names) is not tuple or not names or not all(isinstance(name, str) and name in columns for name in names):
            yield f"has the {said} {names!r}, which is no tuple of fields of its row; its fields are {', '.join(columns)}"
    if len({*projection.key}) < len(projection.key):
        yield f"has the key {projection.key!r}, which names a field twice; name each once"
    for name in projection.key:
        if columns[name].nullable or columns[name].type not in _KEY_TYPES:
            yield f"has {name} in its key, which must be a str, an int or a date, and never None"
    if type(projection.long_texts) is not tuple or not {*projection.long_texts} <= _texts(columns) - {*projection.key}:
        yield f"has the long_texts {projection.long_texts!r}; name a tuple of texts of its row that are not in its key"
    yield from _moving_faults(projection, columns)
    yield from _initial_faults(projection, [columns[name] for name in projection.key])


def _texts(columns: Mapping[str, Column]) -> set[str]:
    return {name for name, column in columns.items() if column.type == "text"}


def _moving_faults(projection: AnyProjection, columns: Mapping[str, Column]) -> Iterable[str]:
    for moving in projection.moving:
        if (time := columns.get(moving.column)) is None or time.type != "timestamptz":
            yield f"says that {moving.column!r} moves, which must be a time of its row"
        for name, words in moving.kinds.items():
            if (kind := columns.get(name)) is None or kind.type != "text":
                yield f"says that {moving.column} moves by {name!r}, which must be a text of its row"
            if not words or not all(_NAME.fullmatch(word) for word in words):
                yield f"says that {moving.column} moves while {name} is {words!r}; name words of small letters, digits and _"
        if moving.indexed in columns:
            yield f"has rows with {moving.indexed}, which its table has for {moving.column}, which moves; call it something else"


def _initial_faults(projection: AnyProjection, key: list[Column]) -> Iterable[str]:
    samples: dict[str, Any] = {"text": "x", "bigint": 1, "date": date(2026, 1, 1)}
    choices = {column.name: get_args(projection.row.model_fields[column.name].annotation) for column in key}
    try:
        projection.initial(tuple(next(iter(choices[column.name]), samples[column.type]) for column in key))
    except Exception as error:
        yield f"cannot make a row from its key alone ({' '.join(str(error).split())}); give every other field a default"
