"""How the parameters of a list are described: once, for the SDK, HTTP, remote and the command line.

A list is a `TypedDict` of its parameters and a query, both in the file of its noun (`queries/threads/list.py` is a short one).
Each parameter is written as `name: Annotated[type | None, column("What it is for.")]`. From that alone come the keyword
arguments of the method in `Reading`, the query parameters and their text in OpenAPI, what a client sends, the options of the
command line, the checks, and, for a parameter that stands for a column, its condition in SQL.

To add a list:

1. its parameters and its query, in a file of `queries/`: a `TypedDict` that extends `Paging`, a `Listing` of the read model
   with the orders that it can be asked for in, and a function under `@question` that answers a page of it;
2. its name in `Reading` (`reading.py`), one line;
3. its line in `api/table.py`.

The type says whether a parameter may be given several times (`OneOrMore`), and its kind. What no type says stands beside it,
in a `Parameter`.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from runfold.domain.times import DayCounts
from runfold.domain.values import texts
from runfold.errors import UsageError
from runfold.queries.lists.where import Where, moment, number, seconds, span, truth, words
from runfold.store.cursor import MOST_POSITION

Kind = type[str] | type[int] | type[float] | type[bool] | type[datetime] | type[date] | type[timedelta]
Comparison = Literal["=", ">=", "<="]

_KINDS: tuple[Kind, ...] = (timedelta, datetime, date, bool, int, float, str)


@dataclass(frozen=True)
class Parameter:
    """What a parameter is for and which values it takes, as far as its type does not say it."""

    help: str
    """One or more sentences, for OpenAPI and the command line."""
    words: tuple[str, ...] = ()
    """All values that mean something, where there are few. Of a `Literal` they need not be given again."""
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Other systems' words, each with ours."""
    least: int | None = None
    most: int | None = None
    default: Any = None
    """What counts where nothing is given."""
    compares: tuple[Comparison, str] | None = None
    """How which column must stand to the value; without a name, the column of the parameter's own name."""

    @property
    def day(self) -> DayCounts:
        """Which moment of it a day stands for, where a time is taken."""
        return "to" if self.compares is not None and self.compares[0] == "<=" else "from"

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        said = handler(core)
        if said.get("format") == "date-time":
            said = {"anyOf": [said, {**said, "format": "date"}]}
        keywords = {"enum": [*self.words, *self.aliases] or None, "minimum": self.least, "maximum": self.most}
        return {**said, **{name: value for name, value in keywords.items() if value is not None}}


def column(help: str, words: tuple[str, ...] = (), *, aliases: Mapping[str, str] | None = None, name: str = "") -> Parameter:
    """A parameter whose values a column must have one of."""
    return Parameter(help, words, aliases or {}, compares=("=", name))


def at_least(column: str, help: str) -> Parameter:
    """A parameter that a column must not be less than."""
    return Parameter(help, compares=(">=", column))


def at_most(column: str, help: str) -> Parameter:
    """A parameter that a column must not be more than."""
    return Parameter(help, compares=("<=", column))


def version(help: str) -> Parameter:
    """A parameter that is a version of a run's stream. Before its first event there is no run to tell of."""
    return Parameter(help, least=1, most=MOST_POSITION)


AT_VERSION = version("As of this version of the run's stream; the present if not given.")
"""Of a question about one run."""


class ListParameter(NamedTuple):
    """A parameter as its description and its type say together."""

    name: str
    kind: Kind
    is_repeatable: bool
    """Whether several values may be given, of which any will do."""
    help: str
    words: tuple[str, ...]
    aliases: Mapping[str, str]
    least: int | None
    most: int | None
    default: Any
    compares: tuple[Comparison, str] | None
    day: DayCounts
    takes_none: bool

    def checked(self, value: Any) -> Any:
        """Return a value as its kind; a tuple of texts where several may be given. Raises UsageError."""
        if self.kind is str and self.words:
            found = words(self.name, value if self.is_repeatable else [value], self.words, self.aliases)
            return found if self.is_repeatable else found[0]
        if self.is_repeatable:
            return texts(self.name, value)
        if self.kind is str:
            return texts(self.name, (value,))[0]
        if self.kind is int:
            return number(self.name, value, self.least, self.most)
        if self.kind is float:
            return seconds(self.name, value, self.least)
        checks: Mapping[Any, Any] = {bool: truth, datetime: moment, date: _day, timedelta: span}
        return checks[self.kind](self.name, value) if self.kind in checks else value


@cache
def parameters_of(described: type) -> Mapping[str, ListParameter]:
    """The parameters that a `TypedDict` describes, by name."""
    return {name: _parameter(name, hint) for name, hint in get_type_hints(described, include_extras=True).items()}


def _parameter(name: str, hint: Any) -> ListParameter:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{name} has no description; write Annotated[{hint}, Parameter('…')]")
    plain, said = get_args(hint)[:2]
    members = _members(plain)
    literals = tuple(word for member in members if get_origin(member) is Literal for word in get_args(member))
    kinds = [*members, *([str] if literals else [])]
    kind = next(kind for kind in _KINDS if kind in kinds)
    is_repeatable = any(get_origin(member) is get_origin(Iterable[str]) for member in members)
    return ListParameter(
        name,
        kind,
        is_repeatable,
        said.help,
        said.words or literals,
        said.aliases,
        said.least,
        said.most,
        said.default,
        said.compares,
        said.day,
        NoneType in get_args(plain),
    )


def _members(hint: Any) -> list[Any]:
    if get_origin(hint) in {UnionType, Union}:
        return [inner for member in get_args(hint) for inner in _members(member) if inner is not NoneType]
    return [hint]


@cache
def described_by(question: Callable[..., Any]) -> type | None:
    """The `TypedDict` of a question's parameters; None where it has none."""
    hints = get_type_hints(inspect.unwrap(question), include_extras=True).values()
    return next((inner for hint in hints for inner in get_args(hint)[:1] if is_typeddict(inner)), None)


@cache
def own_parameters(question: Callable[..., Any]) -> Mapping[str, ListParameter]:
    """The texts, numbers and yes or no that a question is asked with by itself, beside the parameters of a list, by name."""
    hints = get_type_hints(inspect.unwrap(question), include_extras=True)
    described = [name for name, hint in hints.items() if any(isinstance(said, Parameter) for said in get_args(hint)[1:])]
    found = [_parameter(name, hints[name]) for name in described]
    return {each.name: each for each in found if each.kind in {str, int, bool} and not (each.is_repeatable or each.words)}


def checked(given: Mapping[str, Any], described: type) -> dict[str, Any]:
    """What a caller gives, each value checked, without what is None. Raises UsageError, also for a name that is unknown."""
    known = parameters_of(described)
    for name in given:
        if name not in known:
            raise UsageError(f"unknown parameter {name!r}; expected one of {', '.join(sorted(known))}", name=name)
    return {name: known[name].checked(value) for name, value in given.items() if value is not None}


def narrowed(asked: Mapping[str, Any], described: type) -> Where:
    """The conditions of those of some checked parameters that stand for columns."""
    where = Where()
    for name, parameter in parameters_of(described).items():
        if parameter.compares is None or name not in asked:
            continue
        comparison, column, value = *parameter.compares, asked[name]
        match comparison:
            case "=":
                where.one_of(column or name, value if parameter.is_repeatable else (value,))
            case ">=":
                where.at_least(column, value)
            case "<=":
                where.at_most(column, value)
    return where


def _day(name: str, given: Any) -> date:
    if type(given) is not date:
        raise UsageError(f"{name} takes a UTC day, such as 2026-01-31, not {given!r}", name=name)
    return given
