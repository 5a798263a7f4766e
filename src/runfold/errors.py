"""Every error that Runfold raises. Each names the thing, the fact and the next step, and keeps the facts as fields.

LedgerError
├── NotFound                        exit 3
│   ├── ThreadNotFound
│   ├── RunNotFound
│   ├── ApprovalNotFound
│   ├── AgentNotFound
│   ├── GoalNotFound
│   ├── KeyNotFound
│   ├── MomentNotFound
│   ├── SubscriptionNotFound
│   ├── WebhookNotFound
│   ├── CheckpointNotFound
│   ├── EventTypeNotFound
│   ├── RowNotFound
│   └── ProjectionNotFound
├── InvalidEvent                    exit 2   the input is not a valid event
├── CommandRefused                  exit 1   it is not allowed in the current state
│   ├── RunInProgress
│   ├── ApprovalsLeftOpen
│   └── CancellationRequested
├── Conflict                        exit 4
│   ├── VersionConflict
│   ├── DuplicateWithDifferentContent
│   ├── KeyReused
│   ├── AlreadyAppended
│   └── HistoryChanged              exit 4   the position belongs to a history that this ledger left
├── Damage                          exit 5   stored data is not what was written
│   ├── UnknownEventType
│   ├── UnreadableEvent
│   ├── UnreadableTime
│   ├── OutOfOrder                  exit 5   a source of events skipped one, or gave one twice
│   └── ExportDamaged
├── LedgerUnavailable               exit 1   nothing was stored, or the text says that it is unknown
│   ├── QueueFull
│   ├── LedgerClosed                exit 1   whoever holds the ledger has closed it
│   └── EmbeddedServerFailed
├── ReceiverUnavailable             exit 1   what events are relayed to is away, or takes none just now
├── RelayRefused                    exit 1   it is set up so that trying again does not help
├── SecretSealed                    exit 1   a signing secret cannot be read with the keys that are here
├── SubscriptionEnded               exit 1   it was asked for more after the error with which it ended
├── InvalidProjection               exit 1   a projection's declaration is invalid
├── ProjectionStopped               exit 1   one projection stopped; the others continue
│   ├── PoisonEvent
│   ├── ImpureProjection
│   ├── WrongPartition
│   ├── ProjectionChanged
│   ├── BrokenCheckpoint
│   └── DependentView
├── RebuildRefused                  exit 1
├── DropRefused                     exit 1
├── ExportRefused                   exit 1
├── BackupRefused                   exit 1   no backup was made, or nothing was restored
├── SealingRefused                  exit 1   the log is not sealed further, or the keys for that cannot be used
├── ReadModelBehind                 exit 1   it has not reached the position
├── MomentNotPrepared               exit 1   no read models are prepared as of that position
├── UnsafeDurability                exit 1
├── TransactionPooling              exit 1
├── MigrationRefused                exit 1
├── AccessDenied                    exit 1   missing or invalid API key, or one without the scope
│   ├── KeyRefused
│   └── ScopeMissing
├── RequestRefused                  exit 1   the request breaks a limit of the server
│   ├── TooLarge
│   ├── TooManyRequests
│   ├── TooManyMoments
│   ├── TooSlow
│   ├── TooBusy
│   └── WrongMediaType
├── AddressUnusable                 exit 1   the server cannot listen there
└── UsageError                      exit 2
"""

from collections.abc import Sequence
from typing import Any

MOST_MESSAGE, MOST_FACT, MOST_FACTS = 2000, 1000, 1000
"""The most characters of a message and of one fact, and the most members of a list. Input is never echoed whole."""


