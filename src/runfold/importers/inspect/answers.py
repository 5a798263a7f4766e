"""Model events: what the model was shown and what it answered, what that used, and what it cost."""

from datetime import datetime
from typing import Any

from runfold.importers.acts.fields import Fields, fitting
from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.acts.kinds import Act, ModelCalled, Name, Said, Used
from runfold.importers.inspect.content import Attachments, parts_of
from runfold.importers.inspect.conversation import Message, Messages
from runfold.importers.inspect.talk import Talk

_CANCELLED = "Cancelled by "
_TOKENS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "input_tokens_cache_read": "cache_read_input_tokens",
    "input_tokens_cache_write": "cache_creation_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
}
"""Inspect's names of counts, and ours. To Inspect cached tokens stand beside the input, whoever the provider is."""


class Answers:
    """The model events of an attempt on their way to acts."""

    def __init__(self, sample: Fields, attachments: Attachments, messages: Messages) -> None:
        self.attachments = attachments
        self.messages = messages
        data = sample.object("events_data")
        self._pool = list(data.objects("messages")) if data.raw("messages") else []
        self._pooled: dict[int, Message] = {}

    def event(self, event: Fields, talk: Talk, name: Name) -> list[Act]:
        """What a model event says."""
        at, output = event.time("timestamp"), event.object("output")
        completed = event.time("completed")
        acts = talk.heard(self._input(event), at, event)
        provider, model = provider_of(event.text("model"))
        response_model = provider_of(output.text("model"))[1] or model
        called = self._called(event, talk, name, provider, model, response_model)
        acts.append(called)
        for number, choice in enumerate(output.objects("choices")):
            message = choice.object("message")
            if not message:
                continue
            if number == 0:
                value = self._resolved(message)
                acts += talk.answered(self.messages.message(value), completed or at, message)
            else:
                acts.append(self._alternative(message, talk, (*name, "choice", str(number)), event))
        if event.raw("cache") != "read":
            acts += self._used(output.object("usage"), event, talk, name, provider, response_model)
        return acts

    def sums(self, talk: Talk, sample: Fields, at: datetime | None) -> list[Act]:
        """What each model used in all, for a log that has left out its events."""
        acts: list[Act] = []
        usage = sample.object("model_usage")
        for model in usage.value:
            provider, name = provider_of(model)
            if reported := usage.object(model):
                acts.append(_usage(reported, talk, (*talk.run, "usage", kept_text(model)), None, provider, name, at, None))
        return acts

    def _input(self, event: Fields) -> list[Message]:
        refs = event.raw("input_refs")
        if refs:
            return [self._pool_message(index) for index in self._indexes(event)]
        return [self.messages.message(self._resolved(message)) for message in event.objects("input") if message]

    def _indexes(self, event: Fields) -> list[int]:
        found: list[int] = []
        for ref in event.items("input_refs"):
            if isinstance(ref, list) and len(ref) == 2 and all(isinstance(end, int) for end in ref):
                if not 0 <= ref[0] <= ref[1] <= len(self._pool):
                    event.problem("input_refs", f"names messages up to {ref[1]}, and the sample has {len(self._pool)}")
                found += range(max(0, ref[0]), min(ref[1], len(self._pool)))
            else:
                event.problem("input_refs", "holds what is no range of messages; it is left out")
        return found

    def _pool_message(self, index: int) -> Message:
        if index not in self._pooled:
            self._pooled[index] = self.messages.message(self._resolved(self._pool[index]))
        return self._pooled[index]

    def _resolved(self, message: Fields) -> dict[str, Any]:
        value: dict[str, Any] = self.attachments.resolved(message.value)
        return value

    def _called(
        self, event: Fields, talk: Talk, name: Name, provider: str | None, model: str | None, response_model: str | None
    ) -> ModelCalled:
        output, error = event.object("output"), event.text("error") or event.object("output").text("error")
        choices = output.items("choices")
        reasons = [choice.get("stop_reason") for choice in choices if isinstance(choice, dict)]
        return ModelCalled(
            place=event.place,
            run=talk.run,
            actor=f"agent:{talk.agent}",
            at=event.time("timestamp"),
            name=name,
            provider=provider,
            model=model,
            is_answered=not event.flag("pending") and (bool(choices) or error is not None),
            answered_at=event.time("completed"),
            response_model=response_model,
            finish_reasons=tuple(kept_text(reason, 500) for reason in reasons if isinstance(reason, str) and reason),
            error=None if error is None else kept_text(self.attachments.resolved(error)),
            code="cancelled" if error is not None and error.startswith(_CANCELLED) else "model_error",
        )

    def _alternative(self, message: Fields, talk: Talk, name: Name, event: Fields) -> Said:
        parts = parts_of(Fields(self._resolved(message), message.place, message.report))
        return Said(
            place=message.place,
            run=talk.run,
            actor=f"agent:{talk.agent}",
            at=event.time("completed"),
            name=name,
            role="activity",
            activity_type="alternative",
            parts=parts,
        )

    def _used(self, usage: Fields, event: Fields, talk: Talk, name: Name, provider: str | None, model: str | None) -> list[Act]:
        if not usage:
            return []
        at, role = event.time("completed") or event.time("timestamp"), event.text("role")
        return [_usage(usage, talk, name, name, provider, model, at, role)]


def _usage(
    usage: Fields,
    talk: Talk,
    name: Name,
    model_call: Name | None,
    provider: str | None,
    model: str | None,
    at: datetime | None,
    role: str | None,
) -> Used:
    tokens = {ours: count for theirs, ours in _TOKENS.items() if (count := usage.count(theirs)) is not None}
    return Used(
        place=usage.place,
        run=talk.run,
        actor=f"agent:{talk.agent}",
        at=at,
        name=name,
        model_call=model_call,
        node=None if role is None else kept_text(role, 500),
        provider=provider,
        model=model,
        tokens=fitting(tokens, usage),
        raw=kept(usage.value),
        cost=usage.amount("total_cost"),
    )


def provider_of(model: str | None) -> tuple[str | None, str | None]:
    """`openai/gpt-4o` → provider and model. A name without a provider is the model's."""
    if not model:
        return None, None
    provider, separator, name = kept_text(model, 500).partition("/")
    return (provider or None, name or None) if separator else (None, provider)
