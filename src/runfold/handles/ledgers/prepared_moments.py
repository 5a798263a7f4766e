"""Moments of the past that are prepared: all read models as of then, which questions about the whole past are answered from."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runfold.errors import RebuildRefused, UsageError
from runfold.handles.calling.local import CallerExecutor
from runfold.handles.ledgers.folding import Folding
from runfold.projections.registry import chosen, known
from runfold.queries.reading import parse_moment

if TYPE_CHECKING:
    from runfold.projector.past.preparing import Preparer
    from runfold.projector.worker import Progress
    from runfold.queries.moments import Moments, MomentView


class PreparedMoments:
    """Prepares moments for the owner of a ledger, and for those who ask through it."""

    def __init__(self, folding: Folding, owner: CallerExecutor, per_tenant: int, in_all: int) -> None:
        """`per_tenant` and `in_all` are how many moments may be there at once."""
        self._folding, self._owner, self._limits = folding, owner, (per_tenant, in_all)

    def of(self, tenant_id: str) -> "Moments":
        """Do what `Ledger.moments_of` says."""
        from runfold.projector.past.moments import Limits
        from runfold.queries.moments import Moments

        return Moments(self._owner.commands.recorder.reader, tenant_id, Limits(*self._limits), self._folding.connected)

    def preparer(self) -> "Preparer":
        """Do what `Ledger.preparer` says."""
        from runfold.projector.past.preparing import Preparer

        return Preparer(self._folding.projector())

    def prepare(
        self,
        moment: int | datetime | str | None = None,
        *,
        expires_in: str | timedelta | None = None,
        processes: int = 2,
        progress: "Progress | None" = None,
    ) -> "MomentView":
        """Do what `Ledger.prepare` says."""
        position = self._owner.reading(_moment(moment, self._owner.reader.head().position)).up_to
        own = self.of(self._owner.tenant_id)
        asked = own.ask(position, str(self._owner.actor), expires_in)
        self._make(asked, tuple(known()), position, processes, progress)
        return own.one(asked)

    def all(self) -> "list[MomentView]":
        """Do what `Ledger.moments` says."""
        return self.of(self._owner.tenant_id).all()

    def drop(self, id: str) -> None:
        """Do what `Ledger.drop_moment` says."""
        self.of(self._owner.tenant_id).drop(id)

    def whole_past(self, names: Sequence[str], position: int, most_events: int, *, progress: "Progress | None" = None) -> str:
        """Return the schema that answers the owner as of a position. Where there is none it is made, and the oldest give way."""
        from runfold.projector.past.moments import schema_of

        own = self.of(self._owner.tenant_id)
        if (found := own.find(names, position, every=True)) is not None:
            return found
        if position > most_events:
            raise UsageError(
                f"this folds {position:,} events, and {most_events:,} are allowed; give `ledger.at(…, most_events=…)` "
                f"more, or make a schema with `runfold rebuild {' '.join(names)} --at {position} --into NAME`",
                events=position,
                most_events=most_events,
            )
        asked = own.ask(position, str(self._owner.actor), names=names, automatic=True)
        self._make(asked, names, position, 2, progress)
        own.sweep()
        return schema_of(asked)

    def _make(self, id: str, names: Sequence[str], position: int, processes: int, progress: "Progress | None") -> None:
        """Make what was asked for, here, unless it is there or another makes it: then that is waited for."""
        from runfold.projector.past import as_of as past
        from runfold.projector.past.moments import schema_of

        schema = schema_of(id)
        if self._is_ready(schema):
            return
        try:
            past.make(self._folding.projector(), chosen(names), schema, position, processes=processes, progress=progress)
        except RebuildRefused:  # another was quicker
            if not self._is_ready(schema):
                raise

    def _is_ready(self, schema: str) -> bool:
        return any(made.ready for made in self._folding.schemas() if made.schema == schema)


def _moment(moment: int | datetime | str | None, head: int) -> int | datetime:
    if moment is None:
        return head
    return parse_moment(moment) if isinstance(moment, str) else moment
