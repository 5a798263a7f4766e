"""The bodies of requests that carry several commands, and their answer."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from runfold.http.bodies import Body
from runfold.proofs.receipt import ToldEvent

_DEPRECATED: dict[str, JsonValue] = {"deprecated": True}


class Item(Body):
    """One command of a batch: its name, the ids in its path other than `run_id`, and its body."""

    name: Annotated[str, Field(max_length=200)] | None = None
    """The operationId of a command of a run, such as `messages.add`. The names of version 0.1 (`Recording.add_message`) are
    deprecated."""
    ids: dict[str, Annotated[str, Field(min_length=1, max_length=1000)]] = Field(default_factory=dict)
    """The ids in the command's path other than `run_id`, such as `{"call_id": "call_1"}` for `tool_calls.succeed`."""
    body: dict[str, Any] = Field(default_factory=dict)
    """The body that the command takes when it is sent by itself."""
    path: Annotated[str, Field(max_length=1000)] | None = Field(None, json_schema_extra=_DEPRECATED)
    """Deprecated; send `name` and `ids` instead. The command's path relative to the run, such as `/tool-calls/call_1/succeed`."""
    verb: Literal["POST", "PUT", "PATCH"] = Field("POST", json_schema_extra=_DEPRECATED)
    """Deprecated; send `name` instead. The method that goes with `path`."""


class RunBatch(Body):
    """Commands of one run, recorded together or not at all."""

    commands: list[Item]
    expected_version: int | None = None
    """The version that the run must have before the first command."""


class Ballot(Body):
    """A vote on one approval."""

    approval_id: str
    verdict: Literal["approve", "deny"]
    comment: str | None = None
    """The reason that the agent is given with a denial."""
    arguments: Any = None
    """The arguments that are approved instead of the requested ones."""
    response: dict[str, Any] | None = None
    """The answer, where the approval asks for one."""


class FollowUp(Body):
    """A message of the user that goes with the votes."""

    run_id: str
    content: str | list[dict[str, Any]]
    message_id: str | None = None
    name: str | None = None
    author: str | None = None


class Ballots(Body):
    """Votes on many approvals."""

    votes: list[Ballot]
    complete: bool = False
    """If true, the request is refused unless it votes on every open approval of the runs concerned."""
    messages: list[FollowUp] = Field(default_factory=list)
    """Messages that are added to the runs as the user's, after the votes. They need the scope runs:write too."""


class ThreadDeletions(Body):
    """The threads to delete, and why."""

    thread_ids: list[str]
    reason: str


class ThreadChange(Body):
    """The changes to make to a thread."""

    title: str | None = None
    archived: bool | None = None
    """True archives the thread, false restores it."""
    expected_version: int | None = None


class RunChange(Body):
    """The changes to make to a run."""

    metadata: dict[str, Any] | None = None
    """The keys to set; null removes a key."""
    ttft_ns: int | None = None
    """Nanoseconds to the first token, measured by the run."""
    total_duration_ns: int | None = None
    expected_version: int | None = None


class BatchReply(BaseModel):
    """The answer to a request that carries several commands."""

    ids: list[str]
    """One id for each command, in order: of what it created, or of what it wrote to."""
    version: int
    """The version of the last event's stream; 0 if nothing was recorded."""
    position: int
    """The position of the last event; if nothing was recorded, the ledger's last position."""
    recorded_at: str | None
    appended: int
    """The number of events recorded."""
    events: list[ToldEvent] | None = None
    """What was recorded, with salts and digests, where `Runfold-Receipt: full` asks for it; else it is left out."""
    v: int | None = None
    """The version of what the events are told by; with them alone."""

    model_config = ConfigDict(use_attribute_docstrings=True)
