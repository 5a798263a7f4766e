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
from runfold.errors import LedgerError, LedgerUnavailable, TooManyRequests, UnknownEventType, UnreadableEvent, UsageError
from runfold.remote.calls import query
from runfold.remote.client import URN, Client, Params, rebuilt
from runfold.store.cursor import Cursor, Place

MOST = 1000
SILENCE_SECONDS = 60.0
"""A stream has a heartbeat every 15 seconds; one that has said nothing for so long is dead."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


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
        self._client, self._follow, self._patience = client, follow, patience
        self._params = query({**wanted, "follow": follow})
        self._stopped = threading.Event()
        self._response: httpx2.Response | None = None
        self._failures, self._failing_since = 0, 0.0
        self._is_over = False
        self._cursor = Cursor.parse(after)
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
        return self._cursor.position

    @property
    def cursor(self) -> str:
        """`position` with its history, as text, once the server has said which that is: what to resume after."""
        return str(self._cursor)

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
        while not self._is_over and not self._stopped.is_set():
            pause = 0.0
            try:
                yield from self._connected()
            except (LedgerUnavailable, TooManyRequests) as error:
                if not self._stopped.is_set() and not self._may_go_on(error):
                    raise
                pause = float(getattr(error, "retry_after", 0.0))
            if not self._is_over:
                self._stopped.wait(max(pause, self._pause()))

    def _connected(self) -> Iterator[Recorded]:
        """What comes on one connection."""
        headers = {"Last-Event-ID": self.cursor}
        with self._client.stream("/events", self._params, headers, SILENCE_SECONDS) as source:
            self._response = source.response
            if self._stopped.is_set():
                return
            for sent in source:
                self._failures = 0
                if "." in sent.event:
                    recorded = recorded_of(orjson.loads(sent.data))
                    if recorded.position > self.position:
                        self._cursor = _sent(sent.id) or Cursor(recorded.position)
                        yield recorded
                elif not self._goes_on(sent):
                    return

    def _goes_on(self, sent: httpx2.ServerSentEvent) -> bool:
        """Take in what the stream says of itself; whether more comes on this connection. Raises LedgerError."""
        if (said := _sent(sent.id)) is not None and said.position >= self.position and sent.event != "problem":
            self._cursor = said
        told = orjson.loads(sent.data) if sent.event in {"problem", "end"} else {}
        if "type" in told:  # it cannot go on, or its key is good no more
            raise rebuilt(str(told.pop("type")).removeprefix(URN), str(told.pop("detail")), told)
        self._is_over = sent.event == "end"
        return sent.event not in {"end", "bye", "dropped"}

    def _may_go_on(self, error: LedgerError) -> bool:
        now = time.monotonic()
        if not self._failures:
            self._failing_since = now
        is_for_now = not isinstance(error, LedgerUnavailable) or error.retriable
        return is_for_now and (self._patience is None or now - self._failing_since < self._patience)

    def _pause(self) -> float:
        self._failures += 1
        return random.uniform(0.5, 1) * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10))  # noqa: S311


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
