"""Some of the real runs in one database, imported once."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runfold import Ledger, Settings
from runfold.importers.importing import import_paths

SOURCES = {"claude-code": "claude-code", "tau-bench-airline": "tau-bench", "ag-ui-streams": "ag-ui"}
"""Folders of real runs, and their formats."""


@pytest.fixture(scope="session")
def real(admin_url: str, template: str, trajectories: Path) -> Iterator[Ledger]:
    """A ledger that holds them. Only to be read."""
    name = f"runfold_real_runs_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    with Ledger.open(settings=Settings(database_url=make_conninfo(admin_url, dbname=name, user="runfold_app"))) as ledger:
        for folder, kind in SOURCES.items():
            import_paths(ledger, kind, [trajectories / folder])
        yield ledger
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def counts(trajectories: Path) -> dict[str, Any]:
    """The counts that come with the real runs."""
    return json.loads((trajectories / "counts.json").read_text())["counts"]  # type: ignore[no-any-return]
