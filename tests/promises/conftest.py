"""A database full of runs, to fold again and again."""

import random
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.importers.importing import import_paths
from tests.projections.histories import History
from tests.projector.ways import Site, new_site

REAL = {"claude-code": "claude-code", "ag-ui-streams": "ag-ui", "tau2-human-agent/airline": "tau2"}
"""Folders of real runs, and their formats."""


@pytest.fixture(scope="session")
def site(admin_url: str, template: str, trajectories: Path) -> Site:
    """Real runs of three formats, and two made-up histories, one of another tenant."""
    made = new_site(admin_url, template, "real")
    with Ledger.open(made.database.url) as ledger, Ledger.open(made.database.url, tenant="other") as other:
        for folder, kind in REAL.items():
            import_paths(ledger, kind, [trajectories / folder])
        for tenant, seed in ((ledger, 1), (other, 2)):
            history = History(random.Random(seed))  # noqa: S311
            for _ in range(10):
                history.go_on(tenant, 100)
            tenant.thread(history.threads[0]).supersede(history.threads[1:2], "it is told elsewhere")
    return made
