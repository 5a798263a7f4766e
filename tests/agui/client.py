"""A client of AG-UI that keeps messages and state as AG-UI's own one does."""

import copy
from dataclasses import dataclass, field
from typing import Any

import jsonpatch

Event = dict[str, Any]


@dataclass
class Client:
    """What a client has after some events."""

    messages: list[Event] = field(default_factory=list)
    state: Any = field(default_factory=dict)
    pending: list[Event] = field(default_factory=list)
    """The interrupts that wait for answers."""

    def take_all(self, events: list[Event]) -> "Client":
        for event in events:
            self.take(copy.deepcopy(event))
        return self

    def take(self, event: Event) -> None:
        stem, _, phase = event["type"].rpartition("_")
        match event["type"]:
            case "RUN_STARTED":
                known = {message["id"] for message in self.messages}
                self.messages += [message for message in event.get("input", {}).get("messages", []) if message["id"] not in known]
                self.pending = []
            case "RUN_FINISHED":
                self.pending = event.get("outcome", {}).get("interrupts", [])
            case "MESSAGES_SNAPSHOT":
                self._replace(event["messages"])
            case "STATE_SNAPSHOT":
                self.state = event["snapshot"]
            case "STATE_DELTA":
                self.state = jsonpatch.apply_patch(self.state, event["delta"])
            case "ACTIVITY_SNAPSHOT":
                message = self._message(event["messageId"], "activity", event)
                message.update(activityType=event["activityType"], content=event["content"])
            case "TOOL_CALL_RESULT":
                message = {
                    "id": event["messageId"],
                    "role": "tool",
                    "toolCallId": event["toolCallId"],
                    "content": event["content"],
                }
                self.messages.append(_owned(message, event))
            case _ if stem in {"TEXT_MESSAGE", "REASONING_MESSAGE"}:
                role = "reasoning" if stem.startswith("REASONING") else event.get("role", "assistant")
                message = self._message(event["messageId"], role, event)
                message["content"] = message.get("content", "") + event.get("delta", "")
                if "name" in event:
                    message["name"] = event["name"]
            case _ if stem == "TOOL_CALL":
                self._call(event, phase)

    def told(self) -> list[Event]:
        """The messages without what is told beside them, and without the order in which a snapshot keeps them."""
        return [_plain(message) for message in self.messages if message["role"] != "activity"]

    def activities(self) -> dict[str, Event]:
        """The activities, which clients keep through snapshots that have none."""
        return {message["id"]: _plain(message) for message in self.messages if message["role"] == "activity"}

    def _replace(self, messages: list[Event]) -> None:
        kept = {message["id"] for message in messages}
        self.messages = [*messages, *(one for one in self.messages if one["role"] == "activity" and one["id"] not in kept)]

    def _message(self, message_id: str, role: str, event: Event) -> Event:
        for message in self.messages:
            if message["id"] == message_id:
                return message
        self.messages.append(_owned({"id": message_id, "role": role}, event))
        return self.messages[-1]

    def _call(self, event: Event, phase: str) -> None:
        calls = {call["id"]: call for message in self.messages for call in message.get("toolCalls", ())}
        call = calls.get(event["toolCallId"])
        if call is None and phase == "START":
            holder = self._message(event.get("parentMessageId", event["toolCallId"]), "assistant", event)
            call = {"id": event["toolCallId"], "function": {"name": event["toolCallName"], "arguments": ""}}
            holder.setdefault("toolCalls", []).append(call)
        if call is not None:
            call["function"]["arguments"] += event.get("delta", "")


def _owned(message: Event, event: Event) -> Event:
    return {**message, "subagentRunId": event["subagentRunId"]} if "subagentRunId" in event else message


def _plain(message: Event) -> Event:
    calls = [{"id": call["id"], "function": call["function"]} for call in message.get("toolCalls", ())]
    keys = ("id", "role", "content", "toolCallId", "name", "subagentRunId", "activityType")
    found = {key: message[key] for key in keys if message.get(key) not in (None, "")}
    return {**found, **({"calls": calls} if calls else {})}
