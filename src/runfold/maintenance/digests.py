"""The digests that events hold of what stands in the log, compared with it while the log is read in order."""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from runfold.domain.approval_events import ApprovalEvent
from runfold.domain.event import Event, event_types
from runfold.domain.own_digests import ApprovalTexts, Fault, own_faults
from runfold.domain.requests import Requests
from runfold.domain.run_events import RunCreated
from runfold.domain.thread import HeadNamed
from runfold.errors import UnknownEventType, UnreadableEvent
from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader

REMEMBERED = 4096
"""Approvals of which it is remembered what was asked for; what of another is needed is read again."""


class Place(NamedTuple):
    """Where an event stands."""

    position: int
    tenant_id: str
    stream: str
    version: int
    thread_id: str


class Digests:
    """Compares event after event, in the order of positions. Memory does not grow with the log."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._queries = named_queries("runfold.maintenance", "checking.sql")
        self._requests = Requests()
        self._approvals: OrderedDict[tuple[str, str], ApprovalTexts] = OrderedDict()

    def faults(self, place: Place, event: Event) -> Iterator[Fault]:
        """Yield the fields that do not fit what they are a digest or a copy of."""
        yield from own_faults(event)
        if isinstance(event, ApprovalEvent):
            yield from self._approval(place).faults(event)
        if isinstance(event, RunCreated) and not (self._requests.fits(event) or self._requests.fits(event, self._heads(place))):
            asked = "input, agent_id, parent, goal, request_config, background, callback_url or metadata"
            yield Fault("request_digest", f"{asked} is not what was asked for under {event.request_digest}")

    def _approval(self, place: Place) -> ApprovalTexts:
        key = place.tenant_id, place.stream
        texts = self._approvals.pop(key, None)
        if texts is None:
            texts = self._read_before(place) if place.version > 1 else ApprovalTexts()
        self._approvals[key] = texts
        if len(self._approvals) > REMEMBERED:
            self._approvals.popitem(last=False)
        return texts

    def _read_before(self, place: Place) -> ApprovalTexts:
        texts = ApprovalTexts()
        for event in self._stored("approval before", place.stream, place.tenant_id, place.version):
            if isinstance(event, ApprovalEvent):
                for _ in texts.faults(event):
                    pass  # each is reported where it stands
        return texts

    def _heads(self, place: Place) -> set[str]:
        named = self._stored("heads named", place.thread_id, place.tenant_id)
        return {event.name for event in named if isinstance(event, HeadNamed)}

    def _stored(self, query: str, *of: object) -> Iterator[Event]:
        for type_, schema_version, state in self._reader.rows(self._queries[query], list(of)):
            with contextlib.suppress(UnknownEventType, UnreadableEvent):  # it is reported where it stands
                yield event_types.read(type_, schema_version, state)
