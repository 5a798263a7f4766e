"""NATS JetStream as a receiver.

A message is published with the sequence that the stream must have come to, so the server refuses what would come twice or out
of order: from a relay that was held up while another took over, from a connection that was given up, or behind a message that
was refused. Its id is the event's, so the server drops what it has seen within its window, too.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from runfold.delivery.relay.receiver import End, Message
from runfold.delivery.relay.subjects import Subjects, covers
from runfold.errors import ReceiverUnavailable, RelayRefused
from runfold.file_errors import why

CURSOR = "Runfold-Cursor"
"""The header that says which event of which history a message is."""
WINDOW_SECONDS = 120.0
"""For how long a stream that is made here knows the ids of its messages."""
HEADER_BYTES = 2048
"""What is left for headers of what a server takes as one message."""
_OVERLAPS, _NO_MESSAGE, _MOVED = 10065, 10037, 10071
"""Error codes of JetStream: the subjects are another stream's, there is no such message, the stream has gone on."""
T = TypeVar("T")


class Login(NamedTuple):
    """What a NATS server asks for, as far as it asks."""

    user: str | None = None
    password: str | None = None
    token: str | None = None
    credentials: str | None = None
    """A `.creds` file."""
    ca_file: str | None = None


class JetStream:
    """One stream. Its client runs in a thread of its own; every call here waits for it."""

    def __init__(
        self, urls: Sequence[str], stream: str, subjects: Subjects, login: Login, *, replicas: int = 1, timeout: float = 5.0
    ) -> None:
        self.name, self.most_bytes = f"nats.{stream}", 0
        self._urls, self._stream, self._subjects, self._login = list(urls), stream, subjects, login
        self._replicas, self._timeout = replicas, timeout
        self._stack = contextlib.ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        self._waiting: Future[Any] | None = None
        self._is_interrupted = False
        self._opened: Client | None = None
        self._client: Client | None = None
        """The same once it is connected."""
        self._lost = asyncio.Event()
        self._said: str | None = None
        """What the server, or the network, said last."""
        self._sequence = 0

    def connect(self) -> None:
        """Connect to one of the servers."""
        self._wait(self._connect)

    def end(self) -> End | None:
        """Return where the stream ends. Raises RelayRefused for one that is set up so that a relay could not keep its word."""
        return self._wait(self._end)

    def make(self) -> None:
        """Make the stream."""
        self._wait(self._make)

    def send(self, messages: Sequence[Message]) -> None:
        """Publish messages, all at once, and wait until the server has stored them."""
        self._wait(lambda: self._send(messages))

    def interrupt(self) -> None:
        """End what is waited for."""
        self._is_interrupted = True
        if (waiting := self._waiting) is not None:
            waiting.cancel()

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(Exception):
            self._portal.call(self._hang_up)
        self._stack.close()

    def _wait(self, ask: Callable[[], Awaitable[T]]) -> T:
        self._waiting = waiting = self._portal.start_task_soon(ask)
        if self._is_interrupted:
            waiting.cancel()
        try:
            return waiting.result()
        except CancelledError:
            raise ReceiverUnavailable(self._where, "was given up", "start the relay again") from None
        except (NatsError, OSError, TimeoutError) as error:
            raise self._told(error) from error
        finally:
            self._waiting = None

    # In the client's thread

    async def _connect(self) -> None:
        await self._hang_up()
        self._lost, self._said = asyncio.Event(), None
        try:
            async with asyncio.timeout(self._timeout):
                self._opened = client = Client()
                await client.connect(
                    self._urls,
                    name="runfold relay",
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=int(self._timeout) or 1,
                    error_cb=self._note,
                    closed_cb=self._note_end,
                    tls=self._tls(),
                    user=self._login.user,
                    password=self._login.password,
                    token=self._login.token,
                    user_credentials=self._login.credentials,
                )
        except ModuleNotFoundError as error:
            raise RelayRefused(
                self._where, f"cannot be asked with a file of credentials without {error.name}", "install `nats-py[nkeys]`"
            ) from None
        self._client = client
        self.most_bytes = client.max_payload - HEADER_BYTES

    async def _hang_up(self) -> None:
        client, self._opened, self._client = self._opened, None, None
        if client is not None:
            await client.close()

    async def _note(self, error: Exception) -> None:
        self._said = " ".join(str(error).split()) or type(error).__name__

    async def _note_end(self) -> None:
        self._lost.set()

    async def _end(self) -> End | None:
        context = self._context()
        try:
            info = await context.stream_info(self._stream)
        except NotFoundError:
            return None
        self._check(info)
        self._sequence = info.state.last_seq
        if 0 < (most := info.config.max_msg_size or 0) - HEADER_BYTES < self.most_bytes:
            self.most_bytes = most - HEADER_BYTES
        if info.state.messages == 0:
            return End(None, is_unused=info.state.last_seq == 0)
        try:
            last = await context.get_last_msg(self._stream, self._subjects.wildcard)
        except NotFoundError:
            return End(None, is_unused=False)
        if (cursor := (last.headers or {}).get(CURSOR)) is None:
            fact = f"has a message in stream {self._stream}, under {last.subject}, that no relay of Runfold has sent"
            raise RelayRefused(self._where, fact, "choose another --subject, or another --stream")
        return End(cursor, is_unused=False)

    async def _make(self) -> None:
        wanted = StreamConfig(
            name=self._stream,
            description="Events of a Runfold ledger, each once, in order",
            subjects=[self._subjects.wildcard],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            num_replicas=self._replicas,
            duplicate_window=WINDOW_SECONDS,
        )
        try:
            await self._context().add_stream(wanted)
        except APIError as error:
            if error.err_code == _OVERLAPS:
                fact = f"has another stream that takes messages under {self._subjects.wildcard}"
                raise RelayRefused(self._where, fact, "name that one with --stream, or choose another --subject") from None
            raise
        self._sequence = 0

    async def _send(self, messages: Sequence[Message]) -> None:
        context = self._context()
        answers = []
        for number, message in enumerate(messages):
            headers = {
                "Nats-Msg-Id": str(message.event_id),
                "Nats-Expected-Last-Sequence": str(self._sequence + number),
                "Content-Type": message.media_type,
                CURSOR: message.cursor,
            }
            subject = self._subjects.of(message.type, message.thread_id)
            answers.append(await context.publish_async(subject, message.body, stream=self._stream, headers=headers))
        stored = asyncio.gather(*answers)
        lost = asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait(
                list[asyncio.Future[Any]]((stored, lost)), timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if not stored.done():
                fact = "hung up" if self._lost.is_set() else f"did not answer within {self._timeout:g} s"
                raise self._unanswered(fact)
            if any(answer.duplicate for answer in stored.result()):
                raise ReceiverUnavailable(self._where, "has had some of these messages before", "it is looked where it ends")
        finally:
            lost.cancel()
            stored.cancel()
            await asyncio.gather(*answers, lost, return_exceptions=True)
        self._sequence += len(messages)

    def _context(self) -> JetStreamContext:
        if self._client is None or not self._client.is_connected:
            raise ReceiverUnavailable(self._where, "is not connected", "it is tried again")
        return self._client.jetstream(timeout=self._timeout)

    def _check(self, info: StreamInfo) -> None:
        config, wanted = info.config, self._subjects.wildcard
        problems = {
            f"takes {', '.join(config.subjects or ['no subjects'])}, and not {wanted}": not covers(config.subjects or (), wanted),
            "drops messages that were consumed, so that nobody could tell what it was sent": config.retention
            not in {None, RetentionPolicy.LIMITS},
            "confirms no message (no_ack)": config.no_ack,
            "is sealed": config.sealed,
            "is a copy of another stream": config.mirror is not None,
        }
        for fact, is_so in problems.items():
            if is_so:
                step = "change that (`nats stream edit`), or choose another --stream or --subject"
                raise RelayRefused(self._where, f"has a stream {self._stream} that {fact}", step)

    # What is wrong

    @property
    def _where(self) -> str:
        return ", ".join(without_login(url) for url in self._urls)

    def _unanswered(self, fact: str) -> ReceiverUnavailable | RelayRefused:
        if self._said is not None and "permissions violation" in self._said.lower():
            return RelayRefused(self._where, f"refuses it: {self._said}", "give its user the right to publish there")
        return ReceiverUnavailable(self._where, fact, "it is tried again")

    def _told(self, error: Exception) -> ReceiverUnavailable | RelayRefused:
        said = " ".join(str(error).split()) or self._said or type(error).__name__
        if "authorization" in f"{said} {self._said}".lower() or "authentication" in f"{said} {self._said}".lower():
            step = "set RUNFOLD_NATS_USER and RUNFOLD_NATS_PASSWORD, RUNFOLD_NATS_TOKEN or RUNFOLD_NATS_CREDS"
            return RelayRefused(self._where, "does not accept these credentials", step)
        if isinstance(error, ServiceUnavailableError):
            step = "start it with `nats-server --jetstream` if it was not"
            return ReceiverUnavailable(self._where, "has no JetStream, or not yet", step)
        if isinstance(error, APIError) and error.err_code == _MOVED:
            return ReceiverUnavailable(self._where, "was sent something else meanwhile", "it is looked where it ends")
        if isinstance(error, APIError):
            return ReceiverUnavailable(self._where, f"does not take it: {error.description}", "it is tried again")
        if self._client is None:
            return ReceiverUnavailable(
                self._where, f"is no NATS server that answers ({self._said or said})", "start it, or name another with --url"
            )
        return self._unanswered(f"failed: {said}")

    def _tls(self) -> Any:
        if self._login.ca_file is None:
            return None
        import ssl  # noqa: PLC0415  few need it

        try:
            return ssl.create_default_context(cafile=self._login.ca_file)
        except OSError as error:
            raise RelayRefused(
                self._where, f"cannot be verified: {self._login.ca_file}: {why(error)}", "set RUNFOLD_NATS_CA"
            ) from None


def without_login(url: str) -> str:
    """Return an address without the name and password that may stand in it."""
    found = urlsplit(url if "://" in url else f"nats://{url}")
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}"
