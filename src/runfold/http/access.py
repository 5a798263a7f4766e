"""Who asks: every request is somebody's, of one tenant, and may do what its key's scopes say."""

import asyncio
import contextlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from runfold.domain.security import Denied, Scope, Security, Shown, key_stream, read_key
from runfold.errors import KeyRefused, ScopeMissing, TooManyRequests
from runfold.http.denials import Denials
from runfold.http.key_watch import Ended, KeyWatch
from runfold.ledger.caller import Caller
from runfold.ledger.keys import KeyView, key_views
from runfold.ledger.ledger import Ledger

BELIEVED_SECONDS = 1.0
MOST_BELIEVED = 10_000
STRANGERS_AT_ONCE = 4

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Access(Protocol):
    """Knows who asks."""

    async def caller(self, request: Request, scope: Scope) -> Caller:
        """Whose request it is. Raises KeyRefused, ScopeMissing, TooManyRequests."""

    def watch(self, caller: Caller, ended: Ended) -> Callable[[], None]:
        """Call `ended` when the caller's API key is good no more; call what is returned to be told no more."""

    async def close(self) -> None:
        """The service ends: whatever is still to be done."""


def keys_of_all(ledger: Ledger) -> list[KeyView]:
    """The keys of all tenants, those that are good no more too."""
    return key_views(ledger.recorder.reader, None, ledger._own_door.clock())


