"""One talk as the spans of each convention: made up by chance, and told as OpenInference, the AI SDK and Pydantic AI tell it."""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.importers.otlp import traces
from tests.importers.otlp.traces import span

QUESTION, RULES, AGENT = "How is the weather?", "Be kind.", "support"
Spans = list[dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """A tool call, and what came of it."""

    id: str
    tool: str
    arguments: dict[str, Any]
    result: Any
    failed: bool = False


@dataclass(frozen=True)
class Step:
    """An answer of the model, with the calls that it asks for."""

    text: str
    tokens: tuple[int, int]
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Talk:
    """A question, and the steps to its answer."""

    steps: tuple[Step, ...]
    order: random.Random = field(compare=False)
    """In which tools that run at once begin."""
    is_tight: bool = False
    """Whether each thing begins at the moment at which the one before it is over, as where a clock is coarse."""

    @classmethod
    def by_chance(cls, seed: int) -> "Talk":
        """A talk: the same for a seed."""
        chance = random.Random(seed)  # noqa: S311  # not a secret
        steps = []
        for number in range(chance.randrange(0, 4)):
            calls = [_call(chance, f"call-{number}-{place}", place) for place in range(chance.randrange(1, 5))]
            text = chance.choice(["", "Let me see.", f"Step {number}."])
            steps.append(Step(text, (chance.randrange(1, 500), chance.randrange(1, 50)), tuple(calls)))
        return cls((*steps, Step("It is fine.", (chance.randrange(1, 500), chance.randrange(1, 50)))), random.Random(seed))  # noqa: S311


def _call(chance: random.Random, id: str, place: int) -> Call:
    result = chance.choice(["sunny", f"{place} degrees", {"sky": "grey", "degrees": place}])
    failed = chance.random() < 0.3
    arguments = {"city": f"city-{place}", "days": chance.randrange(9)}
    return Call(id, chance.choice(["weather", "find"]), arguments, "no such city" if failed else result, failed)


def _whole(result: Any) -> str:
    return result if isinstance(result, str) else json.dumps(result)


def _tools(step: Step, at: float, talk: Talk, attrs: Callable[[Call], dict[str, Any]], number: int) -> Iterable[dict[str, Any]]:
    """The spans of tools, which run at once and begin in any order."""
    for place, call in enumerate(talk.order.sample(step.calls, len(step.calls))):
        begins, lasts = (at - 1, 8) if talk.is_tight else (at + 0.1 * place, 1)
        ended: dict[str, Any] = {"status": {"code": 2, "message": "no such city"}} if call.failed else {}
        yield span(100 * number + place + 50, 1, call.tool, at=begins, lasts=lasts, attrs=attrs(call), **ended)


def opentelemetry(talk: Talk) -> Spans:
    """Told by the conventions of today."""
    history, spans = [traces.text("system", RULES), traces.text("user", QUESTION)], Spans()
    for number, step in enumerate(talk.steps):
        parts: list[dict[str, Any]] = [{"type": "text", "content": step.text}] if step.text else []
        parts += [{"type": "tool_call", "id": call.id, "name": call.tool, "arguments": call.arguments} for call in step.calls]
        said = {"role": "assistant", "parts": parts}
        spans.append(traces.chat(number + 2, 1, history, [said], step.tokens, at=10 * number, lasts=2))
        history = [*history, said, *(traces.answers(call.result, call.id) for call in step.calls)]

        def attrs(call: Call) -> dict[str, Any]:
            found = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": call.tool, "gen_ai.tool.call.id": call.id}
            return found if call.failed else {**found, "gen_ai.tool.call.result": _whole(call.result)}

        spans += _tools(step, 10 * number + 3, talk, attrs, number)
    return [*spans, traces.agent(1, lasts=100)]


def openinference(talk: Talk) -> Spans:
    """Told by OpenInference: numbered messages, and tools whose spans name no call."""
    history: list[dict[str, Any]] = [_oi("system", RULES), _oi("user", QUESTION)]
    spans = Spans()
    for number, step in enumerate(talk.steps):
        said = _oi("assistant", step.text, step.calls)
        usage = dict(zip(("prompt", "completion", "total"), (*step.tokens, sum(step.tokens)), strict=True))
        attrs = {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "llm.provider": "openai",
            "input.value": json.dumps({"messages": "as the client wrote them"}),
            "input.mime_type": "application/json",
            "output.value": json.dumps({"choices": ["as the provider wrote them"]}),
            "output.mime_type": "application/json",
            **{f"llm.token_count.{name}": count for name, count in usage.items()},
            **{f"llm.input_messages.{place}.{key}": value for place, each in enumerate(history) for key, value in each.items()},
            **{f"llm.output_messages.0.{key}": value for key, value in said.items()},
        }
        spans.append(span(number + 2, 1, "ChatOpenAI", at=10 * number, lasts=2, attrs=attrs))
        history = [*history, said, *(_oi("tool", _whole(call.result), of=call.id) for call in step.calls)]

        def of_tool(call: Call) -> dict[str, Any]:
            found = {"openinference.span.kind": "TOOL", "tool.name": call.tool, "input.value": json.dumps(call.arguments)}
            return found if call.failed else {**found, "output.value": _whole(call.result)}

        spans += _tools(step, 10 * number + 3, talk, of_tool, number)
    attrs = {
        "openinference.span.kind": "AGENT",
        "agent.name": AGENT,
        "input.value": QUESTION,
        "output.value": talk.steps[-1].text,
    }
    spans.append(span(1, None, "run", lasts=100, attrs=attrs))
    for each in spans:
        each["attributes"] += traces.attributes({"session.id": "s-1"})
    return spans


def _oi(role: str, content: str, calls: Iterable[Call] = (), of: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"message.role": role}
    if content:
        found["message.content"] = content
    if of is not None:
        found["message.tool_call_id"] = of
    for place, call in enumerate(calls):
        prefix = f"message.tool_calls.{place}.tool_call"
        found[f"{prefix}.id"], found[f"{prefix}.function.name"] = call.id, call.tool
        found[f"{prefix}.function.arguments"] = json.dumps(call.arguments)
    return found


def ai_sdk(talk: Talk, *, is_old: bool = False, is_streamed: bool = False) -> Spans:
    """Told by the AI SDK; streamed, tools run while the answer is still coming in."""
    counts = (
        ("ai.usage.promptTokens", "ai.usage.completionTokens") if is_old else ("ai.usage.inputTokens", "ai.usage.outputTokens")
    )
    name, inner, args = ("ai.streamText", "doStream", "args") if is_streamed else ("ai.generateText", "doGenerate", "input")
    prompt: list[dict[str, Any]] = [
        {"role": "system", "content": RULES},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    spans = Spans()
    for number, step in enumerate(talk.steps):
        attrs: dict[str, Any] = {
            "ai.operationId": f"{name}.{inner}",
            "ai.model.provider": "openai.chat",
            "gen_ai.system": "openai.chat",
            "gen_ai.request.model": "gpt-4o",
            "ai.prompt.messages": json.dumps(prompt),
            "ai.response.finishReason": "tool-calls" if step.calls else "stop",
            **dict(zip(counts, step.tokens, strict=True)),
            **({"ai.response.text": step.text} if step.text or is_streamed else {}),
        }
        calls = [{"toolCallId": call.id, "toolName": call.tool, args: json.dumps(call.arguments)} for call in step.calls]
        if calls:
            attrs["ai.response.toolCalls"] = json.dumps(calls)
        spans.append(span(number + 2, 1, f"{name}.{inner}", at=10 * number, lasts=9 if is_streamed else 2, attrs=attrs))

        def of_tool(call: Call) -> dict[str, Any]:
            found = {"ai.operationId": "ai.toolCall", "ai.toolCall.name": call.tool, "ai.toolCall.id": call.id}
            found["ai.toolCall.args"] = json.dumps(call.arguments)
            return found if call.failed else {**found, "ai.toolCall.result": json.dumps(call.result)}

        spans += _tools(step, 10 * number + 3, talk, of_tool, number)
        content: list[dict[str, Any]] = [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": step.text}]
        content = content if step.text else content[:1]
        content += [{"type": "tool-call", "toolCallId": c.id, "toolName": c.tool, args: c.arguments} for c in step.calls]
        results = [{"type": "tool-result", "toolCallId": c.id, "toolName": c.tool, **_output(c, is_old)} for c in step.calls]
        prompt = [*prompt, {"role": "assistant", "content": content}, {"role": "tool", "content": results}]
    outer = {
        "ai.operationId": name,
        "ai.telemetry.functionId": AGENT,
        "ai.prompt": json.dumps({"system": RULES, "prompt": QUESTION}),
        "ai.response.text": talk.steps[-1].text,
        **dict(zip(counts, (sum(step.tokens[side] for step in talk.steps) for side in (0, 1)), strict=True)),
    }
    return [*spans, span(1, None, name, lasts=100, attrs=outer)]


def _output(call: Call, is_old: bool) -> dict[str, Any]:
    if is_old:
        return {"result": call.result, "isError": call.failed}
    kind = "text" if isinstance(call.result, str) else "json"
    return {"output": {"type": f"error-{kind}" if call.failed else kind, "value": call.result}}


def pydantic_ai(talk: Talk) -> Spans:
    """Told by Pydantic AI as it did first: a list of events in one attribute."""
    events: list[dict[str, Any]] = [_event("system", RULES), _event("user", QUESTION)]
    spans = Spans()
    for number, step in enumerate(talk.steps):
        said = _event("assistant", step.text, step.calls)
        attrs = {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": step.tokens[0],
            "gen_ai.usage.output_tokens": step.tokens[1],
            "events": json.dumps([*events, {"event.name": "gen_ai.choice", "index": 0, "message": said}]),
        }
        spans.append(span(number + 2, 1, "chat gpt-4o", at=10 * number, lasts=2, attrs=attrs))
        events = [*events, said, *(_event("tool", call.result, of=call.id) for call in step.calls)]

        def of_tool(call: Call) -> dict[str, Any]:
            return {"gen_ai.tool.name": call.tool, "gen_ai.tool.call.id": call.id, "tool_response": _whole(call.result)}

        spans += _tools(step, 10 * number + 3, talk, of_tool, number)
    run = {
        "agent_name": AGENT,
        "model_name": "gpt-4o",
        "all_messages_events": json.dumps(events),
        "gen_ai.usage.input_tokens": sum(step.tokens[0] for step in talk.steps),
    }
    return [*spans, span(1, None, "agent run", lasts=100, attrs=run)]


def _event(role: str, content: Any, calls: Iterable[Call] = (), of: str | None = None) -> dict[str, Any]:
    asked = [{"id": c.id, "type": "function", "function": {"name": c.tool, "arguments": c.arguments}} for c in calls]
    found = {"event.name": f"gen_ai.{role}.message", "role": role, "gen_ai.message.index": 0, "content": content or None}
    return {**found, **({"tool_calls": asked} if asked else {}), **({} if of is None else {"id": of})}


CONVENTIONS: dict[str, Callable[[Talk], Spans]] = {
    "opentelemetry": opentelemetry,
    "openinference": openinference,
    "ai-sdk": ai_sdk,
    "ai-sdk of before": lambda talk: ai_sdk(talk, is_old=True),
    "ai-sdk streamed": lambda talk: ai_sdk(talk, is_streamed=True),
    "pydantic-ai": pydantic_ai,
}
