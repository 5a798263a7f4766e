"""What the span of a model call says of it beside its messages: which model, how it went, what it used."""

from runfold.importers.acts.fields import MOST_MONEY, Fields, fitting, from_nanoseconds
from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.acts.kinds import ModelCalled, Used
from runfold.importers.otlp.meaning import agent_of, number_of, provider_of, tokens_of, word, words
from runfold.importers.otlp.names import COSTS, FINISH_REASONS, MODELS, RESPONSE_MODELS, TIERS, USAGE
from runfold.importers.otlp.outcomes import failure_of, traceparent
from runfold.importers.otlp.spans import Span
from runfold.importers.otlp.thread import SourceRun, began_at
from runfold.importers.sources import Report


def model_called(span: Span, run: SourceRun, report: Report) -> ModelCalled:
    """A model that was asked, and whether it answered."""
    how, code, reason = failure_of(span)
    first_chunk = _number(span, "gen_ai.response.time_to_first_chunk", 1e6, report)
    if first_chunk is None and (milliseconds := _number(span, "ai.response.msToFirstChunk", 1e9, report)) is not None:
        first_chunk = milliseconds / 1000
    return ModelCalled(
        place=span.place,
        run=run.key,
        actor=f"agent:{agent_of(run.first)}",
        at=from_nanoseconds(began_at(span)) if began_at(span) else None,
        traceparent=traceparent((span.trace, span.id)),
        name=(span.trace, span.id),
        provider=provider_of(span),
        model=word(span.attributes, *MODELS),
        is_answered=bool(span.end),
        answered_at=from_nanoseconds(span.end) if span.end else None,
        response_model=word(span.attributes, *RESPONSE_MODELS),
        finish_reasons=next((words(span.attributes[name]) for name in FINISH_REASONS if name in span.attributes), ()),
        ttft_ns=None if first_chunk is None else int(first_chunk * 1e9),
        error=None if how == "completed" else reason or code,
        code=code,
    )


def used(span: Span, run: SourceRun, report: Report) -> list[Used]:
    """What a model call used, where its span says so."""
    tokens, odd = tokens_of(span)
    for name in odd:
        value = kept_text(str(span.attributes[name]))[:40]
        report(span.place.at(name).problem(f"is {value!r}, not a count; left out"))
    cost = next((cost for name in COSTS if (cost := _number(span, name, MOST_MONEY, report)) is not None), None)
    if not tokens and cost is None:
        return []
    model = word(span.attributes, *RESPONSE_MODELS, *MODELS)
    raw = {name: kept(value) for name, value in span.attributes.items() if any(part in name for part in USAGE)}
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
            tokens=fitting(tokens, Fields(span.attributes, span.place, report)),
            service_tier=word(span.attributes, *TIERS),
            raw=raw,
            cost=cost,
        )
    ]


def _number(span: Span, name: str, most: float, report: Report) -> float | None:
    """An attribute that is a number from 0; any other is a problem, and left out."""
    found = number_of(span.attributes, name, most)
    if found is None and (value := span.attributes.get(name)) is not None:
        report(span.place.at(name).problem(f"is {kept_text(str(value))[:40]!r}, not a number from 0; left out"))
    return found
