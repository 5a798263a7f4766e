"""What a server answers: read as a Runfold server says it, or told as an error, its own or ours."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
import orjson
from pydantic import BaseModel

from runfold import errors
from runfold.errors import AlreadyAppended, InvalidEvent, LedgerError, LedgerUnavailable, TooManyRequests

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

URN = "urn:runfold:error:"
_RESERVED = frozenset({"type", "title", "status", "detail", "instance"})
JSON, ARCHIVE, STREAM = "application/json", "application/zip", "text/event-stream"
"""What is answered: to all requests but those for a bundle, and for events as they come."""
POSITION = "Runfold-Position"
"""The header of every answer to a question: as of which position it is."""
_GATEWAY = frozenset({429, 502, 503, 504})
"""What stands between says so when the server is not there, or was asked too much."""
NEXT_STEP = "see that the server runs, and give the command again with the same ids: that finds out what was recorded"


class NotNow(Exception):
    """No answer yet, or one that asks to come again. `error` is what it comes to if it stays so."""

    def __init__(self, error: LedgerError, after: float = 0.0) -> None:
        super().__init__(str(error))
        self.error, self.after = error, after


def accepted(answer: httpx2.Response, media_type: str = JSON) -> httpx2.Response:
    """Return an answer that is one. Raises LedgerError, and `NotNow` where the same request may be answered yet."""
    if answer.is_success:
        given = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_of_server = answer.status_code == httpx2.codes.NO_CONTENT or given == media_type
        if not is_of_server:  # but a page of what stands between, to sign in, say
            raise foreign(answer, f"with {given or 'no media type'} and not with {media_type}")
        return answer
    error = error_of(answer)
    repeats = isinstance(error, TooManyRequests | AlreadyAppended) or (isinstance(error, LedgerUnavailable) and error.retriable)
    if not repeats:
        raise error
    after = answer.headers.get("retry-after", "")
    raise NotNow(error, float(after) if after.isascii() and after.isdigit() else 0.0)


class Answer:
    """What a server answered to a request. It is read through this alone, whoever asked: so what is of another shape is told."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    def raw(self, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of its bytes. Raises LedgerError where they are not what a Runfold server says."""
        with understood(self._response):
            return read(self._response.content)

    def json(self, read: Callable[[Any], T]) -> T:
        """Return what `read` makes of its JSON. Raises LedgerError where that is not as a Runfold server says it."""
        return self.raw(lambda content: read(orjson.loads(content)))

    def items(self, kind: type[M]) -> list[M]:
        """Return the items of a list as models. Raises LedgerError."""
        return self.json(lambda told: [kind.model_validate(each) for each in told["items"]])

    def header(self, name: str, read: Callable[[str], T]) -> T:
        """Return what `read` makes of a header. Raises LedgerError where there is none, or another."""
        with understood(self._response, f"without the header {name}"):
            return read(self._response.headers[name])


@contextmanager
def understood(response: httpx2.Response, otherwise: str = "with JSON of another shape") -> Iterator[None]:
    """Raise LedgerError where what is read of a response is not as a Runfold server says it."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError):
        raise foreign(response, otherwise) from None


def error_of(answer: httpx2.Response) -> LedgerError:
    """Return what an answer that is none says, as the error that the server raised."""
    try:
        told = orjson.loads(answer.content)
        name, detail = told["type"].removeprefix(URN), str(told["detail"])
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return foreign(answer, "and no problem details")
    if answer.status_code == 503 and not hasattr(errors, name):
        return LedgerUnavailable(detail, "try again")
    return rebuilt(name, detail, {fact: value for fact, value in told.items() if fact not in _RESERVED})


def rebuilt(name: str, detail: str, facts: dict[str, Any]) -> LedgerError:
    """Return an error of its own class with its own facts; of a class that is not known here, a LedgerError."""
    kind = getattr(errors, name, LedgerError)
    if not (isinstance(kind, type) and issubclass(kind, LedgerError)):
        kind = LedgerError
    if issubclass(kind, InvalidEvent):  # its path leads through the body, which callers of a method know nothing of
        path = str(facts.get("path", "")).removeprefix("body").removeprefix(".")
        return InvalidEvent(path, str(facts.get("reason", detail)), facts.get("event_type"))
    error = kind.__new__(kind)
    LedgerError.__init__(error, detail, **{**_absent(kind), **facts})
    vars(error).update(error.facts)
    return error


def _absent(kind: type[LedgerError]) -> dict[str, Any]:
    """Return the facts that an error always has; a problem leaves out those that are null."""
    parameters = list(inspect.signature(kind).parameters.values())
    return {
        parameter.name: None if parameter.default is parameter.empty else parameter.default
        for parameter in parameters
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name != "message"
    }


def foreign(answer: httpx2.Response, what: str) -> LedgerError:
    """Return what to say of an answer that no Runfold server gives."""
    said = f"{answer.request.url} answered {answer.status_code} {what}"
    if answer.status_code in _GATEWAY:
        return LedgerUnavailable(f"{said}, as what stands before a server does", NEXT_STEP)
    if answer.is_success and POSITION in answer.headers:
        return LedgerError(f"{said}, as a server of another version may; use the same version of Runfold here as there")
    return LedgerError(f"{said}, as no Runfold server does; look at what the URL leads to", status=answer.status_code)
