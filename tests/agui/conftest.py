"""A served ledger, with agents that do as they are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.access.keys import Keys
from runfold.access.limits import Limits
from runfold.http.app import create_app
from tests.databases import TestDatabase
from tests.http.keys import make_key
from tests.serving import serving

AGENTS = {
    "demo": "runfold.http.agents.demo:demo",
    "scripted": "tests.agui.scripted:scripted",
    "replayed": "tests.agui.scripted:replayed",
}


@pytest.fixture(scope="module")
def served(shared_database: TestDatabase) -> Iterator[tuple[Ledger, str]]:
    """A ledger, and where it is served."""
    with Ledger.open(settings=shared_database.settings) as ledger:
        app = create_app(ledger, Keys(ledger), Limits(heartbeat_seconds=0.1), agents=AGENTS)
        with serving(app) as url:
            yield ledger, url


@pytest.fixture(scope="module")
def told(served: tuple[Ledger, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a program of node is told: where the server is, two people's keys, and a folder for gates."""
    ledger, url = served
    scopes: Any = ("runs:read", "runs:write", "approvals:decide")
    folder: Path = tmp_path_factory.mktemp("gates")
    return {
        "url": url,
        "key": make_key(ledger, *scopes),
        "other": make_key(ledger, *scopes, owner="human:mallory"),
        "folder": str(folder),
    }
