"""The AI SDK's messages (`ai.prompt.messages`, `ai.response.text`, …) in the form of the conventions."""

from typing import Any

from runfold.importers.otlp.messages import Told, Words, decoded, file_of, message_of
from runfold.importers.otlp.spans import Span


def exchange(span: Span, told: Told) -> tuple[list[Words], list[Words]]:
    """What a span of the AI SDK was given and gave. The one around a whole run has its prompt as the caller wrote it."""
    attributes = span.attributes
    if "ai.operationId" not in attributes:
        return [], []
    prompt = decoded(attributes.get("ai.prompt.messages"), told, "ai.prompt.messages")
    if prompt is None:
        prompt = _of_caller(decoded(attributes.get("ai.prompt"), told, "ai.prompt"))
    listed = prompt if isinstance(prompt, list) else [] if prompt is None else [prompt]
    return [_message(each) for each in listed], _answer(attributes, told)


def _of_caller(prompt: Any) -> Any:
    """The messages of a prompt that may have its system's words, a text, and messages beside each other."""
    if not isinstance(prompt, dict):
        return prompt
    found = [{"role": "system", "content": prompt["system"]}] if prompt.get("system") else []
    for name in ("messages", "prompt"):
        more = prompt.get(name)
        found += more if isinstance(more, list) else [more] if more else []
    return found


def _answer(attributes: dict[str, Any], told: Told) -> list[Words]:
    reasoning, text = attributes.get("ai.response.reasoning"), attributes.get("ai.response.text")
    parts: list[Any] = [{"type": "reasoning", "content": reasoning}] if reasoning else []
    parts += [said for said in (text, attributes.get("ai.response.object")) if said not in (None, "")]
    calls = decoded(attributes.get("ai.response.toolCalls"), told, "ai.response.toolCalls")
    parts += [
        _part({"type": "tool-call", **call}) for call in (calls if isinstance(calls, list) else []) if isinstance(call, dict)
    ]
    return [message_of({"parts": parts}, "assistant", reasoning_counts=False)] if parts else []


def _message(message: Any) -> Words:
    if not isinstance(message, dict):
        return message_of({"content": message})
    content = message.get("content")
    parts = [_part(part) if isinstance(part, dict) else part for part in content] if isinstance(content, list) else content
    return message_of({"role": message.get("role"), "content": parts}, reasoning_counts=False)


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part.get("type"):
        case "tool-call":
            arguments = part.get("input", part.get("args"))
            return {"type": "tool_call", "id": part.get("toolCallId"), "name": part.get("toolName"), "arguments": arguments}
        case "tool-result":
            return {"type": "tool_call_response", "id": part.get("toolCallId"), **_result(part)}
        case "image" | "file" as kind:
            held = part.get("data", part.get("image", part.get("url")))
            media_type = part.get("mediaType", part.get("mimeType"))
            if not isinstance(held, str):
                return part
            if "://" in held[:20] or held.startswith("data:"):
                return file_of(held, kind, media_type)
            return {"type": "blob", "mime_type": media_type, "modality": kind, "content": held}
        case _:
            return part


def _result(part: dict[str, Any]) -> dict[str, Any]:
    """What a tool gave back, which is an error where the part says so."""
    output = part.get("output")
    if not isinstance(output, dict) or not isinstance(kind := output.get("type"), str):
        return {"response": part.get("result", output), "is_error": part.get("isError") is True}
    value = output.get("value", output.get("reason"))
    return {"response": value, "is_error": kind.startswith("error") or kind == "execution-denied"}
