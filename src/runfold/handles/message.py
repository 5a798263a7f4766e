"""A message's handle."""

from collections.abc import Iterable
from typing import Literal, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.handles.arguments import Content, content_parts
from runfold.handles.command import command, submitting
from runfold.handles.handle import Child
from runfold.handles.run_plan import run_plan, run_state

Field = Literal["content", "name", "author", "encrypted_value"]


class Message(Child):
    """A message of a run, or of its past."""

    @command
    def revise(self, content: Content, *, reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Give it a new wording in this run. A message of an ancestor may be revised too; siblings never see it."""
        parts = content_parts(content)

        def decide(session: Session) -> None:
            run = run_state(session, self.run_id, envelope)
            inherited = None if self.id in run.messages.by_id else session.inherited_message(run, self.id)
            session.record(run, run.messages.revise(self.id, parts, reason, inherited))

        return Plan(self.run_id, decide, itself, envelope)

    @command
    def append_text(self, text: str, *, offset: int | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Append text to a streaming message. With `offset`, the characters before it, sending it twice stores it once."""
        return run_plan(self.run_id, lambda run: run.messages.append_text(self.id, text, offset), envelope)

    @command
    def seal(self, *, finish_reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """The streaming message is complete."""
        return run_plan(self.run_id, lambda run: run.messages.seal(self.id, finish_reason), envelope)

    @command
    def redact(
        self,
        *,
        legal_basis: str,
        fields: Iterable[Field] = ("content",),
        revision: int | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Stop showing some of its fields, in one revision or in all. Allowed after the run's end too."""
        return run_plan(self.run_id, lambda run: run.messages.redact(self.id, tuple(fields), legal_basis, revision), envelope)

    submit_revise = submitting(revise)
    submit_append_text = submitting(append_text)
    submit_seal = submitting(seal)
    submit_redact = submitting(redact)
