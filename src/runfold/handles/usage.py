"""The handle of what one model call used, and the commands of a run that record use and cost."""

from typing import Any, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.domain.event import Event
from runfold.domain.run import Run as RunState
from runfold.domain.usage import CostReported, CostSource, Tokens, UsageRecorded
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.handle import Child, Handle
from runfold.handles.calling.run_plan import child_of, run_plan


class Usage(Child):
    """Names what one model call used."""

    @command
    def correct(
        self,
        *,
        reason: str,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        total_tokens: int | None = None,
        cache_read_input_tokens: int | None = None,
        cache_creation_input_tokens: int | None = None,
        reasoning_output_tokens: int | None = None,
        cache_creation_1h_input_tokens: int | None = None,
        web_search_requests: int | None = None,
        reasoning_beside: bool = False,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Replace all its counts; what is not given is not reported. Allowed after the run's end too."""
        tokens = Tokens(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            total_tokens=total_tokens,
            cache_read_input_tokens=cache_read_input_tokens,
            cache_creation_input_tokens=cache_creation_input_tokens,
            reasoning_output_tokens=reasoning_output_tokens,
            cache_creation_1h_input_tokens=cache_creation_1h_input_tokens,
            web_search_requests=web_search_requests,
            reasoning_beside=reasoning_beside,
        )
        return run_plan(self.run_id, lambda run: run.usages.correct(self.id, tokens, reason), envelope)

    submit_correct = submitting(correct)


@command
def usage(  # noqa: PLR0913  one for each thing that can be said of what was used
    self: Handle,
    *,
    provider: str | None = None,
    model: str | None = None,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    total_tokens: int | None = None,
    cache_read_input_tokens: int | None = None,
    cache_creation_input_tokens: int | None = None,
    reasoning_output_tokens: int | None = None,
    cache_creation_1h_input_tokens: int | None = None,
    web_search_requests: int | None = None,
    reasoning_beside: bool = False,
    service_tier: str | None = None,
    raw: dict[str, Any] | None = None,
    model_call_id: str | None = None,
    step_id: str | None = None,
    node_id: str | None = None,
    usage_id: str | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[Usage]:
    """Record what one model call used: never cumulative. What is not given is not reported, which is not zero.

    Allowed after the run's end too, for streams report it last.
    """
    tokens = Tokens(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total_tokens,
        cache_read_input_tokens=cache_read_input_tokens,
        cache_creation_input_tokens=cache_creation_input_tokens,
        reasoning_output_tokens=reasoning_output_tokens,
        cache_creation_1h_input_tokens=cache_creation_1h_input_tokens,
        web_search_requests=web_search_requests,
        reasoning_beside=reasoning_beside,
    )
    if usage_id is None:
        usage_id = self.executor.new_id("usage") if model_call_id is None else f"usage_{model_call_id}"

    def decide(run: RunState) -> list[Event]:
        used = UsageRecorded(
            usage_id=usage_id,
            model_call_id=model_call_id,
            step_id=step_id,
            node_id=run.steps.node_id if node_id is None else node_id,
            provider=provider,
            model=model,
            tokens=tokens,
            service_tier=service_tier,
            raw=raw,
        )
        return run.usages.record(used)

    return run_plan(self.id, decide, envelope, child_of(self, Usage, usage_id))


@command
def report_cost(
    self: Handle,
    amount: Any,
    currency: str = "USD",
    *,
    source: CostSource | None = None,
    provider: str | None = None,
    model: str | None = None,
    usage_id: str | None = None,
    node_id: str | None = None,
    cost_id: str | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[Receipt]:
    """Say what something cost. `amount` is a Decimal or a decimal string. Allowed after the run's end too.

    `source` says whose word it is: `provider` for the provider's bill, `local` for the application's own sum; else nobody said.
    """
    cost = CostReported.model_validate(
        {
            "cost_id": self.executor.new_id("cost") if cost_id is None else cost_id,
            "usage_id": usage_id,
            "node_id": node_id,
            "provider": provider,
            "model": model,
            "amount": amount,
            "currency": currency,
            "source": source,
        },
        strict=isinstance(amount, float),
    )
    return run_plan(self.id, lambda run: run.usages.report_cost(cost), envelope)
