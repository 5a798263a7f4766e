"""The command of a run that records where its model's memory was cut."""

from typing import Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.domain.compaction import CompactionTrigger, ContextCompacted
from runfold.handles.calling.command import command
from runfold.handles.calling.handle import Handle
from runfold.handles.calling.run_plan import run_plan


@command
def compact_context(
    self: Handle,
    trigger: CompactionTrigger = "auto",
    *,
    tokens_before: int | None = None,
    tokens_after: int | None = None,
    summary_message_id: str | None = None,
    kept_from_message_id: str | None = None,
    compaction_id: str | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[Receipt]:
    """Record that the model's memory was cut: from here on it sees the summary, what was kept, and what comes later."""
    compacted = ContextCompacted(
        compaction_id=self.executor.new_id("compaction") if compaction_id is None else compaction_id,
        trigger=trigger,
        tokens_before=tokens_before,
        tokens_after=tokens_after,
        summary_message_id=summary_message_id,
        kept_from_message_id=kept_from_message_id,
    )
    return run_plan(self.id, lambda run: run.compactions.record(compacted), envelope)
