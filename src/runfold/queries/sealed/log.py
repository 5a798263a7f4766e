"""The sealed log of a tenant: its last checkpoint, for whoever is to trust the ledger, and how sealing stands."""

from datetime import datetime

from pydantic import ConfigDict

from runfold.errors import CheckpointNotFound
from runfold.history.views import View
from runfold.store.queries import named_queries
from runfold.store.reading.tenant_reader import TenantReader

_QUERIES = named_queries("runfold.queries.sealed", "log.sql")


class CheckpointView(View):
    """Shows a checkpoint of the sealed log: how many events of the tenant were sealed, and the root over them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    origin: str
    """The name of the tree."""
    size: int
    """How many events of the tenant it covers."""
    position: int
    """The position of the last of them."""
    root: str
    """The root over them, in hexadecimal digits."""
    map_root: str | None
    """The root of the map of threads; null while there was more to seal."""
    sealed_at: datetime
    checkpoint: str
    """The signed note, byte for byte: what is published, and what `runfold verify --against` takes."""


class SealedLogView(View):
    """Shows how sealing the log of a tenant stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    origin: str | None
    """The name of the tenant's tree; null where nothing of it is sealed."""
    generation: int
    """The number of the tree: one more each time that a loss was accepted; 0 where there is none."""
    size: int
    """How many events of the tenant are sealed in it."""
    begun_at: datetime | None
    previous_checkpoint: str | None
    """The last checkpoint of the tree before, where events that it covers were lost."""
    comment: str | None
    """Why that was accepted."""
    sealed_position: int
    """Up to which position of the ledger all events are sealed."""
    looked_at: datetime
    """When a sealer looked last."""
    alarms: int
    """How many events of the tenant were lost before they were sealed, or came in behind what was."""
    first_alarm: str | None


def sealed_log(reader: TenantReader) -> SealedLogView:
    """Return how sealing stands. Raises LedgerUnavailable."""
    ((origin, generation, size, *more),) = reader.rows(_QUERIES["sealed log"], [reader.tenant] * 3)
    names = ("begun_at", "previous_checkpoint", "comment", "sealed_position", "looked_at", "alarms", "first_alarm")
    facts = dict(zip(names, more, strict=True))
    return SealedLogView(origin=origin, generation=generation or 0, size=size or 0, **facts)


def last_checkpoint(reader: TenantReader) -> CheckpointView:
    """Return the last checkpoint. Raises CheckpointNotFound, LedgerUnavailable."""
    found = reader.rows(_QUERIES["checkpoint"], [reader.tenant] * 2)
    if not found:
        raise CheckpointNotFound(reader.tenant, "is not there yet: `runfold work` and `runfold serve` seal what is recorded")
    origin, size, position, root, map_root, sealed_at, note = found[0]
    return CheckpointView(
        origin=origin,
        size=size,
        position=position,
        root=root.hex(),
        map_root=None if map_root is None else map_root.hex(),
        sealed_at=sealed_at,
        checkpoint=note,
    )
