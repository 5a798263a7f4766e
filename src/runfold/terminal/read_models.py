"""Read models: how far each is, those of moments, and those in schemas of the past."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from runfold.terminal import styles
from runfold.terminal.tables import status_cell, table
from runfold.terminal.text import seconds, to_the_minute

if TYPE_CHECKING:
    from runfold.projector.past.as_of import PastSchema
    from runfold.projector.status import ProjectionStatus
    from runfold.queries.moments import MomentView


def projection_table(projections: "Iterable[ProjectionStatus]") -> Table:
    """Draw read models and how far each is."""
    rows = (
        (
            status.name,
            status.version,
            status_cell(status.state, styles.PROJECTION),
            "" if status.position is None else status.position,
            status.behind_events,
            seconds(status.behind_seconds),
            status.worker or "",
        )
        for status in projections
    )
    return table(("name", "#version", "state", "#position", "#behind", "#for", "worker"), rows, wraps="worker")


def moment_table(moments: "Iterable[MomentView]") -> Table:
    """Draw moments."""
    rows = (
        (
            moment.id,
            status_cell(moment.state, styles.MOMENT),
            moment.position,
            f"{moment.done * 100 // moment.total}%" if moment.total else "",
            moment.asked_by,
            to_the_minute(moment.used_at),
            to_the_minute(moment.expires_at),
        )
        for moment in moments
    )
    return table(("id", "state", "#as of", "#folded", "requested by", "last used (UTC)", "expires"), rows)


def schema_table(schemas: "Iterable[PastSchema]") -> Table:
    """Draw schemas that hold read models of the past."""
    rows = (
        (
            each.schema,
            each.position,
            each.run_id or "",
            ", ".join(each.names),
            "ready" if each.ready else "failed" if each.error else "unfinished",
            "until dropped" if each.kept else "while used",
            to_the_minute(each.created_at),
        )
        for each in schemas
    )
    return table(("schema", "#as of", "run", "read models", "state", "kept", "created (UTC)"), rows, wraps="read models")
