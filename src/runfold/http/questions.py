"""Questions over HTTP: one route each, made from the table, answered for now or for any moment of the past."""

import inspect
from functools import cache, partial
from typing import Annotated, Any, get_args, get_origin

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, TypeAdapter
from starlette.concurrency import run_in_threadpool

from runfold.errors import RunNotFound, ThreadNotFound, UsageError
from runfold.http.listing import Listed, page, read_cursor
from runfold.http.routing import Handler, add, answer, asked, model_of
from runfold.http.service import Service
from runfold.ledger.desk import Desk
from runfold.ledger.paging import MOST
from runfold.ledger.route import Field, QuestionRoute
from runfold.ledger.routes import QUESTIONS
from runfold.ledger.where import Within

MOST_WAIT_SECONDS = 60
"""A question that waits holds a thread, of which there are not many."""

MOMENTS = {
    "as_of": Field(str | None, None),
    "min_position": Field(Annotated[int, Within(least=0)] | None, None),
    "wait_seconds": Field(Annotated[float, Within(least=0, most=MOST_WAIT_SECONDS)] | None, None),
}
"""What every question may say: the position or time it is about, and the position that its answer must hold."""

PAGES = {"limit": Field(Annotated[int, Within(least=1, most=MOST)] | None, None), "cursor": Field(str | None, None)}
"""What a question that answers a plain list may say too."""


def add_questions(router: APIRouter, service: Service) -> None:
    """A route for each question."""
    for route in QUESTIONS:
        name = f"{route.name}.of" if route.narrowed else route.name
        query = query_of(route, name)
        add(
            router, route.verb, route.path, _handler(service, route, query), name=name,
            summary=inspect.getdoc(route.method) or route.name, answer=answer_of(route), query=query,
            tag=route.path.split("/")[1], scope=route.scope,
        )  # fmt: skip


@cache
def query_of(route: QuestionRoute, name: str) -> type[BaseModel]:
    """What may be asked beside what the path names."""
    return model_of(f"{name}.Query", {**route.query, **MOMENTS, **(PAGES if is_list(route) else {})})


def _handler(service: Service, route: QuestionRoute, model: type[BaseModel]) -> Handler:
    adapter = TypeAdapter(answer_of(route))

    async def handle(request: Request) -> Response:
        desk = await service.desk(request, route.scope)
        said = asked(request, model).model_dump(exclude_unset=True)
        value, position = await run_in_threadpool(_ask, desk, route, dict(request.path_params), said)
        headers = {"Runfold-Position": str(position)}
        if (version := getattr(value, "version", None)) is not None:
            headers["ETag"] = f'"{version}"'
        return answer(adapter, value, headers)

    return handle


def answer_of(route: QuestionRoute) -> Any:
    """The type of a route's answer: what the question answers, lists in pages."""
    return Listed[get_args(route.answer)[0]] if is_list(route) else route.answer  # type: ignore[misc]  # made at run time


def is_list(route: QuestionRoute) -> bool:
    """Whether the question answers a plain list."""
    return get_origin(route.answer) is list


def _ask(desk: Desk, route: QuestionRoute, ids: dict[str, Any], said: dict[str, Any]) -> tuple[Any, int]:
    """The answer, and the position that it is true as of. Raises LedgerError."""
    moment, floor, seconds = (said.pop(name, None) for name in MOMENTS)
    if route.narrowed is not None:
        ((name, named),) = ids.items()
        desk.now._first(named, ThreadNotFound if name == "thread_id" else RunNotFound)
        ids = {route.narrowed: named}
    if moment is not None and floor is not None:
        raise UsageError("as_of and min_position ask for two moments; send one of them")
    if floor is not None and floor < 0:
        raise UsageError(f"min_position is {floor}; positions begin at 1, and 0 is before all of them")
    if seconds is not None and not 0 <= seconds <= MOST_WAIT_SECONDS:
        raise UsageError(f"wait_seconds is {seconds}; ask for 0 to {MOST_WAIT_SECONDS}, and ask again where that is too short")
    if is_list(route):
        return _ask_for_list(desk, route, {**ids, **said}, moment, floor, seconds)
    ask = partial(route.method, **ids, **said)
    if moment is not None:
        reading = desk.at(moment)
        return ask(reading), reading.up_to
    if route.log:
        position = _log_at(desk, floor)
        return ask(desk.now), position
    if floor is not None:
        _log_at(desk, floor)
    value = ask(desk.now, min_position=floor, wait_seconds=seconds)
    standing = getattr(value, "standing", None)
    return value, desk.position() if standing is None else standing.position


def _ask_for_list(
    desk: Desk, route: QuestionRoute, said: dict[str, Any], moment: str | None, floor: int | None, seconds: float | None
) -> tuple[Any, int]:
    limit, cursor = said.pop("limit", None), said.pop("cursor", None)
    position, had = (None, 0) if cursor is None else read_cursor(cursor)
    if moment is None and not route.log:  # read models as they are now: as they were at the first page, nobody keeps them
        position = _log_at(desk, floor)
        found = route.method(desk.now, **said, min_position=position, wait_seconds=seconds)
        return page(found, position, had, limit), position
    if position is None:
        position = desk.at(moment).up_to if moment is not None else _log_at(desk, floor)
    return page(route.method(desk.at(position), **said), position, had, limit), position


def _log_at(desk: Desk, floor: int | None) -> int:
    position = desk.position()
    if floor is not None and floor > position:
        raise UsageError(f"min_position {floor} is beyond the ledger, which ends at {position}")
    return position
