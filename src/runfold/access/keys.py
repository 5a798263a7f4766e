"""Who asks: every request is somebody's, of one tenant, and may do what its key's scopes say."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NoReturn

from anyio import to_thread

from runfold.access.asking import Asking
from runfold.access.bucket import Bucket, MakeBucket, Takes
from runfold.access.denials import Denials
from runfold.access.key_watch import Ended, KeyWatch
from runfold.access.sessions import SignedIn
from runfold.commands.caller import Caller
from runfold.domain.security import Denied, Scope, Security, Shown, key_id_of, key_stream, read_key
from runfold.errors import KeyRefused, ScopeMissing, TooManyRequests
from runfold.handles.ledgers.keys import KeyView, key_views
from runfold.ledger import Ledger
from runfold.store.codec import StreamKey
from runfold.store.reading.tenant_reader import TenantReader

BELIEVED_SECONDS = 1.0
MOST_BELIEVED = 10_000
STRANGERS_AT_ONCE = 4


def keys_of_all(ledger: Ledger) -> list[KeyView]:
    """Return the keys of all tenants, those that are good no more too."""
    return key_views(ledger.recorder.reader, None, ledger.command_executor.clock())


@dataclass
class _Held:
    """One tenant's key."""

    tenant_id: str
    state: Security
    bucket: Takes | None

    def fault(self, secret: str, now: datetime, *, is_proven: bool) -> Denied | None:
        """Return why it gives no access, or None when it does; of who has proven the secret, it is not asked again."""
        if not is_proven:
            return self.state.fault(secret, now)
        status = self.state.status(now)
        return None if status == "active" else status

    @property
    def key_id(self) -> str:
        """Return its id."""
        return key_id_of(self.state.id)

    @cached_property
    def caller(self) -> Caller:
        """Whoever shows the key."""
        assert self.state.key is not None, "it has no fault"  # noqa: S101
        return Caller(
            self.tenant_id,
            self.state.key.owner,
            scopes=frozenset(self.state.key.scopes),
            api_key=self.key_id,
        )


@dataclass
class _Known:
    """The keys of one id as they were found in the log, believed for a moment: two tenants may have used the same."""

    held: list[_Held]
    until: float

    def proven(self, secret: str) -> _Held | None:
        """Return the one whose secret it is; None where nobody has such a key."""
        return next((held for held in self.held if held.state.proves(secret)), None)

    @property
    def alone(self) -> _Held | None:
        """Return the only one; None where nobody, or nobody in particular, has such a key."""
        return self.held[0] if len(self.held) == 1 else None


_STRANGER = _Known([], 0.0)
"""What is believed of a key of which nothing is known."""


