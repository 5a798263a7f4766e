"""Many commands, one transaction: all of them are recorded, or none."""

from typing import TypeVar

from pydantic import ValidationError

from runfold.domain.event import AlreadyRecorded, refusal
from runfold.errors import LedgerError, LedgerUnavailable, UsageError
from runfold.ledger.door import Door, Plan, require_same
from runfold.ledger.session import NotKnown, Session, States, metadata_of
from runfold.ledger.submitted import Receipt, Submitted
from runfold.settings import Settings

T = TypeVar("T")


class BatchDoor:
    """A door that collects. A refused command leaves the batch as it was, and may be caught."""

    def __init__(self, door: Door, settings: Settings) -> None:
        self._door = door
        self.recorder, self.clock, self.actor, self.tenant_id = door.recorder, door.clock, door.actor, door.tenant_id
        self._states = States(door.recorder.reader, settings.tenant, most=2**31)
        self._session: Session = door.session({}, self._states)
        self._default_metadata = self._session.metadata
        self._broken: LedgerError | None = None

    def __len__(self) -> int:
        return len(self._session.rows)

    def execute(self, plan: Plan[T]) -> T:
        """Decide a command on the states as the batch has left them. Raises LedgerError."""
        if self._broken is not None:
            raise LedgerUnavailable(f"the batch is void ({self._broken})", "begin another", retriable=False)
        session, before = self._session, len(self._session.rows)
        try:
            session.metadata = metadata_of(plan.envelope, self.actor) if plan.envelope else self._default_metadata
            receipt = self._decide(plan, before)
        except (LedgerError, ValidationError) as error:
            ours = refusal(error) if isinstance(error, ValidationError) else error
            if len(session.rows) != before:
                self._broken = ours  # half of the command is in the states: they are no longer to be believed
            raise ours from None
        return plan.answer(receipt)

    def submit(self, plan: Plan[T]) -> Submitted[T]:
        """A batch is stored at its end, so nothing in it can be on its way."""
        raise UsageError(f"submit_… has no meaning inside a batch (stream {plan.stream}); call the command itself")

    def store(self) -> Receipt | None:
        """Append what was collected, all or nothing, and begin anew. None when nothing was new.

        Raises VersionConflict when somebody else wrote to one of the streams meanwhile.
        """
        if not self._session.rows:
            return None
        receipt = self._door.append(self._session)
        session = self._door.session({}, self._states)
        self._session = session
        return receipt

    def _decide(self, plan: Plan[T], before: int) -> Receipt:
        while True:
            try:
                plan.decide(self._session)
            except NotKnown as missing:
                if len(self._session.rows) != before:
                    raise UsageError(f"the command on {plan.stream} must look before it records") from None
                missing.load()
            except AlreadyRecorded as known:
                return self._recorded_before(known)
            else:
                added = len(self._session.rows) - before
                last = self._session.rows[-1] if added else None
                return Receipt(last.stream if last else plan.stream, 0, last.version if last else 0, None, added)

    def _recorded_before(self, known: AlreadyRecorded) -> Receipt:
        here = self._session.events.get((known.stream, known.version))
        if here is not None:
            require_same(known, here)
            return Receipt(known.stream, 0, known.version, None, 0)
        reader = self.recorder.reader
        (found,) = reader.stream(known.stream, after_version=known.version - 1, up_to_version=known.version)
        require_same(known, found.event)
        return Receipt(known.stream, found.position, found.version, found.recorded_at, 0)
