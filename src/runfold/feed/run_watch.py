"""The run that a stream is about, and what its status says of the stream."""

from dataclasses import dataclass
from typing import Literal

from runfold.domain.recorded import Recorded
from runfold.domain.run import ENDED
from runfold.domain.run_events import Status

ENDINGS = {f"run.{status}": status for status in ENDED}
"""Each type of event that ends a run, and how the run is then."""
_STREAM_STATUS = {"created": "pending", "completed": "success"}


def stream_status(run: Status | Literal["unknown"]) -> str:
    """Return whether more is to come of a run: pending, running (of a waiting or stuck run too), success, failed, cancelled."""
    return _STREAM_STATUS.get(run, run if run in ENDED else "running")


@dataclass
class RunWatch:
    """The run that a stream is about."""

    run_id: str
    status: Status | Literal["unknown"]
    """`unknown` where it goes on, and only a newer Runfold knows how."""

    @property
    def has_ended(self) -> bool:
        """Return whether it has ended, as far as the stream has come."""
        return self.status in ENDED

    def ends_with(self, recorded: Recorded) -> bool:
        """Return whether an event is the run's end."""
        return recorded.stream == self.run_id and recorded.type in ENDINGS

    def facts(self) -> dict[str, str]:
        """Return how the run is, and the stream."""
        return {"run_status": self.status, "stream_status": stream_status(self.status)}