def shortened(text: str, most: int = 100) -> str:
    """Return text from outside, cut to the length that an error may repeat."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


class LedgerError(Exception):
    """The root of all Runfold errors. `facts` holds the same as fields, for programs. Both are bounded in length."""

    exit_code = 1
    http_status = 500
    most_message = MOST_MESSAGE

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(shortened(message, self.most_message))
        self.facts = {name: _bounded(fact) for name, fact in facts.items()}


def _bounded(fact: Any) -> Any:
    if isinstance(fact, str):
        return shortened(fact, MOST_FACT)
    return [_bounded(each) for each in fact[:MOST_FACTS]] if isinstance(fact, list) else fact


class NotFound(LedgerError):
    """Nothing has that id."""

    exit_code = 3
    http_status = 404
    thing = "thread, run or approval"
    listing = ""

    def __init__(self, id: str, known_later: str | None = None) -> None:
        """`known_later` is what to say of a thing that is there, and was not at the time, or in the place, asked for."""
        next_step = f"; {self.listing} lists them all" if self.listing else ""
        said = f"{self.thing} {id!r} {known_later}" if known_later else f"there is no {self.thing} {id!r}{next_step}"
        super().__init__(said, id=id, known_later=known_later)
        self.id, self.known_later = id, known_later


class ThreadNotFound(NotFound):
    """No thread has that id, or it belongs to another tenant."""

    thing, listing = "thread", "`runfold threads`"


class RunNotFound(NotFound):
    """No run has that id, or it belongs to another tenant."""

    thing, listing = "run", "`runfold runs`"

    @classmethod
    def in_thread(cls, id: str, asked: str, actual: str) -> "RunNotFound":
        """Return the error for a run that is there, and of another thread than the one it was asked for in."""
        return cls(id, f"is of {actual}, not of {asked}; ask for it there")


class ApprovalNotFound(NotFound):
    """No approval has that id, or it belongs to another tenant."""

    thing, listing = "approval", "`runfold approvals`"


class AgentNotFound(NotFound):
    """This server serves no agent of that name."""

    thing, listing = "agent", "`GET /agents`"


class GoalNotFound(NotFound):
    """No run has that goal, or the read model of goals has not seen it yet."""

    thing, listing = "goal", "`runfold goals`"


class KeyNotFound(NotFound):
    """No key has that id, or it belongs to another tenant."""

    thing, listing = "key", "`runfold keys list`"


class MomentNotFound(NotFound):
    """No moment has that id, it expired unused, or it belongs to another tenant."""

    thing, listing = "moment", "`runfold moments list`"


class WebhookNotFound(NotFound):
    """No webhook has that id, or it belongs to another tenant."""

    thing, listing = "webhook", "`runfold webhooks list`"


class CheckpointNotFound(NotFound):
    """Nothing of the tenant was sealed yet."""

    thing = "checkpoint of tenant"


class SubscriptionNotFound(NotFound):
    """No subscription has that name, or it belongs to another tenant."""

    thing, listing = "subscription", "`runfold subscriptions list`"


class EventTypeNotFound(NotFound):
    """No event has that type, or no such version of its shape was ever stored."""

    thing = "event type"
    listing = "`GET /schemas`"


class RowNotFound(NotFound):
    """No row of a read model has that key."""

    thing = "row"


class ProjectionNotFound(NotFound):
    """No projection has that name."""

    thing, listing = "projection", "`runfold projections`"


class InvalidEvent(LedgerError):
    """What was given cannot be recorded. `path` points at the field; nothing was stored."""

    exit_code = 2
    http_status = 422

    def __init__(self, path: str, reason: str, event_type: str | None = None) -> None:
        where = f"{event_type}: " if event_type else ""
        super().__init__(f"{where}{path or 'value'}: {reason}", path=path, reason=reason, event_type=event_type)
        self.path, self.reason, self.event_type = shortened(path, MOST_FACT), shortened(reason, MOST_FACT), event_type


class CommandRefused(LedgerError):
    """The command is not allowed in the current state of the thread, run or approval."""

    http_status = 409

    def __init__(self, command: str, stream: str, rule: str, state: str) -> None:
        super().__init__(
            f"{command} refused: {stream} is {state}; {rule}", command=command, stream=stream, rule=rule, state=state
        )
        self.command, self.stream, self.rule, self.state = command, stream, rule, state


class RunInProgress(CommandRefused):
    """The thread's run is at work, so nothing goes on from it yet."""


