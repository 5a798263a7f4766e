"""How a method of a handle becomes a command: called, it waits; its `submit_…` twin returns at once."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, Protocol, TypeVar

from pydantic import FailFast, TypeAdapter, ValidationError

from runfold.commands.plan import Plan
from runfold.commands.submitted import Submitted
from runfold.domain.event import refusal
from runfold.domain.first_fault import require_known
from runfold.domain.values import Actor, Part, TextPart, json_text, parse_json
from runfold.errors import InvalidEvent
from runfold.store.reader import TenantReader

if TYPE_CHECKING:
    from runfold.queries.reading import Reading

P = ParamSpec("P")
T = TypeVar("T")


class Entrance(Protocol):
    """The executor, or a batch."""

    reader: TenantReader
    clock: Callable[[], datetime]
    actor: Actor
    tenant_id: str

    def reading(self, moment: int | datetime | None = None) -> "Reading":
        """The ledger as it stands, or stood at a position or a time."""

    def new_id(self, prefix: str) -> str:
        """An id for what a command creates."""

    def execute(self, plan: Plan[T]) -> T:
        """Carry out a command and wait."""

    def submit(self, plan: Plan[T]) -> Submitted[T]:
        """Carry out a command without waiting."""


class Elsewhere:
    """An entrance to a ledger that is not here: it is told which command is given, and there it is decided."""

    def give(self, method: Callable[..., Any], handle: "Handle", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Have a command carried out, and wait. Raises LedgerError."""
        raise NotImplementedError

    def send(self, method: Callable[..., Any], handle: "Handle", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submitted[Any]:
        """Have a command carried out without waiting."""
        raise NotImplementedError


class Handle:
    """An id and the executor."""

    def __init__(self, id: str, executor: Entrance) -> None:
        self.id = id
        self._executor = executor

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


H = TypeVar("H", bound=Handle)


def command(method: Callable[Concatenate[H, P], Plan[T]]) -> Callable[Concatenate[H, P], T]:
    """The method says what is to be done; calling it does it, and waits until it is durable."""

    @wraps(method)
    def call(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if isinstance(self._executor, Elsewhere):
            return self._executor.give(method, self, args, kwargs)  # type: ignore[no-any-return]  # the route says of which type
        return self._executor.execute(planned(method, self, *args, **kwargs))

    return call


def submitting(called: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], Submitted[T]]:
    """The twin of a command that returns at once. `await` what it returns, or ask for its `result()`."""
    method: Callable[..., Plan[T]] = called.__wrapped__  # type: ignore[attr-defined]  # set by `wraps` in `command`

    def submit(self: H, /, *args: P.args, **kwargs: P.kwargs) -> Submitted[T]:
        if isinstance(self._executor, Elsewhere):
            return self._executor.send(method, self, args, kwargs)
        return self._executor.submit(planned(method, self, *args, **kwargs))

    submit.__doc__ = f"Like `{called.__name__}`, but returns at once: `await` what comes back, or ask for its `result()`."
    return submit


def planned(method: Callable[..., Plan[T]], self: Handle, /, *args: Any, **kwargs: Any) -> Plan[T]:
    """What a method says is to be done. Raises InvalidEvent."""
    try:
        return method(self, *args, **kwargs)
    except ValidationError as error:
        raise refusal(error) from None


_PARTS: TypeAdapter[tuple[Part, ...]] = TypeAdapter(Annotated[tuple[Part, ...], FailFast()])

Content = str | list[dict[str, Any]] | tuple[Part, ...]
"""A message's content: text, or parts as dicts or models."""


def content_parts(content: Content) -> tuple[Part, ...]:
    """What a caller gives as content → parts. Raises pydantic.ValidationError."""
    if isinstance(content, str):
        return (TextPart(text=content),)
    if isinstance(content, tuple):
        return content
    require_known(Part, content, "content")
    try:
        return _PARTS.validate_python(content, strict=False)
    except ValidationError as error:
        found = refusal(error)
        raise InvalidEvent(f"content.{found.path}", found.reason) from None


def arguments_of(arguments: Any) -> tuple[str, Any]:
    """What a caller gives as arguments → the text that digests cover, and its JSON if it is any.

    Text is kept to the letter. Raises InvalidEvent for what is neither text nor JSON.
    """
    if not isinstance(arguments, str):
        return json_text(arguments, "arguments"), arguments
    try:
        return arguments, parse_json(arguments)
    except InvalidEvent:
        return arguments, None


def itself(receipt: Any) -> Any:
    """The answer of a command that has nothing better to give than its receipt."""
    return receipt


def checked_id(kind: Any, name: str, id: str) -> str:
    """An id that a caller gave, if it may be one. Raises InvalidEvent."""
    try:
        return str(TypeAdapter(kind).validate_python(id, strict=True))
    except ValidationError as error:
        raise InvalidEvent(name, refusal(error).reason) from None
