"""What is known of an event beside what happened: whose it is, and who recorded it and when."""

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from pydantic import ValidationError

from runfold.domain.event import Fields
from runfold.domain.values import Actor, Id, Text, Time, Value
from runfold.errors import shortened

UNREADABLE = (LookupError, RecursionError, TypeError, ValueError)
"""What comes of reading what Runfold did not write."""


class NoMoment(ValueError):
    """A time of the producer's that nobody can read."""


class Context(NamedTuple):
    """The keys that readers need, stored beside every event so that no fold has to look anything up."""

    run_id: str | None = None
    """The run whose stream it is, or that asked for the approval."""
    parent_run_id: str | None = None
    """The run that this one continues, branches, retries, or was spawned by."""
    agent_id: str | None = None
    """Who runs."""
    user_id: str | None = None
    """Whose thread it is."""
    goal_id: str | None = None
    """What the run is for."""
    call_id: str | None = None
    """The tool call that it is about."""
    decision_id: str | None = None
    """The decision that it is about."""
    call_run_id: str | None = None
    """The run that asked for the call: this one, or one of its past."""
    tool_name: str | None = None
    """The tool of the call."""
    action: str | None = None
    """What the approval that it is about was asked for."""
    step_name: str | None = None
    """The step that it is about."""
    node_id: str | None = None
    """The node of the graph to which the step or the decision belongs."""
    provider: str | None = None
    """The provider to which the model call went."""
    request_model: str | None = None
    """The model that was asked for."""
    message_role: str | None = None
    """The role of the message that it is about."""
    decision_type: str | None = None
    """The kind of the decision that it is about."""
    severity: str | None = None
    """How bad the problem that it is about is."""
    source: str | None = None
    """The import that began the stream; None where none did."""

    def facts(self) -> dict[str, str]:
        """Return the fields that are known, as they are stored."""
        return {name: value for name, value in zip(self._fields, self, strict=True) if value is not None}


class Metadata(Value):
    """Who recorded the event, when by their own clock, and what it belongs to."""

    actor: Actor
    occurred_at: Time | None = None
    causation_id: Id | None = None
    correlation_id: Id | None = None
    traceparent: Text | None = None
    request_digest: Text | None = None
    """The digest of the request under an idempotency key, to notice a different request under the same key."""


def facts_of(text: str) -> Fields:
    """Return what stands beside an event as it is stored. Raises one of UNREADABLE, as those below do."""
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise TypeError("it is no JSON object")
    return facts


@lru_cache(maxsize=8192)
def context_of(text: str) -> Context:
    """Return whose an event is."""
    facts = facts_of(text)
    try:
        return Context(**facts)
    except TypeError:  # a newer version of the program knows more
        return Context(**{name: facts[name] for name in Context._fields if name in facts})


@lru_cache(maxsize=8192)
def metadata_of(text: str) -> Metadata:
    """Return who recorded an event, and when."""
    try:
        return Metadata.model_validate_json(text)
    except ValidationError:  # a newer version of the program knows more
        return _metadata_of_newer(facts_of(text))


def _metadata_of_newer(facts: Fields) -> Metadata:
    """Return what is known here of who recorded an event and when; of what is not, nothing is said."""
    actor = facts["actor"] if isinstance(facts.get("actor"), dict) else {}
    said = Actor.model_construct(kind=actor.get("kind", "unknown"), id=str(actor.get("id", "unknown")))
    return Metadata.model_construct(
        **{name: facts[name] for name in Metadata.model_fields if isinstance(facts.get(name), str) and name != "occurred_at"},
        actor=said,
        occurred_at=occurred_at_of(json.dumps(facts)),
    )


@lru_cache(maxsize=8192)
def occurred_at_of(text: str) -> datetime | None:
    """Return the part of the metadata that every fold asks for, in a sixth of the time. Raises NoMoment."""
    said = json.loads(text).get("occurred_at") if '"occurred_at"' in text else None
    try:
        return None if said is None else datetime.fromisoformat(said).astimezone(UTC)
    except (OverflowError, TypeError, ValueError):
        raise NoMoment(f"occurred_at is {shortened(repr(said))}") from None
