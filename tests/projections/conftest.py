"""Some of the real runs in one database, imported once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.importing import import_paths
from tests.databases import fresh_database

SOURCES = {"claude-code": "claude-code", "tau-bench-airline": "tau-bench", "ag-ui-streams": "ag-ui"}
"""Folders of real runs, and their formats."""


@pytest.fixture(scope="session")
def real(admin_url: str, template: str, trajectories: Path) -> Iterator[Ledger]:
    """A ledger that holds them. Only to be read."""
    with fresh_database(admin_url, template, "real_runs") as made, Ledger.open(settings=made.settings) as ledger:
        for folder, kind in SOURCES.items():
            import_paths(ledger, kind, [trajectories / folder])
        yield ledger


@pytest.fixture(scope="session")
def counts(trajectories: Path) -> dict[str, Any]:
    """The counts that come with the real runs."""
    return json.loads((trajectories / "counts.json").read_text())["counts"]  # type: ignore[no-any-return]
