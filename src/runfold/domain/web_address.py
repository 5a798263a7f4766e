"""Where the ledger may send to by itself: which addresses a caller may name, and which of them may be connected to.

Whoever can have something sent to an address of their choice must not reach what only this machine, or its network, reaches. So
an address is judged twice: as it is written, when it is registered, and by every IP address that its name leads to, each time
when it is connected to. The list is our own: what Python calls global lets through NAT64, 6to4 and Teredo, which lead back to
private addresses, and multicast.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from runfold.domain.values import Text
from runfold.errors import InvalidEvent

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

MOST_CHARACTERS = 2000
DEFAULT_PORTS = {"https": 443, "http": 80}

_DENIED_V4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "a private network",
    "100.64.0.0/10": "a provider's shared network (CGNAT)",
    "127.0.0.0/8": "this machine (loopback)",
    "168.63.129.16/32": "a cloud's own service",
    "169.254.0.0/16": "link-local, where clouds keep credentials",
    "172.16.0.0/12": "a private network",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a relay of 6to4",
    "192.168.0.0/16": "a private network",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
_DENIED_V6 = {
    "::/128": "no address",
    "::1/128": "this machine (loopback)",
    "::ffff:0:0/96": "an IPv4 address in IPv6 spelling (mapped)",
    "::/96": "an IPv4 address in IPv6 spelling",
    "64:ff9b::/96": "an IPv4 address behind NAT64",
    "64:ff9b:1::/48": "an IPv4 address behind a local NAT64",
    "100::/64": "for discarding",
    "2001::/32": "an IPv4 address behind Teredo",
    "2001::/23": "reserved for protocols",
    "2001:db8::/32": "for documentation",
    "2002::/16": "an IPv4 address behind 6to4",
    "3fff::/20": "for documentation",
    "5f00::/16": "for segment routing",
    "fc00::/7": "a private network",
    "fe80::/10": "link-local",
    "fec0::/10": "a private network (site-local)",
    "ff00::/8": "multicast",
}
_DENIED: tuple[tuple[IpNetwork, str], ...] = tuple(
    (ip_network(network), reason) for network, reason in (_DENIED_V4 | _DENIED_V6).items()
)
"""What is never connected to, and what it is. The first that holds an address names it."""
_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is assigned to the public network. Whatever lies outside is denied, known or not."""
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Stands before an IPv4 address in the last 64 bits of an IPv6 address that tunnels to it."""
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "localdomain", "onion", "invalid")

_NATS_PORTS = {"nats": 4222, "tls": 4222, "ws": 80, "wss": 443}
_USER = re.compile(r"^([A-Za-z]+://)[^/?#]*@")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class WebAddress:
    """A URL that was judged as it is written."""

    url: str
    scheme: str
    host: str
    """A name in small letters, or an IP address without brackets."""
    port: int

    @property
    def literal(self) -> IpAddress | None:
        """Return the IP address, where the host is one."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def denied(address: IpAddress) -> str | None:
    """Return what an address is that is never connected to; None for one of the public network."""
    for network, reason in _DENIED:
        if address.version == network.version and address in network:
            return reason
    if isinstance(address, IPv6Address):
        if address not in _PUBLIC_V6:
            return "outside of the public network"
        if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return "an IPv4 address behind ISATAP"
    return None


@dataclass(frozen=True)
class AddressRules:
    """Says which addresses things may be sent to, beside those that the public network has."""

    schemes: frozenset[str] = frozenset({"https"})
    ports: frozenset[int] = frozenset({443, 8443, 80, 8080})
    allowed_networks: tuple[IpNetwork, ...] = ()
    """Private networks that may be connected to all the same, such as that of a developer's machine."""
    allowed_hosts: frozenset[str] = frozenset()
    """Names that may be connected to, wherever they lead."""
    denied_networks: tuple[IpNetwork, ...] = ()
    """Networks of one's own that are never connected to, whatever else is allowed."""

    def read(self, url: str, path: str) -> WebAddress:
        """Judge a URL as it is written; `path` says what it is given as. Raises InvalidEvent."""
        try:
            return self._read(url)
        except ValueError as error:
            raise InvalidEvent(path, f"{error}; give an address such as https://hooks.example.com/runs") from None

    def fault(self, address: str, host: str) -> str | None:
        """Return why an IP address that a host leads to must not be connected to; None where it may be."""
        try:
            found = ip_address(address)
        except ValueError:
            return f"{address[:60]} is no IP address"
        if any(found in network for network in self.denied_networks if network.version == found.version):
            return f"{found} is in a network that RUNFOLD_WEBHOOK_DENY names"
        if self._allows(found, host):
            return None
        what = denied(found)
        return None if what is None else f"{found} is {what}"

    def is_allowed(self, address: WebAddress) -> bool:
        """Return whether the settings name the very host, so that scheme and port are free."""
        literal = address.literal
        return address.host in self.allowed_hosts if literal is None else self._allows(literal, address.host)

    def _allows(self, found: IpAddress, host: str) -> bool:
        if host in self.allowed_hosts:
            return True
        return any(found in network for network in self.allowed_networks if network.version == found.version)

    def _read(self, url: str) -> WebAddress:
        address = read_url(url)
        self._require(address)
        return address

    def _require(self, address: WebAddress) -> None:
        literal = address.literal
        if literal is not None and (fault := self.fault(address.host, address.host)):
            raise ValueError(f"leads to no public address: {fault}")
        if self.is_allowed(address):
            return
        if address.scheme not in self.schemes:
            raise ValueError("is not https; what is sent could be read and changed on its way")
        if address.port not in self.ports:
            raise ValueError(f"has port {address.port}; {', '.join(map(str, sorted(self.ports)))} may be used")
        if literal is None and (fault := _name_fault(address.host)):
            raise ValueError(f"{fault}, which leads to no public address")


