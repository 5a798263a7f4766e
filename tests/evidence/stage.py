"""A sealed ledger, its superuser, and a checkpoint that an auditor took with them."""

from dataclasses import dataclass
from pathlib import Path

import psycopg

from runfold import Ledger
from runfold.evidence.sealer import Sealer
from runfold.evidence.verifying.checkpoints import Kept
from runfold.evidence.verifying.verifying import Verification
from runfold.maintenance.checking import Finding
from runfold.proofs.note import Checkpoint

TABLES = (
    "log",
    "head",
    "sealed_position",
    "sealed_logs",
    "sealed_events",
    "sealed_tiles",
    "sealed_threads",
    "sealed_map",
    "sealed_checkpoints",
)


@dataclass
class Stage:
    """A sealed ledger, its superuser, and the checkpoint that an auditor took with them."""

    ledger: Ledger
    admin: psycopg.Connection
    kept: Kept
    publics: list[bytes]
    home: Path

    def found(self, *kept: Kept, since: dict[str, Checkpoint] | None = None) -> list[Finding]:
        with self.ledger.recorder.store.reading() as connection:
            verification = Verification(connection, self.publics, kept, since or {})
            return list(verification.findings())

    def seal(self) -> str:
        """Seal what is there, and return the checkpoint."""
        Sealer(self.ledger).seal_all()
        return self.note()

    def note(self) -> str:
        (row,) = self.admin.execute("SELECT note FROM runfold.sealed_checkpoints ORDER BY generation DESC, size DESC LIMIT 1")
        return str(row[0])


def _columns(table: str) -> str:
    """What is copied of a table: a column that follows from others is not."""
    if table != "sealed_checkpoints":
        return "SELECT *"
    columns = "tenant_id, generation, size, position, root, map_root, note, sealed_at"
    return f"({columns}) SELECT {columns}"


def put_back(stage: Stage) -> None:
    with stage.admin.transaction():
        for table in TABLES:
            stage.admin.execute(f"DELETE FROM runfold.{table}")
            stage.admin.execute(f"INSERT INTO runfold.{table} {_columns(table)} FROM public.before_{table}")
