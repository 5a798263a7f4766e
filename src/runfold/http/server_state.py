"""What all routes share: the ledger, who asks of it, and how much it takes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar

from starlette.requests import Request

from runfold.access.asking import Access
from runfold.access.key_watch import Ended
from runfold.access.limits import BytesInFlight, Hold, Limits, Pools, Tally
from runfold.api.route import Scope
from runfold.commands.caller import Caller
from runfold.domain.values import digest
from runfold.errors import InvalidEvent, KeyRefused, LedgerError, ProjectionNotFound
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.clients import Clients, host_fault
from runfold.http.problems import disclosed
from runfold.http.scope import only_header
from runfold.http.waiting import Watch
from runfold.ledger import Ledger
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import known
from runfold.projector.past.preparing import Preparer
from runfold.queries.sources.read_models import Progress

if TYPE_CHECKING:
    from runfold.http.agents.work import Work

T = TypeVar("T")

KEY_HEADER = "Idempotency-Key"
MOST_KEY_CHARACTERS = 255
FORM_BYTES = 64 * 1024
"""Of a form of a page."""
MOST_CALLERS = 1000
"""For so many callers the ledger as they see it is kept."""


class Beside(Protocol):
    """The other processes of the same server, as one of them sees them."""

    number: int
    """Its own, from 0."""

    async def metrics(self) -> Mapping[int, str | None]:
        """Return what the others count, by their numbers; None for one that does not answer."""


@dataclass
class ServerState:
    """The ledger, for whoever asks."""

    ledger: Ledger
    access: Access
    limits: Limits = field(default_factory=Limits)
    own: Mapping[str, AnyProjection] = field(default_factory=dict)
    """Projections, by name, that the server was started with beside those that every program knows."""
    preparer: Preparer | None = None
    """Who makes moments that are asked for."""
    tally: Tally | None = None
    """What several processes hold of bodies; None where there is one process."""
    beside: Beside | None = None
    """The other processes of the same server; None where there is one process."""
    pools: Pools = field(default_factory=Pools)
    work: "Work | None" = None
    """The runs of agents; None where none is served."""
    _asking: dict[tuple[str, ...], tuple[asyncio.Lock, list[None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.in_flight = BytesInFlight(self.limits.bytes_in_flight, self.tally)
        self.progress = Watch(self._progress)
        self._clients = Clients(self.ledger.settings.trusted_proxies)
        self._seen_by = lru_cache(maxsize=MOST_CALLERS)(self.ledger.on_behalf)

    async def ledger_for(self, request: Request, scope: Scope) -> TenantLedger:
        """The ledger as who asks sees it. Raises AccessDenied."""
        return self.seen_by(await self.caller(request, scope))

    def seen_by(self, caller: Caller) -> TenantLedger:
        """The ledger as a caller sees it: of one without an idempotency key the same each time, for it keeps nothing."""
        return self._seen_by(caller) if caller.key is None else self.ledger.on_behalf(caller)

    async def caller(self, request: Request, scope: Scope) -> Caller:
        """Who asks. Raises AccessDenied."""
        return await self.access.caller(self._clients.asked(request), scope)

    async def caller_of_key(self, request: Request, text: str) -> Caller:
        """Whose key a text is, shown in a form. Raises KeyRefused, TooManyRequests."""
        return await self.access.caller(self._clients.asked(request, [f"Bearer {text}"]), "runs:read")

    def host_fault(self, request: Request) -> str | None:
        """Return why a browser that asks for that host is not to be trusted; None where it is a name of ours."""
        return host_fault(request, self.ledger.settings)

    def disclosed(self, error: LedgerError) -> LedgerError:
        """Return an error as it may be told to whoever asks."""
        return disclosed(error)

    async def form(self, request: Request) -> bytes:
        """The body of a form. Raises TooLarge, TooSlow, TooBusy."""
        with self.in_flight.holding(self._clients.address(request) or "") as hold:
            return await bodies.read(request, replace(self.limits, body_bytes=FORM_BYTES), hold)

    @property
    def is_behind_proxy(self) -> bool:
        """Whether the settings say that others ask through a proxy: then nobody is believed to be on this machine."""
        return bool(self.ledger.settings.trusted_proxies or self.ledger.settings.public_hosts)

    def runs_it(self, caller: Caller) -> bool:
        """Whether the caller looks after the whole server: with `admin`, in the server's own tenant."""
        return caller.scopes is None or (caller.may("admin") and caller.tenant_id == self.ledger.settings.tenant)

    def watch(self, caller: Caller, ended: Ended) -> Callable[[], None]:
        """Call `ended` when the key that the caller showed is good no more; call what is returned to be told no more."""
        return _nothing if caller.api_key is None else self.access.watch(caller, ended)

    @contextlib.contextmanager
    def waiting(self, caller: Caller, wake: Callable[[], object] = lambda: None) -> Iterator[Callable[[], None]]:
        """Give what raises KeyRefused once the key of a caller who waits is good no more; `wake` is called then."""
        refused: list[KeyRefused] = []

        def ended(error: KeyRefused) -> None:
            refused.append(error)
            wake()

        def require_good() -> None:
            if refused:
                raise refused[0]

        leave = self.watch(caller, ended)
        try:
            yield require_good
        finally:
            leave()

    @property
    def served(self) -> Mapping[str, AnyProjection]:
        """The projections, by name, that this server folds and serves: those that every program knows, and its own."""
        return {**known(), **self.own}

    def projection(self, name: str) -> AnyProjection:
        """One that this server was started with: a name in a request is looked up and never imported.

        Raises ProjectionNotFound.
        """
        found = self.served.get(name)
        if found is None:
            raise ProjectionNotFound(name)
        return found

    def commanding(self, request: Request, scope: Scope) -> AbstractAsyncContextManager[tuple[TenantLedger, bytes]]:
        """The ledger for a command, and the body. Of one caller's commands under one idempotency key one goes at a time, so that
        all get the answer of the first.

        Nothing of the body is taken from who may not send it. Raises AccessDenied, TooLarge, TooSlow, TooBusy, and InvalidEvent
        for what can be no key.
        """
        return _Commanding(self, request, scope)

    @contextlib.asynccontextmanager
    async def body(self, request: Request, caller: Caller) -> AsyncIterator[bytes]:
        """The body of a request whose caller is known; it counts among those in flight until it is needed no more.

        Raises TooLarge, TooSlow, TooBusy.
        """
        with self.in_flight.holding("/".join(caller.identity)) as hold:
            yield await bodies.read(request, self.limits, hold)

    async def parsed(self, request: Request, raw: bytes, parse: Callable[[Request, bytes], T]) -> T:
        """Return what `parse` makes of a body; a large one is parsed in a thread. Raises as `parse`, and TooLarge, TooBusy."""

        def work() -> T:
            bodies.require_few_values(raw, self.limits.body_values)
            return parse(request, raw)

        return await self.pools.on_body(len(raw), work)

    def _progress(self, names: Iterable[str]) -> Mapping[str, Progress]:
        return self.ledger.now.read_models.progress(names)

    @contextlib.asynccontextmanager
    async def once(self, request: Request, caller: Caller, key: str, body: bytes) -> AsyncIterator[Caller]:
        """The caller with the idempotency key of a request, when it is its turn under that key."""
        if not 0 < len(key) <= MOST_KEY_CHARACTERS or not key.isascii() or not key.isprintable():
            raise InvalidEvent(KEY_HEADER, f"must be 1 to {MOST_KEY_CHARACTERS} printable ASCII characters; send a random id")
        head = f"{request.method} {request.url.path} {request.headers.get('if-match', '')}"
        asked = await self.pools.on_body(len(body), lambda: digest(f"{head} ".encode() + body))
        async with self._in_turn((*caller.identity, key)):
            yield caller._replace(key=key, request=asked)

    @contextlib.asynccontextmanager
    async def _in_turn(self, asked: tuple[str, ...]) -> AsyncIterator[None]:
        turn, waiting = self._asking.setdefault(asked, (asyncio.Lock(), []))
        waiting.append(None)
        try:
            async with turn:
                yield
        finally:
            waiting.pop()
            if not waiting:
                del self._asking[asked]


class _Commanding(AbstractAsyncContextManager[tuple[TenantLedger, bytes]]):
    """The way of one request to its command, step by step: there is nothing to unwind for most, and every request goes it."""

    def __init__(self, server: ServerState, request: Request, scope: Scope) -> None:
        self._server, self._request, self._scope = server, request, scope
        self._hold: Hold | None = None
        self._turn: AbstractAsyncContextManager[Caller] | None = None

    async def __aenter__(self) -> tuple[TenantLedger, bytes]:
        server, request = self._server, self._request
        caller = await server.caller(request, self._scope)
        self._hold = Hold(server.in_flight, "/".join(caller.identity))
        try:
            body = await bodies.read(request, server.limits, self._hold)
            if (key := only_header(request, KEY_HEADER)) is not None:
                turn = server.once(request, caller, key, body)
                caller = await turn.__aenter__()
                self._turn = turn
            return server.seen_by(caller), body
        except BaseException:
            self._hold.release()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._turn is not None:
                await self._turn.__aexit__(kind, error, trace)
        finally:
            if self._hold is not None:
                self._hold.release()


def _nothing() -> None:
    """There is no key to be watched."""
