"""Every event type there is, with its upcasts: importing this fills the registry, so that what is stored can be read.

A module with events of its own is named here, and nowhere else.
"""

from runfold.domain import (  # noqa: F401
    approval,
    compaction,
    decision,
    message,
    problem,
    run_events,
    security,
    step,
    thread,
    tool_call,
    upcasts,
    usage,
    webhook,
)
from runfold.domain.event import event_types

__all__ = ["event_types"]
