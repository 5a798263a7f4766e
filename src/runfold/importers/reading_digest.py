"""What a thread tells, as one digest: two readings of a source are the same where it is, whatever ids they gave.

Told are the tree of runs and how each ended; messages with who said them and when; calls, usage, costs, approvals, decisions,
compactions. Not told are ids, versions, metadata and the provider's own reports, which may differ where nothing else does.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from runfold.domain.json_text import canonical
from runfold.domain.recorded import Recorded

_LEFT_OUT = frozenset(
    {"at_version", "closed_tool_names", "execution_key", "key", "metadata", "provider_call_id", "raw", "request_digest"}
)
_NAMES = frozenset({"node_id", "agent_id", "user_id", "chosen_option_id", "better_option_id", "constraint_id"})
"""Fields of ids that are the source's words."""
_UNTOLD = frozenset({"run.linked", "run.metadata_merged", "run.timing_recorded"})


@dataclass
class _Readings:
    ordinals: dict[str, int] = field(default_factory=dict)
    """Each id, and as which it came up."""
    told: dict[str, "hashlib._Hash"] = field(default_factory=dict)
    """Of each run and approval, in the order in which they came up."""

    def take_in(self, recorded: Recorded) -> None:
        if recorded.type.startswith("thread.") or recorded.type in _UNTOLD:
            return
        self._ordinal(recorded.stream)
        said = {
            "type": recorded.type,
            "what": self._told(recorded.event.model_dump(mode="json", exclude_none=True)),
            "who": str(recorded.metadata.actor),
            "when": recorded.metadata.occurred_at and recorded.metadata.occurred_at.isoformat(),
        }
        told = self.told.setdefault(recorded.stream, hashlib.sha256())
        told.update(canonical(said).encode() + b"\n")

    def _ordinal(self, id: str) -> int:
        return self.ordinals.setdefault(id, len(self.ordinals))

    def _told(self, value: Any, name: str = "") -> Any:
        """The same without what differs where nothing else does."""
        if isinstance(value, dict):
            return dict(self._members(value))
        is_id = name.endswith(("_id", "_ids")) and name not in _NAMES
        if isinstance(value, list):
            return [self._told(member, name if is_id else "") for member in value]
        return self._ordinal(value) if is_id and isinstance(value, str) else value

    def _members(self, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, member in value.items():
            if name in {"input", "output", "arguments", "result", "state", "state_changes"}:
                yield name, member  # the source's own JSON
            elif name not in _LEFT_OUT:
                yield name, self._told(member, name)


def reading_digest(events: Iterable[Recorded]) -> str:
    """Return the digest of what the events of one thread tell."""
    readings = _Readings()
    for recorded in events:
        readings.take_in(recorded)
    whole = hashlib.sha256()
    for told in readings.told.values():
        whole.update(told.digest())
    return f"sha256:{whole.hexdigest()}"
