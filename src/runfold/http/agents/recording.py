"""What the parts of a recorder need of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.handles.run import Run
from runfold.http.agents.words import Event


class Recording(Protocol):
    """One run that is recorded."""

    ledger: TenantLedger
    thread_id: str
    run: Run
    calls: dict[str, bool]
    """The tool calls that are whole, and whether each was answered."""
    asked: dict[str, tuple[str, str]]
    """The tool and the arguments of those that were not."""

    @property
    def children(self) -> Mapping[str, Run]:
        """Return the runs of its sub-agents, by the ids that the agent gave them."""

    def send(self, command: Awaitable[Any], rule: str) -> None:
        """Have a command carried out after those before it. Where it is refused, that breaks a rule."""

    async def settle(self, most: int = 0) -> None:
        """Wait until all commands but so many are carried out."""

    def problem(self, rule: str, fact: str) -> None:
        """Record that something of the agent's was left out, or taken otherwise."""

    def run_of(self, event: Event) -> Run:
        """Return the run that an event is of: the agent's, or its sub-agent's."""

    def take_result(self, event: Event) -> None:
        """Take in what a tool answered."""

    def close_open(self, owner: str | None = None) -> None:
        """The run is over, or a sub-agent: so is all that it has open."""

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """Call something that waits for the database."""
