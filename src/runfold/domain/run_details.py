"""What is said of a run beside its life: its workflow, its metadata, its output before the end, its timing."""

from typing import Any, assert_never

from runfold.domain.event import Events
from runfold.domain.life import Life
from runfold.domain.run_events import RunLinked, RunMetadataMerged, RunOutputRecorded, RunTimingRecorded
from runfold.domain.values import Json, same

Detail = RunLinked | RunMetadataMerged | RunOutputRecorded | RunTimingRecorded


class RunDetails:
    """Holds the details of one run, and has their rules."""

    def __init__(self, run: Life) -> None:
        self.run = run
        self.workflow_id: str | None = None
        self.metadata: dict[str, Any] = {}
        self.output: Json = None
        self._recorded_output: RunOutputRecorded | None = None
        self._timing: RunTimingRecorded | None = None

    def link(self, workflow_id: str) -> Events:
        """Say which workflow of another system the run belongs to. Allowed after its end too."""
        return [] if self.workflow_id == workflow_id else [RunLinked(workflow_id=workflow_id)]

    def merge_metadata(self, patch: dict[str, Any]) -> Events:
        """Set keys of the metadata; null removes one. Allowed after the run's end too."""
        merged = RunMetadataMerged(patch=patch)
        return [] if same(_merged(self.metadata, merged.patch), self.metadata) else [merged]

    def record_output(self, output: Json, output_schema: dict[str, Any] | None = None) -> Events:
        """Record the output before the end. The last one counts."""
        recorded = RunOutputRecorded(output=output, output_schema=output_schema)
        if self._recorded_output and recorded.differs_from(self._recorded_output) is None:
            return []
        self.run.require_open("record_output")
        return [recorded]

    def record_timing(self, ttft_ns: int | None = None, total_duration_ns: int | None = None) -> Events:
        """Record how long the run took by its own clock. Allowed after its end too, which is when that is known."""
        recorded = RunTimingRecorded(ttft_ns=ttft_ns, total_duration_ns=total_duration_ns)
        if self._timing == recorded:
            return []
        return [recorded]

    def begin(self, metadata: dict[str, Any]) -> None:
        """Take in the metadata that the run was created with."""
        self.metadata = _merged({}, metadata)

    def complete(self, output: Json) -> None:
        """Take in the output of a run that completed; null leaves what was recorded before."""
        self.output = self.output if output is None else output

    def evolve(self, event: Detail) -> None:
        """Take in what was said."""
        match event:
            case RunLinked():
                self.workflow_id = event.workflow_id
            case RunMetadataMerged():
                self.metadata = _merged(self.metadata, event.patch)
            case RunOutputRecorded():
                self.output, self._recorded_output = event.output, event
            case RunTimingRecorded():
                self._timing = event
            case _:
                assert_never(event)


def _merged(metadata: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**metadata, **patch}.items() if value is not None}
