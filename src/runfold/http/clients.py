"""Where a request comes from, and which names the server answers to: what the settings say, and never what a client says.

A header that names an address is believed of a proxy that RUNFOLD_TRUSTED_PROXIES names, and read from its end: the last
address that is no such proxy's is the client's. What stands before it may be anything.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from runfold.access.addresses import Address, is_loopback, read_address
from runfold.access.sessions import SignedIn
from runfold.errors import shortened
from runfold.http.problems import problem
from runfold.http.scope import connection_of
from runfold.pages.session import signed_in
from runfold.settings import Settings, listed

MOST_HOPS, MOST_CHARACTERS = 32, 4096
"""How much of a header is looked at, from its end."""
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_SCHEMES = frozenset({"http", "https"})
_ALWAYS = frozenset({"/healthz", "/readyz"})
"""What balancers ask for by the address of the machine."""


class Clients:
    """Knows the addresses of clients, behind proxies that are trusted to say them."""

    def __init__(self, trusted_proxies: str) -> None:
        self._trusted = [ipaddress.ip_network(name, strict=False) for name in listed(trusted_proxies)]

    def address(self, request: Request) -> str | None:
        """The client's address; None where the server has no address of it, as on a Unix socket."""
        found = _peer(request)
        if found is None or not self._is_trusted(found):
            return None if found is None else str(found)
        for hop in _hops(request):
            address = read_address(hop)
            if address is None:
                break  # the proxy before it does not say more than that
            found = address
            if not self._is_trusted(address):
                break
        return str(found)

    def scheme(self, request: Request) -> str:
        """Return `https` where the client came by TLS, here or to a proxy that is trusted to say so."""
        peer, said = _peer(request), request.headers.getlist("x-forwarded-proto")
        is_told = peer is not None and self._is_trusted(peer) and said
        told = said[-1].rpartition(",")[2].strip().lower() if is_told else ""
        return told if told in _SCHEMES else str(request.scope["scheme"])

    def asked(self, request: Request, authorization: list[str] | None = None) -> "Asked":
        """A request, as far as it matters who sends it; `authorization` stands for its headers where a form has the key."""
        return Asked(request, self, authorization)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


class Asked:
    """A request, as far as it matters who sends it."""

    def __init__(self, request: Request, clients: Clients, authorization: list[str] | None = None) -> None:
        self._request, self._clients, self._authorization = request, clients, authorization

    @property
    def headers(self) -> Headers:
        """All that it says of itself."""
        return self._request.headers

    @property
    def authorization(self) -> list[str]:
        """What it shows: each of its Authorization headers."""
        if self._authorization is not None:
            return self._authorization
        return [value.decode("latin-1") for name, value in self._request.scope["headers"] if name == b"authorization"]

    @property
    def signed_in(self) -> SignedIn | None:
        """The key of the browser's session that it is of: only the pages take what a browser keeps."""
        return signed_in(self._request)

    @property
    def client(self) -> str | None:
        """The address of who sends it; None where there is none, as on a Unix socket."""
        return self._clients.address(self._request)

    @property
    def route(self) -> str:
        """What it asks for, as method and path with the names of its fields."""
        return f"{self._request.method} {getattr(self._request.scope.get('route'), 'path', '')}".rstrip()


def is_local(request: Request) -> bool:
    """Whether it comes from this machine, asks for this machine, and was passed on by nobody."""
    if request.client is None or not is_loopback(request.client.host):
        return False
    if any(name in request.headers for name in _FORWARDED):
        return False
    hosts = [request.headers.get("host", ""), *(origin.partition("://")[2] for origin in request.headers.getlist("origin"))]
    return all(is_loopback(_without_port(host)) for host in hosts)


def host_fault(request: Request, settings: Settings) -> str | None:
    """Return why a browser that asks for that host is not to be trusted; None where it is a name of ours.

    A page of somebody else's whose name is made to lead here asks for that name. An address is nobody's to make lead elsewhere.
    """
    given = request.headers.getlist("host")
    host = _without_port(given[0].lower()).rstrip(".") if len(given) == 1 else ""
    own = {name.lower().rstrip(".") for name in (settings.host, *listed(settings.public_hosts))}
    if host in own or is_loopback(host) or read_address(host) is not None:
        return None
    return f"{shortened(host)!r} is no name of this server; add it to RUNFOLD_PUBLIC_HOSTS, or use its address"


def _without_port(host: str) -> str:
    return host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]


def _peer(request: Request) -> Address | None:
    """The other end of the connection, whatever has been put into the scope since."""
    connection = connection_of(request.scope)
    client = request.scope.get("client") if connection is None else connection.client
    return read_address(client[0]) if client else None


def _hops(request: Request) -> Iterator[str]:
    """The addresses that proxies added, the last one first. Where two headers say them, one may be the client's own: none."""
    passed_on = request.headers.getlist("x-forwarded-for")
    forwarded = request.headers.getlist("forwarded")
    if passed_on and forwarded:
        return
    parts = ",".join(passed_on or forwarded)[-MOST_CHARACTERS:].split(",")[-MOST_HOPS:]
    for part in reversed(parts):
        yield part if passed_on else _for(part)


def _for(element: str) -> str:
    """The address in an element of `Forwarded` (RFC 7239)."""
    pairs = (pair.partition("=") for pair in element.split(";"))
    return next((value for name, _, value in pairs if name.strip().lower() == "for"), "")


class PublicHosts:
    """An application that answers to its names, and to this machine's own, and to no others.

    A page of somebody else's whose name is made to lead here (DNS rebinding) asks for that name, and is refused.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self.app, self._names = app, frozenset(name.lower().rstrip(".") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the request asks for another host."""
        if scope["type"] != "http" or scope["path"] in _ALWAYS or self._answers_to(Request(scope)):
            await self.app(scope, receive, send)
            return
        detail = "this server is not called that; ask for one of the names in its RUNFOLD_PUBLIC_HOSTS"
        await problem(Request(scope), "HostNotServed", 421, detail, {})(scope, receive, send)

    def _answers_to(self, request: Request) -> bool:
        given = request.headers.getlist("host")
        host = given[0].lower() if len(given) == 1 else ""
        name = _without_port(host)
        return name.rstrip(".") in self._names or is_loopback(name)


class AsClientsCame:
    """An application that is asked under the scheme that the client came by, where a trusted proxy says it.

    So are the addresses that it answers with whole, as /docs shows them. All others are told by their path alone.
    """

    def __init__(self, app: ASGIApp, clients: Clients) -> None:
        self.app, self._clients = app, clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            scope["scheme"] = self._clients.scheme(Request(scope))
        await self.app(scope, receive, send)