class ApprovalsLeftOpen(CommandRefused):
    """The run waits for more approvals than the request decides. None was decided."""

    def __init__(self, run_id: str, expected: Sequence[str], received: Sequence[str], state: str) -> None:
        decided = set(received)
        left = ", ".join(approval_id for approval_id in expected if approval_id not in decided)
        super().__init__(
            "vote",
            run_id,
            f"the request leaves {left} undecided; decide all in one request",
            state,
        )
        self.expected, self.received = tuple(expected), tuple(received)
        self.facts |= {"expected": _bounded(list(expected)), "received": _bounded(list(received))}


class CancellationRequested(CommandRefused):
    """Somebody wants the run to stop: its worker hears of it when it renews the lease. The lease is renewed all the same."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            "renew", run_id, "the lease is renewed, and the run's cancellation was requested; stop, and `cancel()` it", "running"
        )


class Conflict(LedgerError):
    """Another command was stored first."""

    exit_code = 4
    http_status = 409


class VersionConflict(Conflict):
    """The stream moved on after it was read."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(
            f"{stream} is at version {actual}, not {expected}; load it again and retry the command",
            stream=stream,
            expected=expected,
            actual=actual,
        )
        self.stream, self.expected, self.actual = stream, expected, actual


class DuplicateWithDifferentContent(Conflict):
    """The id is already used with different content, which stays as it is."""

    def __init__(self, thing: str, id: str, differs: str) -> None:
        super().__init__(
            f"{thing} {id} is already recorded with a different {differs}; use a new id, or revise the recorded one",
            thing=thing,
            id=id,
            differs=differs,
        )
        self.thing, self.id, self.differs = thing, id, differs


class KeyReused(Conflict):
    """The idempotency key was already used for a different request."""

    def __init__(self, key: str, position: int) -> None:
        super().__init__(
            f"idempotency key {key!r} was already used for a different request (position {position}); use a new key",
            key=key,
            position=position,
        )
        self.key, self.position = key, position


class AlreadyAppended(Conflict):
    """Another process stored a command with the same idempotency key at the same moment."""

    def __init__(self, stream: str) -> None:
        super().__init__(
            f"another request with the same idempotency key wrote to {stream} first; repeat it to get its answer",
            stream=stream,
        )
        self.stream = stream


class HistoryChanged(Conflict):
    """A position belongs to another history of the ledger, after the point where that one and the present one part.

    `position` is the last position that both share, None where none is known; `epoch` is the id of the present history, and
    `cursor` is where to resume: drop what was derived from events after `position`, and subscribe after `cursor`.
    """

    def __init__(self, asked: str, position: int | None, epoch: str) -> None:
        cursor = f"{position or 0}@{epoch[:8]}"
        if position is None:
            fact = f"{asked} belongs to a history that this ledger does not know, so no common position is known"
            step = f"drop everything that was derived from it, and start again after {cursor}"
        else:
            fact = f"{asked} belongs to another history of this ledger, which is the same only up to position {position}"
            step = f"drop what was derived from later events, and resume after {cursor}"
        super().__init__(f"{fact}; {step}", asked=asked, position=position, epoch=epoch, cursor=cursor)
        self.asked, self.position, self.epoch, self.cursor = asked, position, epoch, cursor


class ReceiverUnavailable(LedgerError):
    """What events are relayed to is away, or takes none just now. What it has of them is found out when it is there again."""

    http_status = 503

    def __init__(self, receiver: str, fact: str, next_step: str) -> None:
        super().__init__(f"{receiver} {fact}; {next_step}", receiver=receiver, fact=fact)


class RelayRefused(LedgerError):
    """What events are relayed to takes none, or not so that each is there once, however often it is tried."""

    def __init__(self, receiver: str, fact: str, next_step: str) -> None:
        super().__init__(f"{receiver} {fact}; {next_step}", receiver=receiver, fact=fact)


