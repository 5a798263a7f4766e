"""A message's handle."""

from collections.abc import Iterable
from typing import Literal, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.handles.child import Child
from runfold.handles.command import Content, command, content_parts, submitting

Field = Literal["content", "name", "author", "encrypted_value"]


class Message(Child):
    """A message of a run, or of its past."""

    @command
    def revise(self, content: Content, *, reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Give it a new wording in this run. A message of an ancestor may be revised too; siblings never see it."""
        parts = content_parts(content)
        return self._plan(
            lambda run, past: run.messages.revise(
                self.id, parts, reason, None if self.id in run.messages.by_id else past().message(self.id)
            ),
            envelope,
        )

    @command
    def append_text(self, text: str, *, offset: int | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Append text to a streaming message. With `offset`, the characters before it, sending it twice stores it once."""
        return self._plan(lambda run, _: run.messages.append_text(self.id, text, offset), envelope)

    @command
    def seal(self, *, finish_reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """The streaming message is complete."""
        return self._plan(lambda run, _: run.messages.seal(self.id, finish_reason), envelope)

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
        return self._plan(lambda run, _: run.messages.redact(self.id, tuple(fields), legal_basis, revision), envelope)

    submit_revise = submitting(revise)
    submit_append_text = submitting(append_text)
    submit_seal = submitting(seal)
    submit_redact = submitting(redact)