class Keys:
    """Lets in whoever shows a good key: `Authorization: Bearer rf_…`. Who acts is the key's owner, in the key's tenant.

    A key is looked up in its own stream and believed for a second. So one that was revoked opens nothing from that moment on
    in the process that revoked it, and for a second at most in others; without the database nobody is let in for longer
    than that. The limit on requests counts in each process for itself, unless `bucket` gives what several take from.
    """

    def __init__(self, ledger: Ledger, denials: Denials | None = None, bucket: MakeBucket = Bucket.named) -> None:
        self._ledger = ledger
        self._bucket = bucket
        self._denials = denials or Denials(ledger)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._proven: dict[str, tuple[_Held, float]] = {}
        """By what was shown: the key that it proves, and until when that is believed."""
        self._looking: dict[tuple[str, bool], asyncio.Task[_Known]] = {}
        self._strangers = asyncio.Semaphore(STRANGERS_AT_ONCE)
        self._watch = KeyWatch(self._read_one, ledger.command_executor.clock)
        ledger.command_executor.revoked_keys.tell(self._watch.revoked)

    async def caller(self, asking: Asking, scope: Scope) -> Caller:
        """Return the key's owner, in its tenant. Raises KeyRefused, ScopeMissing, TooManyRequests, LedgerUnavailable."""
        known = self._lately(asking) or await self._admitted(asking, scope)
        if (known.tenant_id, known.state.id) in self._ledger.command_executor.revoked_keys:
            self._refuse(asking, scope, "revoked", known)
        if known.bucket is not None and (seconds := known.bucket.take(time.monotonic())):
            self._denials.add(asking, known.tenant_id, "too_many", scope, known.key_id)
            raise TooManyRequests(self._ledger.settings.requests_a_second, seconds)
        if not known.state.allows(scope):
            self._denials.add(asking, known.tenant_id, "scope_missing", scope, known.key_id)
            raise ScopeMissing(known.key_id, scope)
        return known.caller

    def _lately(self, asking: Asking) -> _Held | None:
        """Return the good key that who shows the same text had within the last second: it need not be proven anew."""
        shown = asking.authorization
        found = self._proven.get(shown[0]) if len(shown) == 1 and asking.signed_in is None else None
        if found is None or time.monotonic() >= found[1]:
            return None
        held = found[0]
        return held if held.fault("", self._ledger.command_executor.clock(), is_proven=True) is None else None

    async def _admitted(self, asking: Asking, scope: Scope) -> _Held:
        """Return a good key. Raises KeyRefused, LedgerUnavailable."""
        shown = asking.signed_in or _shown(asking)
        if isinstance(shown, str):
            self._refuse(asking, scope, shown)
        key_id, secret = (shown.key_id, "") if isinstance(shown, SignedIn) else (shown.id, shown.secret)
        known, is_proven = await (self._find_signed_in(shown) if isinstance(shown, SignedIn) else self._find(shown))
        judged = known or _Held("", Security(key_stream(key_id)), None)
        fault = judged.fault(secret, self._ledger.command_executor.clock(), is_proven=is_proven)
        if fault is not None or known is None:
            self._refuse(asking, scope, fault or "unknown", known)
        if isinstance(shown, Shown):
            self._remember(asking.authorization[0], known)
        return known

    def _remember(self, text: str, held: _Held) -> None:
        """Remember for the rest of a second whose key a text is. For longer none is kept, whether others come or not."""
        if (known := self._known.get(held.key_id)) is None:
            return  # so many others were asked for meanwhile
        if not self._proven:
            asyncio.get_running_loop().call_later(BELIEVED_SECONDS, self._proven.clear)
        self._proven[text] = held, known.until

    def watch(self, caller: Caller, ended: Ended) -> Callable[[], None]:
        """Call `ended` when the caller's key was revoked or has expired; call what is returned to be told no more."""
        assert caller.api_key is not None, "whoever was let in here had a key"  # noqa: S101
        key = caller.tenant_id, key_stream(caller.api_key)
        leave = self._watch.add(key, ended)
        if key in self._ledger.command_executor.revoked_keys:  # since it was let in
            self._watch.revoked(key)
        return leave

    async def close(self) -> None:
        """Record the denials that were counted and not recorded yet."""
        self._ledger.command_executor.revoked_keys.tell_no_more(self._watch.revoked)
        self._watch.close()
        await self._denials.close()

    def _refuse(self, asking: Asking, scope: Scope, reason: Denied, known: _Held | None = None) -> NoReturn:
        """Say no, and no more than that. What was said of a key that was never made is not recorded."""
        tenant_id = known.tenant_id if known is not None else self._ledger.caller.tenant_id
        self._denials.add(asking, tenant_id, reason, scope, None if known is None else known.key_id)
        raise _refused()

    async def _find(self, shown: Shown) -> tuple[_Held | None, bool]:
        """Return the key, and whether the secret is its own; None where nobody, or nobody in particular, has such a key.

        It is at most a second old for whoever shows its secret: however many ask with it at once, it is read once.

        Whoever shows no right secret has the key read from the log, whether there is one or not, and waits for others who
        show none: so how long that takes says nothing of which keys there are, and keeps nobody else waiting.
        """
        known = self._known.get(shown.id, _STRANGER)
        proven = known.proven(shown.secret)
        if proven is not None and time.monotonic() < known.until:
            self._known.move_to_end(shown.id)
            return proven, True
        known = await self._looked(shown.id, is_proven=proven is not None)
        proven = known.proven(shown.secret)
        return proven or known.alone, proven is not None

    async def _find_signed_in(self, session: SignedIn) -> tuple[_Held | None, bool]:
        """Return the key that a session began with, at most a second old: its secret was proven then."""
        known = self._known.get(session.key_id, _STRANGER)
        if time.monotonic() >= known.until:
            known = await self._looked(session.key_id, is_proven=True)
        held = next((held for held in known.held if held.tenant_id == session.tenant_id), None)
        return held, held is not None

    async def _looked(self, key_id: str, *, is_proven: bool) -> _Known:
        wanted = key_id, is_proven
        looking = self._looking.get(wanted)
        if looking is None:
            looking = self._looking[wanted] = asyncio.ensure_future(self._look_up(key_id, is_proven=is_proven))
            looking.add_done_callback(lambda done: self._looked_up(wanted, done))
        return await asyncio.shield(looking)

    def _looked_up(self, wanted: tuple[str, bool], done: "asyncio.Task[_Known]") -> None:
        del self._looking[wanted]
        if not done.cancelled():
            done.exception()  # whoever waited has it; all of them may have gone

    async def _look_up(self, key_id: str, *, is_proven: bool) -> _Known:
        async with contextlib.nullcontext() if is_proven else self._strangers:
            asked_at = time.monotonic()
            states = await to_thread.run_sync(self._read, key_id)
        before, a_second = self._known.get(key_id, _STRANGER), self._ledger.settings.requests_a_second
        buckets = {held.tenant_id: held.bucket for held in before.held}
        held = [
            _Held(
                tenant_id,
                state,
                buckets.get(tenant_id) or (self._bucket(f"{tenant_id}/{key_id}", a_second, asked_at) if a_second else None),
            )
            for tenant_id, state in states.items()
        ]
        known = _Known(held, asked_at + BELIEVED_SECONDS)
        if held:
            self._known[key_id] = known
            self._known.move_to_end(key_id)
            while len(self._known) > MOST_BELIEVED:
                self._known.popitem(last=False)
        return known

    def _read_one(self, key: StreamKey) -> Security:
        tenant_id, stream = key
        state = Security(stream)
        for recorded in TenantReader.of(self._ledger.recorder.reader, tenant_id).stream(stream):
            state.evolve(recorded.event)
        return state

    def _read(self, key_id: str) -> dict[str, Security]:
        """Read the keys of each tenant."""
        found: dict[str, Security] = {}
        for tenant_id, events in self._ledger.recorder.reader.key_streams(key_stream(key_id)).items():
            state = Security(key_stream(key_id))
            for recorded in events:
                state.evolve(recorded.event)
            if state.key is not None:
                found[tenant_id] = state
        return found


def _refused() -> KeyRefused:
    return KeyRefused("missing or invalid API key")


def _shown(asking: Asking) -> Shown | Denied:
    """Return the key in a request, or why there is none."""
    given = asking.authorization
    if not given:
        return "no_key"
    scheme, _, text = given[0].partition(" ")
    shown = read_key(text.strip(" "))
    return shown if shown and len(given) == 1 and scheme.lower() == "bearer" else "malformed"
