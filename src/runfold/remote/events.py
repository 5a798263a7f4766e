"""The feed of a ledger elsewhere: pages, and a subscription that connects again for as long as it takes."""

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import httpx2
import orjson
from pydantic import ValidationError

from runfold.domain.catalogue import event_types
from runfold.domain.event import Recorded, refusal
from runfold.errors import LedgerUnavailable, TooManyRequests, UnknownEventType, UnreadableEvent, UsageError
from runfold.feed.following import Complete, Failed, Following, Retries, Span
from runfold.remote.calls import query
from runfold.remote.client import URN, Client, Params, rebuilt
from runfold.store.cursor import Cursor, Place

MOST = 1000
SILENCE_SECONDS = 60.0
"""A stream has a heartbeat every 15 seconds; one that has said nothing for so long is dead."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_ENDS = frozenset({"end", "bye", "dropped"})
"""What a stream says when no more comes on its connection."""


def recorded_of(told: Mapping[str, Any]) -> Recorded:
    """`Recorded.as_json` → the event. Raises UnknownEventType, UnreadableEvent where the server is newer than this Runfold."""
    name, position, schema_version = told["type"], told["position"], told["schema_version"]
    if name not in event_types or schema_version > event_types[name].schema_version:
        raise UnknownEventType(name, schema_version, position)
    try:
        event = event_types[name].model_validate_json(orjson.dumps(told["data"]))  # of today's shape, whatever is stored
    except ValidationError as error:
        raise UnreadableEvent(name, position, str(refusal(error))) from None
    return Recorded(
        position,
        told["stream"],
        told["version"],
        event,
        UUID(told["event_id"]).bytes,
        told["tenant_id"],
        told["thread_id"],
        datetime.fromisoformat(told["recorded_at"]),
        schema_version,
        _as_stored(told["context"]),
        _as_stored(told["metadata"]),
    )


def _as_stored(facts: Mapping[str, Any]) -> str:
    """The text that PostgreSQL makes of a jsonb value."""
    return json.dumps(facts, ensure_ascii=False)


def all_events(client: Client, path: str, params: Params, *, after: Place = 0, most: int | None = None) -> Iterator[Recorded]:
    """The events of a route in order, page by page; `most` of them at most."""
    left, cursor = most, Cursor.parse(after)
    while left is None or left > 0:
        limit = MOST if left is None else min(left, MOST)
        answer = client.request("GET", path, params=[*params, ("after", str(cursor)), ("limit", str(limit))])
        page = orjson.loads(answer.content)
        for told in page["items"]:
            yield recorded_of(told)
        if page["next_cursor"] is None:
            return
        cursor = Cursor.parse(page["next_cursor"])
        left = None if left is None else left - len(page["items"])


class RemoteSubscription:
    """Iterate it. `position` is the last position looked at, wanted or not, and `cursor` says of which history: resume after it.

    When the connection breaks it connects again, for `patience` seconds in a row, or for ever; each event comes once. Where
    the ledger was put back to an older copy, so that what was given here is no longer what it holds, it raises HistoryChanged.
    """

    def __init__(
        self, client: Client, wanted: Mapping[str, Any], *, after: Place = 0, follow: bool = True, patience: float | None = None
    ) -> None:
        self._client = client
        self._params = query({**wanted, "follow": follow})
        self._stopped = threading.Event()
        self._response: httpx2.Response | None = None
        begun = Cursor.parse(after)
        self._state: Following[str | None] = Following(begun.position, begun.epoch, Retries(_pause, patience))
        self._events = self._all()

    def __iter__(self) -> Iterator[Recorded]:
        return self

    def __next__(self) -> Recorded:
        if self._stopped.is_set():
            raise StopIteration
        return next(self._events)

    @property
    def position(self) -> int:
        """The last position looked at."""
        return self._state.position

    @property
    def cursor(self) -> str:
        """`position` with its history, as text, once the server has said which that is: what to resume after."""
        return str(Cursor(self._state.position, self._state.epoch))

    def stop(self) -> None:
        """End the iteration; from another thread too, at once."""
        self._stopped.set()
        if (response := self._response) is not None:
            _hang_up(response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with contextlib.suppress(ValueError):  # another thread iterates: it ends by itself
            self._events.close()

    def _all(self) -> Generator[Recorded]:
        while not self._stopped.is_set():
            match self._state.step(now := time.monotonic()):
                case Complete():
                    return
                case Failed(error):
                    raise error
                case _ if (pause := self._state.retry_at - now) > 0:
                    self._stopped.wait(pause)
                case _:
                    yield from self._connected()

    def _connected(self) -> Iterator[Recorded]:
        """What comes on one connection, until it ends."""
        headers = {"Last-Event-ID": self.cursor}
        try:
            with self._client.stream("/events", self._params, headers, SILENCE_SECONDS) as source:
                self._response = source.response
                for sent in source if not self._stopped.is_set() else ():
                    yield from self._looked(sent)
                    if sent.event in _ENDS:
                        break
        except (LedgerUnavailable, TooManyRequests) as error:
            self._state.failed(error, time.monotonic())
        else:
            self._state.disconnected(time.monotonic())

    def _looked(self, sent: httpx2.ServerSentEvent) -> list[Recorded]:
        """What one block of the stream brings: an event, or how far the server has looked. Raises LedgerError."""
        said = _sent(sent.id)
        if "." in sent.event:
            recorded = recorded_of(orjson.loads(sent.data))
            return self._went(recorded.position, said.epoch if said else None, [recorded])
        if said is not None and said.position >= self.position and sent.event != "problem":
            self._went(said.position, said.epoch, [])
        told = orjson.loads(sent.data) if sent.event in {"problem", "end"} else {}
        if "type" in told:  # it cannot go on, or its key is good no more
            raise rebuilt(str(told.pop("type")).removeprefix(URN), str(told.pop("detail")), told)
        if sent.event == "end":
            self._state.ends_at(self.position)
        return []

    def _went(self, position: int, epoch: str | None, events: list[Recorded]) -> list[Recorded]:
        """The server looked on from where this stands: what comes anew of what it sends."""
        if position >= self.position:
            self._state.confirmed(epoch)
        return self._state.looked(Span(min(position, self.position), position, epoch, events))


def _pause(failures: int) -> float:
    """Seconds until it connects again after so many failures in a row: not all who lost a server come back at one moment."""
    return random.uniform(0.5, 1) * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10))  # noqa: S311


def _sent(id: str) -> Cursor | None:
    """What an id of the stream says; None for none."""
    try:
        return Cursor.parse(id)
    except UsageError:
        return None


def _hang_up(response: httpx2.Response) -> None:
    """Wake whoever waits for more of a response."""
    stream = response.extensions.get("network_stream")
    connected = stream.get_extra_info("socket") if stream is not None else None
    if connected is not None:
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)


def wanted_of(types: Sequence[str], thread_id: str | None, run_id: str | None) -> dict[str, Any]:
    """Which events are wanted, as a request says it. Raises UsageError for one type that is no list."""
    if isinstance(types, str):
        raise UsageError(f"types takes a list, not {types!r}; write [{types!r}]")
    return {"types": list(types), "thread_id": thread_id, "run_id": run_id}
