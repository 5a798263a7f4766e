"""Where a request comes from, and which names the server answers to: what the settings say, and never what a client says.

A header that names an address is believed of a proxy that RUNFOLD_TRUSTED_PROXIES names, and read from its end: the last
address that is no such proxy's is the client's. What stands before it may be anything.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from runfold.http.problems import problem
from runfold.http.scope import connection_of
from runfold.settings import listed

MOST_HOPS, MOST_CHARACTERS = 32, 4096
"""How much of a header is looked at, from its end."""
_SAME_CLIENT_BITS = 64
"""Of an IPv6 address: whoever has one has all that begin alike."""
_ALWAYS = frozenset({"/healthz", "/readyz"})
"""What balancers ask for by the address of the machine."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def neighbourhood(address: str | None) -> str | None:
    """What counts as one client: an IPv4 address, or a whole network of IPv6 that is given to one site."""
    parsed = None if address is None else read_address(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        return address
    return str(ipaddress.ip_network((parsed, _SAME_CLIENT_BITS), strict=False))


def read_address(text: str) -> Address | None:
    """An address as headers have it, with or without a port; None for what is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])  # a zone is anybody's text
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


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


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    address = read_address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


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
        name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        return name.rstrip(".") in self._names or is_loopback(name)
