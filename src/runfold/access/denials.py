"""What is recorded of requests that were turned away: the first of its kind, and once a minute how many more there were.

The same means: the same reason, and the same key or, where no known key was shown, the same address (of IPv6, the same
network), which is the one that the server has of the connection, or that a trusted proxy says. Nobody waits for it: an
answer is as fast and as sure without the database, and what cannot be recorded is logged. Each process counts for itself.
"""

import asyncio
from dataclasses import dataclass

import structlog

from runfold.access.addresses import neighbourhood
from runfold.access.asking import Asking
from runfold.commands.caller import Caller
from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.security import AccessDenied, Denied, Scope
from runfold.domain.values import Actor
from runfold.errors import LedgerError
from runfold.handles.calling.local import CallerExecutor
from runfold.handles.ledgers.security_record import submit_alone
from runfold.ledger import Ledger

WINDOW_SECONDS = 60.0
MOST_KINDS = 100
"""Beyond it, addresses and keys are no longer told apart: whoever has many of them cannot fill the log."""

ACCESS_CONTROL = Actor(kind="system", id="access")

_log = structlog.get_logger("runfold.access")

Kind = tuple[str, str | None, Denied]


@dataclass
class _Same:
    denied: AccessDenied
    end: asyncio.TimerHandle
    more: int = 0


class Denials:
    """The record of what was denied. To be used on one event loop."""

    def __init__(self, ledger: Ledger, window_seconds: float = WINDOW_SECONDS) -> None:
        self._ledger = ledger
        self._window_seconds = window_seconds
        self._same: dict[Kind, _Same] = {}
        self._watched: set[asyncio.Task[None]] = set()

    def add(self, asking: Asking, tenant_id: str, reason: Denied, scope: Scope, key_id: str | None = None) -> None:
        """A request was turned away."""
        client = asking.client
        denied = AccessDenied(reason=reason, key_id=key_id, client=client, route=asking.route, scope=scope)
        kind = tenant_id, key_id or neighbourhood(client), reason
        if kind not in self._same and len(self._same) >= MOST_KINDS:
            kind, denied = (tenant_id, None, reason), denied.model_copy(update={"client": None, "key_id": None})
        if (same := self._same.get(kind)) is not None:
            same.denied, same.more = denied, same.more + 1
            return
        self._begin(kind, denied)
        self._record(tenant_id, denied)

    async def close(self) -> None:
        """Record what was counted and not recorded yet, and see how that went."""
        for kind, same in list(self._same.items()):
            same.end.cancel()
            self._end(kind)
        self._same.clear()
        await asyncio.gather(*self._watched)

    def _begin(self, kind: Kind, denied: AccessDenied) -> None:
        end = asyncio.get_running_loop().call_later(self._window_seconds, self._end, kind)
        self._same[kind] = _Same(denied, end)

    def _end(self, kind: Kind) -> None:
        same = self._same.pop(kind)
        if same.more:
            self._record(kind[0], same.denied.model_copy(update={"left_out": same.more - 1}))
            self._begin(kind, same.denied)

    def _record(self, tenant_id: str, denied: AccessDenied) -> None:
        ledger = self._ledger.on_behalf(Caller(tenant_id, ACCESS_CONTROL))
        watching = asyncio.ensure_future(_watch(record_denial(ledger.executor, denied), denied))
        self._watched.add(watching)
        watching.add_done_callback(self._watched.discard)


def record_denial(executor: CallerExecutor, denied: AccessDenied) -> Submitted[Receipt]:
    """Record that a request was turned away."""
    return submit_alone(executor, denied, {})


async def _watch(submitted: Submitted[Receipt], denied: AccessDenied) -> None:
    try:
        await submitted
    except LedgerError as error:
        _log.warning("denial not recorded", **denied.model_dump(exclude_none=True), error=str(error))
