"""The feed of a ledger elsewhere: pages, and its event stream as a source that connects again for as long as it takes."""

import contextlib
import json
import random
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx2
import orjson

from runfold.domain.catalogue import event_types
from runfold.domain.event import Event
from runfold.domain.raw_event import raw, read_or_raw
from runfold.domain.recorded import Recorded
from runfold.errors import LedgerUnavailable, TooManyRequests, UnreadableEvent, UsageError
from runfold.feed.asked import Asked
from runfold.feed.following import Complete, Failed, Following, Retries, Span
from runfold.feed.looked import Looked
from runfold.remote.answers import URN, rebuilt
from runfold.remote.calls import query
from runfold.remote.client import Client, Params, hang_up
from runfold.store.cursor import Cursor

MOST = 1000
SILENCE_SECONDS = 60.0
"""A stream has a heartbeat every 15 seconds; one that has said nothing for so long is dead."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_ENDS = frozenset({"end", "bye", "dropped"})
"""What a stream says when no more comes on its connection."""


def recorded_of(told: Mapping[str, Any]) -> Recorded:
    """`Recorded.as_json` → the event; as it came, and marked so (`is_raw`), where only a newer Runfold knows what it is."""
    return Recorded(
        told["position"],
        told["stream"],
        told["version"],
        _event_of(told),
        UUID(told["event_id"]).bytes,
        told["tenant_id"],
        told["thread_id"],
        datetime.fromisoformat(told["recorded_at"]),
        told["schema_version"],
        _as_stored(told["context"]),
        _as_stored(told["metadata"]),
    )


def _event_of(told: Mapping[str, Any]) -> Event:
    """The event itself. A server says which version of its shape it sends; a former one says nothing, and sends its own."""
    name, position, stored, data = told["type"], told["position"], told["schema_version"], orjson.dumps(told["data"])
    todays = max(stored, event_types[name].schema_version) if name in event_types else stored
    version = told.get("data_version", todays)
    try:
        return read_or_raw(name, version, data, position)
    except UnreadableEvent as error:  # the server could read it: it knows more than is known here
        return raw(name, version, data, position, str(error))


def _as_stored(facts: Mapping[str, Any]) -> str:
    """The text that PostgreSQL makes of a jsonb value."""
    return json.dumps(facts, ensure_ascii=False)


def all_events(client: Client, path: str, params: Params, *, after: str = "0", most: int | None = None) -> Iterator[Recorded]:
    """The events of a route in order, page by page; `most` of them at most."""
    left = most
    while left is None or left > 0:
        limit = MOST if left is None else min(left, MOST)
        answer = client.request("GET", path, params=[*params, ("after", after), ("limit", str(limit))])
        found, then = answer.json(lambda page: ([recorded_of(told) for told in page["items"]], page["next_cursor"]))
        yield from found
        if then is None:
            return
        after = then
        left = None if left is None else left - len(found)


def last_events(client: Client, path: str, params: Params, *, up_to: int | None, most: int) -> Iterator[Recorded]:
    """The last events of a route, the last first, page by page; `most` of them at most."""
    left = most
    while left > 0:
        end = [] if up_to is None else [("up_to", str(up_to))]
        answer = client.request("GET", path, params=[*params, *end, ("limit", str(min(left, MOST)))])
        found, up_to = answer.json(lambda page: ([recorded_of(told) for told in page["items"]], page["next_up_to"]))
        yield from found
        if up_to is None:
            return
        left -= len(found)


class StreamSource:
    """Reads the event stream of a server. When the connection breaks it connects again, for `patience` seconds, or for ever."""

    def __init__(
        self, client: Client, asked: Asked, *, follow: bool = True, until_run_ends: bool = True, patience: float | None = None
    ) -> None:
        """Raises LedgerError for what the server refuses; where it is away for now, it is asked again when somebody looks."""
        self._client = client
        wanted = asked.fields()
        if asked.run_id is not None and not until_run_ends:
            wanted["until_run_ends"] = False
        self._stopped = threading.Event()
        self._response: httpx2.Response | None = None
        self.begun = _begin(client, asked)
        self._params = query({**wanted, "follow": follow})
        self._state: Following[str | None] = Following(*self.begun, Retries(_pause, patience))
        self._looks = self._all()

    def look(self) -> Looked:
        """Look on, waiting for as long as it takes. Raises LedgerError where it cannot go on."""
        return next(self._looks, Looked(self._place, is_over=True))

    def stop(self) -> None:
        """Let `look` return soon, in whichever thread it waits."""
        self._stopped.set()
        if (response := self._response) is not None:
            hang_up(response)

    def close(self) -> None:
        """Give the connection back."""
        with contextlib.suppress(ValueError):  # another thread looks: it ends by itself
            self._looks.close()

    @property
    def _place(self) -> Cursor:
        return Cursor(self._state.position, self._state.epoch)

    def _all(self) -> Generator[Looked]:
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

    def _connected(self) -> Iterator[Looked]:
        """What comes on one connection, until it ends."""
        headers = {"Last-Event-ID": str(self._place)}
        try:
            with self._client.stream("/events", self._params, headers, SILENCE_SECONDS) as source:
                self._response = source.response
                for sent in source if not self._stopped.is_set() else ():
                    events = self._looked(sent)
                    yield Looked(self._place, events, is_caught_up=sent.event == "caught_up")
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
        if said is not None and said.position >= self._state.position and sent.event != "problem":
            self._went(said.position, said.epoch, [])
        told = orjson.loads(sent.data) if sent.event in {"problem", "end"} else {}
        if "type" in told:  # it cannot go on, or its key is good no more
            raise rebuilt(str(told.pop("type")).removeprefix(URN), str(told.pop("detail")), told)
        if sent.event == "end":
            self._state.ends_at(self._state.position)
        return []

    def _went(self, position: int, epoch: str | None, events: list[Recorded]) -> list[Recorded]:
        """The server looked on from where this stands: what comes anew of what it sends."""
        if position >= self._state.position:
            self._state.confirmed(epoch)
        return self._state.looked(Span(min(position, self._state.position), position, epoch, events))


def _begin(client: Client, asked: Asked) -> Cursor:
    """Return the place after which to begin, if the server takes what is asked. Raises LedgerError."""
    try:
        told = client.once("/events", query({**asked.fields(), "after": asked.after_text, "up_to": 0, "limit": 1}))
    except (LedgerUnavailable, TooManyRequests):
        if isinstance(asked.after, Cursor):
            return asked.after
        raise
    return told.json(lambda page: Cursor(page["position"], page["epoch"]))


def _pause(failures: int) -> float:
    """Seconds until it connects again after so many failures in a row: not all who lost a server come back at one moment."""
    return random.uniform(0.5, 1) * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10))  # noqa: S311


def _sent(id: str) -> Cursor | None:
    """What an id of the stream says; None for none."""
    try:
        return Cursor.parse(id)
    except UsageError:
        return None
