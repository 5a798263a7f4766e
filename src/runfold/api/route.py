"""A route: a method of the SDK, its public name, and where it is served.

The fields of a route are the arguments of its method, so that nothing is said twice. `actor` is not among them: whoever the key
belongs to acts.
"""

import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel

from runfold.commands.plan import Plan
from runfold.domain import security
from runfold.handles.approval import Approval
from runfold.handles.calling.handle import Child, Handle
from runfold.handles.decision import Decision, Problem
from runfold.handles.ledgers.ledger_handle import LedgerHandle
from runfold.handles.message import Message
from runfold.handles.run import Run
from runfold.handles.step import ModelCall, Step
from runfold.handles.thread import Thread
from runfold.handles.tool_call import ToolCall
from runfold.handles.usage import Usage
from runfold.handles.webhook import Webhook
from runfold.queries.lists.parameters import Parameter

Scope = security.Scope

MISSING = inspect.Parameter.empty

_IDS: Mapping[type[Handle], tuple[str, ...]] = {
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
    Webhook: ("webhook_id",),
}
"""The ids in a path that lead to a handle of each kind."""

KINDS: Sequence[type[Handle]] = tuple(_IDS)
"""The kinds of handles that have commands."""


def id_name(kind: type[Handle]) -> str:
    """Return the argument that gives a new handle of a kind its id."""
    return _IDS[kind][-1]


@dataclass(frozen=True)
class Field:
    """An argument: its type in JSON, its default (`MISSING` where it is required), and what it is for."""

    type: Any
    default: Any
    help: str = ""


@dataclass(frozen=True)
class Route:
    """A method of a handle or of `Reading`, and where it is served."""

    name: str
    """A public, stable name such as `messages.add`: the operationId, the name in a batch, and the label of the metrics."""
    verb: str
    path: str
    method: Callable[..., Any]
    scope: Scope

    @cached_property
    def path_names(self) -> tuple[str, ...]:
        """The names in the path, in order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """All arguments by name, those in the path included."""
        return _fields_of(self.method)

    @cached_property
    def answer(self) -> Any:
        """The type that the method returns."""
        return get_type_hints(inspect.unwrap(self.method))["return"]


class CommandRoute(Route):
    """The route of a command."""

    @cached_property
    def kind(self) -> type[Handle]:
        """The class of handle that has the command. Raises LookupError for a method that no class, or several, have."""
        owners = [kind for kind in KINDS if getattr(kind, self.method.__name__, None) is self.method]
        if len(owners) != 1:
            raise LookupError(f"{self.name} is a command of {owners or 'no kind of handle'}; KINDS must hold its one owner")
        return owners[0]

    @cached_property
    def plan_method(self) -> Callable[..., Plan[Any]]:
        """The method without its decorator: it returns the command's plan, and executes nothing."""
        method: Callable[..., Plan[Any]] = inspect.unwrap(self.method)
        return method

    @cached_property
    def handle_ids(self) -> tuple[str, ...]:
        """The names in the path that identify the handle; the others are arguments."""
        return _IDS[self.kind]

    @cached_property
    def body(self) -> Mapping[str, Field]:
        """The arguments that are not in the path. A new run's id is among them: in the path is that of the run it comes from."""
        return {name: field for name, field in self.fields.items() if name not in self.path_names or name in self.handle_ids}

    @property
    def creates(self) -> bool:
        """Whether the command returns a new handle."""
        made = get_args(self.answer)[0]
        return isinstance(made, type) and issubclass(made, Handle)

    def handle(self, ledger: LedgerHandle, ids: Mapping[str, str]) -> Handle:
        """Return the handle that the ids in a path identify."""
        names, kind = self.handle_ids, self.kind
        if not names:
            return ledger
        if issubclass(kind, Child):
            return kind(ids[names[1]], ledger.executor, ids["run_id"])
        return kind(ids[names[0]], ledger.executor)

    def ids(self, handle: Any) -> dict[str, str]:
        """Return the ids in the path that identify a handle."""
        values = (handle.run_id, handle.id) if len(self.handle_ids) == 2 else (handle.id,)
        return dict(zip(self.handle_ids, values, strict=False))


