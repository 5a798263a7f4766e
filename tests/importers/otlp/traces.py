"""Made-up traces: spans with attributes in OTLP's JSON, and the files that hold them in each of its encodings."""

import base64
import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START = 1_772_359_200_000_000_000
"""2026-03-01T10:00:00Z, in nanoseconds."""


def any_value(value: Any) -> dict[str, Any]:
    """JSON as a value of OTLP."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(member) for member in value]}}
        case dict():
            return {"kvlistValue": {"values": attributes(value)}}
        case _:
            return {"stringValue": value}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes in OTLP's JSON."""
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]


def span(
    id: int | str,
    parent: int | str | None = None,
    name: str = "a span",
    at: float = 0,
    lasts: float | None = 1,
    trace: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """A span, from second `at` on. `attrs` are its attributes, with dots as `__`."""
    found = {
        "traceId": f"{trace:032x}",
        "spanId": _span_id(id),
        "name": name,
        "kind": 3,
        "startTimeUnixNano": str(START + int(at * 10**9)),
        "endTimeUnixNano": "0" if lasts is None else str(START + int((at + lasts) * 10**9)),
        "attributes": attributes(more.pop("attrs", {})),
        "status": {},
        **more,
    }
    return found if parent is None else {**found, "parentSpanId": _span_id(parent)}


def _span_id(id: int | str) -> str:
    return f"{id:016x}" if isinstance(id, int) else id


def agent(
    id: int, parent: int | None = None, name: str = "support", conversation: str | None = None, **more: Any
) -> dict[str, Any]:
    """An agent's span."""
    attrs = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, **more.pop("attrs", {})}
    if conversation is not None:
        attrs["gen_ai.conversation.id"] = conversation
    return span(id, parent, f"invoke_agent {name}", attrs=attrs, **more)


def chat(
    id: int,
    parent: int | None = None,
    given: Iterable[dict[str, Any]] = (),
    gave: Iterable[dict[str, Any]] = (),
    tokens: tuple[int, int] | None = (100, 10),
    **more: Any,
) -> dict[str, Any]:
    """A model call's span, by the conventions of today."""
    attrs = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
    if given:
        attrs["gen_ai.input.messages"] = json.dumps([*given])
    if gave:
        attrs["gen_ai.output.messages"] = json.dumps([*gave])
    counts: dict[str, Any] = {}
    if tokens is not None:
        counts = {"gen_ai.usage.input_tokens": tokens[0], "gen_ai.usage.output_tokens": tokens[1]}
    return span(id, parent, "chat gpt-4o", attrs={**attrs, **counts, **more.pop("attrs", {})}, **more)


def tool(id: int, parent: int | None = None, name: str = "find", call: str | None = "c-1", **more: Any) -> dict[str, Any]:
    """A tool's span."""
    attrs = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    if call is not None:
        attrs["gen_ai.tool.call.id"] = call
    return span(id, parent, f"execute_tool {name}", attrs={**attrs, **more.pop("attrs", {})}, **more)


def text(role: str, content: str) -> dict[str, Any]:
    """A message of text alone."""
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def asks(content: str, call: str = "c-1", name: str = "find", **arguments: Any) -> dict[str, Any]:
    """An answer that asks for a tool."""
    wanted = {"type": "tool_call", "id": call, "name": name, "arguments": arguments}
    return {"role": "assistant", "parts": [{"type": "text", "content": content}, wanted]}


def answers(response: Any, call: str = "c-1") -> dict[str, Any]:
    """A tool's result as a message."""
    return {"role": "tool", "parts": [{"type": "tool_call_response", "id": call, "response": response}]}


def request(*spans: dict[str, Any], service: str = "shop", scope: str = "my.scope") -> dict[str, Any]:
    """A batch of spans."""
    resource = {"attributes": attributes({"service.name": service})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": scope}, "spans": [*spans]}]}]}


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    """A batch of log records."""
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [*records]}]}]}


def record(of: dict[str, Any], name: str, body: Any, number: int = 0) -> dict[str, Any]:
    """An event that was logged within a span."""
    return {
        "timeUnixNano": str(int(of["startTimeUnixNano"]) + number),
        "traceId": of["traceId"],
        "spanId": of["spanId"],
        "eventName": name,
        "body": any_value(body),
    }


def lines(path: Path, *batches: dict[str, Any]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(batch) + "\n" for batch in batches))
    return path


def protobuf(batch: dict[str, Any]) -> bytes:
    """A batch of spans in protobuf."""
    batch = copy.deepcopy(batch)
    for resource in batch["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for each in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in each:
                        each[name] = base64.b64encode(bytes.fromhex(each[name])).decode()
    return bytes(ParseDict(batch, ExportTraceServiceRequest()).SerializeToString())


def turn(number: int = 1, conversation: str | None = "conv-1") -> list[dict[str, Any]]:
    """A turn of a conversation: an agent that asks a model, runs a tool with another agent in it, and asks again."""
    at, base = number * 100, number * 1000
    question, wish, found, done = (
        text("user", f"Question {number}?"),
        asks("Let me see.", q=number),
        answers("it is"),
        text("assistant", f"Answer {number}."),
    )
    more: dict[str, Any] = {"trace": number}
    return [
        chat(base + 2, base + 1, [question], [wish], at=at + 1, **more),
        chat(base + 5, base + 4, (), (), (7, 3), at=at + 4, **more),
        agent(base + 4, base + 3, "helper", at=at + 3.5, lasts=2, **more),
        tool(base + 3, base + 1, at=at + 3, lasts=3, attrs={"gen_ai.tool.call.result": '"it is"'}, **more),
        chat(base + 6, base + 1, [question, wish, found], [done], (200, 20), at=at + 7, **more),
        agent(base + 1, None, conversation=conversation, at=at, lasts=10, **more),
    ]
