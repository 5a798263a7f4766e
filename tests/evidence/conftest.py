"""Settings with a home of the test's own, where keys and checkpoints are."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runfold import Ledger, Settings
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.signing import read_signer
from runfold.evidence.verifying.checkpoints import Kept
from tests.databases import TestDatabase

from .stage import TABLES, Stage


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    return database.settings.model_copy(update={"home": tmp_path / "home"})


@pytest.fixture
def stage(database: TestDatabase, tmp_path: Path) -> Iterator[Stage]:
    settings = database.settings.model_copy(update={"home": tmp_path / "home", "seal_publish": ""})
    with Ledger.open(settings=settings) as ledger, psycopg.connect(database.admin_url, autocommit=True) as admin:
        run = ledger.create_thread(thread_id="thread_1", agent_id="desk").start_run(run_id="run_1")
        for number in range(6):
            run.add_message("user", f"message {number}")
        run.request_approval("refund", arguments={"amount": "46.00"}, approval_id="approval_1").grant(actor="human:ada")
        other = ledger.create_thread(thread_id="thread_2", agent_id="desk").start_run(run_id="run_2")
        other.complete()
        Sealer(ledger).seal_all()
        (row,) = admin.execute("SELECT note, split_part(note, chr(10), 1) FROM runfold.sealed_checkpoints")
        keys = read_signer(settings.seal_key_file, may_make=False).public_keys
        for table in TABLES:
            admin.execute(f"ALTER TABLE runfold.{table} DISABLE TRIGGER USER")
            admin.execute(f"CREATE TABLE public.before_{table} AS TABLE runfold.{table}")
        yield Stage(ledger, admin, Kept(str(row[0]), "last week's file"), keys, settings.home)
