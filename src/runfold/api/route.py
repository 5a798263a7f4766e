"""What a route is: a method of the SDK, its public name, and where it is served.

A route's fields are the arguments of the method it stands for, so that nothing is said twice. `actor` is not among them: who
acts is whoever the key belongs to.
"""

import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel

from runfold.domain import security
from runfold.handles.approval import Approval
from runfold.handles.decision import Decision, Problem
from runfold.handles.handle import Child, Handle
from runfold.handles.ledger_handle import LedgerHandle
from runfold.handles.message import Message
from runfold.handles.run import Run
from runfold.handles.step import ModelCall, Step
from runfold.handles.thread import Thread
from runfold.handles.tool_call import ToolCall
from runfold.handles.usage import Usage
from runfold.queries.parameters import Parameter

Scope = security.Scope

MISSING = inspect.Parameter.empty

_PLACES: Mapping[type[Handle], tuple[str, ...]] = {
    LedgerHandle: (),
    Thread: ("thread_id",),
    Run: ("run_id",),
    Approval: ("approval_id",),
    Message: ("run_id", "message_id"),
    ToolCall: ("run_id", "call_id"),
    Decision: ("run_id", "decision_id"),
    Problem: ("run_id", "problem_id"),
    Usage: ("run_id", "usage_id"),
    Step: ("run_id", "step_id"),
    ModelCall: ("run_id", "model_call_id"),
}
"""The ids in a path that lead to a handle of each kind."""

KINDS: Sequence[type[Handle]] = tuple(_PLACES)
"""The kinds of handles that have commands."""


def id_name(kind: type[Handle]) -> str:
    """The argument that gives something new its id."""
    return _PLACES[kind][-1]


@dataclass(frozen=True)
class Field:
    """One argument: its type as JSON has it, and its default (`MISSING` where it must be given)."""

    type: Any
    default: Any
    help: str = ""


