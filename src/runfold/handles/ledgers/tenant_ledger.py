"""The ledger as one caller sees it: where handles come from, and what can be read."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.submitted import Receipt
from runfold.domain.durations import duration
from runfold.domain.recorded import Recorded
from runfold.domain.security import AUDITED, Scope
from runfold.domain.values import Actor
from runfold.feed.asked import After, Asked, EventFilter, find, page_size
from runfold.feed.log_source import PATIENCE_SECONDS, LogSource
from runfold.feed.subscription import Subscription
from runfold.feed.tail import Tail
from runfold.feed.wanted import Wanted
from runfold.handles.calling.local import BatchExecutor, CallerExecutor
from runfold.handles.ledgers.batch import Batch, collecting
from runfold.handles.ledgers.cancelling import CancelledRun, RunChoice, cancel_one, chosen_runs, wait_until_ended
from runfold.handles.ledgers.keys import Keyring, KeyView, NewKey
from runfold.handles.ledgers.ledger_handle import LedgerHandle
from runfold.handles.ledgers.webhook_secrets import WebhookSecret, secrets_of
from runfold.queries.lists.paging import Direction, ordered
from runfold.queries.reading import Reading, parse_moment
from runfold.queries.sealed.log import CheckpointView, SealedLogView, last_checkpoint, sealed_log
from runfold.queries.sources.past import MOST_EVENTS, Whole
from runfold.store.cursor import cursor_of
from runfold.store.reading.reader import LATEST, Head
from runfold.uncollected import seldom_collected

if TYPE_CHECKING:
    from runfold.handles.ledgers.receipts import AnyReceipt
    from runfold.queries.sealed.told_events import ReceiptVerification
    from runfold.subscriptions.kept import KeptSubscriptions
    from runfold.subscriptions.named import NamedSubscription


class TenantLedger(LedgerHandle):
    """Serves one caller: commands, batches, keys, questions, subscriptions, all of one tenant."""

    executor: CallerExecutor

    def __init__(self, executor: CallerExecutor, tail: Tail, whole: Whole) -> None:
        """`Ledger.open` makes the ledger's own, and `Ledger.on_behalf` one for somebody else."""
        super().__init__(executor)
        self.command_executor = executor.commands
        """It decides and appends the commands of everybody in this process."""
        self.tail = tail
        """It holds the newest events, for all who follow the ledger in this process."""
        self.caller = executor.caller
        self.keyring = Keyring(executor)
        self._whole = whole
        self._reading = executor.reading()

    @contextlib.contextmanager
    def batch(self, *, is_import: bool = False, new_thread: str | None = None, source: str | None = None) -> Iterator[Batch]:
        """Collect many commands in one transaction, stored when the block ends without an error.

        Those of an import are history: whether they came in time is judged by their `occurred_at`, and what was granted so is
        not for use now; what it begins is of its `source`. Of a `new_thread` nothing is looked for in the log: where it is
        there, the batch ends with VersionConflict. Raises ScopeMissing for a caller who may not import.
        """
        caller = self.caller if source is None else self.caller._replace(source=source)
        executor = BatchExecutor(self.command_executor, caller, is_import=is_import, new_thread=new_thread)
        with seldom_collected(), collecting(executor) as batch:
            yield batch

    def recorded_under_key(self) -> Receipt | None:
        """Return what was recorded under the caller's idempotency key, if anything was.

        Raises KeyReused when something else was asked then.
        """
        return self.command_executor.answers.recorded_under(self.caller)

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
        """Cancel runs, named or found among those that have not ended, and return what became of each.

        One that a worker holds is asked to stop, and waited for, unless `force` cancels it at once; each goes by itself, and one
        that cannot be found fails no other. With `dry_run` nothing is done. Raises UsageError, InvalidEvent, ReadModelBehind.
        """
        length = duration("wait", wait)
        found = chosen_runs(self.now, run_ids, choice, limit)
        done = [cancel_one(self.executor, run_id, reason, force=force, dry_run=dry_run) for run_id in found]
        return done if dry_run else wait_until_ended(done, lambda run_id: self.now.run(run_id).status, length)

    # Keys

    def create_key(
        self,
        *,
        owner: str | Actor,
        scopes: Iterable[Scope],
        label: str,
        expires_in: str | timedelta | None = None,
        key_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> NewKey:
        """Make a key for somebody: what is done with it is theirs, in this tenant, within its scopes.

        `admin` is every scope. `expires_in` is `90s`, `15m`, `1h`, `7d`. The same again under the same `key_id`, or under the
        caller's idempotency key, makes no other key and has no text. Raises InvalidEvent, DuplicateWithDifferentContent.
        """
        return self.keyring.create(
            owner=owner, scopes=scopes, label=label, expires_in=expires_in, key_id=key_id, envelope=envelope
        )

    def revoke_key(self, id: str, reason: str | None = None, **envelope: Unpack[Envelope]) -> Receipt:
        """End a key: at once where this process serves, within a second where others do. Again, it changes nothing.

        Raises KeyNotFound.
        """
        return self.keyring.revoke(id, reason, envelope)

    def keys(self, at: int | datetime | str | None = None) -> list[KeyView]:
        """Return all keys of the tenant, now or as they were, those made first before the others; revoked, expired ones too."""
        if at is None:
            return self.keyring.all()
        moment = parse_moment(at) if isinstance(at, str) else at
        up_to = self.at(moment).up_to
        return self.keyring.all(up_to, moment if isinstance(moment, datetime) else self.now.reader.recorded_at(moment))

    # Webhooks

    def webhook_secrets(self, webhook_id: str) -> list[WebhookSecret]:
        """Return the secrets that a webhook's receiver verifies signatures with, the present one first.

        `callbacks` stands for the addresses that runs name. Raises WebhookNotFound, ScopeMissing, SecretSealed.
        """
        self.caller.require("webhooks:manage")
        return secrets_of(
            self.now, self.command_executor.sealed_secrets, self.caller.tenant_id, webhook_id, self.executor.clock()
        )

    # The sealed log

    def sealed_log(self) -> SealedLogView:
        """Return how sealing the log of the tenant stands: its tree, how far sealing is, and what a sealer met that cannot be.

        Raises ScopeMissing.
        """
        self.caller.require("audit:read")
        return sealed_log(self.now.reader)

    def checkpoint(self) -> CheckpointView:
        """Return the last signed checkpoint of the tenant's sealed log, for whoever is to trust the ledger.

        Raises CheckpointNotFound, ScopeMissing.
        """
        self.caller.require("audit:read")
        return last_checkpoint(self.now.reader)

    def verify_receipt(self, receipt: "AnyReceipt") -> "ReceiptVerification":
        """Hold a receipt, or the JSON that was kept of one, against the log, and against what was sealed of it.

        Of each event it says whether it stands in the log as it was told, or differs, and in which fields, or is gone; and where
        it is sealed already, the proof under the last checkpoint. What is not sealed yet is counted. A bundle of the events
        (`runfold evidence --receipt FILE`) proves the same offline. Raises UsageError for what is no receipt of this tenant,
        ScopeMissing.
        """
        from runfold.handles.ledgers.receipts import told_by, verify  # noqa: PLC0415  few receipts are verified

        return verify(self.now.reader, self.caller, told_by(receipt))

    # Reading

    def at(self, moment: int | datetime | str, *, most_events: int = MOST_EVENTS) -> Reading:
        """Return the ledger as it stood at a position, or at a time of the store (an aware datetime, or RFC 3339 text).

        What belongs to a thread or a run is folded from that thread's events. A question about all of them is answered from
        read models that are prepared as of then. Where there are none, the owner of the ledger has them made, from at most
        `most_events` events, and kept for as long as they are used; anybody else is told so (MomentNotPrepared).
        Raises UsageError for a position beyond the head.
        """
        return self._reading.at(parse_moment(moment) if isinstance(moment, str) else moment, most_events, self._whole)

    def happened_at(self, moment: datetime | str) -> Reading:
        """Return the ledger by the clocks of those who told it, one thread at a time: without what happened after a moment.

        `at` asks what was recorded by then. Raises UsageError for what is no time with a zone.
        """
        return self._reading.happened_at(moment)

    @property
    def now(self) -> Reading:
        """Return the ledger as it stands."""
        return self._reading

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
        is_backwards, most = ordered(order) < 0, page_size(limit)
        found = self.find(Asked.of(after, up_to, **wanted))
        latest = LATEST if wanted.get("recorded_to") is None else found.head
        goal = latest if found.goal is None else found.goal
        return self._reading.reader.tolerant().page(
            found.filter, after=found.after, up_to=goal, limit=most, descending=is_backwards
        )

    def subscribe(
        self,
        *,
        after: After = 0,
        follow: bool = True,
        until_run_ends: bool = True,
        when_caught_up: Callable[[str], object] | None = None,
        patience: float = PATIENCE_SECONDS,
        **wanted: Unpack[EventFilter],
    ) -> Subscription:
        """Return the events after a place, in order, each once, and then the new ones as they come.

        The place is a position, a cursor, a time of the ledger (text too), or `now`. A type may end in `.*`. Of one run it ends
        with the run, unless `until_run_ends` is off. `when_caught_up` is called, with the cursor, when all that was recorded
        before has been taken. While the database is away it waits, for `patience` seconds in a row.
        Raises UsageError, ThreadNotFound, RunNotFound, and HistoryChanged where the ledger was put back to before what the
        cursor has seen; the subscription raises that too.
        """
        asked = Asked.of(after, **wanted)
        find = partial(self.find, asked, until_run_ends=until_run_ends)
        source = LogSource(self._reading.reader, self.tail, asked, find, follow=follow, patience=patience)
        return Subscription(source, when_caught_up)

    def position(self) -> int:
        """Return the last position."""
        return self.head().position

    def head(self) -> Head:
        """Return the last position, its time, and the history that it is of."""
        return self._reading.reader.head()

    def subscription(self, name: str) -> "NamedSubscription":
        """Return the subscription of a name, whose place the ledger keeps and whose events several consumers share.

        `put` makes it. Raises UsageError for what can be no name.
        """
        from runfold.subscriptions.named import NamedSubscription  # noqa: PLC0415  most who open a ledger use none

        return NamedSubscription(name, self.subscriptions)

    @property
    def subscriptions(self) -> "KeptSubscriptions":
        """Return the subscriptions of the tenant that have a name."""
        from runfold.subscriptions.kept import KeptSubscriptions  # noqa: PLC0415  most who open a ledger use none

        return KeptSubscriptions(self._reading.reader, self.tail, self.caller)

    def cursor(self, position: int | None = None) -> str:
        """Return a position of the present history, the last one if none is given, as a cursor: `1234@1f2e3d4c`."""
        head = self.head()
        return cursor_of(head.position if position is None else position, head.epoch)

    def find(self, asked: Asked, *, until_run_ends: bool = False) -> Wanted:
        """Return which events are asked for, of those that the caller may see.

        Raises UsageError, ThreadNotFound, RunNotFound, HistoryChanged, LedgerUnavailable.
        """
        without = () if self.caller.may("audit:read") else AUDITED
        return find(self._reading.reader.tolerant(), asked, without, until_run_ends=until_run_ends)
