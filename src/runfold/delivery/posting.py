"""One POST to an address of somebody else's choice: to a checked IP address, within a time, and with little read of the answer.

The name is looked up once, every address that it leads to is judged, and one of these very addresses is connected to: what the
name leads to a moment later changes nothing. TLS is verified for the name. Redirects are not followed, proxies of the
environment are not used, and of one request nothing is kept for the next: each is judged anew. Only the certificates that are
trusted are kept for a while.
"""

import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import httpcore2

from runfold.delivery.timed import Deadline, Timed
from runfold.delivery.trusted import CertificatesUnreadable, Trusted
from runfold.domain.web_address import AddressRules, WebAddress
from runfold.errors import InvalidEvent

MOST_ANSWER_BYTES = 16 * 1024
"""So much of an answer is read, and no more."""
MOST_ERROR_CHARACTERS = 300
GONE = 410
_HEADER_VALUE = re.compile(r"[!-~](?:[\t -~]*[!-~])?")

_FAILURES = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, OSError, UnicodeError)

Resolve = Callable[[str, int], Sequence[str]]
"""Looks a name up: all IP addresses that it leads to. Raises OSError."""


class Answer(NamedTuple):
    """What came of it: a status, or why there is none."""

    status_code: int | None
    error: str | None = None
    retry_after: str | None = None
    """The header `Retry-After`, as it came."""

    @property
    def is_accepted(self) -> bool:
        """Return whether the receiver has it: only a status of 2xx says so."""
        return self.status_code is not None and 200 <= self.status_code < 300


class _DeniedError(Exception):
    """The address must not be connected to."""


def resolve(host: str, port: int) -> Sequence[str]:
    """Look a name up in the system's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Poster:
    """Posts; several threads may."""

    def __init__(
        self, rules: AddressRules, timeout: float, resolve: Resolve = resolve, tls: ssl.SSLContext | None = None
    ) -> None:
        """`timeout` is for a whole request, in seconds, however slowly its answer trickles in."""
        self._rules, self._timeout, self._resolve = rules, timeout, resolve
        self._given, self._trusted = tls, Trusted()

    def post(self, url: str, body: str, headers: Mapping[str, str]) -> Answer:
        """Send a body once. What goes wrong is in the answer."""
        try:
            address = self._rules.read(url, "url")
        except InvalidEvent as error:
            return Answer(None, error.reason[:MOST_ERROR_CHARACTERS])
        if wrong := [name for name, value in headers.items() if not _HEADER_VALUE.fullmatch(value)]:
            what = "a line break, or another character that no header takes"  # of what may be a secret no more is said
            return Answer(None, f"not sent: what settings give for {wrong[0]} holds {what}")
        connecting = _Checked(address, self._rules, self._resolve, Deadline(self._timeout))
        try:
            return self._post(address, connecting, body.encode(), headers)
        except (_DeniedError, *_FAILURES) as why:
            return Answer(None, self._said(why, address.host)[:MOST_ERROR_CHARACTERS])

    def _said(self, why: Exception, host: str) -> str:
        """Return in words why there is no answer."""
        match why:
            case _DeniedError() | CertificatesUnreadable():
                return str(why)
            case socket.gaierror():
                return f"the name {host} cannot be looked up ({why.strerror or why})"
            case httpcore2.TimeoutException():
                return f"no answer within {self._timeout:g} s"
            case httpcore2.ConnectError() if distrusted := self._trusted.distrusted(why):
                return f"the certificate of {host} {distrusted}"
            case httpcore2.ConnectError():
                return f"cannot connect ({why})"
        return f"{type(why).__name__}: {why}"

    def _post(self, address: WebAddress, connecting: "_Checked", body: bytes, headers: Mapping[str, str]) -> Answer:
        sent = [*headers.items(), ("content-length", str(len(body))), ("connection", "close"), ("accept-encoding", "identity")]
        tls = (self._given or self._trusted.context()) if address.scheme == "https" else None
        times = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        with (
            httpcore2.ConnectionPool(ssl_context=tls, network_backend=connecting, retries=0) as pool,
            pool.stream("POST", address.url, headers=sent, content=body, extensions={"timeout": times}) as response,
        ):
            said = {name.lower(): value for name, value in response.headers}
            beginning = _beginning(response)
        retry_after = said.get(b"retry-after", b"").decode("latin-1")[:100] or None
        if 200 <= response.status < 300:
            return Answer(response.status)
        return Answer(response.status, _words(response.status, beginning), retry_after)


def _beginning(response: httpcore2.Response) -> bytes:
    """Return the beginning of an answer: so much is enough to say what is wrong."""
    found = b""
    with contextlib.suppress(httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):  # the status came
        for piece in response.iter_stream():
            found += piece
            if len(found) >= MOST_ANSWER_BYTES:
                break
    return found[:MOST_ANSWER_BYTES]


def _words(status: int, beginning: bytes) -> str:
    if 300 <= status < 400:
        return f"answered {status}; redirects are not followed"
    text = " ".join(beginning.decode(errors="replace").replace("\0", "\ufffd").split())
    return f"answered {status}{': ' + text if text else ''}"[:MOST_ERROR_CHARACTERS]


class _Checked(httpcore2.NetworkBackend):
    """Connects to one address, once it is judged by what its name leads to just now."""

    def __init__(self, address: WebAddress, rules: AddressRules, resolve: Resolve, deadline: Deadline) -> None:
        self._address, self._rules, self._resolve, self._deadline = address, rules, resolve, deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002  what was judged is connected to
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address that answers, of those that the name leads to, if all of them are allowed."""
        found = [str(self._address.literal)] if self._address.literal else list(self._resolve(self._address.host, port))
        if not found:
            raise _DeniedError(f"{self._address.host} leads to no address")
        for address in found:
            if fault := self._rules.fault(address, self._address.host):
                raise _DeniedError(f"not sent: {self._address.host} leads to no public address: {fault}")
        failed: Exception | None = None
        for address in found:
            try:
                connected = self._sockets.connect_tcp(address, port, self._deadline.left(timeout), local_address, socket_options)
                return Timed(connected, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed or _DeniedError(f"{self._address.host} leads to no address")
