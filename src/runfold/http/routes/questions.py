"""Questions over HTTP: one route each, made from the table, answered for now or for any moment of the past.

One that waits for read models holds no thread meanwhile.
"""

import asyncio
import inspect
from functools import cache, partial
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from runfold.api.route import Field, QuestionRoute
from runfold.api.table import DEPRECATED_QUESTIONS, QUESTIONS
from runfold.api.words import word_of
from runfold.errors import ReadModelBehind, RunNotFound, ThreadNotFound, UsageError
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http.listing import Listed, list_of, page, read_cursor
from runfold.http.problems import let_go
from runfold.http.routing import Handler, NamedRoute, Operation, answer, asked, model_of, route_of, worded
from runfold.http.server_state import ServerState
from runfold.queries.lists.paging import DEFAULT_LIMIT, Paging, Waiting, limit
from runfold.queries.lists.parameters import Parameter, parameters_of
from runfold.queries.reading import Reading
from runfold.queries.sources.read_models import WAIT_SECONDS

MOST_WAIT_SECONDS = 60

_MIN_POSITION = Parameter(parameters_of(Waiting)["min_position"].help, least=0)
_WAIT_SECONDS = Parameter(parameters_of(Waiting)["wait_seconds"].help, least=0, most=MOST_WAIT_SECONDS)
_LIMIT = limit(DEFAULT_LIMIT)

MOMENTS = {
    "as_of": Field(str | None, None, "Answer as of this position, or this time of the store."),
    "happened_at": Field(
        str | None, None, "Answer without what happened after this time by its producer's clock; asked about one thread or run."
    ),
    "min_position": Field(Annotated[int, _MIN_POSITION] | None, None, _MIN_POSITION.help),
    "wait_seconds": Field(Annotated[float, _WAIT_SECONDS] | None, None, _WAIT_SECONDS.help),
}
"""The query parameters of every question: the moment it asks about by either clock, and the position its answer must include."""

PAGES = {
    "limit": Field(Annotated[int, _LIMIT] | None, None, _LIMIT.help),
    "cursor": Field(str | None, None, parameters_of(Paging)["cursor"].help),
}
"""The query parameters of a question that answers with a plain list."""


def question_routes(server: ServerState) -> list[NamedRoute]:
    """Return a route for each question."""
    return [route_of(operation_of(route), _handler(server, route)) for route in (*QUESTIONS, *DEPRECATED_QUESTIONS)]


@cache
def operation_of(route: QuestionRoute) -> Operation:
    """Return the operation of a question."""
    return Operation(
        route.name,
        route.verb,
        route.path,
        inspect.getdoc(route.method) or "",
        answer_of(route),
        route.scope,
        query=query_of(route),
        is_deprecated=route.is_deprecated,
    )


@cache
def query_of(route: QuestionRoute) -> type[BaseModel]:
    """Return the model of a question's query string."""
    return model_of(f"{route.name}.query", {word_of(name): field for name, field in _arguments(route).items()})


def _arguments(route: QuestionRoute) -> dict[str, Field]:
    """Return what a question is asked with, by the names in Python."""
    return {**route.query, **MOMENTS, **(PAGES if is_list(route) else {})}


def _handler(server: ServerState, route: QuestionRoute) -> Handler:
    adapter, model = TypeAdapter(answer_of(route)), query_of(route)
    arguments = {word_of(name): name for name in _arguments(route)}
    former = {name: word for word, name in arguments.items() if name != word}

    def answered(ledger: TenantLedger, ids: dict[str, Any], asking: Asking) -> Response:
        value, position = _ask(ledger, route, ids, asking)
        headers = {"Runfold-Position": str(position)}
        if (version := getattr(value, "version", None)) is not None:
            headers["ETag"] = f'"{version}"'
        return answer(adapter, value, headers)

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, route.scope)
        given = asked(request, model, former).model_dump(exclude_unset=True)
        asking, seconds = asking_of({arguments.get(word, word): value for word, value in given.items()})
        until = asyncio.get_running_loop().time() + (WAIT_SECONDS if seconds is None else seconds)
        is_last = False
        while True:
            try:
                return await server.pools.questions.run(answered, ledger, dict(request.path_params), asking)
            except UsageError as error:
                raise worded(error, former) from None
            except ReadModelBehind as behind:
                if is_last or behind.fact is not None or not asking.waits(route):  # a table of another version is not waited for
                    raise
                let_go(behind)
                asking = asking._replace(pinned=behind.wanted)
                with server.waiting(ledger.caller) as require_good:
                    is_last = not await server.progress.reached(behind.name, behind.wanted, until)
                    require_good()

    return handle


