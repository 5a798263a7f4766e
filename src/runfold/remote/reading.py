"""Questions to a ledger elsewhere: each method of `Reading` that has a route is a request, answered with the same types."""

import inspect
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache, wraps
from typing import Any, get_origin

import orjson
from pydantic import TypeAdapter

from runfold.api.route import QuestionRoute
from runfold.api.table import QUESTIONS
from runfold.domain.event import Recorded
from runfold.errors import UsageError
from runfold.method_call import MethodCall
from runfold.queries.paging import MOST
from runfold.queries.past import MOST_EVENTS, Whole
from runfold.queries.read_models import WAIT_SECONDS
from runfold.queries.reading import Reading
from runfold.remote.calls import path_of, query
from runfold.remote.client import Client, Params
from runfold.remote.events import all_events
from runfold.store.reader import LATEST

_ROUTES = {route.method.__name__: route for route in QUESTIONS if route.narrowed is None}


class RemoteReading(Reading):
    """`Reading` of a ledger elsewhere. It has no database, so whatever is no request says so."""

    def __init__(self, client: Client, moment: int | datetime | None = None) -> None:
        self._client, self._moment = client, moment

    def at(self, moment: int | datetime | None, most_events: int = MOST_EVENTS, whole: Whole | None = None) -> "RemoteReading":
        """The same questions at a position, or at a time of the store. Asked of one that is not there yet, they raise UsageError.

        A question about the whole past raises MomentNotPrepared unless the moment is: `ledger.prepare(moment)` does it. How many
        events a question may fold is the server's to say.
        """
        if most_events != MOST_EVENTS or whole is not None:
            raise UsageError("how the past is folded is the server's to say; leave out most_events and whole")
        if moment is None:
            return self
        if isinstance(moment, datetime) and moment.tzinfo is None:
            raise UsageError(f"the time {moment.isoformat()} has no zone; add one, as in {moment.isoformat()}Z")
        if isinstance(moment, int) and moment < 0:
            raise UsageError(f"position {moment} is not in the ledger, whose first is 1")
        return RemoteReading(self._client, moment)

    def thread_events(self, thread_id: str) -> Iterator[Recorded]:
        """Every event of a thread, its runs and approvals. Raises ThreadNotFound."""
        path = path_of(_ROUTES["thread"], {"thread_id": thread_id})
        return all_events(self._client, f"{path}/events", query({"up_to": self._position(path)}))

    def run_events(self, run_id: str, at_version: int | None = None) -> Iterator[Recorded]:
        """Every event of a run's stream. Raises RunNotFound."""
        path = path_of(_ROUTES["run"], {"run_id": run_id})
        found = all_events(self._client, f"{path}/events", query({"up_to": self._position(path)}))
        last = LATEST if at_version is None else at_version
        return (recorded for recorded in found if recorded.stream == run_id and recorded.version <= last)

    def _position(self, path: str) -> int:
        """Where the ledger stands, or stood; raises NotFound where what is at the path was not there."""
        answer = self._client.request("GET", path, params=query({"as_of": self._moment}))
        return int(answer.headers["Runfold-Position"])

    def _ask(self, route: QuestionRoute, said: dict[str, Any]) -> Any:
        path = path_of(route, {name: said.pop(name) for name in route.path_names})
        if self._moment is not None:
            said["as_of"] = self._moment
        wait = said.get("wait_seconds")
        seconds = 0.0 if said.get("min_position") is None else WAIT_SECONDS if wait is None else float(wait)
        if get_origin(route.answer) is list:
            return self._whole_list(route, path, query(said))
        answer = self._client.request("GET", path, params=query(said), wait=seconds)
        return _adapter(route).validate_json(answer.content)

    def _whole_list(self, route: QuestionRoute, path: str, params: Params) -> list[Any]:
        found: list[Any] = []
        cursor: list[tuple[str, str]] = []
        while True:
            answer = self._client.request("GET", path, params=[*params, ("limit", str(MOST)), *cursor])
            page = orjson.loads(answer.content)
            found += _adapter(route).validate_json(orjson.dumps(page["items"]))
            if page["next_cursor"] is None:
                return found
            cursor = [("cursor", page["next_cursor"])]


def _up_to(reading: RemoteReading) -> int:
    """The position. Of a time, the server finds it with each question."""
    if isinstance(reading._moment, datetime):
        raise UsageError(f"which position {reading._moment.isoformat()} is, the server knows; ask at a position instead")
    return LATEST if reading._moment is None else reading._moment


@cache
def _adapter(route: QuestionRoute) -> TypeAdapter[Any]:
    return TypeAdapter(route.answer)


def _asking(route: QuestionRoute) -> Callable[..., Any]:
    method = inspect.unwrap(route.method)

    @wraps(method)
    def ask(self: RemoteReading, *args: Any, **kwargs: Any) -> Any:
        return self._ask(route, MethodCall(method, self, args, kwargs).arguments())

    return ask


def _missing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise UsageError(f"reading.{name} is not offered over HTTP; use it where the database is (Ledger.open)")

    refuse.__name__ = name
    refuse.__doc__ = "Not offered over HTTP."
    return refuse


def _complete() -> None:
    """Answer each question by its route; what has none says so. Written once, here, so that no method is forgotten."""
    own = vars(RemoteReading).keys()
    for name in dir(Reading):
        if name.startswith("_") or name in own:
            continue
        setattr(RemoteReading, name, _asking(_ROUTES[name]) if name in _ROUTES else _missing(name))
    for name in ("reader", "read_models"):
        setattr(RemoteReading, name, property(_missing(name)))
    RemoteReading.up_to = property(_up_to)  # type: ignore[assignment]  # known only where it was given


_complete()
