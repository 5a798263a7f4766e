"""Runfold: the ledger of record for AI-agent runs. Every event in one append-only log; every read model a fold over it."""

from runfold.domain.event import Recorded
from runfold.errors import (
    ApprovalNotFound,
    CommandRefused,
    DuplicateWithDifferentContent,
    InvalidEvent,
    LedgerError,
    LedgerUnavailable,
    RunNotFound,
    ThreadNotFound,
    VersionConflict,
)
from runfold.ledger.approval import Approval
from runfold.ledger.decision import Decision
from runfold.ledger.ledger import Ledger
from runfold.ledger.run import Run
from runfold.ledger.submitted import Receipt, Submitted
from runfold.ledger.thread import Thread
from runfold.settings import Settings
from runfold.subscription import Subscription

__all__ = [
    "Approval",
    "ApprovalNotFound",
    "CommandRefused",
    "Decision",
    "DuplicateWithDifferentContent",
    "InvalidEvent",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "Receipt",
    "Recorded",
    "Run",
    "RunNotFound",
    "Settings",
    "Submitted",
    "Subscription",
    "Thread",
    "ThreadNotFound",
    "VersionConflict",
]
