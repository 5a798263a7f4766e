"""What single spans tell: a model's messages, answer and usage, and a tool's call and result."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from runfold.domain.parts import DataPart
from runfold.importers.acts.fields import MOST_MONEY, Fields, fitting, from_nanoseconds
from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.acts.kinds import Act, Called, CallEnded, ModelCalled, Name, Said, Used
from runfold.importers.otlp.calls import Call, Calls
from runfold.importers.otlp.meaning import agent_of, kind_of, number_of, provider_of, tokens_of, word, words
from runfold.importers.otlp.spans import Span
from runfold.importers.otlp.thread import Key, SourceRun, Tree, began_at
from runfold.importers.otlp.words import Exchange, Words, decoded, exchange_of, is_exception
from runfold.importers.sources import Report

_ARGUMENTS = ("gen_ai.tool.call.arguments", "tool_arguments", "traceloop.entity.input")
_RESULT = ("gen_ai.tool.call.result", "tool_response", "traceloop.entity.output")
_CANCELLED = ("cancel", "abort", "keyboardinterrupt")
_TIER = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
)


@dataclass(frozen=True)
class Mention:
    """A message that was told."""

    name: Name
    run: Key


class Telling:
    """The spans of one conversation on their way to acts, told in the order of time."""

    def __init__(self, tree: Tree, report: Report) -> None:
        self.tree = tree
        self.report = report
        self._mentions: defaultdict[str, list[Mention]] = defaultdict(list)
        self._calls = Calls()
        self._of_span: dict[Key, Call] = {}
        self._exchanges: dict[Key, Exchange] = {}

    def given(self, span: Span, run: SourceRun) -> list[Act]:
        """What a model was shown and was not told yet."""
        listed = self._exchange(span).given
        return self._heard(listed, span, run)

    def gave(self, span: Span, run: SourceRun) -> list[Act]:
        """A model's answer, the calls that it asks for, and what it used."""
        acts: list[Act] = [self._model_called(span, run)]
        for number, said in enumerate(self._exchange(span).gave):
            name = (span.trace, span.id, "out", str(number))
            acts.append(self._said(said, name, span, run, span.end or began_at(span), f"agent:{agent_of(run.first)}"))
            acts += self._asked_for(said, name, span, run)
        acts += self._used(span, run)
        self._exchanges.pop((span.trace, span.id), None)
        return acts

    def agent_given(self, span: Span, run: SourceRun) -> list[Act]:
        """What an agent was given, which its first model call mostly repeats."""
        return self._heard(self._exchange(span).given, span, run)

    def agent_gave(self, span: Span, run: SourceRun) -> list[Act]:
        """What an agent gave, where none of its model calls has said so."""
        acts: list[Act] = []
        counts: Counter[str] = Counter()
        for number, said in enumerate(self._exchanges.pop((span.trace, span.id), Exchange()).gave):
            like = said.likeness
            seen = [mention for mention in self._mentions[like] if mention.run == run.key]
            if counts[like] >= len(seen):
                name = (span.trace, span.id, "out", str(number))
                acts.append(self._said(said, name, span, run, span.end or began_at(span), f"agent:{agent_of(run.first)}"))
                acts += self._asked_for(said, name, span, run)
            counts[like] += 1
        return acts

    def called(self, span: Span, run: SourceRun) -> list[Act]:
        """A tool that ran: a call that an answer asked for, or else one of its own."""
        provider_id = word(span.attributes, "gen_ai.tool.call.id") or ""
        tool = word(span.attributes, "gen_ai.tool.name", "traceloop.entity.name") or kept_text(span.name)[:400] or "unknown"
        call = self._calls.of_span(span.trace, provider_id, tool, run.key)
        acts: list[Act] = []
        if call is None:
            name = self._calls.name(span.trace, provider_id) if provider_id else (span.trace, span.id)
            call = self._calls.add(span.trace, provider_id, Call(name, run.key, tool))
            arguments = next((span.attributes[name] for name in _ARGUMENTS if name in span.attributes), "")
            kept_arguments = kept(arguments)
            acts.append(self._called(call, kept_arguments, provider_id, None, span, run, began_at(span)))
        call.has_span = True
        self._of_span[span.trace, span.id] = call
        return acts

    def returned(self, span: Span, _: SourceRun) -> list[Act]:
        """How a tool ended."""
        call = self._of_span.get((span.trace, span.id))
        if call is None or call.ended or not span.end:
            return []
        call.ended = True
        how, code, reason = failure_of(span)
        stated = next((span.attributes[name] for name in _RESULT if name in span.attributes), None)
        if stated is None and (provider_id := word(span.attributes, "gen_ai.tool.call.id")):
            stated = self._results.get((span.trace, provider_id))
        result = kept(decoded(stated, lambda _: None, "gen_ai.tool.call.result"))
        return [self._call_ended(call, "succeeded" if how == "completed" else how, result, reason, code, span)]

    @cached_property
    def _results(self) -> dict[tuple[str, str], Any]:
        """What tools answered, by the messages that repeat it: for spans of tools that do not say."""
        found: dict[tuple[str, str], Any] = {}
        for span in self.tree.by_key.values():
            for said in exchange_of(span, lambda _: None).given if kind_of(span) == "model" else ():
                for call_id, result in said.results:
                    found.setdefault((span.trace, call_id), result)
        return found

    def _exchange(self, span: Span) -> Exchange:
        key = (span.trace, span.id)
        if key not in self._exchanges:
            self._exchanges[key] = exchange_of(span, lambda reason: self.report(span.place.problem(reason)))
        return self._exchanges[key]

    def _heard(self, listed: tuple[Words, ...], span: Span, run: SourceRun) -> list[Act]:
        """Messages of a model's input that have not been told. What stands before an answer in it is history."""
        acts: list[Act] = []
        counts: Counter[str] = Counter()
        last = max((number for number, said in enumerate(listed) if said.role == "assistant"), default=-1)
        for number, said in enumerate(listed):
            like, is_past = said.likeness, number <= last or said.role == "system"
            visible = [mention for mention in self._mentions[like] if mention.run == run.key or (is_past and run.parent is None)]
            place = counts[like]
            counts[like] += 1
            if place < len(visible):
                continue
            name = (*run.key, like, str(place + 1))
            acts.append(self._said(said, name, span, run, began_at(span), actor_of(span), heard=True, past=is_past))
            acts += self._answered(said, span)
        return acts

    def _said(
        self, said: Words, name: Name, span: Span, run: SourceRun, at: int, actor: str, *, heard: bool = False, past: bool = False
    ) -> Said:
        self._mentions[said.likeness].append(Mention(name, run.key))
        call = self._calls.last(span.trace, said.answers)
        asked = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in said.calls] if heard else []
        parts = (*said.parts, DataPart(data=asked, name="tool_calls")) if asked else said.parts
        return Said(
            place=span.place,
            run=run.key,
            actor=actor,
            at=from_nanoseconds(at) if at else None,
            traceparent=traceparent((span.trace, span.id)),
            name=name,
            role=said.role,  # type: ignore[arg-type]  # one of the roles that words are read with
            parts=parts,
            call=None if call is None else call.name,
            like=said.likeness,
            heard="past" if past else "now" if heard else None,
        )

    def _asked_for(self, said: Words, message: Name, span: Span, run: SourceRun) -> list[Act]:
        acts: list[Act] = []
        for number, asked in enumerate(said.calls):
            name = self._calls.name(span.trace, asked.id) if asked.id else (*message, "call", str(number))
            call = self._calls.add(span.trace, asked.id, Call(name, run.key, asked.name))
            acts.append(self._called(call, asked.arguments, asked.id, message, span, run, span.end or began_at(span)))
        return acts

    def _answered(self, said: Words, span: Span) -> list[Act]:
        """The ends of calls that no span tells of, but a message with their results."""
        acts: list[Act] = []
        for call_id, result in said.results:
            if (call := self._calls.unanswered(span.trace, call_id)) is not None:
                call.ended = True
                acts.append(self._call_ended(call, "succeeded", result, "", "error", span, began_at(span)))
        return acts

    def _called(
        self, call: Call, arguments: Any, provider_id: str, message: Name | None, span: Span, run: SourceRun, at: int
    ) -> Called:
        return Called(
            place=span.place,
            run=run.key,
            actor=f"agent:{agent_of(run.first)}",
            at=from_nanoseconds(at) if at else None,
            traceparent=traceparent((span.trace, span.id)),
            name=call.name,
            tool=call.tool,
            arguments=arguments,
            message=message,
            provider_id=provider_id or None,
        )

    def _call_ended(
        self,
        call: Call,
        how: Literal["succeeded", "failed", "cancelled"],
        result: Any,
        reason: str,
        code: str,
        span: Span,
        at: int | None = None,
    ) -> CallEnded:
        return CallEnded(
            place=span.place,
            run=call.run,
            actor=actor_of(span),
            at=from_nanoseconds(at or span.end),
            traceparent=traceparent((span.trace, span.id)),
            name=call.name,
            how=how,
            result=result,
            reason=reason,
            code=code,
        )

    def _model_called(self, span: Span, run: SourceRun) -> ModelCalled:
        how, code, reason = failure_of(span)
        first_chunk = self._number(span, "gen_ai.response.time_to_first_chunk", 1e6)
        return ModelCalled(
            place=span.place,
            run=run.key,
            actor=f"agent:{agent_of(run.first)}",
            at=from_nanoseconds(began_at(span)) if began_at(span) else None,
            traceparent=traceparent((span.trace, span.id)),
            name=(span.trace, span.id),
            provider=provider_of(span),
            model=word(span.attributes, "gen_ai.request.model"),
            is_answered=bool(span.end),
            answered_at=from_nanoseconds(span.end) if span.end else None,
            response_model=word(span.attributes, "gen_ai.response.model"),
            finish_reasons=words(span.attributes.get("gen_ai.response.finish_reasons")),
            ttft_ns=None if first_chunk is None else int(first_chunk * 1e9),
            error=None if how == "completed" else reason or code,
            code=code,
        )

    def _used(self, span: Span, run: SourceRun) -> list[Act]:
        tokens, odd = tokens_of(span)
        for name in odd:
            value = kept_text(str(span.attributes[name]))[:40]
            self.report(span.place.at(name).problem(f"is {value!r}, not a count; left out"))
        cost = self._number(span, "gen_ai.usage.cost", MOST_MONEY)
        if not tokens and cost is None:
            return []
        model = word(span.attributes, "gen_ai.response.model", "gen_ai.request.model")
        raw = {name: kept(value) for name, value in span.attributes.items() if ".usage." in name}
        return [
            Used(
                place=span.place,
                run=run.key,
                actor=f"agent:{agent_of(run.first)}",
                at=from_nanoseconds(span.end or began_at(span)) if span.end or began_at(span) else None,
                traceparent=traceparent((span.trace, span.id)),
                name=(span.trace, span.id),
                model_call=(span.trace, span.id),
                provider=provider_of(span),
                model=model,
                tokens=fitting(tokens, Fields(span.attributes, span.place, self.report)),
                service_tier=word(span.attributes, *_TIER),
                raw=raw,
                cost=cost,
            )
        ]

    def _number(self, span: Span, name: str, most: float) -> float | None:
        """An attribute that is a number from 0; any other is a problem, and left out."""
        found = number_of(span.attributes, name, most)
        if found is None and (value := span.attributes.get(name)) is not None:
            self.report(span.place.at(name).problem(f"is {kept_text(str(value))[:40]!r}, not a number from 0; left out"))
        return found


def traceparent(key: Key) -> str:
    """The context of a span, as W3C has it."""
    return f"00-{key[0]}-{key[1]}-01"


def actor_of(span: Span) -> str:
    """Who tells of a span, and says what no agent says: a program. That a person typed it is nowhere stated."""
    return f"service:{span.service or 'otlp'}"


def failure_of(span: Span) -> tuple[Literal["completed", "failed", "cancelled"], str, str]:
    """How a span that has ended ended. One without a status ended without an error, as the conventions have it."""
    raised = next((event.attributes for event in span.events if is_exception(event.name)), {})
    named = word(span.attributes, "error.type") or word(raised, "exception.type")
    if span.status != "error" and "error.type" not in span.attributes:
        return "completed", "error", ""
    code = named or "error"
    reason = span.status_message or word(raised, "exception.message") or code
    is_cancelled = any(word_ in code.lower() for word_ in _CANCELLED)
    return ("cancelled" if is_cancelled else "failed"), code, reason