@dataclass(frozen=True)
class QuestionRoute(Route):
    """The route of a question."""

    narrowed: str | None = None
    """The filter that the id in the path is a value of, as `run_id` is in `/runs/{run_id}/decisions`."""
    log: bool = False
    """Whether the log alone answers the question, so that it waits for no read model."""
    deprecated_path: str | None = None
    """Another path that serves the question, for this version only."""
    is_deprecated: bool = False
    """Whether the next version no longer serves the path."""
    without: tuple[str, ...] = ()
    """Arguments of the method that the path leaves no use for."""

    @cached_property
    def query(self) -> Mapping[str, Field]:
        """The arguments that are not in the path."""
        return {
            name: field for name, field in self.fields.items() if name not in {*self.path_names, self.narrowed, *self.without}
        }

    def at_deprecated_path(self) -> "QuestionRoute | None":
        """Return the route at the deprecated path; None if there is none."""
        if self.deprecated_path is None:
            return None
        name = f"{self.name}_deprecated"
        return replace(self, name=name, path=self.deprecated_path, deprecated_path=None, is_deprecated=True)


def _fields_of(method: Callable[..., Any]) -> dict[str, Field]:
    """Return the arguments of a method by name, those of an unpacked typed dict included."""
    plain = inspect.unwrap(method)
    hints = get_type_hints(plain, include_extras=True)
    found: dict[str, Field] = {}
    for name, parameter in list(inspect.signature(plain).parameters.items())[1:]:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            found[name] = Field(json_type(hints[name]), parameter.default, _help(hints[name]))
            continue
        (unpacked,) = get_args(hints[name]) or (hints[name],)
        if is_typeddict(unpacked):
            for key, hint in get_type_hints(unpacked, include_extras=True).items():
                found[key] = Field(json_type(hint), None, _help(hint))
    found.pop("actor", None)
    found.pop("min_position", None)
    found.pop("wait_seconds", None)
    return found


def _help(hint: Any) -> str:
    """Return what a parameter of a list is for."""
    return next((each.help for each in getattr(hint, "__metadata__", ()) if isinstance(each, Parameter)), "")


def json_type(hint: Any) -> Any:
    """Return a type of the SDK as it is in JSON: handles are ids, durations are text, iterables are lists."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _constrained(json_type(inner[0]), inner[1])
    if origin in {types.UnionType, Union}:
        return _union(inner)
    if origin in {list, tuple} and inner:
        return list[json_type(inner[0])]  # type: ignore[misc]  # made at run time
    if isinstance(origin, type) and issubclass(origin, Iterable) and not issubclass(origin, Mapping):
        return list[json_type(inner[0])]  # type: ignore[misc]  # made at run time
    if isinstance(hint, type) and issubclass(hint, Handle):
        return str
    return Any if isinstance(hint, TypeVar) else hint


def _constrained(said: Any, limits: Any) -> Any:
    """Return a type with a constraint on its values: on each item of a list, and not on null."""
    if get_origin(said) is Union and getattr(limits, "discriminator", None) is None:  # that is what tells the members apart
        return Union[tuple(_constrained(member, limits) for member in get_args(said))]  # noqa: UP007  # of as many as there are
    if get_origin(said) is list:
        return list[_constrained(get_args(said)[0], limits)]  # type: ignore[misc]  # made at run time
    return said if said is type(None) else Annotated[said, limits]


def _union(members: Sequence[Any]) -> Any:
    said: list[Any] = []
    has_model = any(isinstance(member, type) and issubclass(member, BaseModel) for member in members)
    for member in members:
        if member is timedelta or (has_model and get_origin(member) is Mapping) or (get_origin(member) is Mapping and said):
            continue
        plain = json_type(member)
        if plain not in said:
            said.append(plain)
    if str in said and list[str] in said:
        said.remove(str)  # one value of a list is a list of one
    if list[dict[str, Any]] in said and len(said) > 2:
        said.remove(list[dict[str, Any]])  # the models of the same say more
    return Union[tuple(said)]  # noqa: UP007  # of as many as there are
