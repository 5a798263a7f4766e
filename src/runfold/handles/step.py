"""The handles of a step and of a model call."""

from collections.abc import Iterable
from typing import Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.domain.step import ModelCallFinished, StepFinished
from runfold.domain.tool_call import Failure
from runfold.handles.command import command, submitting
from runfold.handles.handle import Child
from runfold.handles.run_plan import run_plan


class Step(Child):
    """A step of a run."""

    @command
    def finish(self, *, error: str | None = None, code: str = "error", **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """It ended; badly where an `error` is given."""
        failure = None if error is None else Failure(code=code, message=error)
        finished = StepFinished(step_id=self.id, ok=error is None, error=failure)
        return run_plan(self.run_id, lambda run: run.steps.finish(finished), envelope)

    submit_finish = submitting(finish)


class ModelCall(Child):
    """A request to a model."""

    @command
    def finish(
        self,
        *,
        response_model: str | None = None,
        finish_reasons: Iterable[str] = (),
        ttft_ns: int | None = None,
        error: str | None = None,
        code: str = "error",
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """The model answered, or did not where an `error` is given."""
        finished = ModelCallFinished(
            model_call_id=self.id,
            response_model=response_model,
            finish_reasons=tuple(finish_reasons),
            ttft_ns=ttft_ns,
            error=None if error is None else Failure(code=code, message=error),
        )
        return run_plan(self.run_id, lambda run: run.steps.finish(finished), envelope)

    submit_finish = submitting(finish)
