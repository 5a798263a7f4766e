"""The handles of a step and of a model call, and the commands of a run that begin them."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.domain.step import EdgeTraversed, ModelCallFinished, ModelCallStarted, StepFinished, StepStarted
from runfold.domain.tool_call import Failure
from runfold.handles.blocks import finish_of, leave, leave_async
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.handle import Child, Handle
from runfold.handles.calling.run_plan import child_of, run_plan


class Step(Child):
    """Names a step of a run. A block under `with` ends it, badly with its exception."""

    @command
    def finish(
        self, *, error: str | None = None, code: str = "error", error_type: str | None = None, **envelope: Unpack[Envelope]
    ) -> Plan[Receipt]:
        """Record that the step ended; badly where an `error` is given."""
        failure = None if error is None else Failure(code=code, message=error, type=error_type)
        finished = StepFinished(step_id=self.id, ok=error is None, error=failure)
        return run_plan(self.run_id, lambda run: run.steps.finish(finished), envelope)

    submit_finish = submitting(finish)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        leave(self, finish_of(error), error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await leave_async(self, finish_of(error), error)


class ModelCall(Child):
    """Names a request to a model. A block under `with` ends it, badly with its exception."""

    @command
    def finish(
        self,
        *,
        response_model: str | None = None,
        finish_reasons: Iterable[str] = (),
        ttft_ns: int | None = None,
        error: str | None = None,
        code: str = "error",
        error_type: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Record that the model answered, or did not where an `error` is given. Allowed after the run's end too."""
        finished = ModelCallFinished(
            model_call_id=self.id,
            response_model=response_model,
            finish_reasons=tuple(finish_reasons),
            ttft_ns=ttft_ns,
            error=None if error is None else Failure(code=code, message=error, type=error_type),
        )
        return run_plan(self.run_id, lambda run: run.steps.finish(finished), envelope)

    submit_finish = submitting(finish)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        leave(self, finish_of(error), error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await leave_async(self, finish_of(error), error)


@command
def start_step(
    self: Handle, name: str, *, node_id: str | None = None, step_id: str | None = None, **envelope: Unpack[Envelope]
) -> Plan[Step]:
    """Begin a step."""
    started = StepStarted(step_id=self.executor.new_id("step") if step_id is None else step_id, name=name, node_id=node_id)
    return run_plan(self.id, lambda run: run.steps.start(started), envelope, child_of(self, Step, started.step_id))


@command
def start_model_call(
    self: Handle,
    *,
    provider: str | None = None,
    request_model: str | None = None,
    prompt_message_ids: Iterable[str] = (),
    model_call_id: str | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[ModelCall]:
    """Record that a request goes to a model."""
    started = ModelCallStarted(
        model_call_id=self.executor.new_id("mcall") if model_call_id is None else model_call_id,
        provider=provider,
        request_model=request_model,
        prompt_message_ids=tuple(prompt_message_ids),
    )
    return run_plan(self.id, lambda run: run.steps.start(started), envelope, child_of(self, ModelCall, started.model_call_id))


@command
def enter_node(self: Handle, node_id: str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Come to a node of the run's graph. Decisions and usage that name none belong to it."""
    return run_plan(self.id, lambda run: run.steps.enter_node(node_id), envelope)


@command
def traverse_edge(
    self: Handle, from_node_id: str, to_node_id: str, *, condition: str | None = None, **envelope: Unpack[Envelope]
) -> Plan[Receipt]:
    """Go from one node of the run's graph to another."""
    edge = EdgeTraversed(from_node_id=from_node_id, to_node_id=to_node_id, condition=condition)
    return run_plan(self.id, lambda run: run.steps.traverse_edge(edge), envelope)
