"""Runfold: the ledger of record for AI-agent runs. Every event in one append-only log; every read model a fold over it.

The names below load when they are first used, so that `runfold --help` need not wait for a database driver.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runfold.commands.submitted import Receipt, Submitted
    from runfold.domain.recorded import Recorded
    from runfold.errors import (
        ApprovalNotFound,
        CancellationRequested,
        CommandRefused,
        DuplicateWithDifferentContent,
        HistoryChanged,
        InvalidEvent,
        LedgerError,
        LedgerUnavailable,
        ReadModelBehind,
        RunNotFound,
        ThreadNotFound,
        VersionConflict,
    )
    from runfold.feed.subscription import Subscription
    from runfold.handles.approval import Approval
    from runfold.handles.decision import Decision
    from runfold.handles.run import Run
    from runfold.handles.thread import Thread
    from runfold.ledger import Ledger
    from runfold.projections.projection import Projection, Row
    from runfold.remote.ledger import RemoteLedger
    from runfold.settings import Settings
else:
    _HOMES = {
        "Approval": "handles.approval",
        "Decision": "handles.decision",
        "Ledger": "ledger",
        "Projection": "projections.projection",
        "Receipt": "commands.submitted",
        "Recorded": "domain.recorded",
        "RemoteLedger": "remote.ledger",
        "Row": "projections.projection",
        "Run": "handles.run",
        "Settings": "settings",
        "Submitted": "commands.submitted",
        "Subscription": "feed.subscription",
        "Thread": "handles.thread",
    }

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415  only when a name is first asked for

        value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "Approval",
    "ApprovalNotFound",
    "CancellationRequested",
    "CommandRefused",
    "Decision",
    "DuplicateWithDifferentContent",
    "HistoryChanged",
    "InvalidEvent",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "Projection",
    "ReadModelBehind",
    "Receipt",
    "Recorded",
    "RemoteLedger",
    "Row",
    "Run",
    "RunNotFound",
    "Settings",
    "Submitted",
    "Subscription",
    "Thread",
    "ThreadNotFound",
    "VersionConflict",
]
