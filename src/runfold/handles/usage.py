"""The handle of what one model call used."""

from typing import Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.domain.usage import Tokens
from runfold.handles.command import command, submitting
from runfold.handles.handle import Child
from runfold.handles.run_plan import run_plan


class Usage(Child):
    """What one model call used."""

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
        )
        return run_plan(self.run_id, lambda run: run.usages.correct(self.id, tokens, reason), envelope)

    submit_correct = submitting(correct)
