"""What single spans tell: a model's messages, answer and usage, and a tool's call and result."""

import json
from collections import Counter
from functools import cached_property
from typing import Any, Literal

from runfold.domain.parts import DataPart
from runfold.importers.acts.fields import from_nanoseconds
from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.acts.kinds import Act, Called, CallEnded, Name, Said
from runfold.importers.otlp.calls import Call, Calls
from runfold.importers.otlp.meaning import agent_of, is_by_others, kind_of
from runfold.importers.otlp.messages import Words, decoded
from runfold.importers.otlp.model_calls import model_called, used
from runfold.importers.otlp.outcomes import actor_of, failure_of, traceparent
from runfold.importers.otlp.spans import Span
from runfold.importers.otlp.thread import Key, SourceRun, Tree, began_at
from runfold.importers.otlp.tool_spans import call_id_of, result_of, tool_span
from runfold.importers.otlp.words import Exchange, exchange_of
from runfold.importers.sources import Report


class Telling:
    """The spans of one conversation on their way to acts, told in the order of time."""

    def __init__(self, tree: Tree, report: Report) -> None:
        self.tree = tree
        self.report = report
        self._told: Counter[tuple[str, Key | None]] = Counter()
        """How often a message was told, by its likeness: in a run, and under None in all."""
        self._calls = Calls()
        self._of_span: dict[Key, Call] = {}
        self._exchanges: dict[Key, Exchange] = {}
        self._said_within: set[Key] = set()
        """Model calls within which another one has answered, whose answer they say again."""

    def given(self, span: Span, run: SourceRun) -> list[Act]:
        """What a model was shown and was not told yet."""
        listed = self._exchange(span).given
        return self._heard(listed, span, run)

    def gave(self, span: Span, run: SourceRun) -> list[Act]:
        """A model's answer, the calls that it asks for, and what it used."""
        acts: list[Act] = [model_called(span, run, self.report)]
        at, answer = self.asked_at(span, run) or span.end or began_at(span), self._exchange(span).gave
        if answer and (around := self.tree.call_around(span)) is not None:
            self._said_within.add((around.trace, around.id))
        for number, said in enumerate(() if (span.trace, span.id) in self._said_within else answer):
            name = (span.trace, span.id, "out", str(number))
            acts.append(self._said(said, name, span, run, at, f"agent:{agent_of(run.first)}"))
            acts += self._asked_for(said, name, span, run, at)
        acts += used(span, run, self.report)
        self._exchanges.pop((span.trace, span.id), None)
        return acts

    def asked_at(self, span: Span, run: SourceRun) -> int | None:
        """When the first tool ran that an answer asks for, where that was while the answer was still coming in, or ended."""
        began, over = began_at(span), span.end or began_at(span)
        if not run.had_tool_began(began, over):
            return None
        asked = (run.first_of_call.get((span.trace, call.id)) for said in self._exchange(span).gave for call in said.calls)
        return min((at for at in asked if at is not None and began <= at <= over), default=None)

    def agent_given(self, span: Span, run: SourceRun) -> list[Act]:
        """What an agent was given, which its first model call mostly repeats."""
        if self._exchange(span).restates and any(kind_of(each) == "model" for each in run.spans):
            self._exchanges[span.trace, span.id] = Exchange()
        return self._heard(self._exchange(span).given, span, run)

    def agent_gave(self, span: Span, run: SourceRun) -> list[Act]:
        """What an agent gave, where none of its model calls has said so."""
        acts: list[Act] = []
        counts: Counter[str] = Counter()
        for number, said in enumerate(self._exchanges.pop((span.trace, span.id), Exchange()).gave):
            like = said.likeness
            if counts[like] >= self._told[like, run.key]:
                name = (span.trace, span.id, "out", str(number))
                acts.append(self._said(said, name, span, run, span.end or began_at(span), f"agent:{agent_of(run.first)}"))
                acts += self._asked_for(said, name, span, run, span.end or began_at(span))
            counts[like] += 1
        return acts

    def called(self, span: Span, run: SourceRun) -> list[Act]:
        """A tool that ran: a call that an answer asked for, or else one of its own."""
        tool, provider_id, arguments = tool_span(span)
        call = self._calls.of_span(span.trace, provider_id, tool, run.key, arguments)
        if call is None and not provider_id and is_by_others(span):
            call = self._calls.of_span(span.trace, provider_id, tool, None, arguments)
        acts: list[Act] = []
        if call is None:
            name = self._calls.name(span.trace, provider_id) if provider_id else (span.trace, span.id)
            call = self._calls.add(span.trace, provider_id, Call(name, run.key, tool, arguments))
            acts.append(self._called(call, provider_id, None, span, run, began_at(span)))
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
        result, is_error = result_of(span)
        if how == "completed" and is_error:
            how, reason = "failed", _as_reason(result)
        if result is None and (provider_id := call_id_of(span)):
            result = kept(decoded(self._results.get((span.trace, provider_id)), lambda _: None, "the result"))
        return [self._call_ended(call, "succeeded" if how == "completed" else how, result, reason, code, span)]

    @cached_property
    def _results(self) -> dict[tuple[str, str], Any]:
        """What tools answered, by the messages that repeat it: for spans of tools that do not say."""
        found: dict[tuple[str, str], Any] = {}
        for span in self.tree.by_key.values():
            for said in exchange_of(span, lambda _: None).given if kind_of(span) == "model" else ():
                for answer in said.results:
                    found.setdefault((span.trace, answer.call_id), answer.result)
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
            visible = self._told[like, None if is_past and run.parent is None else run.key]
            place = counts[like]
            counts[like] += 1
            if place < visible or (is_past and self._is_known(said)):
                continue
            name = (*run.key, like, str(place + 1))
            acts.append(self._said(said, name, span, run, began_at(span), actor_of(span), heard=True, past=is_past))
            acts += self._answered(said, span)
        return acts

    def _is_known(self, said: Words) -> bool:
        """Whether a message of the past only asks for calls that are told already, as where it is shown again in other pieces."""
        return bool(said.calls) and not said.parts and all(self._calls.knows(call.id) for call in said.calls)

    def _said(
        self, said: Words, name: Name, span: Span, run: SourceRun, at: int, actor: str, *, heard: bool = False, past: bool = False
    ) -> Said:
        self._told.update([(said.likeness, run.key), (said.likeness, None)])
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
            author=said.author,
            like=said.likeness,
            heard="past" if past else "now" if heard else None,
        )

    def _asked_for(self, said: Words, message: Name, span: Span, run: SourceRun, at: int) -> list[Act]:
        acts: list[Act] = []
        for number, asked in enumerate(said.calls):
            name = self._calls.name(span.trace, asked.id) if asked.id else (*message, "call", str(number))
            call = self._calls.add(span.trace, asked.id, Call(name, run.key, asked.name, asked.arguments))
            acts.append(self._called(call, asked.id, message, span, run, at))
        return acts

    def _answered(self, said: Words, span: Span) -> list[Act]:
        """The ends of calls that no span tells of, but a message with their results."""
        acts: list[Act] = []
        for answer in said.results:
            if (call := self._calls.unanswered(span.trace, answer.call_id)) is not None:
                call.ended = True
                how: Literal["succeeded", "failed"] = "failed" if answer.is_error else "succeeded"
                reason = _as_reason(answer.result) if answer.is_error else ""
                acts.append(self._call_ended(call, how, answer.result, reason, "error", span, began_at(span)))
        return acts

    def _called(self, call: Call, provider_id: str, message: Name | None, span: Span, run: SourceRun, at: int) -> Called:
        return Called(
            place=span.place,
            run=run.key,
            actor=f"agent:{agent_of(run.first)}",
            at=from_nanoseconds(at) if at else None,
            traceparent=traceparent((span.trace, span.id)),
            name=call.name,
            tool=call.tool,
            arguments=call.arguments,
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


def _as_reason(result: Any) -> str:
    return result if isinstance(result, str) else kept_text(json.dumps(result, ensure_ascii=False, default=str))[:2000]
