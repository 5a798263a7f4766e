"""Errors as problem details (RFC 9457): what went wrong, why, what to do next, and the facts as fields."""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from runfold.access.accept import takes
from runfold.domain.event import refusal
from runfold.errors import (
    KeyRefused,
    LedgerError,
    LedgerUnavailable,
    ProjectionStopped,
    QueueFull,
    ReadModelBehind,
    TooBusy,
    TooLarge,
    TooManyRequests,
    VersionConflict,
)
from runfold.store.datastore import READ_ONLY

MEDIA_TYPE = "application/problem+json"
SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457). The facts of the error stand beside these as fields of their own.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "`urn:runfold:error:` and the error's name"},
        "title": {"type": "string", "description": "The error's name in words"},
        "status": {"type": "integer", "description": "As in the status line"},
        "detail": {"type": "string", "description": "The thing, the fact and the next step"},
        "instance": {"type": "string", "description": "The path that was asked for"},
    },
    "additionalProperties": True,
}
_log = structlog.get_logger("runfold.http")
_AGAIN = "repeat the request with the same ids"
_OPERATOR = "the operator finds the reason in the server's log, and with `runfold projections` and `runfold doctor`"
_RESERVED = frozenset(SCHEMA["properties"])
_BEGUN, _FAILED = "runfold.begun", "runfold.failed"
"""In the scope of a request whose answer has begun, and of one that failed as nobody foresaw."""


def problem(
    request: Request, name: str, status: int, detail: str, facts: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """One problem, as the answer to a request."""
    body = _problem(name, status, detail, facts, request.url.path)
    return Response(json.dumps(body, default=str), status, headers, _media_type(request))


def _media_type(request: Request) -> str:
    """Return what a problem is sent as: AG-UI's clients, who post and want a stream, take nothing that is not plain JSON."""
    is_of_agents = request.method == "POST" and takes(request, "text/event-stream")
    return "application/json" if is_of_agents else MEDIA_TYPE


def raw_problem(status: int, name: str, detail: str) -> bytes:
    """Return a problem as the bytes of a whole response, for a request that no route can answer."""
    body = json.dumps(_problem(name, status, detail, {}, "")).encode()
    again = "Retry-After: 1\r\n" if status == 503 else ""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n{again}"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _problem(name: str, status: int, detail: str, facts: Mapping[str, Any], instance: str) -> dict[str, Any]:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip().capitalize()
    return {
        **{key: value for key, value in facts.items() if key not in _RESERVED and value is not None},
        "type": f"urn:runfold:error:{name}",
        "title": words,
        "status": status,
        "detail": detail,
        "instance": instance,
    }


def disclosed(error: LedgerError) -> LedgerError:
    """An error as it is told over HTTP. What names files, hosts and users of the server, or may hold the words of another
    tenant, goes to the log alone."""
    if isinstance(error, LedgerUnavailable) and not isinstance(error, QueueFull):
        if error.retriable:
            fact, next_step = (
                "the database request failed; it is unknown whether the command was stored",
                _AGAIN,
            )
        elif error.next_step == READ_ONLY:
            fact, next_step = "this server is read-only", READ_ONLY
        else:
            fact, next_step = "the database cannot be used", _OPERATOR
        return LedgerUnavailable(fact, next_step, retriable=error.retriable)
    if isinstance(error, ProjectionStopped):
        return ProjectionStopped(error.name, "has stopped", _OPERATOR)
    return error


def of_ledger(request: Request, error: LedgerError) -> Response:
    """Answer with an error of the ledger as a problem."""
    status, headers = error.http_status, dict[str, str]()
    if isinstance(error, VersionConflict) and "if-match" in request.headers:
        status = 412
    if isinstance(error, KeyRefused):
        headers["WWW-Authenticate"] = 'Bearer realm="runfold"'
    if isinstance(error, TooLarge):
        headers["Connection"] = "close"
    if isinstance(error, TooManyRequests | TooBusy):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, LedgerUnavailable | ReadModelBehind):
        headers["Retry-After"] = "1"
    if status >= 500 and not isinstance(error, TooBusy):
        _log.warning("request failed", path=request.url.path, error=type(error).__name__, detail=str(error))
    error = disclosed(error)
    return problem(request, type(error).__name__, status, str(error), error.facts, headers)


def _offered(request: Request) -> list[str]:
    """Return the methods of the requested path. Of several matching routes the one with the fewest parameters counts."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    path = min((route.path for route in fitting), key=lambda path: path.count("{"))
    return sorted({method for route in fitting if route.path == path for method in route.methods or ()})


def note_begun(scope: Scope) -> None:
    """Remember that the answer to a request has begun."""
    scope[_BEGUN] = True


def has_begun(scope: Scope) -> bool:
    """Whether the answer to a request has begun: then it can be no other one."""
    return _BEGUN in scope


async def answer(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with an error as a problem: with ours, and with those of validation and of routing.

    Raises the error where it is none of these, and where an answer has begun.
    """
    if has_begun(scope) or (response := _foreseen(Request(scope), error)) is None:
        raise error
    let_go(error)
    await response(scope, receive, send)


def let_go(error: BaseException) -> None:
    """Let an error that was dealt with forget its way: who waited for it knows it too, and all of a request would stay in that
    cycle."""
    error.__traceback__ = error.__cause__ = error.__context__ = None


async def answer_unexpected(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Log what nobody foresaw, once, and say no more than that it happened."""
    if scope.get(_FAILED):
        return
    scope[_FAILED] = True
    request = Request(scope)
    _log.error("request failed", path=request.url.path, exc_info=error)
    if has_begun(scope):
        return
    detail = "unexpected server error (logged); safe to retry with the same ids"
    response = problem(request, "Unexpected", 500, detail, {}, {"Connection": "close"})  # as the server does after such an error
    await response(scope, receive, send)


def _foreseen(request: Request, error: Exception) -> Response | None:
    if isinstance(error, LedgerError):
        return of_ledger(request, error)
    if isinstance(error, ValidationError):
        return of_ledger(request, refusal(error))
    if isinstance(error, HTTPException):
        return _routing(request, error)
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # nobody reads it, and it is no fault of ours that a log should tell of
    return None


def _routing(request: Request, error: HTTPException) -> Response:
    details = {
        404: "unknown path; GET /openapi.json lists all paths",
        405: f"{request.method} is not allowed on this path; the header Allow lists what is",
    }
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_offered(request))
    name = {404: "PathNotFound", 405: "MethodNotAllowed"}.get(error.status_code, "RequestRefused")
    return problem(request, name, error.status_code, details.get(error.status_code, str(error.detail)), {}, headers)