class SecretSealed(LedgerError):
    """A signing secret cannot be read with the keys that this machine has."""

    def __init__(self, webhook_id: str, key_file: str) -> None:
        super().__init__(
            f"the signing secret of {webhook_id} was encrypted with a key that is not in {key_file}; give every machine the same "
            "file (RUNFOLD_WEBHOOK_KEYS), or rotate the secret once the key is lost",
            webhook_id=webhook_id,
        )


class SubscriptionEnded(LedgerError):
    """A subscription was asked for more after it had ended with an error. `cursor` is where to go on."""

    def __init__(self, cursor: str, reason: LedgerError) -> None:
        super().__init__(
            f"the subscription has ended ({type(reason).__name__}: {reason}); go on with subscribe(after={cursor!r})",
            cursor=cursor,
            reason=type(reason).__name__,
        )
        self.cursor = cursor


class Damage(LedgerError):
    """Stored data is not what Runfold writes. Reading stops instead of guessing."""

    exit_code = 5


class UnknownEventType(Damage):
    """A stored event has a type (or a schema version) that this Runfold does not know. It is never imported by name."""

    def __init__(self, type: str, schema_version: int, position: int | None = None) -> None:
        where = f"the event at position {position}" if position else "an event"
        super().__init__(
            f"{where} has type {type!r} version {schema_version}, which this Runfold does not know; "
            "upgrade Runfold, or run `runfold check` if nothing newer wrote here",
            type=type,
            schema_version=schema_version,
            position=position,
        )
        self.type, self.schema_version, self.position = type, schema_version, position


class UnreadableEvent(Damage):
    """A stored payload does not match its event type."""

    has_new_field = False
    """Whether what it has too much is a field: a newer Runfold may have added that."""

    def __init__(self, type: str, position: int | None, reason: str, *, has_new_field: bool = False) -> None:
        super().__init__(
            f"the {type} at position {position} cannot be read: {reason}; run `runfold check`",
            type=type,
            position=position,
            reason=reason,
        )
        self.type, self.position, self.reason, self.has_new_field = type, position, reason, has_new_field


def event_at(position: int | str, version: int | str, stream: str) -> str:
    """Return of which event something is, in words."""
    return f"the event at position {position} (version {version} of {stream})"


class UnreadableTime(Damage):
    """Beside an event, or in a row of another table, stands a time that nobody reads, as infinity: Runfold wrote none."""

    def __init__(self, where: str, reason: str, *, is_event: bool = True) -> None:
        next_step = "run `runfold check`, and" if is_event else "if it is of a read model run `runfold rebuild`, else"
        super().__init__(
            f"{where} holds a time that cannot be read: {reason}; {next_step} put it right from a backup",
            where=where,
            reason=reason,
        )
        self.where, self.reason = where, reason


class OutOfOrder(Damage):
    """Whoever follows the log was given an event that does not follow on the one before it."""

    def __init__(self, position: int, before: int, up_to: int) -> None:
        super().__init__(
            f"the event at position {position} came after position {before}, among those up to {up_to}; run `runfold check`",
            position=position,
            before=before,
            up_to=up_to,
        )
        self.position, self.before, self.up_to = position, before, up_to


class ExportDamaged(Damage):
    """A file of an export is not what its manifest says, or the manifest cannot be read."""

    def __init__(self, file: str, fact: str, folder: str) -> None:
        super().__init__(
            f"{file} in {folder} {fact}; put it back as it was, or remove the folder and export again",
            file=file,
            fact=fact,
            folder=folder,
        )
        self.file, self.fact, self.folder = file, fact, folder


class LedgerUnavailable(LedgerError):
    """PostgreSQL cannot be reached, or did not store the command. If `retriable`, repeat the same command unchanged."""

    http_status = 503

    def __init__(self, fact: str, next_step: str, *, retriable: bool = True) -> None:
        super().__init__(f"{fact}; {next_step}", fact=fact, next_step=next_step, retriable=retriable)
        self.fact, self.next_step, self.retriable = fact, next_step, retriable


