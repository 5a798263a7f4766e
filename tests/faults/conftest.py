"""The fault kit is a package of scripts with this folder's name: here its modules are found in this one too."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

KIT = Path(__file__).parents[2] / "scripts" / "faults"
sys.modules[__name__.rpartition(".")[0]].__path__.append(str(KIT))

from faults.servers import OwnServer  # noqa: E402


@pytest.fixture(scope="module")
def own_server() -> Iterator[OwnServer]:
    """A server that may be killed. The processes that rows start find the kit first on their path, which is ours."""
    sys.path.insert(0, str(KIT.parent))
    server = OwnServer.start()
    server.configure(max_connections="200")
    yield server
    server.close()
    sys.path.remove(str(KIT.parent))
