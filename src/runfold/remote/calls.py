"""Calls of methods as requests: the same table that the server makes its routes from says how."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, get_args, get_origin
from urllib.parse import quote

from pydantic import BaseModel

from runfold.api.route import CommandRoute, Route
from runfold.api.table import COMMANDS, NOT_OVER_HTTP
from runfold.domain.approval import Approval as ApprovalState
from runfold.domain.durations import duration, write_duration
from runfold.domain.json_text import json_text
from runfold.domain.run import Run as RunState
from runfold.domain.streams import StreamState, is_id
from runfold.domain.thread import Thread as ThreadState
from runfold.domain.webhook import Webhook as WebhookState
from runfold.errors import ApprovalNotFound, InvalidEvent, NotFound, RunNotFound, ThreadNotFound, UsageError, WebhookNotFound
from runfold.handles.calling.handle import Handle
from runfold.method_call import MethodCall
from runfold.remote.client import Params

_COMMANDS: Mapping[Callable[..., Any], CommandRoute] = {inspect.unwrap(route.method): route for route in COMMANDS}
_NOT_OFFERED = {inspect.unwrap(method): reason for method, reason in NOT_OVER_HTTP.items()}
_STREAMS: Mapping[str, tuple[type[StreamState], type[NotFound]]] = {
    "thread_id": (ThreadState, ThreadNotFound),
    "run_id": (RunState, RunNotFound),
    "run_a": (RunState, RunNotFound),
    "run_b": (RunState, RunNotFound),
    "approval_id": (ApprovalState, ApprovalNotFound),
    "webhook_id": (WebhookState, WebhookNotFound),
}
_PREFIXES = ("thread_", "run_", "approval_", "webhook_")


class CommandRequest(NamedTuple):
    """A command as it is sent."""

    route: CommandRoute
    ids: Mapping[str, str]
    said: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Return where it is sent. Raises NotFound, UsageError."""
        return path_of(self.route, self.ids)

    @property
    def body(self) -> bytes:
        """Return what is sent. Raises InvalidEvent for what is not JSON."""
        return json_text(self.said).encode()

    @property
    def in_batch(self) -> dict[str, Any]:
        """Return the command as one of a batch of its run. Raises NotFound, UsageError."""
        require_ids(self.route, self.ids)
        ids = {name: value for name, value in self.ids.items() if name != "run_id"}
        return {"name": self.route.name, "ids": ids, "body": dict(self.said)}

    @property
    def streams(self) -> frozenset[str]:
        """Return the threads, runs and approvals that it names, new ones too."""
        named = [*self.ids.values(), *self.said.values()]
        return frozenset(name for name in named if isinstance(name, str) and name.startswith(_PREFIXES))


def request_of(call: MethodCall[Any]) -> CommandRequest:
    """Return the request that a call of a command becomes. Raises UsageError for what has no route."""
    route = _COMMANDS.get(call.method)
    if route is None:
        name = f"{type(call.owner).__name__}.{call.method.__name__}"
        reason = _NOT_OFFERED.get(call.method, "it has no route")
        raise UsageError(f"{name} is not offered over HTTP ({reason}); use it where the database is (Ledger.open)")
    given = call.arguments()
    if "actor" in given:
        raise UsageError("who acts is the owner of the key; connect with a key of theirs instead of giving `actor`")
    ids = route.ids(call.owner)
    for name in route.path_names:
        if name not in route.handle_ids:
            ids[name] = given.pop(name)
    said = {name: _said(route, name, value) for name, value in given.items() if value is not None or _tells(route, name)}
    return CommandRequest(route, ids, said)


def path_of(route: Route, ids: Mapping[str, str]) -> str:
    """Return where a request goes. Raises NotFound for an id that nothing can have, UsageError for what no path can hold."""
    require_ids(route, ids)
    path = route.path
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path


def require_ids(route: Route, ids: Mapping[str, str]) -> None:
    """Raise NotFound for an id that nothing can have, UsageError for what no path can hold."""
    for name, value in ids.items():
        if name in _STREAMS:
            kind, missing = _STREAMS[name]
            if not is_id(kind, value):
                raise missing(value)
        if not isinstance(value, str) or "/" in value or value in {"", ".", ".."}:
            raise UsageError(f"{name} {value!r} cannot stand in the path {route.path}; use it where the database is")


def _tells(route: CommandRoute, name: str) -> bool:
    """Return whether None says something as that argument; else it is left out, as the method itself takes it."""
    field = route.fields.get(name)
    return field is None or field.default is not None or field.type is Any or type(None) in get_args(field.type)


def _said(route: CommandRoute, name: str, value: Any) -> Any:
    """Return an argument as it is sent. JSON of the caller's own is sent as it is: what is none is refused with its path."""
    field = route.fields.get(name)
    is_free = field is None or field.type is Any or _is_object(field.type)
    if isinstance(value, str) and field is not None and _is_list(field.type):
        return [value]  # one is a list of one
    if isinstance(value, timedelta) and not is_free:
        return told_duration(name, value)
    return value if is_free and not isinstance(value, Decimal) else plain(value)


def _is_list(hint: Any) -> bool:
    members = get_args(hint) if get_origin(hint) is not list else (hint,)
    return str not in members and any(get_origin(member) is list for member in members)


def _is_object(hint: Any) -> bool:
    members = get_args(hint) if get_origin(hint) is not dict else (hint,)
    return any(get_origin(member) is dict for member in members)


def told_duration(name: str, given: str | timedelta) -> str:
    """Return a duration as it is sent; the server reads what is text. Raises InvalidEvent of the field `name`."""
    if isinstance(given, str):
        return given
    try:
        return write_duration(duration(name, given))
    except ValueError as error:
        raise InvalidEvent(name, str(error)) from None


def plain(value: Any) -> Any:
    """Handles, models, times and durations → what JSON has for them."""
    for kind, said in _PLAIN.items():
        if isinstance(value, kind):
            return said(value)
    return value


def _written(length: timedelta) -> str:
    try:
        return write_duration(length)
    except ValueError as error:
        raise UsageError(str(error)) from None


_PLAIN: Mapping[type, Callable[[Any], Any]] = {
    str: lambda text: text,
    Handle: lambda handle: handle.id,
    BaseModel: lambda model: model.model_dump(mode="json"),
    timedelta: _written,
    date: lambda moment: moment.isoformat(),  # a datetime is one too
    Decimal: lambda amount: f"{amount:f}",
    Mapping: dict,
    Iterable: lambda members: [plain(member) for member in members],
}  # in this order: the last two are much


def query(given: Mapping[str, Any]) -> Params:
    """Arguments as a query string has them; nothing of what is None."""
    pairs: Params = []
    for name, value in given.items():
        said = plain(value)
        pairs += [(name, member) for member in (said if isinstance(said, list) else [said]) if member is not None]
    return pairs
