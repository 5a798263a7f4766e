"""hive's interfaces over the ledger: code that records, asks or listens through them moves over by its import alone."""

from runfold.adapters.hive.event_bus import EventBus
from runfold.adapters.hive.event_words import AgentEvent, EventType
from runfold.adapters.hive.runtime_adapter import StreamRuntimeAdapter
from runfold.adapters.hive.schemas import (
    Decision,
    DecisionEvaluation,
    DecisionType,
    Option,
    Outcome,
    Problem,
    Run,
    RunMetrics,
    RunStatus,
)
from runfold.adapters.hive.tracker import OutcomeAggregator, StreamDecisionTracker

__all__ = [
    "AgentEvent",
    "Decision",
    "DecisionEvaluation",
    "DecisionType",
    "EventBus",
    "EventType",
    "Option",
    "Outcome",
    "OutcomeAggregator",
    "Problem",
    "Run",
    "RunMetrics",
    "RunStatus",
    "StreamDecisionTracker",
    "StreamRuntimeAdapter",
]
