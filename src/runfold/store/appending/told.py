"""What is told of events as they were stored: their salts and digests, taken when somebody looks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from runfold.domain.recorded import Recorded
from runfold.store.appending.append_call import SALT_BYTES
from runfold.store.codec import Row

if TYPE_CHECKING:
    from runfold.proofs.receipt import ToldEvent


def told_of_rows(rows: Sequence[Row], salts: bytes, first_position: int, recorded_at: datetime) -> "tuple[ToldEvent, ...]":
    """Return what is told of rows that were appended together, one after the other."""
    from runfold.proofs.receipt import told  # noqa: PLC0415  here and below: of few events it is asked
    from runfold.proofs.stored import StoredEvent  # noqa: PLC0415

    return tuple(
        told(
            StoredEvent(
                position=first_position + place,
                tenant_id=row.tenant_id,
                thread_id=row.thread_id,
                stream=row.stream,
                version=row.version,
                type=row.type,
                schema_version=row.schema_version,
                state=row.state,
                key_id=row.key_id,
                event_id=str(UUID(bytes=row.event_id)),
                recorded_at=recorded_at,
                context=row.context,
                metadata=row.metadata,
                salt=salts[SALT_BYTES * place : SALT_BYTES * (place + 1)],
            )
        )
        for place, row in enumerate(rows)
    )


def told_of_recorded(events: Iterable[Recorded]) -> "tuple[ToldEvent, ...]":
    """Return what is told of events that were read from the log; nothing of those that are older than salts."""
    from runfold.proofs.receipt import told  # noqa: PLC0415
    from runfold.proofs.stored import StoredEvent  # noqa: PLC0415

    return tuple(
        told(
            StoredEvent(
                position=each.position,
                tenant_id=each.tenant_id,
                thread_id=each.thread_id,
                stream=each.stream,
                version=each.version,
                type=each.type,
                schema_version=each.schema_version,
                state=each.payload,
                key_id=None,
                event_id=str(each.event_id),
                recorded_at=each.recorded_at,
                context=each.context_json,
                metadata=each.metadata_json,
                salt=each.salt,
            )
        )
        for each in events
        if each.salt is not None
    )