class Asking(NamedTuple):
    """A query string, taken apart."""

    said: dict[str, Any]
    moment: str | None
    happened: str | None
    floor: int | None
    pinned: int | None = None
    """The position that a list waits for: the ledger's last one when it was first asked, whatever is recorded meanwhile."""

    def waits(self, route: QuestionRoute) -> bool:
        """Return whether the answer must include a certain position."""
        return self.floor is not None or (is_list(route) and not self.is_past)

    @property
    def is_past(self) -> bool:
        """Return whether another moment than now is asked about."""
        return self.moment is not None or self.happened is not None

    def reading(self, ledger: TenantLedger, position: int | None = None) -> Reading:
        """Return the ledger as of the moment, or as of a position that stands for it. Raises UsageError."""
        moment = self.moment if position is None else position
        reading = ledger.now if moment is None else ledger.at(moment)
        return reading if self.happened is None else reading.happened_at(self.happened)


def asking_of(said: dict[str, Any]) -> tuple[Asking, float | None]:
    """Return a query string taken apart, and how many seconds its answer may take. Raises UsageError."""
    moment, happened, floor, seconds = (said.pop(name, None) for name in MOMENTS)
    if floor is not None and not (moment is None and happened is None):
        raise UsageError(f"{'at' if moment else 'happened_at'} and min_position exclude each other; send one of them")
    if floor is not None and floor < 0:
        raise UsageError(f"min_position is {floor}; positions begin at 1, and 0 is before all of them")
    if seconds is not None and not 0 <= seconds <= MOST_WAIT_SECONDS:
        raise UsageError(f"wait_seconds is {seconds}; send 0 to {MOST_WAIT_SECONDS}, and repeat the request if that is too short")
    return Asking(said, moment, happened, floor), seconds


def answer_of(route: QuestionRoute) -> Any:
    """Return the type of a route's answer: that of the question, or a page of it."""
    return Listed[get_args(route.answer)[0]] if is_list(route) else route.answer  # type: ignore[misc]  # made at run time


def is_list(route: QuestionRoute) -> bool:
    """Return whether a question answers with a plain list."""
    return get_origin(route.answer) is list


def _ask(ledger: TenantLedger, route: QuestionRoute, ids: dict[str, Any], asking: Asking) -> tuple[Any, int]:
    """Return the answer and the position it is as of, without waiting for read models. Raises LedgerError."""
    if route.narrowed is not None:
        ((name, named),) = ids.items()
        ledger.now.require(named, ThreadNotFound if name == "thread_id" else RunNotFound)
        ids = {route.narrowed: named}
    if is_list(route):
        return _ask_for_list(ledger, route, ids, asking)
    ask = partial(route.method, **ids, **asking.said)
    if asking.is_past:
        reading = asking.reading(ledger)
        return ask(reading), reading.up_to
    if route.log:
        position = _log_at(ledger, asking.floor)
        return ask(ledger.now), position
    if asking.floor is not None:
        _log_at(ledger, asking.floor)
    value = ask(ledger.now, min_position=asking.floor, wait_seconds=0)
    standing = getattr(value, "standing", None)
    return value, ledger.position() if standing is None else standing.position


def _ask_for_list(ledger: TenantLedger, route: QuestionRoute, ids: dict[str, Any], asking: Asking) -> tuple[Any, int]:
    said = {**ids, **asking.said}
    limit, cursor = said.pop("limit", None), said.pop("cursor", None)
    of = list_of(route.name, said)
    position, had = (asking.pinned, 0) if cursor is None else read_cursor(cursor, of)
    if not asking.is_past and not route.log:  # read models as they are now: as they were at the first page, nobody keeps them
        position = _log_at(ledger, asking.floor) if asking.pinned is None else asking.pinned
        found = route.method(ledger.now, **said, min_position=position, wait_seconds=0)
        return page(found, position, had, limit, of), position
    if position is None:
        position = asking.reading(ledger).up_to if asking.is_past else _log_at(ledger, asking.floor)
    return page(route.method(asking.reading(ledger, position), **said), position, had, limit, of), position


def _log_at(ledger: TenantLedger, floor: int | None) -> int:
    position = ledger.position()
    if floor is not None and floor > position:
        raise UsageError(f"min_position {floor} is beyond the ledger, which ends at {position}")
    return position
