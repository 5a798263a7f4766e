"""The fault kit is a package of scripts: its folder is put on the path, here and for the processes that its rows start."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from faults.servers import OwnServer


@pytest.fixture(scope="module")
def own_server() -> Iterator[OwnServer]:
    """A server that may be killed."""
    server = OwnServer.start()
    server.configure(max_connections="200")
    yield server
    server.close()
