"""Questions to a ledger elsewhere: each that has a route is a request, answered with the same types."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache, partial
from typing import Any, NoReturn, TypeVar, get_origin

import orjson
from pydantic import TypeAdapter

from runfold.api.route import QuestionRoute
from runfold.api.table import QUESTIONS, QUESTIONS_NOT_OVER_HTTP
from runfold.domain.recorded import Recorded
from runfold.errors import UsageError
from runfold.method_call import MethodCall
from runfold.queries.lists.paging import MOST
from runfold.queries.lists.parameters import checked, described_by, parameters_of
from runfold.queries.reading import Reading
from runfold.queries.sources.past import MOST_EVENTS, Whole
from runfold.queries.sources.read_models import WAIT_SECONDS, ReadModels
from runfold.queries.sources.source import checked_moment, with_zone
from runfold.remote.answers import POSITION
from runfold.remote.calls import path_of, query
from runfold.remote.client import Client
from runfold.remote.events import all_events
from runfold.store.reading.happened import happened_by
from runfold.store.reading.reader import LATEST
from runfold.store.reading.tenant_reader import TenantReader

T = TypeVar("T")

_NOT_OFFERED = {inspect.unwrap(method): reason for method, reason in QUESTIONS_NOT_OVER_HTTP.items()}


def remote_reading(client: Client, moment: int | datetime | None = None) -> Reading:
    """The questions of a ledger behind a server, now or as it stood at a position or a time."""
    return Reading(RemoteSource(client, moment))


class RemoteSource:
    """What answers questions behind a server. It has no database, so whatever is no request says so."""

    def __init__(self, client: Client, moment: int | datetime | None = None, happened: datetime | None = None) -> None:
        self._client, self._moment, self._happened = client, moment, happened

    @property
    def up_to(self) -> int:
        """The position. Raises UsageError for a time: which position that is, the server finds with each question."""
        if isinstance(self._moment, datetime):
            raise UsageError(f"which position {self._moment.isoformat()} is, the server knows; ask at a position instead")
        return LATEST if self._moment is None else self._moment

    @property
    def reader(self) -> TenantReader:
        """Raises UsageError: the log is where the database is."""
        _refuse("reader", "the log is read from the database")

    @property
    def read_models(self) -> ReadModels:
        """Raises UsageError: the read models are where the database is."""
        _refuse("read_models", "read models are read from the database")

    def at(self, moment: int | datetime | None, most_events: int = MOST_EVENTS, whole: Whole | None = None) -> "RemoteSource":
        """The same source at a position, or at a time of the store. Asked of one that is not there yet, it raises UsageError.

        A question about the whole past raises MomentNotPrepared unless the moment is: `ledger.prepare(moment)` does it. How many
        events a question may fold is the server's to say.
        """
        if most_events != MOST_EVENTS or whole is not None:
            raise UsageError("how the past is folded is the server's to say; leave out most_events and whole")
        if moment is None:
            return self
        if isinstance(moment, int) and moment < 0:
            raise UsageError(f"position {moment} is not in the ledger, whose first is 1")
        return RemoteSource(self._client, checked_moment(moment), self._happened)

    def happened_at(self, moment: datetime) -> "RemoteSource":
        """The same source without what happened later by the producers' clocks. Raises UsageError for a time without a zone."""
        return RemoteSource(self._client, self._moment, with_zone(moment))

    def answer(self, call: MethodCall[T]) -> T:
        """Answer a question by a request. Raises UsageError for one that is not offered over HTTP, LedgerError."""
        if (answered := _OF_EVENTS.get(call.method)) is not None:
            return answered(self, **call.arguments())  # type: ignore[no-any-return]  # it answers the same question
        routes = _routes(call.method)
        if not routes:
            _refuse(call.method.__name__, _NOT_OFFERED.get(call.method, "it has no route"))
        asked = call.arguments()
        route = next((route for route in routes if all(asked.get(name) is not None for name in route.path_names)), None)
        if route is None:
            names = " or ".join(name for route in routes for name in route.path_names)
            raise UsageError(f"{call.method.__name__} needs to know what it is asked of; give {names}")
        return self._ask(route, _checked(call.method, asked))  # type: ignore[no-any-return]  # as the route says

    def thread_events(self, thread_id: str) -> Iterator[Recorded]:
        """Every event of a thread, its runs and approvals. Raises ThreadNotFound."""
        return self._events(_routes(inspect.unwrap(Reading.thread))[0], {"thread_id": thread_id})

    def run_events(self, run_id: str, at_version: int | None = None) -> Iterator[Recorded]:
        """Every event of a run's stream. Raises RunNotFound."""
        route = _routes(inspect.unwrap(Reading.run))[0]
        found = self._events(route, {"run_id": run_id})
        if self._happened is not None:  # how far a run had come depends on its thread
            found = self.thread_events(self._ask(route, {"run_id": run_id}).thread_id)
        last = LATEST if at_version is None else at_version
        return (recorded for recorded in found if recorded.stream == run_id and recorded.version <= last)

    def _events(self, route: QuestionRoute, ids: Mapping[str, str]) -> Iterator[Recorded]:
        """All up to where the ledger stands, or stood. Raises NotFound where what is at the path was not there."""
        path = path_of(route, ids)
        up_to = self._client.request("GET", path, params=query(self._of_moment())).header(POSITION, int)
        found = all_events(self._client, f"{path}/events", query({"up_to": up_to}))
        return found if self._happened is None else happened_by(self._happened, found)

    def _of_moment(self) -> dict[str, Any]:
        return {"as_of": self._moment, "happened_at": self._happened}

    def _ask(self, route: QuestionRoute, said: dict[str, Any]) -> Any:
        path = path_of(route, {name: said.pop(name) for name in route.path_names})
        said |= {name: value for name, value in self._of_moment().items() if value is not None}
        wait = said.get("wait_seconds")
        seconds = 0.0 if said.get("min_position") is None else WAIT_SECONDS if wait is None else float(wait)
        read = partial(_adapter(route).validate_json, extra="ignore")  # a newer server may tell more of the same things
        if get_origin(route.answer) is list:
            return self._client.whole_list(path, query(said), MOST, lambda items: read(orjson.dumps(items)))
        answer = self._client.request("GET", path, params=query(said), wait=seconds)
        answer.header(POSITION, int)  # some questions are answered with any JSON at all
        return answer.raw(read)


_OF_EVENTS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    inspect.unwrap(Reading.thread_events): RemoteSource.thread_events,
    inspect.unwrap(Reading.run_events): RemoteSource.run_events,
}
"""Questions that are answered with pages of events, each with the method that asks for them."""


@cache
def _routes(question: Callable[..., Any]) -> tuple[QuestionRoute, ...]:
    """The routes of a question, but for those whose path names a value that it can be narrowed to as well."""
    return tuple(route for route in QUESTIONS if inspect.unwrap(route.method) is question and route.narrowed is None)


def _checked(question: Callable[..., Any], asked: dict[str, Any]) -> dict[str, Any]:
    """What is asked, refused here where it would be where the database is: a request is text, which says no types."""
    described = described_by(question)
    if described is None:
        return asked
    known = parameters_of(described)
    return {
        **{name: value for name, value in asked.items() if name not in known},
        **checked({name: value for name, value in asked.items() if name in known}, described),
    }


@cache
def _adapter(route: QuestionRoute) -> TypeAdapter[Any]:
    return TypeAdapter(route.answer)


def _refuse(name: str, reason: str) -> NoReturn:
    raise UsageError(f"reading.{name} is not offered over HTTP ({reason}); use it where the database is (Ledger.open)")
