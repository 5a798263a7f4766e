"""What the address that a run named is sent once the run has ended: Letta's body, field for field."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from runfold.domain.recorded import Recorded
from runfold.domain.run import Run
from runfold.domain.run_events import RunCreated
from runfold.domain.usage import Tokens, UsageCorrected, UsageRecorded
from runfold.queries.reading import local_reading
from runfold.store.reading.tenant_reader import TenantReader

_COUNTS = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "total_tokens": "total_tokens"}
"""Letta's words for tokens, and ours."""


def callback_body(reader: TenantReader, created: RunCreated, ended: Recorded) -> str:
    """Return the body for the end of a run; with what it said and used only where that was asked for.

    `metadata` is the run's as of its end. What a model reported of tokens is summed, and what none reported is null.
    """
    run = Run(ended.stream)
    events = list(reader.stream(ended.stream, up_to_version=ended.version))
    for recorded in events:
        run.evolve(recorded.event)
    body: dict[str, Any] = {
        "run_id": ended.stream,
        "status": run.status,
        "completed_at": ended.happened_at.isoformat(),
        "metadata": dict(run.details.metadata),
    }
    if created.callback_result:
        messages = local_reading(reader, reader.tenant).at(ended.position).messages(run_id=ended.stream)
        body["metadata"]["result"] = {
            "messages": [message.model_dump(mode="json") for message in messages],
            "stop_reason": run.ending.stop_reason if run.ending else None,
            "usage": usage_of(events),
        }
    return json.dumps(body, ensure_ascii=False)


def usage_of(events: Iterable[Recorded]) -> Mapping[str, int | None]:
    """Return how many tokens a run's model calls took, and how many calls there were."""
    by_id: dict[str, Tokens] = {}
    for recorded in events:
        match recorded.event:
            case UsageRecorded() as usage:
                by_id[usage.usage_id] = usage.tokens
            case UsageCorrected() as usage:
                by_id[usage.usage_id] = usage.replacement
    found: dict[str, int | None] = {"step_count": len(by_id)}
    for word, name in _COUNTS.items():
        reported = [count for tokens in by_id.values() if (count := getattr(tokens, name)) is not None]
        found[word] = sum(reported) if reported else None
    return found
