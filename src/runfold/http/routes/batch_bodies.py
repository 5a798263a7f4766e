"""What requests with several commands say, and what they are answered."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from runfold.http.bodies import Body

_DEPRECATED: dict[str, JsonValue] = {"deprecated": True}


class Item(Body):
    """One command of a batch: its name, the ids that its path has beside the run's, and its body."""

    name: Annotated[str, Field(max_length=200)] | None = None
    """The operationId of a command of a run, such as `messages.add`. Names of version 0.1 (`Recording.add_message`) are
    deprecated."""
    ids: dict[str, Annotated[str, Field(min_length=1, max_length=1000)]] = Field(default_factory=dict)
    """What the command's path names beside `run_id`, such as `{"call_id": "call_1"}` of `tool_calls.succeed`."""
    body: dict[str, Any] = Field(default_factory=dict)
    """What would be sent as the body of the command by itself."""
    path: Annotated[str, Field(max_length=1000)] | None = Field(None, json_schema_extra=_DEPRECATED)
    """Deprecated: give `name` and `ids`. The command's path from the run's own on, such as `/tool-calls/call_1/succeed`."""
    verb: Literal["POST", "PUT", "PATCH"] = Field("POST", json_schema_extra=_DEPRECATED)
    """Deprecated: give `name`. Of `path`."""


class RunBatch(Body):
    """Commands on one run."""

    commands: list[Item]
    expected_version: int | None = None
    """The version that the run must be at before the first of them."""


class Ballot(Body):
    """A vote on one approval."""

    approval_id: str
    verdict: Literal["approve", "deny"]
    comment: str | None = None
    """Of a no, what the agent hears."""
    arguments: Any = None
    """Replace the asked ones whole."""
    response: dict[str, Any] | None = None
    """The answer, where one was asked for."""


class FollowUp(Body):
    """What a user says along with their votes."""

    run_id: str
    content: str | list[dict[str, Any]]
    message_id: str | None = None
    name: str | None = None
    author: str | None = None


class Ballots(Body):
    """Votes on many approvals."""

    votes: list[Ballot]
    complete: bool = False
    """Refused unless the votes are on all approvals that their runs wait for."""
    messages: list[FollowUp] = Field(default_factory=list)
    """Added to the runs as the user's, after the votes. It takes the scope runs:write too."""


class ThreadDeletions(Body):
    """Threads to be deleted."""

    thread_ids: list[str]
    reason: str


class ThreadChange(Body):
    """What is to be different about a thread."""

    title: str | None = None
    archived: bool | None = None
    """Put away, or taken out again."""
    expected_version: int | None = None


class RunChange(Body):
    """What is to be different about a run."""

    metadata: dict[str, Any] | None = None
    """Keys to set; null removes one."""
    ttft_ns: int | None = None
    """Nanoseconds to the first token, by the run's own clock."""
    total_duration_ns: int | None = None
    expected_version: int | None = None


class BatchReply(BaseModel):
    """What a batch answers."""

    ids: list[str]
    """Of each command in its order: what it made, or wrote to."""
    version: int
    """Of the stream that the last event stands in; 0 where nothing was recorded."""
    position: int
    """Of the last event; where nothing was recorded, the ledger's."""
    recorded_at: str | None
    appended: int
    """How many events were recorded."""

    model_config = ConfigDict(use_attribute_docstrings=True)
