"""Operations: what a route takes and answers, as OpenAPI says it, and how it is served."""

import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, ValidationError, create_model
from pydantic_core import CoreSchema
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from runfold.api import route
from runfold.domain.event import refusal
from runfold.domain.first_fault import failing_fast, require_known
from runfold.domain.times import DayCounts, parse_time
from runfold.errors import InvalidEvent, UsageError
from runfold.http import problems
from runfold.proofs.receipt import ToldEvent
from runfold.queries.lists.parameters import Parameter

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_LIKE_A_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class _Closed(BaseModel):
    """A model that refuses unknown fields, and stops at the first error."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return failing_fast(handler(source))


class _Strict(_Closed):
    """A query parameter in which "1" is text, not a number."""

    model_config = ConfigDict(strict=True)


class Reply(BaseModel):
    """The answer to a command."""

    id: str
    """The id of what was created, or of what was written to."""
    stream: str
    """The thread, run or approval whose stream the last event is in."""
    version: int
    """The version of that stream."""
    position: int
    """The position of the last event of that stream."""
    recorded_at: str | None
    """The time by the store's clock; null if nothing was recorded."""
    appended: int
    """The number of events recorded; 0 if the command changed nothing."""
    events: list[ToldEvent] | None = None
    """What was recorded, with salts and digests, where `Runfold-Receipt: full` asks for it; else it is left out."""
    v: int | None = None
    """The version of what the events are told by; with them alone."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def model_of(name: str, fields: Mapping[str, route.Field], *, strict: bool = False) -> type[BaseModel]:
    """A model with these fields, that knows no others; where it is `strict`, "1" is no number."""
    made: dict[str, Any] = {}
    for key, said in fields.items():
        default = ... if said.default is route.MISSING else said.default
        shadows = hasattr(BaseModel, key)  # a model has methods of some names
        described = Field(default, alias=key if shadows else None, description=said.help or None)
        made[f"{key}_" if shadows else key] = (said.type, described)
    class_name = name.replace(".", "_").title().replace("_", "")
    quickly = {"use_attribute_docstrings": False}  # else all modules are searched for its source, and it has none
    return create_model(class_name, __base__=_Strict if strict else _Closed, __cls_kwargs__=quickly, **made)


@dataclass(frozen=True)
class Operation:
    """What a route is for, takes and answers. The OpenAPI document is made from these."""

    name: str
    """A public, stable name such as `keys.create`: the operationId, and the label of the metrics."""
    verb: str
    path: str
    summary: str
    """The description; its first sentence is the summary."""
    answer: Any
    """The type of the answer."""
    scope: str | None
    """The scope that a key must have; None where no key is needed."""
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """The request headers that are read, and what each is for."""
    media_types: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The media types that the answer may have instead of JSON, each with the schema of the answer then."""
    part: str | None = None
    """The tag, where it is not the first word of the path."""
    is_deprecated: bool = False

    @property
    def tag(self) -> str:
        """The part of the document that the operation is in."""
        return self.part or self.path.split("/")[1]


class NamedRoute(Route):
    """A route with a name and one method, whose handler parses the request by itself. With GET comes HEAD."""

    methods: set[str]

    def __init__(self, name: str, verb: str, path: str, handler: Handler) -> None:
        super().__init__(path, handler, methods=[verb], name=name)
        self.app = _answering(handler)
        parts = enumerate(path.split("/"))
        self.places = tuple((place, part[1:-1]) for place, part in parts if part.startswith("{"))
        """Where in the path, as it is split at each `/`, stands which value."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does, and put the route into the scope, for who counts requests."""
        match, found = super().matches(scope)
        return match, {**found, "route": self} if match is not Match.NONE else found


def _answering(handler: Handler) -> ASGIApp:
    """Return the application that answers with what a handler returns, or with the problem that it raises."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await handler(Request(scope, receive, send))
            if scope["method"] == "HEAD" and isinstance(response, StreamingResponse):
                response = _head_of(response)
            await response(scope, receive, send)
        except Exception as error:
            await problems.answer(error, scope, receive, send)

    return app


def _head_of(stream: StreamingResponse) -> Response:
    """Return what is said before a stream. What it would send may never end, so nothing of it is made."""
    head = Response(None, stream.status_code)
    head.raw_headers = stream.raw_headers
    return head


def route_of(operation: Operation, handler: Handler) -> NamedRoute:
    """Return the route that serves an operation."""
    return NamedRoute(operation.name, operation.verb, operation.path, handler)


def asked(request: Request, model: type[BaseModel], former: Mapping[str, str] | None = None) -> BaseModel:
    """Return a query string as a model; `former` are words that parameters had before. Raises InvalidEvent."""
    given: dict[str, Any] = {}
    parameters = _of_now(request, former or {})
    require_known(model, dict.fromkeys(parameters), "")
    many, times, days = _of_annotation(model, "list["), _times(model), _of_annotation(model, "datetime.date")
    for name, said in parameters.items():
        values = request.query_params.getlist(said)
        if name not in many and len(values) > 1:
            raise InvalidEvent(name, f"is given {len(values)} times, and takes one value; send it once")
        given[name] = values if name in many else values[0]
        if name in times:
            given[name] = _time(name, values[0], times[name])
        elif name in days and not _LIKE_A_DAY.match(values[0]):  # pydantic takes a bare number for seconds since 1970
            raise InvalidEvent(name, f"{values[0][:40]!r} is not a day; write 2026-01-31")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = refusal(error, given=given)
        raise InvalidEvent(found.path, found.reason) from None


def worded(error: UsageError, words: Mapping[str, str]) -> UsageError:
    """Return the same refusal with the word that the parameter has over HTTP."""
    name = error.facts.get("name")
    if not isinstance(name, str) or name not in words or type(error) is not UsageError:
        return error
    return UsageError(str(error).replace(name, words[name], 1), **{**error.facts, "name": words[name]})


def _of_now(request: Request, former: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that are given, each with the word under which it is. Raises InvalidEvent for one under two."""
    found: dict[str, str] = {}
    for said in request.query_params:
        name = former.get(said, said)
        if name in found:
            raise InvalidEvent(name, f"is given as {found[name]} too, which is the same; send {name} alone")
        found[name] = said
    return found


def _time(name: str, text: str, day: DayCounts) -> datetime:
    try:
        return parse_time(text, day=day)
    except UsageError as error:
        raise InvalidEvent(name, str(error)) from None


@cache
def _times(model: type[BaseModel]) -> Mapping[str, DayCounts]:
    """Return the parameters that take a time, and which moment a day stands for there."""
    found: dict[str, DayCounts] = {}
    for name, said in model.model_fields.items():
        for member in get_args(said.annotation):
            if get_origin(member) is Annotated and member.__origin__ is datetime:
                found[name] = next((each.day for each in member.__metadata__ if isinstance(each, Parameter)), "from")
    return found


@cache
def _of_annotation(model: type[BaseModel], kind: str) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if kind in str(field.annotation))


def answer(adapter: TypeAdapter[Any], value: Any, headers: Mapping[str, str], status: int = 200) -> Response:
    """Return a value as a JSON response."""
    return Response(adapter.dump_json(value), status, dict(headers), "application/json")
