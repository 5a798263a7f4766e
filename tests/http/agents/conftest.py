"""A service with agents that do as they are told."""

from collections.abc import Iterator

import httpx2
import pytest

from runfold import Ledger
from runfold.http.app import create_app
from tests.serving import Anybody, serving

AGENTS = {"demo": "runfold.http.agents.demo:demo", "scripted": "tests.agui.scripted:scripted"}


@pytest.fixture
def agents(ledger: Ledger) -> Iterator[httpx2.Client]:
    """A client of this test's service. It lets everybody in, and has agents."""
    app = create_app(ledger, Anybody(), agents=AGENTS)
    with serving(app) as address, httpx2.Client(base_url=address, timeout=60) as client:
        yield client
