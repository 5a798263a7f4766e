"""Answers to commands that append nothing: what stands there already, a refusal, or that there is nothing new.

What is in memory may be out of date, so each is given only after the database was asked.
"""

import threading
import time
from functools import partial

from runfold.commands.cached_streams import CachedStreams
from runfold.commands.caller import Caller
from runfold.commands.plan import Attempt
from runfold.commands.submitted import Receipt, settle
from runfold.domain.event import AlreadyRecorded, Event
from runfold.domain.recorded import Recorded
from runfold.errors import DuplicateWithDifferentContent, KeyReused, LedgerError
from runfold.store.appending.told import told_of_recorded
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader

IN_FLIGHT_SECONDS = 0.002
"""How long what is on its way is waited for, before another look."""


class Answers:
    """Gives these answers, from the log."""

    def __init__(self, reader: Reader, states: CachedStreams, turn: threading.Lock) -> None:
        self._reader, self._states, self._turn = reader, states, turn

    def recorded_under(self, caller: Caller) -> Receipt | None:
        """Return what was recorded under the caller's key, if anything was.

        Raises KeyReused when something else was asked then.
        """
        if caller.key is None:
            return None
        log, former = TenantReader.of(self._reader, caller.tenant_id), caller._replace(key_of="tenant")
        now, before = caller.event_id(0), former.event_id(0)
        first = {recorded.event_id_bytes: recorded for recorded in log.by_event_ids([now, before])}  # mostly there is none
        is_former = now not in first and before in first and _is_of(caller, first[before])
        begun = first.get(before if is_former else now)
        if begun is None:
            return None
        if begun.metadata.request_digest != caller.request:
            raise KeyReused(caller.key, begun.position)
        found = log.under((former if is_former else caller).event_id)
        last, events = found[-1], tuple(recorded.event for recorded in found)
        return Receipt(
            last.stream,
            last.position,
            last.version,
            last.recorded_at,
            len(found),
            events,
            partial(told_of_recorded, found),
            is_former,
            is_repeated=True,
        )

    def look_up(self, attempt: Attempt, caller: Caller) -> None:
        """Answer with what was recorded under the command's key before, if anything was."""
        receipt = self.recorded_under(caller)
        attempt.looked_up = True
        if receipt is not None:
            settle([(attempt.submitted, receipt)])

    def if_current(self, attempt: Attempt, seen: dict[str, int], refused: LedgerError | None, *, is_answer: bool) -> None:
        """Answer a command that appends nothing, if what it was judged by is stored and is all that is stored.

        Who expects something of a head, and was not refused, has no answer yet: what memory holds is brought up to date for it.
        """
        ends = TenantReader.of(self._reader, attempt.tenant_id).ends(list(seen))
        stored = {stream: ends.get(stream, (0, 0))[0] for stream in seen}
        floor = attempt.floor or {}
        if is_answer and all(
            at == stored[stream] or floor.get(stream, stored[stream]) <= at < stored[stream] for stream, at in seen.items()
        ):
            version, position = ends.get(attempt.plan.stream, (0, 0))
            settle([(attempt.submitted, refused or Receipt(attempt.plan.stream, position, version, None, 0))])
            return
        with self._turn:
            for stream, version in stored.items():
                cached = self._states.peek((attempt.tenant_id, stream))
                if cached is not None and cached.state.version < version:
                    self._states.forget(cached)
        attempt.session, attempt.floor = None, stored
        if any(at > stored[stream] for stream, at in seen.items()):
            time.sleep(IN_FLIGHT_SECONDS)

    def as_recorded(self, attempt: Attempt, repeated: AlreadyRecorded) -> None:
        """Answer with what stands there already; not yet, while that is still on its way."""
        reader = TenantReader.of(self._reader, attempt.tenant_id)
        found = list(reader.stream(repeated.stream, after_version=repeated.version - 1, up_to_version=repeated.version))
        if not found:
            time.sleep(IN_FLIGHT_SECONDS)
            return
        require_same(repeated, found[0].event)
        told = partial(told_of_recorded, found)
        receipt = Receipt(repeated.stream, found[0].position, found[0].version, found[0].recorded_at, 0, told_by=told)
        settle([(attempt.submitted, receipt)])


def require_same(repeated: AlreadyRecorded, event: Event) -> None:
    """Raise DuplicateWithDifferentContent unless the recorded event says what is proposed again."""
    if differs := repeated.proposed.differs_from(event):
        raise DuplicateWithDifferentContent(repeated.thing, repeated.id, differs)


def _is_of(caller: Caller, begun: Recorded) -> bool:
    """Return whether what was recorded under a key of the tenant's was this caller's command, and not another's."""
    said = begun.metadata
    return caller.key_of == "caller" and said.actor == caller.actor and (said.request_digest is None) == (caller.request is None)
