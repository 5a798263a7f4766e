"""What the scope of a request tells of the connection that it came on. On another server than ours it tells nothing."""

from functools import cache
from typing import Any, overload

from starlette.requests import Request

from runfold.errors import InvalidEvent
from runfold.http.connections import EXTENSION, Connection

_HEADERS = "runfold.headers"


@overload
def header(request: Request, name: str) -> str | None: ...
@overload
def header(request: Request, name: str, otherwise: str) -> str: ...
def header(request: Request, name: str, otherwise: str | None = None) -> str | None:
    """The value of a request's header, of several the first, or else what is given for where there is none."""
    found: dict[bytes, bytes] | None = request.scope.get(_HEADERS)
    if found is None:  # all of them at once: of most that are asked for there is none
        found = request.scope[_HEADERS] = dict(reversed(request.scope["headers"]))
    value = found.get(_raw_name(name))
    return otherwise if value is None else value.decode("latin-1")


def only_header(request: Request, name: str) -> str | None:
    """The value of a header that means one thing alone. Raises InvalidEvent where it is sent several times."""
    value = header(request, name)
    if value is not None:
        raw = _raw_name(name)
        times = sum(each == raw for each, _ in request.scope["headers"])
        if times > 1:
            raise InvalidEvent(name, f"is sent {times} times, and takes one value; send it once")
    return value


@cache
def _raw_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


def connection_of(scope: Any) -> Connection | None:
    """The connection of a request; None on another server."""
    found = _known(scope).get("connection")
    return found if isinstance(found, Connection) else None


def rest_of_body(scope: Any) -> bytes | None:
    """What has come of a request's body and nobody has read, if that is all the rest; None where it was cut off."""
    found = _cycle(scope)
    return None if found is None or found.more_body else bytes(found.body)


def whole_body(scope: Any) -> bytes | None:
    """Take a request's body where all of it has come and nobody has read of it; None where there is more to wait for."""
    found = _cycle(scope)
    if found is None or found.more_body:
        return None
    body, found.body = bytes(found.body), bytearray()
    return body


def answered_early(scope: Any) -> bool:
    """Whether an answer is given before all of the body is here; the connection then ends with it."""
    found = _cycle(scope)
    if found is None or not found.more_body:
        return False
    found.keep_alive = False
    return True


def _cycle(scope: Any) -> Any | None:
    found = _known(scope).get("request")
    return None if found is None else found()


def _known(scope: Any) -> dict[str, Any]:
    known: dict[str, Any] = (scope.get("extensions") or {}).get(EXTENSION, {})
    return known