class QueueFull(LedgerUnavailable):
    """The append queue is full. Nothing of this command was stored."""

    def __init__(self, waiting: int) -> None:
        super().__init__(
            f"the append queue is full: {waiting} commands are waiting",
            "retry in a moment, or raise RUNFOLD_QUEUE_SIZE",
        )
        self.waiting = waiting


class LedgerClosed(LedgerUnavailable):
    """The ledger was closed by whoever opened it. Nothing more is read, and nothing more is stored."""

    def __init__(self) -> None:
        super().__init__("the ledger is closed", "open it again", retriable=False)


class EmbeddedServerFailed(LedgerUnavailable):
    """The embedded PostgreSQL could not be started."""

    def __init__(self, fact: str, next_step: str) -> None:
        super().__init__(fact, next_step, retriable=False)


class InvalidProjection(LedgerError):
    """The declaration of a projection is invalid. `source` is the class, as module:Class."""

    http_status = 422

    def __init__(self, source: str, fact: str) -> None:
        super().__init__(f"the projection {source} {fact}", source=source, fact=fact)
        self.source, self.fact = source, fact


class ProjectionStopped(LedgerError):
    """A projection stopped. Its rows stay as they are, and the other projections continue."""

    http_status = 503

    def __init__(self, name: str, fact: str, next_step: str, **facts: Any) -> None:
        super().__init__(f"{name} {fact}; {next_step}", name=name, fact=fact, next_step=next_step, **facts)
        self.name, self.fact, self.next_step = name, fact, next_step


class PoisonEvent(ProjectionStopped):
    """A projection raised an error at an event, or made an invalid row from it."""

    def __init__(self, name: str, position: int, event_type: str, reason: str) -> None:
        super().__init__(
            name,
            f"failed on the {event_type} at position {position}: {reason}",
            f"fix the projection, restart the worker, and run `runfold projections retry {name}`",
            position=position,
            event_type=event_type,
            reason=reason,
        )
        self.position, self.event_type, self.reason = position, event_type, reason


class ImpureProjection(ProjectionStopped):
    """A projection uses more than the event and the row, so the same events may give different rows."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            name,
            f"is not pure: {reason}",
            "use only what the event says (recorded.happened_at for a time), raise its version, and restart the worker",
            reason=reason,
        )
        self.reason = reason


class WrongPartition(ProjectionStopped):
    """A projection says that each row is made from one thread or goal, and events of two touch one row."""

    def __init__(self, name: str, partition: str, key: tuple[Any, ...], first: str, other: str) -> None:
        super().__init__(
            name,
            f'says partition = "{partition}", and its row {key} is touched from two {partition}s: by {first} and by {other}',
            f"leave out partition, or add the {partition} to the key",
            partition=partition,
            key=key,
        )
        self.partition, self.key = partition, key


class ProjectionChanged(ProjectionStopped):
    """A projection's rows, key or events changed, and its version did not."""

    def __init__(self, name: str, version: int, fact: str) -> None:
        super().__init__(
            name,
            f"{fact}, but its version is still {version}",
            f"set its version to {version + 1} to have it rebuilt, or undo the change",
            version=version,
        )
        self.version = version


class BrokenCheckpoint(ProjectionStopped):
    """A read model's checkpoint is wrong: continuing would skip events, or apply some twice."""

    def __init__(self, name: str, fact: str) -> None:
        super().__init__(name, fact, f"rebuild it with `runfold rebuild {name}`")


class DependentView(ProjectionStopped):
    """A new table lacks what somebody's view takes from the one in use, so that one stays in use."""


class RebuildRefused(LedgerError):
    """A read model, or read models as of the past, cannot be built now. What is in use stays as it is."""

    http_status = 409

    def __init__(self, name: str, fact: str, next_step: str) -> None:
        super().__init__(f"{name} {fact}; {next_step}", name=name, fact=fact, next_step=next_step)
        self.name, self.fact, self.next_step = name, fact, next_step


