"""The service in a process of its own, for whoever asks: `serving.py FD`, on a socket that the parent listens at.

The socket outlives it, so that clients find the next server at the same address. RUNFOLD_DATABASE_URL says where the
ledger is.
"""

import socket
import sys
from collections.abc import Callable

import uvicorn

from runfold import Ledger
from runfold.access.asking import Asking
from runfold.access.key_watch import Ended
from runfold.access.limits import Limits
from runfold.api.route import Scope
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.http.app import create_app
from runfold.http.connections import Connection
from runfold.http.server import StreamingServer


class Anybody:
    """Lets everybody in."""

    async def caller(self, asking: Asking, scope: Scope) -> Caller:  # noqa: ARG002  it looks at nothing
        """One and the same."""
        return Caller("default", Actor.parse("service:faults"))

    def watch(self, caller: Caller, ended: Ended) -> Callable[[], None]:  # noqa: ARG002  it ends nothing
        """Nobody has a key that could end."""
        return lambda: None

    async def close(self) -> None:
        """Nothing is left to be done."""


def main(descriptor: int) -> None:
    """Serve until SIGTERM."""
    listening = socket.socket(fileno=descriptor)
    with Ledger.open() as ledger:
        app = create_app(ledger, Anybody(), Limits(heartbeat_seconds=0.5, stuck_seconds=5))
        config = uvicorn.Config(app, http=Connection, loop="uvloop", log_level="error", backlog=4096)
        StreamingServer(config, app.state.feed).run([listening])


if __name__ == "__main__":
    main(int(sys.argv[1]))
