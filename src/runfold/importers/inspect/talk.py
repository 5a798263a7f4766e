"""What is said in one run of a sample, as acts."""

from datetime import datetime

from runfold.domain.parts import DataPart, Part, TextPart
from runfold.importers.acts.fields import Fields
from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.acts.kinds import Act, Name, Said
from runfold.importers.inspect.calls import Calls
from runfold.importers.inspect.content import Attachments, parts_of, server_tools
from runfold.importers.inspect.conversation import Conversation, Message, Messages, Told

ROLES = frozenset({"system", "user", "assistant", "tool"})


class Talk:
    """A run's conversation on its way to acts."""

    def __init__(self, run: Name, agent: str, conversation: Conversation, attachments: Attachments, calls: Calls) -> None:
        self.run = run
        self.agent = agent
        self.conversation = conversation
        self.attachments = attachments
        self.calls = calls
        self.has_spoken = False
        self._results: dict[str, datetime | None] = {}
        """When tools answered, by the id of the message."""
        self._said: dict[str, int] = {}

    def note_result(self, event: Fields) -> None:
        """Note when a tool's message came to be."""
        if message_id := event.word("message_id"):
            self._results[message_id] = event.time("completed")

    def heard(self, listed: list[Message], at: datetime | None, place: Fields) -> list[Act]:
        """What of a model's input has not been said before."""
        return [act for told in self.conversation.unheard(listed) for act in self._say(told, at, place)]

    def answered(self, message: Message, at: datetime | None, place: Fields) -> list[Act]:
        """A model's answer."""
        told = self.conversation.tell(message)
        return [] if told is None else self._say(told, at, place)

    def final(self, listed: list[Fields], messages: Messages, at: datetime | None) -> list[Act]:
        """The sample's list of messages: what is new in it, and what is worded otherwise than it was said."""
        acts: list[Act] = []
        known = [(messages.message(self.attachments.resolved(fields.value)), fields) for fields in listed]
        fields_of = {id(message): fields for message, fields in known}
        for told, message, is_new in self.conversation.final([message for message, _ in known]):
            fields = fields_of[id(message)]
            if is_new:
                acts += self._say(told, at, fields)
            elif told.message is not message and message.value.get("role") == told.message.value.get("role") != "tool":
                acts += self._reworded(told, message, at, fields)
        return acts

    def _reworded(self, told: Told, message: Message, at: datetime | None, place: Fields) -> list[Act]:
        first = parts_of(Fields(told.message.value, place.place, lambda _: None))
        later = parts_of(Fields(message.value, place.place, place.report))
        if told.name not in self._said or first == later:
            return []
        act = self._act(told, Fields(told.message.value, place.place, lambda _: None), at, first)
        return [Said(**{**act.__dict__, "later": later, "actor": act.actor})]

    def _say(self, told: Told, at: datetime | None, place: Fields) -> list[Act]:
        self.has_spoken = True
        message = Fields(told.message.value, place.place, place.report)
        role = message.text("role")
        if role not in ROLES:
            message.problem("role", f"is {role!r}; expected one of {', '.join(sorted(ROLES))}; the message is left out")
            return []
        self._said[told.name] = 1
        parts = parts_of(message)
        name = (*self.run, "message", kept_text(told.name))
        if role == "tool":
            at = self._results.get(told.name) or at
            call, ends = self.calls.message(self.run, message, at)
            if not parts and (fault := message.object("error").text("message")):
                parts = (TextPart(text=kept_text(fault)),)
            said = self._act(told, message, at, parts)
            return [Said(**{**said.__dict__, "call": None if call is None else call.name}), *ends]
        asked = list(message.objects("tool_calls")) if message.raw("tool_calls") else []
        if asked and message.raw("source") == "input":  # an example of the task's own: nothing was called
            example: Part = DataPart(data=kept([fields.value for fields in asked]), name="tool_calls")
            return [self._act(told, message, at, (*parts, example))]
        acts: list[Act] = [self._act(told, message, at, parts)]
        if role == "assistant":
            acts += self.calls.called(self.run, name, self.agent, asked, at)
            acts += self.calls.ran_by_provider(self.run, (*name, "server"), self.agent, server_tools(message), at)
        return acts

    def _act(self, told: Told, message: Fields, at: datetime | None, parts: tuple[Part, ...]) -> Said:
        role = message.text("role")
        return Said(
            place=message.place,
            run=self.run,
            actor=self._actor(role, message.raw("source")),
            at=at,
            name=(*self.run, "message", kept_text(told.name)),
            role=role,  # type: ignore[arg-type]  # one of ROLES
            parts=parts,
        )

    def _actor(self, role: str | None, source: object) -> str:
        """Who said it: the task's words are no person's, and the operator's are."""
        if source == "input":
            return "service:dataset"
        if role == "assistant":
            return f"agent:{self.agent}"
        if role == "user" and source == "operator":
            return "human:operator"
        return "service:environment" if role == "tool" else "service:inspect"
