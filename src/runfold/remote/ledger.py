"""A ledger elsewhere, over HTTP: the same handles, the same questions, the same errors."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, Unpack
from urllib.parse import quote

import orjson
from uuid_utils import uuid7

from runfold.api.table import API_VERSION
from runfold.domain.durations import duration
from runfold.domain.recorded import Recorded
from runfold.domain.values import one_or_more, texts
from runfold.errors import LedgerError, ProjectionStopped, UsageError
from runfold.feed.asked import After, Asked, EventFilter, page_size
from runfold.feed.subscription import Subscription
from runfold.handles.ledgers.batch import Batch, collecting
from runfold.handles.ledgers.cancelling import CancelledRun, RunChoice, wait_until_ended
from runfold.handles.ledgers.ledger_handle import LedgerHandle
from runfold.handles.ledgers.receipts import AnyReceipt, told_by
from runfold.handles.ledgers.webhook_secrets import WebhookSecret
from runfold.proofs.receipt import as_json
from runfold.queries.lists.paging import MOST, Direction, ordered
from runfold.queries.lists.where import OneOrMore
from runfold.queries.moments import MomentView
from runfold.queries.reading import Reading, parse_moment
from runfold.queries.runs.sample import require_sample
from runfold.queries.sealed.log import CheckpointView, SealedLogView
from runfold.queries.sealed.told_events import ReceiptVerification
from runfold.remote.answers import M
from runfold.remote.batch import RemoteBatchExecutor
from runfold.remote.bundles import BundleReceived, download
from runfold.remote.calls import plain, query, told_duration
from runfold.remote.client import Client
from runfold.remote.events import StreamSource, all_events, last_events
from runfold.remote.executor import RemoteExecutor
from runfold.remote.reading import remote_reading
from runfold.remote.subscriptions import RemoteSubscriptions
from runfold.settings import Settings
from runfold.store.cursor import Cursor
from runfold.subscriptions.named import NamedSubscription

_LOOK_SECONDS = 0.25


class RemoteLedger(LedgerHandle):
    """Serves as the ledger behind a server does. Thread-safe; one a process is enough. `Ledger.connect` makes one.

    Each command goes out under an idempotency key and is repeated under it until it is answered, so a lost answer loses and
    doubles nothing. Who acts is the owner of the key.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sender = RemoteExecutor(client)
        super().__init__(self._sender)
        self._reading = remote_reading(client)

    @classmethod
    def connect(cls, url: str, key: str | None, *, timeout: float, patience: float, receipts: bool = False) -> Self:
        """As `Ledger.connect`."""
        if key is None and (known := Settings().key) is not None:
            key = known.get_secret_value()
        client = Client(url, key, timeout=timeout, patience=patience, receipts=receipts)
        try:
            _require_runfold(client)
        except BaseException:
            client.close()
            raise
        return cls(client)

    @property
    def now(self) -> Reading:
        """Return the ledger as it stands."""
        return self._reading

    def at(self, moment: int | datetime | str) -> Reading:
        """Return the ledger as it stood at a position, or at a time of the store (an aware datetime, or RFC 3339 text).

        Questions about some threads or runs are answered at once, those about all of them where the moment is prepared: else
        they raise MomentNotPrepared, and `prepare` prepares it.
        """
        return self._reading.at(parse_moment(moment) if isinstance(moment, str) else moment)

    def happened_at(self, moment: datetime | str) -> Reading:
        """Return the ledger by the clocks of those who told it, one thread at a time: without what happened after a moment.

        Raises UsageError for what is no time with a zone.
        """
        return self._reading.happened_at(moment)

    def prepare(
        self,
        moment: int | datetime | str | None = None,
        *,
        expires_in: str | timedelta | None = None,
        wait: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> MomentView:
        """Have the server prepare the whole ledger as of a position or a time of the store, the present where none is given.

        It is dropped `expires_in` (`90s`, `1h`, …; an hour) after its last use. The same again is the same. Waits until it is
        ready, unless told not to; `progress` is told how many events are folded, of how many. Raises UsageError for a moment
        that the ledger does not have, InvalidEvent, TooManyMoments, ProjectionStopped where it cannot be folded, MomentNotFound
        where somebody drops it meanwhile.
        """
        said = {"as_of": _as_text(moment), "expires_in": None if expires_in is None else told_duration("expires_in", expires_in)}
        body = orjson.dumps({name: value for name, value in said.items() if value is not None})
        view = self._moment("POST", "/moments", body=body)
        while wait and view.state not in {"ready", "failed"}:
            time.sleep(_LOOK_SECONDS)
            view = self._moment("GET", f"/moments/{view.id}")
            if progress is not None and view.total:
                progress(view.done, view.total)
        if view.state == "failed":
            raise ProjectionStopped(view.id, "cannot be prepared", str(view.error))
        return view

    def cancel_runs(
        self,
        run_ids: Iterable[str] | None = None,
        *,
        reason: str | None = None,
        force: bool = False,
        wait: str | timedelta = "5s",
        dry_run: bool = False,
        limit: int = 100,
        **choice: Unpack[RunChoice],
    ) -> list[CancelledRun]:
        """Cancel runs, named or found among those that have not ended, and return what became of each, as `Ledger` does."""
        length = duration("wait", wait)
        asked = {"reason": reason, "force": force, "dry_run": dry_run, "limit": limit}
        said = {name: list(texts(name, value)) for name, value in choice.items() if value is not None}  # type: ignore[arg-type]  # one or more each
        ids = {} if run_ids is None else {"run_ids": list(texts("run_ids", run_ids))}
        body = orjson.dumps({name: value for name, value in {**asked, **said, **ids}.items() if value is not None})
        found = self._client.request("POST", "/runs/cancel", body=body, key=uuid7().hex).items(CancelledRun)
        return found if dry_run else wait_until_ended(found, lambda run_id: self.now.run(run_id).status, length)

    def moments(self) -> list[MomentView]:
        """Return the moments that were asked for in this tenant and not dropped yet."""
        return self._client.whole_list("/moments", [], MOST, lambda items: [MomentView.model_validate(item) for item in items])

    def drop_moment(self, id: str) -> None:
        """Drop a moment that is needed no more. Raises MomentNotFound."""
        self._client.request("DELETE", f"/moments/{quote(id, safe='')}").json(lambda told: told["id"])

    def _moment(self, verb: str, path: str, body: bytes | None = None) -> MomentView:
        return self._answered(MomentView, verb, path, body)

    def _answered(self, kind: type[M], verb: str, path: str, body: bytes | None = None) -> M:
        return self._client.request(verb, path, body=body).raw(kind.model_validate_json)

    def webhook_secrets(self, webhook_id: str) -> list[WebhookSecret]:
        """Return the secrets that a webhook's receiver verifies signatures with, the present one first.

        `callbacks` stands for the addresses that runs name. Raises WebhookNotFound, ScopeMissing, SecretSealed.
        """
        return self._client.request("GET", f"/webhooks/{quote(webhook_id, safe='')}/secrets").items(WebhookSecret)

    def sealed_log(self) -> SealedLogView:
        """Return how sealing the log of the tenant stands: its tree, how far sealing is, and what a sealer met that cannot be.

        Raises ScopeMissing.
        """
        return self._answered(SealedLogView, "GET", "/sealed")

    def checkpoint(self) -> CheckpointView:
        """Return the last signed checkpoint of the tenant's sealed log, for whoever is to trust the ledger.

        Raises CheckpointNotFound, ScopeMissing.
        """
        return self._answered(CheckpointView, "GET", "/sealed/checkpoint")

    def verify_receipt(self, receipt: AnyReceipt) -> ReceiptVerification:
        """Hold a receipt, or the JSON that was kept of one, against the log, and against what was sealed of it.

        Of each event it says whether it stands in the log as it was told, or differs, and in which fields, or is gone; and where
        it is sealed already, the proof under the last checkpoint. What is not sealed yet is counted. A bundle of the events
        (`runfold evidence --receipt FILE`) proves the same offline. Raises UsageError for what is no receipt of this tenant,
        InvalidEvent, ScopeMissing.
        """
        body = orjson.dumps(as_json(told_by(receipt)))
        return self._answered(ReceiptVerification, "POST", "/receipts/verify", body)

    def make_bundle(
        self,
        file: str | Path,
        *ids: str,
        receipt: AnyReceipt | None = None,
        answer: tuple[str, OneOrMore] | None = None,
        sample: tuple[str, Mapping[str, Any]] | None = None,
        at: int | datetime | str | None = None,
        whole_log: bool = False,
        leave_out: OneOrMore = (),
    ) -> BundleReceived:
        """Have the server make a bundle of evidence, and write it to a file, a .zip: of the threads that some threads, runs or
        approvals belong to, of the events of a receipt, of what rows of a read model are made of, of a sample of runs (the seed,
        and the parameters of `sample_runs`; it is drawn as of the checkpoint, or as of a position or time (`at`) before; with
        `whole_log` the leaf of every event goes in, too), or of the whole log.

        Payloads that HTTP does not show are left out, and of the types of events in `leave_out`. `runfold-verify` verifies it.
        Raises NotFound, SealingRefused, InvalidEvent, ScopeMissing; UsageError where there is such a file.
        """
        asked: dict[str, Any] = {"ids": list(ids), "whole_log": whole_log, "leave_out": list(texts("leave_out", leave_out))}
        if receipt is not None:
            asked["receipt"] = as_json(told_by(receipt))
        if answer is not None:
            asked["rows"] = {"read_model": answer[0], "key": list(one_or_more(answer[1]))}
        require_sample(at, is_there=sample is not None)
        if sample is not None:
            moment = {} if at is None else {"as_of": _as_text(at)}
            parameters = {name: plain(value) for name, value in sample[1].items()}
            asked["sample"] = {"seed": sample[0], "parameters": parameters, **moment}
        return download(self._client, Path(file), asked)

    def prove_absence(
        self, file: str | Path, thread: str | None, type: str, *, call: str | None = None, leave_out: OneOrMore = ()
    ) -> BundleReceived:
        """Have the server make a bundle of a whole thread, from which anybody finds that it has no event of a type.

        Where no thread is named it is about all of them, and holds the leaf of every event, which tells its type alone.
        Raises what `make_bundle` raises; whether there is none is said by the verdict.
        """
        absence = {"type": type, **({} if call is None else {"call": call})}
        where: dict[str, Any] = {"whole_log": True} if thread is None else {"ids": [thread]}
        return download(self._client, Path(file), {**where, "absence": absence, "leave_out": list(texts("leave_out", leave_out))})

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect many commands of one run in one request, sent when the block ends without an error. Of two runs: UsageError."""
        with collecting(RemoteBatchExecutor(self._sender)) as batch:
            yield batch

    def events(
        self,
        *,
        after: After = 0,
        up_to: int | None = None,
        limit: int = 1000,
        order: Direction = "asc",
        **wanted: Unpack[EventFilter],
    ) -> list[Recorded]:
        """Return a page of events after a place, in order: a position, a cursor, a time of the ledger, or `now`.

        A type may be the beginning of types, or a pattern such as `approval.*`. With `order="desc"` the last events come, the
        last first. Raises HistoryChanged, ThreadNotFound, RunNotFound, UsageError.
        """
        asked, most = Asked.of(after, up_to, **wanted), page_size(limit)
        if ordered(order) < 0:
            params = query({**asked.fields(), "after": asked.after_text, "order": order})
            return list(last_events(self._client, "/events", params, up_to=up_to, most=most))
        params = query({**asked.fields(), "up_to": up_to})
        return list(all_events(self._client, "/events", params, after=asked.after_text, most=most))

    def subscribe(
        self,
        *,
        after: After = 0,
        follow: bool = True,
        until_run_ends: bool = True,
        when_caught_up: Callable[[str], object] | None = None,
        patience: float | None = None,
        **wanted: Unpack[EventFilter],
    ) -> Subscription:
        """Return the events after a place, in order, each once, and then the new ones as they come.

        The place is a position, a cursor, a time of the ledger (text too), or `now`. A type may end in `.*`. Of one run it ends
        with the run, unless `until_run_ends` is off. `when_caught_up` is called, with the cursor, when all that was recorded
        before has been taken. While the server is away it connects again: for `patience` seconds in a row, or for ever.
        Raises UsageError, ThreadNotFound, RunNotFound, and HistoryChanged where the ledger was put back to before what the
        cursor has seen; the subscription raises that too.
        """
        asked = Asked.of(after, **wanted)
        source = StreamSource(self._client, asked, follow=follow, until_run_ends=until_run_ends, patience=patience)
        return Subscription(source, when_caught_up)

    def subscription(self, name: str) -> NamedSubscription:
        """Return the subscription of a name, whose place the server keeps and whose events several consumers share.

        `put` makes it. Raises UsageError for what can be no name.
        """
        return NamedSubscription(name, self.subscriptions)

    @property
    def subscriptions(self) -> RemoteSubscriptions:
        """Return the subscriptions of the key's owner that have a name."""
        return RemoteSubscriptions(self._client)

    def position(self) -> int:
        """Return the last position."""
        return self._ends()[0]

    def cursor(self, position: int | None = None) -> str:
        """Return a position of the present history, the last one if none is given, as a cursor: `1234@1f2e3d4c`."""
        head, epoch = self._ends()
        return str(Cursor(head if position is None else position, epoch))

    def _ends(self) -> tuple[int, str]:
        answer = self._client.request("GET", "/events", params=query({"up_to": 0, "limit": 1}))
        return answer.json(lambda told: (int(told["head"]), str(told["epoch"])))

    def close(self) -> None:
        """Wait for what is on its way, and give the connections back."""
        self._sender.close()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _as_text(moment: int | datetime | str | None) -> str | None:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise UsageError(f"the time {moment.isoformat()} has no zone; add one, as in {moment.isoformat()}Z")
        return moment.isoformat()
    return None if moment is None else str(moment)


def _require_runfold(client: Client) -> None:
    """Raise LedgerError unless a Runfold that speaks as this one does is at the other end."""
    api = client.request("GET", "/healthz").json(lambda told: str(told["api"]))
    if api != API_VERSION:
        raise LedgerError(
            f"the server at {client.url} speaks version {api} of the API, and this Runfold version {API_VERSION}; "
            "install the same version on both sides",
            url=client.url,
            server=api,
            client=API_VERSION,
        )