class DropRefused(LedgerError):
    """A read model cannot be dropped now. It stays as it is."""

    http_status = 409

    def __init__(self, name: str, fact: str, next_step: str) -> None:
        super().__init__(f"{name} {fact}; {next_step}", name=name, fact=fact, next_step=next_step)
        self.name, self.fact, self.next_step = name, fact, next_step


class ExportRefused(LedgerError):
    """An export cannot be written here, or cannot be continued. The folder stays as it was."""

    http_status = 409

    def __init__(self, what: str, fact: str, next_step: str) -> None:
        super().__init__(f"{what} {fact}; {next_step}", what=what, fact=fact, next_step=next_step)
        self.what, self.fact, self.next_step = what, fact, next_step


class BackupRefused(LedgerError):
    """A backup cannot be made, or cannot be restored here. What is in the database stays as it is."""

    http_status = 409

    def __init__(self, fact: str, next_step: str) -> None:
        super().__init__(f"{fact}; {next_step}", fact=fact, next_step=next_step)
        self.fact, self.next_step = fact, next_step


class SealingRefused(LedgerError):
    """The log is not sealed further. What is sealed stays as it is."""

    http_status = 409

    def __init__(self, fact: str, next_step: str) -> None:
        super().__init__(f"{fact}; {next_step}", fact=fact, next_step=next_step)
        self.fact, self.next_step = fact, next_step


class ReadModelBehind(LedgerError):
    """A read model has not reached the requested position, or its table is not the one that is read here: then `fact` says so.

    `is_folded` says whether a worker is at it, where nothing else keeps it from getting there.
    """

    http_status = 503

    def __init__(
        self,
        name: str,
        position: int | None,
        wanted: int,
        next_step: str,
        fact: str | None = None,
        is_folded: bool | None = None,
    ) -> None:
        at = "has not been built yet" if position is None else f"is at position {position}, not yet at {wanted}"
        super().__init__(
            f"the read model {name} {fact or at}; {next_step}",
            name=name,
            position=position,
            wanted=wanted,
            next_step=next_step,
            fact=fact,
            is_folded=is_folded,
        )
        self.name, self.position, self.wanted, self.next_step, self.fact = name, position, wanted, next_step, fact
        self.is_folded = is_folded


class MomentNotPrepared(LedgerError):
    """No read models are prepared as of a past position. `moment_id` is set while they are being prepared."""

    http_status = 409

    def __init__(self, position: int, moment_id: str | None = None, state: str | None = None) -> None:
        if moment_id is None:
            fact = f"no read models are prepared as of position {position}, and reading prepares none"
            next_step = (
                f'POST /moments with {{"as_of": "{position}"}} (`ledger.prepare({position})`, '
                f"`runfold moments prepare {position}`) and ask again when it is ready, or narrow the question to some threads "
                "or runs"
            )
        else:
            fact = f"the read models as of position {position} are not ready: {moment_id} is {state}"
            next_step = f"GET /moments/{moment_id} shows its progress; ask again when it is ready"
        super().__init__(f"{fact}; {next_step}", position=position, moment_id=moment_id, state=state, next_step=next_step)
        self.position, self.moment_id, self.state, self.next_step = position, moment_id, state, next_step


class UnsafeDurability(LedgerError):
    """The server would lose acknowledged events in a crash."""

    def __init__(self, settings: dict[str, str]) -> None:
        shown = ", ".join(f"{name}={value}" for name, value in settings.items())
        super().__init__(
            f"the server runs with {shown}, so an acknowledged event may be lost in a crash; "
            "set it to on, or pass --unsafe-durability (RUNFOLD_UNSAFE_DURABILITY=1) for data you can lose",
            settings=settings,
        )
        self.settings = settings


