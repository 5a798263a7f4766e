"""A ledger elsewhere, over HTTP: the same handles, the same questions, the same errors."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Self

import orjson

from runfold.domain.event import Recorded
from runfold.errors import LedgerError, UsageError
from runfold.ledger.desk import Batch, Writing, parse_moment
from runfold.ledger.reading import Reading
from runfold.ledger.remote_batch import RemoteBatch
from runfold.ledger.remote_calls import query
from runfold.ledger.remote_client import Client
from runfold.ledger.remote_door import RemoteDoor, as_entrance
from runfold.ledger.remote_events import RemoteSubscription, all_events, wanted_of
from runfold.ledger.remote_reading import RemoteReading
from runfold.ledger.routes import API_VERSION
from runfold.settings import Settings
from runfold.store.cursor import Cursor, Place


class RemoteLedger(Writing):
    """The ledger behind a server. Thread-safe; one a process is enough. `Ledger.connect` makes one.

    Each command goes out under an idempotency key and is repeated under it until it is answered, so a lost answer loses and
    doubles nothing. Who acts is the owner of the key.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sender = RemoteDoor(client)
        super().__init__(as_entrance(self._sender))
        self._reading = RemoteReading(client)

    @classmethod
    def connect(cls, url: str, key: str | None, *, timeout: float, patience: float) -> Self:
        """As `Ledger.connect`."""
        if key is None and (known := Settings().key) is not None:
            key = known.get_secret_value()
        client = Client(url, key, timeout=timeout, patience=patience)
        try:
            _require_runfold(client)
        except BaseException:
            client.close()
            raise
        return cls(client)

    @property
    def now(self) -> Reading:
        """The ledger as it stands."""
        return self._reading

    def at(self, moment: int | datetime | str) -> Reading:
        """The ledger as it stood at a position, or at a time of the store (an aware datetime, or RFC 3339 text)."""
        return self._reading.at(parse_moment(moment) if isinstance(moment, str) else moment)

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Many commands of one run in one request, sent when the block ends without an error. Of two runs: UsageError."""
        batch = RemoteBatch(self._client)
        yield batch
        batch.finish()

    def events(
        self, *, after: Place = 0, up_to: int | None = None, limit: int = 1000, types: Sequence[str] = (),
        thread_id: str | None = None, run_id: str | None = None,
    ) -> list[Recorded]:  # fmt: skip
        """A page of events after a position or a cursor, in order. A type may end in `.*`. Raises HistoryChanged, UsageError."""
        if limit < 1:
            raise UsageError(f"limit is {limit}; ask for at least 1")
        wanted = query({**wanted_of(types, thread_id, run_id), "up_to": up_to})
        return list(all_events(self._client, "/events", wanted, after=after, most=limit))

    def subscribe(
        self, *, after: Place = 0, types: Sequence[str] = (), thread_id: str | None = None, run_id: str | None = None,
        follow: bool = True, patience: float | None = None,
    ) -> RemoteSubscription:  # fmt: skip
        """The events after a position or a cursor, in order, each once, and then the new ones as they come.

        A type may end in `.*`. Where the ledger was put back to before what was seen, the subscription raises HistoryChanged.
        While the server is away it connects again: for `patience` seconds, or for ever.
        """
        wanted = wanted_of(types, thread_id, run_id)
        return RemoteSubscription(self._client, wanted, after=after, follow=follow, patience=patience)

    def position(self) -> int:
        """The last position."""
        return int(self._ends()["head"])

    def cursor(self, position: int | None = None) -> str:
        """A position of the present history, the last one if none is given, as a cursor: `1234@1f2e3d4c`."""
        ends = self._ends()
        return str(Cursor(ends["head"] if position is None else position, ends["epoch"]))

    def _ends(self) -> dict[str, Any]:
        answer = self._client.request("GET", "/events", params=query({"up_to": 0, "limit": 1}))
        return dict(orjson.loads(answer.content))

    def close(self) -> None:
        """Wait for what is on its way, and give the connections back."""
        self._sender.close()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _require_runfold(client: Client) -> None:
    """Raise LedgerError unless a Runfold that speaks as this one does is at the other end."""
    try:
        told: Any = orjson.loads(client.request("GET", "/healthz").content)
        api = told["api"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        raise LedgerError(
            f"what answers at {client.url} is no Runfold server; look at what the URL leads to", url=client.url
        ) from None
    if api != API_VERSION:
        raise LedgerError(
            f"the server at {client.url} speaks version {api} of the API, and this Runfold version {API_VERSION}; "
            "install the same version on both sides",
            url=client.url, server=api, client=API_VERSION,
        )  # fmt: skip