def read_url(url: str, ports: Mapping[str, int] = DEFAULT_PORTS, *, may_name_user: bool = False) -> WebAddress:
    """Read a URL as it is written, wherever it leads; `ports` are the default ones of its schemes.

    With `may_name_user` a user and a password stand in it, as they are. Raises ValueError, which tells nothing of them.
    """
    if may_name_user:
        url = _USER.sub(r"\1", url)
    if len(url) > MOST_CHARACTERS:
        raise ValueError(f"is longer than {MOST_CHARACTERS} characters")
    if not url.isascii() or any(character <= " " or character in '\\"<>^`{|}\x7f' for character in url):
        raise ValueError("holds characters that no URL has; write names as punycode (xn--…), and others in percent-encoding")
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that do not match, or hold no address
        raise ValueError("has no valid host") from None
    scheme = parts.scheme.lower()
    if scheme not in ports:
        raise ValueError(f"is no {' or '.join(f'{each}://' for each in ports)} address")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password, which would be stored and shown; leave them out")
    if parts.fragment or url.endswith("#"):
        raise ValueError("has a fragment (#…), which is never sent")
    host, port = _host_and_port(parts.netloc, ports[scheme])
    return WebAddress(url, scheme, host, port)


def read_safe_url(url: str) -> WebAddress:
    """Read the URL of a server that nobody else can speak for: one of https, or of this machine. Raises ValueError."""
    address = read_url(url, may_name_user=True)
    if address.scheme != "https" and address.host not in _LOOPBACK:
        raise ValueError("is not https://, so that anybody on the way could answer")
    return address


def read_nats_url(text: str) -> WebAddress:
    """Read the address of a NATS server, also one without its scheme. Raises ValueError."""
    return read_url(text if "://" in text else f"nats://{text}", _NATS_PORTS, may_name_user=True)


def _host_and_port(netloc: str, default_port: int) -> tuple[str, int]:
    if netloc.startswith("["):
        inside, closed, rest = netloc[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("has no valid host")
        host, port = str(_ipv6(inside)), rest[1:]
    else:
        host, _, port = netloc.partition(":")
        host = _host(host.removesuffix(".").lower())
        rest = netloc[netloc.find(":") :] if ":" in netloc else ""
    if rest and not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
        raise ValueError("has no valid port")
    return host, int(port) if rest else default_port


def _ipv6(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError("has no valid host") from None
    if address.scope_id is not None:
        raise ValueError("has no valid host")
    return address


def _host(name: str) -> str:
    """Return a name as it may be looked up. What ends in a number is an IP address, in whatever spelling."""
    if not _NAME.fullmatch(name):
        raise ValueError("has no valid host")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise ValueError("has an IP address in an unusual spelling; write four decimal numbers") from None
    return name


def _name_fault(host: str) -> str | None:
    if any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES):
        return f"names {host}"
    return None if "." in host else f"names {host}, without a domain"


def networks_and_hosts(entries: Iterable[str]) -> tuple[tuple[IpNetwork, ...], frozenset[str]]:
    """Sort what a setting lists into networks and host names. Raises ValueError for what is neither."""
    networks: list[IpNetwork] = []
    hosts: set[str] = set()
    for entry in entries:
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError:
            name = entry.lower().removesuffix(".")
            if "/" in name or not _NAME.fullmatch(name) or _NUMBER.fullmatch(name.rpartition(".")[2]):
                raise ValueError(f"{entry!r} is neither a network such as 127.0.0.0/8 nor a host name") from None
            hosts.add(name)
    return tuple(networks), frozenset(hosts)


Url = Annotated[Text, Field(min_length=1, max_length=MOST_CHARACTERS)]
"""The text of a URL in an event: whether it may be sent to is judged before, and again when it is sent to."""