@dataclass(frozen=True)
class Route:
    """A method of a handle or of `Reading`, and where it is served."""

    name: str
    """Public and stable, such as `messages.add`: it is the operationId, the name in a batch, and the label of the metrics."""
    verb: str
    path: str
    method: Callable[..., Any]
    scope: Scope

    @cached_property
    def plain(self) -> Callable[..., Any]:
        """The method as it was written, which for a command says what is to be done and does not do it."""
        plain: Callable[..., Any] = inspect.unwrap(self.method)
        return plain

    @cached_property
    def path_names(self) -> tuple[str, ...]:
        """The names in the path, in their order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """All arguments by name, those of the path too."""
        return _fields_of(self.method)

    @cached_property
    def answer(self) -> Any:
        """What the method returns."""
        return get_type_hints(inspect.unwrap(self.method))["return"]


class CommandRoute(Route):
    """A command."""

    @cached_property
    def kind(self) -> type[Handle]:
        """The kind of handle whose command it is. Raises LookupError for a method of none, or of several."""
        owners = [kind for kind in KINDS if getattr(kind, self.method.__name__, None) is self.method]
        if len(owners) != 1:
            raise LookupError(f"{self.name} is a command of {owners or 'no kind of handle'}; KINDS must hold its one owner")
        return owners[0]

    @property
    def place(self) -> tuple[str, ...]:
        """The ids that lead to its handle; other names in the path are arguments."""
        return _PLACES[self.kind]

    @cached_property
    def body(self) -> Mapping[str, Field]:
        """The arguments that are not in the path."""
        return {name: field for name, field in self.fields.items() if name not in self.path_names}

    @property
    def creates(self) -> bool:
        """Whether it answers with something new."""
        made = get_args(self.answer)[0]
        return isinstance(made, type) and issubclass(made, Handle)

    def handle(self, ledger: LedgerHandle, ids: Mapping[str, str]) -> Handle:
        """The handle that the ids of a path lead to."""
        if not self.place:
            return ledger
        if issubclass(self.kind, Child):
            return self.kind(ids[self.place[1]], ledger.executor, ids["run_id"])
        return self.kind(ids[self.place[0]], ledger.executor)

    def ids(self, handle: Any) -> dict[str, str]:
        """The ids of the path that leads to a handle."""
        values = (handle.run_id, handle.id) if len(self.place) == 2 else (handle.id,)
        return dict(zip(self.place, values, strict=False))


@dataclass(frozen=True)
class QuestionRoute(Route):
    """A question. With `as_list`, what is named in the path is one of the values that a list is narrowed to."""

    narrowed: str | None = None
    """The argument that what the path names is one value of."""
    log: bool = False
    """Whether it is answered from the log alone, which is never behind."""
    deprecated_path: str | None = None
    """Where it is served too, for this version only."""
    is_deprecated: bool = False
    """Whether the path is one that the next version no longer serves."""
    without: tuple[str, ...] = ()
    """Arguments that mean nothing for what the path names."""

    @cached_property
    def query(self) -> Mapping[str, Field]:
        """The arguments that are not in the path."""
        return {
            name: field for name, field in self.fields.items() if name not in {*self.path_names, self.narrowed, *self.without}
        }

    def at_deprecated_path(self) -> "QuestionRoute | None":
        """The same question where it was served before; None where that is no other path."""
        if self.deprecated_path is None:
            return None
        name = f"{self.name}_deprecated"
        return replace(self, name=name, path=self.deprecated_path, deprecated_path=None, is_deprecated=True)


def _fields_of(method: Callable[..., Any]) -> dict[str, Field]:
    """The arguments of a method, with those that a typed dict stands for, as JSON has them."""
    plain = inspect.unwrap(method)
    hints = get_type_hints(plain, include_extras=True)
    found: dict[str, Field] = {}
    for name, parameter in list(inspect.signature(plain).parameters.items())[1:]:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            found[name] = Field(as_said(hints[name]), parameter.default)
            continue
        (unpacked,) = get_args(hints[name]) or (hints[name],)
        if is_typeddict(unpacked):
            for key, hint in get_type_hints(unpacked, include_extras=True).items():
                found[key] = Field(as_said(hint), None, _help(hint))
    found.pop("actor", None)
    found.pop("min_position", None)
    found.pop("wait_seconds", None)
    return found


def _help(hint: Any) -> str:
    """What a parameter of a list is for."""
    return next((each.help for each in getattr(hint, "__metadata__", ()) if isinstance(each, Parameter)), "")


def as_said(hint: Any) -> Any:
    """A type of the SDK as JSON has it: handles are ids, durations text, anything iterable a list."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _within(as_said(inner[0]), inner[1])
    if origin in {types.UnionType, Union}:
        return _union(inner)
    if origin in {list, tuple} and inner:
        return list[as_said(inner[0])]  # type: ignore[misc]  # made at run time
    if isinstance(origin, type) and issubclass(origin, Iterable) and not issubclass(origin, Mapping):
        return list[as_said(inner[0])]  # type: ignore[misc]  # made at run time
    if isinstance(hint, type) and issubclass(hint, Handle):
        return str
    return Any if isinstance(hint, TypeVar) else hint


def _within(said: Any, limits: Any) -> Any:
    """A type with what else is known of its values: of each in a list, and not of null."""
    if get_origin(said) is Union:
        return Union[tuple(_within(member, limits) for member in get_args(said))]  # noqa: UP007  # of as many as there are
    if get_origin(said) is list:
        return list[_within(get_args(said)[0], limits)]  # type: ignore[misc]  # made at run time
    return said if said is type(None) else Annotated[said, limits]


def _union(members: Sequence[Any]) -> Any:
    said: list[Any] = []
    has_model = any(isinstance(member, type) and issubclass(member, BaseModel) for member in members)
    for member in members:
        if member is timedelta or (has_model and get_origin(member) is Mapping) or (get_origin(member) is Mapping and said):
            continue
        plain = as_said(member)
        if plain not in said:
            said.append(plain)
    if str in said and list[str] in said:
        said.remove(str)  # one value of a list is a list of one
    if list[dict[str, Any]] in said and len(said) > 2:
        said.remove(list[dict[str, Any]])  # the models of the same say more
    return Union[tuple(said)]  # noqa: UP007  # of as many as there are
