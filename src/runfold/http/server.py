"""The server: its socket, the application, the folding process beside it, and the shutdown of all three."""

import asyncio
import contextlib
import ctypes
import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import structlog
import uvicorn
from prometheus_client import disable_created_metrics
from starlette.applications import Starlette

from runfold.errors import AddressUnusable
from runfold.feed.shared import Feed
from runfold.file_errors import why
from runfold.http.connections import Connection
from runfold.http.folding import FoldingBeside
from runfold.ledger import Ledger

GRACE_SECONDS = 3
"""How long requests in progress may take to finish after the server was asked to stop."""
INTERRUPTED = 130
LARGE_BLOCK = 256 * 1024
"""Bytes."""
_MMAP_THRESHOLD = -3
"""The name of the option in malloc.h."""
BEFORE_A_SEARCH = 50_000
"""How much is made before a search for cycles. By itself Python searches so often that it takes a sixth of what requests take."""
SWITCH_SECONDS = 0.0005
"""How long a thread that works on a large body may keep the event loop waiting for the interpreter."""
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that machines request all the time; their log lines have the level debug."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = structlog.get_logger("runfold.http")


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address. Raises AddressUnusable."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise AddressUnusable(host, port, f"has no such host ({why(error)})", "pass another --host") from None
    try:
        listener = socket.create_server((address[0], port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise AddressUnusable(host, port, f"is not available ({reason})", "pass another --port or --host") from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each connection has it too, whichever event loop accepts it
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Return whether a socket can be reached from this machine only."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """Return a socket's address as a URL that works on this machine."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(app: Starlette, listener: socket.socket, folding: FoldingBeside | None, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and call `ready` once it listens.

    At the end streams are closed and requests in progress are answered. A second Ctrl-C ends the process at once.
    """
    prepare_process()
    server = LedgerServer(configured(app), app, folding, ready)
    try:
        if folding is not None:
            folding.start()
        server.run([listener])
    finally:
        if folding is not None:
            folding.stop()


def prepare_process() -> None:
    """Make this process one that serves."""
    _log_through_structlog()
    sys.setswitchinterval(SWITCH_SECONDS)
    _give_back_large_blocks()
    gc.collect()
    gc.freeze()  # what is there now stays: to look through it for cycles would hold up all requests for some 50 ms each time
    gc.set_threshold(BEFORE_A_SEARCH)
    disable_created_metrics()  # type: ignore[no-untyped-call]


def configured(app: Starlette) -> uvicorn.Config:
    """Return how an application is served. Requests are logged where anybody would see it."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        access_log=structlog.get_logger().is_enabled_for(logging.INFO),
    )


def _give_back_large_blocks() -> None:
    """Let the C library get large blocks from the operating system one by one and give each back at once.

    By itself it comes to keep blocks of up to 32 MiB for each thread; to have it look for those holds up all other threads.
    """
    if (set_option := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        set_option(_MMAP_THRESHOLD, LARGE_BLOCK)


class StreamingServer(uvicorn.Server):
    """A server that ends its event streams before it waits for its answers; else a shutdown waits until each client hangs up.

    config = uvicorn.Config(app, http=Connection)
    StreamingServer(config, app.state.feed).run()
    """

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down, event streams first."""
        self._feed.close()
        await super().shutdown(sockets)


class LedgerServer(StreamingServer):
    """A server that says when it listens, and stops the folding process and the ledger with itself."""

    def __init__(self, config: uvicorn.Config, app: Starlette, folding: FoldingBeside | None, ready: Callable[[], None]) -> None:
        super().__init__(config, app.state.feed)
        self._ledger: Ledger = app.state.server.ledger
        self._folding, self._ready = folding, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("shutting down")
        if self._folding is not None:
            self._folding.ask_to_stop()
        await super().shutdown(sockets)
        if self.force_exit:
            os._exit(INTERRUPTED)  # requests may still be in their threads, and nobody wants to wait for them
        if self.server_state.tasks:
            await asyncio.to_thread(self._ledger.close)  # stores what waits; whoever waits for something else is told to stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals as uvicorn does, but do not raise them again afterwards: a stop that was asked for is a clean exit."""
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Structured(logging.Handler):
    """Turns records of the standard library's logging into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "uvicorn.access" and isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, _, status = record.args
            path = str(path).partition("?")[0]
            log = _log.debug if path in _QUIET else _log.info
            log("request", method=method, path=path, status=status, client=client)
            return
        level = "debug" if record.levelno < logging.WARNING else record.levelname.lower()
        getattr(_log, level)(record.getMessage(), exc_info=record.exc_info or None)


def _log_through_structlog() -> None:
    for name in ("uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_Structured()], False
        logger.setLevel(logging.INFO)
