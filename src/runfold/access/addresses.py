"""Addresses of clients: which count as one, and which are of this machine."""

import ipaddress

_SAME_CLIENT_BITS = 64
"""Of an IPv6 address: whoever has one has all that begin alike."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def neighbourhood(address: str | None) -> str | None:
    """Return what counts as one client: an IPv4 address, or a whole network of IPv6 that is given to one site."""
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


def is_loopback(host: str) -> bool:
    """Return whether a name or address is this machine's own."""
    address = read_address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)
