"""What asks, as far as it matters who sends it, and who is to know that: ports, which a protocol of the network fills in."""

from collections.abc import Callable, Sequence
from typing import Protocol

from runfold.access.key_watch import Ended
from runfold.access.sessions import SignedIn
from runfold.commands.caller import Caller
from runfold.domain.security import Scope


class Asking(Protocol):
    """What access needs of a request."""

    @property
    def authorization(self) -> Sequence[str]:
        """Return what it shows: each of its Authorization headers."""

    @property
    def signed_in(self) -> SignedIn | None:
        """Return the key of the browser's session that it is of; None where it has to show a key itself."""

    @property
    def client(self) -> str | None:
        """Return the address of who sends it; None where there is none, as on a Unix socket."""

    @property
    def route(self) -> str:
        """Return what it asks for, as method and path with the names of its fields; empty where there is no such route."""


class Access(Protocol):
    """Knows who asks."""

    async def caller(self, asking: Asking, scope: Scope) -> Caller:
        """Return whose request it is. Raises KeyRefused, ScopeMissing, TooManyRequests."""

    def watch(self, caller: Caller, ended: Ended) -> Callable[[], None]:
        """Call `ended` when the caller's API key is good no more; call what is returned to be told no more."""

    async def close(self) -> None:
        """The server stops: whatever is still to be done."""
