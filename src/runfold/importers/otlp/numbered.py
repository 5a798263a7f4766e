"""Messages as numbered attributes: Traceloop's `gen_ai.prompt.0.role`, and OpenInference's `llm.input_messages.0.message.role`.

A number is only the order: what it skips costs nothing. Attributes that fit no field are told by `unread`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runfold.importers.otlp.messages import Told, Words, decoded, file_of, message_of

_PREFIX = r"(gen_ai\.(?:prompt|completion)|llm\.(?:input|output)_messages)"
_FIELD = re.compile(
    rf"{_PREFIX}\.([0-9]{{1,6}})\.(?:message\.)?(?:"
    r"(?P<field>role|name|content|tool_call_id|function_call_name|function_call_arguments_json)"
    r"|tool_calls\.(?P<call>[0-9]{1,4})\.(?:tool_call\.)?(?:function\.)?(?P<of_call>id|name|arguments)"
    r"|contents\.(?P<part>[0-9]{1,4})\.(?:message_content|tool_call)\.(?P<of_part>.+))"
)
_MESSAGE = re.compile(r"llm\.(?:input|output)_messages\..+|gen_ai\.(?:prompt|completion)\.[0-9]{7,}\..+")
_NUMBER = re.compile(r"[0-9]+")


@dataclass
class _Message:
    """What attributes say of one message."""

    fields: dict[str, Any] = field(default_factory=dict)
    calls: defaultdict[int, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    parts: defaultdict[int, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))

    def words(self, role: str, *, reasoning_counts: bool) -> Words:
        said: dict[str, Any] = {**self.fields, "tool_calls": [call for _, call in sorted(self.calls.items())]}
        if (name := said.pop("function_call_name", None)) is not None and said.get("role") not in {"tool", "function"}:
            said["tool_calls"].append({"name": name, "arguments": said.get("function_call_arguments_json")})
        if self.parts:
            asked = {named for call in self.calls.values() if isinstance(named := call.get("id"), str)}
            content, found = said.get("content"), (_part(part) for _, part in sorted(self.parts.items()))
            parts = [part for part in found if part.get("type") != "tool_call" or not (part["id"] is None or part["id"] in asked)]
            is_more = content not in (None, "") and content not in (part.get("text") for part in parts)
            said["content"] = [*parts, content] if is_more else parts
        return message_of(said, role, reasoning_counts=reasoning_counts)


def numbered(attributes: dict[str, Any], told: Told) -> tuple[list[Words], list[Words]]:
    """What a span was given and gave: by Traceloop's attributes, or else by OpenInference's."""
    found: defaultdict[str, defaultdict[int, _Message]] = defaultdict(lambda: defaultdict(_Message))
    for key, value in attributes.items():
        if value is None or (match := _FIELD.fullmatch(key)) is None:
            continue
        message = found[match[1]][int(match[2])]
        if match["call"] is not None:
            message.calls[int(match["call"])][match["of_call"]] = value
            message.fields.setdefault("role", None)
        elif match["part"] is not None:
            message.parts[int(match["part"])][match["of_part"]] = value
        else:
            is_json = match["field"] == "content" and match[1].startswith("gen_ai.")
            message.fields[match["field"]] = decoded(value, told, key) if is_json else value
    for given, gave in (("gen_ai.prompt", "gen_ai.completion"), ("llm.input_messages", "llm.output_messages")):
        if given in found or gave in found:
            counts = given.startswith("gen_ai.")
            return _side(found[given], "user", counts=counts), _side(found[gave], "assistant", counts=counts)
    return [], []


def unread(attributes: dict[str, Any]) -> Iterator[str]:
    """Yield the kinds of attributes that say something of a message, and are not read."""
    for key in attributes:
        if _MESSAGE.fullmatch(key) and not _FIELD.fullmatch(key):
            yield f"attributes like {_NUMBER.sub('N', key[:200])[:80]!r}, which are not imported"


def _side(messages: dict[int, _Message], role: str, *, counts: bool) -> list[Words]:
    return [message.words(role, reasoning_counts=counts) for _, message in sorted(messages.items())]


def _part(fields: dict[str, Any]) -> dict[str, Any]:
    """A part of OpenInference's in the form of the conventions."""
    kind = fields.get("type")
    if kind in ("tool_use", "tool-call"):  # beside which the call mostly stands again, or alone
        arguments = fields.get("function.arguments")
        call_id = fields.get("id")
        return {
            "type": "tool_call",
            "id": call_id if isinstance(call_id, str) else None,
            "name": fields.get("function.name"),
            "arguments": arguments,
        }
    address = next((value for name, value in fields.items() if name.endswith(".url") and isinstance(value, str)), None)
    if address is None:
        return fields
    mime_type = next((value for name, value in fields.items() if name.endswith(".mime_type")), None)
    return file_of(address, kind if isinstance(kind, str) and kind else "file", mime_type)
