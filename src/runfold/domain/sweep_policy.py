"""What happens to runs and approvals by itself, as whoever runs a ledger wants it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from runfold.domain.durations import parse_duration, write_duration
from runfold.file_errors import at_home, why


def _length(given: Any) -> Any:
    return parse_duration(given) if isinstance(given, str) else given


def _written(length: timedelta) -> timedelta:
    """Return a length that can be told in words and counted back from now. Raises ValueError for another."""
    return parse_duration(write_duration(length))


Length = Annotated[
    timedelta,
    BeforeValidator(_length),
    Field(gt=timedelta(0)),
    AfterValidator(_written),
    PlainSerializer(write_duration, when_used="json"),
]


class SweepPolicy(BaseModel):
    """Says what sweepers do. By default approvals expire and lost leases end; nothing else makes a run stuck."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    approvals: bool = True
    """Whether an approval that nobody decided is recorded as expired at its `expires_at`."""
    lost_leases: Literal["claimable", "failed"] | None = "claimable"
    """What becomes of a run whose worker did not renew its lease, once it is recorded as stuck: any worker may claim it, or it
    fails. With null its lease stays as it is."""
    idle_after: Length | None = None
    """A running run of which nothing was recorded for so long is stuck."""
    identical_responses: int | None = Field(None, ge=2)
    """A running run that gave the same answer so many times in a row, at one node, is stuck."""
    identical_tool_calls: int | None = Field(None, ge=2)
    """A running run that called the same tools with the same arguments in so many turns in a row is stuck."""
    fail_stuck_after: Length | None = None
    """A run that has been stuck for so long fails."""
    runs: Literal["leased", "live", "all"] = "leased"
    """Which runs may be stuck: those that a worker has claimed, those that were recorded as they went, or imported ones too.
    Approvals of imported runs expire with `all` alone."""

    def __str__(self) -> str:
        """Return it as the environment has it."""
        return self.model_dump_json(exclude_defaults=True)


def read_policy(given: Any) -> Any:
    """Read a policy from text: JSON, or the path of a file that holds it; empty is not set. Raises ValueError."""
    if not isinstance(given, str):
        return given
    text = given.strip() or "{}"
    if not text.startswith("{"):
        try:
            text = at_home(Path(text)).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            example = '{"idle_after": "15m"}'
            fact = f"{given[:80]!r} is neither a JSON object, such as {example}, nor a file that can be read"
            raise ValueError(f"{fact} ({why(error)})") from None
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"the policy is no JSON ({error})") from None
