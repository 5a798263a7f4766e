"""One request to a Runfold server: repeated until it is answered, and its problems as our errors."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import tenacity

from runfold.errors import LedgerClosed, LedgerUnavailable, UsageError
from runfold.remote.answers import ARCHIVE, NEXT_STEP, STREAM, Answer, NotNow, accepted, understood

Params = list[tuple[str, str | int | float | bool | None]]
T = TypeVar("T")

_LONGEST_PAUSE, _FIRST_PAUSE = 2.0, 0.05
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=32)
"""Each subscription holds a connection, and must not keep commands waiting for one."""
_MAKING_SECONDS = 600.0
"""How long what a server must make first may take."""


class Client:
    """Sends requests to one server with one key. Thread-safe."""

    def __init__(self, url: str, key: str | None, *, timeout: float, patience: float, receipts: bool = False) -> None:
        """`timeout` is for one try, `patience` for all of them, in seconds. Raises UsageError for what is no URL.

        With `receipts` commands are answered with salts and digests.
        """
        self.url = checked_url(url)
        self.timeout, self.patience = timeout, patience
        headers = {"User-Agent": f"runfold/{metadata.version('runfold')}"}
        if key is not None:
            headers["Authorization"] = f"Bearer {checked_key(key)}"
        if receipts:
            headers["Runfold-Receipt"] = "full"
        # Without TLS the certificates of the machine need not be read, which takes longer than a request.
        verify = httpx2.URL(self.url).scheme == "https" or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=timeout, limits=_LIMITS, verify=verify)
        self._closed = threading.Event()
        self._turn = threading.Lock()
        self._users = 0
        self._going_on: set[httpx2.Response] = set()

    def request(
        self,
        verb: str,
        path: str,
        *,
        params: Params | None = None,
        body: bytes | None = None,
        key: str | None = None,
        wait: float = 0.0,
    ) -> Answer:
        """Return the answer to a request, which is repeated as it is while there is none, or one that asks to come again.

        A command has a `key`, under which it takes effect once, however often it arrives. Raises LedgerError.
        """
        headers = {} if body is None else {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            for attempt in self.trying():
                with attempt, self.failing():
                    answer = self._http.request(
                        verb, path, params=params, content=body, headers=headers, timeout=self.timeout + wait
                    )
                    return Answer(accepted(answer))
        except NotNow as last:
            raise last.error from last.__cause__
        raise AssertionError("a request is tried at least once")

    def whole_list(self, path: str, params: Params, most: int, read: Callable[[Any], list[Any]]) -> list[Any]:
        """Return all of a list, `most` items at a time, as `read` makes them of those of a page. Raises LedgerError."""
        found: list[Any] = []
        cursor: Params = []
        while True:
            answer = self.request("GET", path, params=[*params, ("limit", str(most)), *cursor])
            items, then = answer.json(lambda page: (read(page["items"]), page["next_cursor"]))
            found += items
            if then is None:
                return found
            cursor = [("cursor", then)]

    def once(self, path: str, params: Params) -> Answer:
        """Return the answer to a question that is asked once, whatever the patience. Raises LedgerError."""
        try:
            with self.failing():
                return Answer(accepted(self._http.get(path, params=params)))
        except NotNow as last:
            raise last.error from last.__cause__

    def download(self, path: str, body: bytes, file: Path, read: Callable[[Path, httpx2.Response], T]) -> T:
        """Write the answer to a request into a file, whole or not at all, and return what `read` makes of it before.

        Raises LedgerError, also where that is not as a Runfold server says it.
        """
        part = file.with_name(f".{file.name}.part")
        timeout = httpx2.Timeout(self.timeout, read=_MAKING_SECONDS)
        headers = {"Content-Type": "application/json"}
        try:
            for attempt in self.trying():
                with attempt, self.failing():
                    with self._http.stream("POST", path, content=body, headers=headers, timeout=timeout) as answer:
                        if not answer.is_success:
                            answer.read()
                        accepted(answer, ARCHIVE)
                        with part.open("wb") as written:
                            for chunk in answer.iter_bytes():
                                written.write(chunk)
                    with understood(answer, "with a file of another kind"):
                        made = read(part, answer)
                    part.replace(file)
                    return made
        except NotNow as last:
            raise last.error from last.__cause__
        finally:
            part.unlink(missing_ok=True)
        raise AssertionError("a request is tried at least once")

    @contextlib.contextmanager
    def stream(self, path: str, params: Params, headers: Mapping[str, str], silence: float) -> Iterator[httpx2.EventSource]:
        """Return an event stream that was accepted; `silence` is for how many seconds it may say nothing. Raises LedgerError."""
        timeout = httpx2.Timeout(self.timeout, read=silence)
        if httpx2.URL(self.url).host in {"127.0.0.1", "::1", "localhost"}:
            headers = {**headers, "Accept-Encoding": "identity"}  # there is no way to be saved
        try:
            with (
                self.failing(),
                self._http.sse(path, params=params, headers=headers, timeout=timeout, max_event_size=None) as source,
            ):
                if not source.response.is_success:
                    source.response.read()
                accepted(source.response, STREAM)
                with self._open(source.response), understood(source.response, "with events of another shape"):
                    yield source
        except NotNow as last:
            if self._closed.is_set():
                raise LedgerClosed from last.__cause__
            raise last.error from last.__cause__

    @contextlib.contextmanager
    def _open(self, response: httpx2.Response) -> Iterator[None]:
        """Know of a response that goes on, whose reader is woken when the client is closed."""
        with self._turn:
            if self._closed.is_set():
                raise LedgerClosed
            self._going_on.add(response)
        try:
            yield
        finally:
            with self._turn:
                self._going_on.discard(response)

    def trying(self) -> tenacity.Retrying:
        """Tries, with pauses between them that grow, until the patience is at its end or the client is closed."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(NotNow),
            stop=tenacity.stop_before_delay(self.patience) | tenacity.stop_when_event_set(self._closed),
            wait=_pause,
            sleep=tenacity.sleep_using_event(self._closed),
            reraise=True,
        )

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Return what goes wrong on the way, in our words. Raises LedgerClosed once the client is closed."""
        try:
            with self._connections():
                yield
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            shown = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise NotNow(LedgerUnavailable(f"{self.url} does not answer ({shown})", NEXT_STEP)) from error

    @contextlib.contextmanager
    def _connections(self) -> Iterator[None]:
        """Have them for a request; none is taken from under who still reads. Raises LedgerClosed."""
        with self._turn:
            if self._closed.is_set():
                raise LedgerClosed
            self._users += 1
        try:
            yield
        finally:
            with self._turn:
                self._users -= 1
                is_last = self._closed.is_set() and not self._users
            if is_last:
                self._http.close()

    def close(self) -> None:
        """Begin nothing any more, hang up on streams, and give the connections back: those in use when they are no more."""
        with self._turn:
            self._closed.set()
            is_unused, going_on = not self._users, list(self._going_on)
        for response in going_on:
            hang_up(response)
        if is_unused:
            self._http.close()


_backing_off = tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE)


def _pause(state: tenacity.RetryCallState) -> float:
    """As long as the server asks for, and longer each time."""
    failed = state.outcome.exception() if state.outcome else None
    return max(_backing_off(state), failed.after if isinstance(failed, NotNow) else 0.0)


def checked_url(url: str) -> str:
    """Return where a server is. Raises UsageError."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError) as error:
        raise UsageError(f"{url!r} is no URL ({error}); write one such as http://ledger.example:8765") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UsageError(f"{url!r} is no URL of a server; write one such as http://ledger.example:8765")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise UsageError(f"{url!r}: {parsed.port} is no port; a port is a number from 1 to 65535")
    if parsed.query or parsed.fragment or parsed.userinfo:
        raise UsageError(f"{url!r} holds more than an address; give the key as key=…, or as RUNFOLD_KEY")
    return url.rstrip("/")


def checked_key(key: str) -> str:
    """Return a key that can be sent. Raises UsageError, which does not show it."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("the key is empty, or holds what no key does; give the text that `runfold keys create` showed")
    return key


def hang_up(response: httpx2.Response) -> None:
    """Wake whoever waits for more of a response."""
    stream = response.extensions.get("network_stream")
    connected = stream.get_extra_info("socket") if stream is not None else None
    if connected is not None:
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)