class Bucket:
    """How often a key may ask: as many requests at once as in a second, and then evenly."""

    def __init__(self, a_second: float, now: float) -> None:
        self._a_second, self._most = a_second, max(1.0, a_second)
        self._left, self._at = self._most, now

    def take(self, now: float) -> float:
        """Let one request through, which is 0; else the seconds until there is room for it."""
        self._left = min(self._most, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._a_second
        self._left -= 1
        return 0.0


@dataclass
class _Known:
    """A key as it was found in the log, believed for a moment."""

    tenant_id: str
    state: Security
    until: float
    bucket: Bucket | None


_STRANGER = _Known("", Security("security_"), 0.0, None)
"""What is believed of a key of which nothing is known."""


class Keys:
    """Lets in whoever shows a good key: `Authorization: Bearer rf_…`. Who acts is the key's owner, in the key's tenant.

    A key is looked up in its own stream and believed for a second. So one that was revoked opens nothing from that moment on
    in the process that revoked it, and for a second at most in others; without the database nobody is let in for longer
    than that. The limit on requests counts in each process for itself.
    """

    def __init__(self, ledger: Ledger, denials: Denials | None = None) -> None:
        self._ledger = ledger
        self._denials = denials or Denials(ledger)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._looking: dict[tuple[str, bool], asyncio.Task[_Known]] = {}
        self._strangers = asyncio.Semaphore(STRANGERS_AT_ONCE)
        self._watch = KeyWatch(lambda key_id: self._read(key_id)[1], ledger._own_door.clock)
        ledger._own_door.revoked_keys.tell(self._watch.revoked)

    async def caller(self, request: Request, scope: Scope) -> Caller:
        """The key's owner, in its tenant. Raises KeyRefused, ScopeMissing, TooManyRequests, LedgerUnavailable."""
        shown = _shown(request)
        if not isinstance(shown, Shown):
            self._refuse(request, scope, shown)
        known = await self._find(shown)
        now = self._ledger._own_door.clock()
        if (fault := known.state.fault(shown.secret, now)) is not None:
            self._refuse(request, scope, fault, known, shown.id)
        if shown.id in self._ledger._own_door.revoked_keys:
            self._refuse(request, scope, "revoked", known, shown.id)
        if known.bucket is not None and (seconds := known.bucket.take(time.monotonic())):
            self._denials.add(request, known.tenant_id, "too_many", scope, shown.id)
            raise TooManyRequests(self._ledger.settings.requests_a_second, seconds)
        if not known.state.allows(scope):
            self._denials.add(request, known.tenant_id, "scope_missing", scope, shown.id)
            raise ScopeMissing(shown.id, scope)
        assert known.state.key is not None, "it has no fault"  # noqa: S101
        key = known.state.key
        return Caller(known.tenant_id, key.owner, scopes=frozenset(key.scopes), api_key=shown.id)

    def watch(self, caller: Caller, ended: Ended) -> Callable[[], None]:
        """Call `ended` when the caller's key was revoked or has expired; call what is returned to be told no more."""
        assert caller.api_key is not None, "whoever was let in here had a key"  # noqa: S101
        leave = self._watch.add(caller.api_key, ended)
        if caller.api_key in self._ledger._own_door.revoked_keys:  # since it was let in
            self._watch.revoked(caller.api_key)
        return leave

    async def close(self) -> None:
        """Record the denials that were counted and not recorded yet."""
        self._ledger._own_door.revoked_keys.tell_no_more(self._watch.revoked)
        self._watch.close()
        await self._denials.close()

    def _refuse(
        self, request: Request, scope: Scope, reason: Denied, known: _Known | None = None, key_id: str | None = None
    ) -> NoReturn:
        """Say no, and no more than that. What was said of a key that was never made is not recorded."""
        is_key = known is not None and known.state.key is not None
        tenant_id = known.tenant_id if known is not None else self._ledger.caller.tenant_id
        self._denials.add(request, tenant_id, reason, scope, key_id if is_key else None)
        raise _refused()

    async def _find(self, shown: Shown) -> _Known:
        """The key, at most a second old for whoever shows its secret: however many ask with it at once, it is read once.

        Whoever shows no right secret has the key read from the log, whether there is one or not, and waits for others who
        show none: so how long that takes says nothing of which keys there are, and keeps nobody else waiting.
        """
        known = self._known.get(shown.id, _STRANGER)
        is_proven = known.state.proves(shown.secret)
        if is_proven and time.monotonic() < known.until:
            self._known.move_to_end(shown.id)
            return known
        wanted = shown.id, is_proven
        looking = self._looking.get(wanted)
        if looking is None:
            looking = self._looking[wanted] = asyncio.ensure_future(self._look_up(shown.id, is_proven=is_proven))
            looking.add_done_callback(lambda done: self._looked_up(wanted, done))
        return await asyncio.shield(looking)

    def _looked_up(self, wanted: tuple[str, bool], done: "asyncio.Task[_Known]") -> None:
        del self._looking[wanted]
        if not done.cancelled():
            done.exception()  # whoever waited has it; all of them may have gone

    async def _look_up(self, key_id: str, *, is_proven: bool) -> _Known:
        async with contextlib.nullcontext() if is_proven else self._strangers:
            asked_at = time.monotonic()
            tenant_id, state = await run_in_threadpool(self._read, key_id)
        before, a_second = self._known.get(key_id), self._ledger.settings.requests_a_second
        bucket = before.bucket if before else Bucket(a_second, asked_at) if a_second else None
        known = _Known(tenant_id, state, asked_at + BELIEVED_SECONDS, bucket)
        if state.key is not None:
            self._known[key_id] = known
            self._known.move_to_end(key_id)
            while len(self._known) > MOST_BELIEVED:
                self._known.popitem(last=False)
        return known

    def _read(self, key_id: str) -> tuple[str, Security]:
        state = Security(key_stream(key_id))
        tenant_id = self._ledger.caller.tenant_id
        for recorded in self._ledger.recorder.reader.stream(state.id):
            tenant_id = recorded.tenant_id
            state.evolve(recorded.event)
        return tenant_id, state


def _refused() -> KeyRefused:
    return KeyRefused("the request has no key, or none that is good")


def _shown(request: Request) -> Shown | Denied:
    """The key in a request, or why there is none."""
    given = request.headers.getlist("authorization")
    if not given:
        return "no_key"
    scheme, _, text = given[0].partition(" ")
    shown = read_key(text.strip(" "))
    return shown if shown and len(given) == 1 and scheme.lower() == "bearer" else "malformed"


def is_local(request: Request) -> bool:
    """Whether it comes from this machine, asks for this machine, and was passed on by nobody."""
    if request.client is None or not _is_loopback(request.client.host):
        return False
    if any(name in request.headers for name in _FORWARDED):
        return False
    hosts = [request.headers.get("host", ""), *(origin.partition("://")[2] for origin in request.headers.getlist("origin"))]
    return all(_is_loopback(_without_port(host)) for host in hosts)


def _without_port(host: str) -> str:
    return host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