class TransactionPooling(LedgerError):
    """A connection pooler gives each transaction another session, and Runfold needs sessions of its own.

    Session settings, LISTEN and advisory locks would reach other clients, or be lost.
    """

    http_status = 503

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"{host}:{port} is a connection pooler in transaction mode, and Runfold needs sessions of its own (LISTEN, advisory "
            "locks, the tenant's setting); give the server's own address as RUNFOLD_DATABASE_URL, RUNFOLD_PROJECTOR_URL and "
            "RUNFOLD_ADMIN_URL, or set pool_mode = session for this database in the pooler",
            host=host,
            port=port,
        )
        self.host, self.port = host, port


class MigrationRefused(LedgerError):
    """This version of Runfold cannot use or migrate the schema of the database."""

    most_message = 20_000  # it may hold the SQL that an administrator is to run


class UsageError(LedgerError):
    """The call itself is wrong: an unknown option, format or field, or a time that cannot be parsed."""

    exit_code = 2
    http_status = 400


class AccessDenied(LedgerError):
    """The caller is not allowed to do this."""

    http_status = 403


class KeyRefused(AccessDenied):
    """The request has no API key, or one that is unknown, revoked or expired. The message does not tell which."""

    http_status = 401

    def __init__(self, fact: str) -> None:
        self.fact = fact
        super().__init__(f"{fact}; send `Authorization: Bearer KEY` with a key made by `runfold keys create`")


class ScopeMissing(AccessDenied):
    """The key is valid, but does not have the scope."""

    def __init__(self, key: str, scope: str) -> None:
        super().__init__(
            f"key {key} lacks the scope {scope}; make one that has it with `runfold keys create --scope {scope}`",
            key=key,
            scope=scope,
        )
        self.key, self.scope = key, scope


class RequestRefused(LedgerError):
    """The request breaks a limit of the server."""

    http_status = 400


class TooLarge(RequestRefused):
    """A body or a batch exceeds the size limit. Nothing of it was recorded."""

    http_status = 413

    def __init__(self, what: str, most: int, unit: str) -> None:
        super().__init__(f"{what} is larger than the limit of {most:,} {unit}; send it in pieces", most=most, unit=unit)


class TooManyRequests(RequestRefused):
    """The key exceeded its rate limit."""

    http_status = 429

    def __init__(self, a_second: float, retry_after: float) -> None:
        super().__init__(
            f"rate limit of {a_second:g} requests a second exceeded; retry in {retry_after:.1f} s",
            a_second=a_second,
            retry_after=retry_after,
        )
        self.retry_after = retry_after


class TooManyMoments(RequestRefused):
    """The limit of prepared moments is reached, for this tenant or in total."""

    http_status = 429

    def __init__(self, whose: str, most: int, setting: str) -> None:
        super().__init__(
            f"{whose} has {most} moments prepared, the most allowed; drop one (DELETE /moments/ID, `runfold moments drop ID`), "
            f"wait until one expires, or let the operator raise {setting}",
            most=most,
            setting=setting,
        )
        self.most, self.setting = most, setting


class TooSlow(RequestRefused):
    """The request body arrived too slowly. Nothing of it was recorded."""

    http_status = 408

    def __init__(self, seconds: float, a_second: int) -> None:
        super().__init__(
            f"the request body took longer than {seconds:g} s at less than {a_second:,} bytes a second; send it faster",
            seconds=seconds,
            a_second=a_second,
        )


class TooBusy(RequestRefused):
    """The server is overloaded. Nothing was recorded."""

    http_status = 503

    def __init__(self, fact: str, retry_after: float) -> None:
        super().__init__(f"{fact}; retry in {retry_after:g} s", retry_after=retry_after)
        self.retry_after = retry_after


class WrongMediaType(RequestRefused):
    """The body is not JSON, or uses an encoding that is not supported."""

    http_status = 415


class AddressUnusable(LedgerError):
    """The server cannot listen at the address it was given."""

    http_status = 503

    def __init__(self, host: str, port: int, fact: str, next_step: str) -> None:
        super().__init__(f"{host}:{port} {fact}; {next_step}", host=host, port=port, fact=fact, next_step=next_step)
        self.host, self.port = host, port
