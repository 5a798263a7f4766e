"""Sessions of the Copilot CLI, made up, event by event."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Events:
    """A file that is written event by event. Each is a second after the one before."""

    session_id: str = "0f0f0000-0000-4000-8000-000000000001"
    records: list[dict[str, Any]] = field(default_factory=list)
    with_ids: bool = True

    def add(self, kind: str, /, *, agent: str | None = None, **data: Any) -> str:
        """An event of any kind. Returns its id."""
        number = len(self.records)
        record: dict[str, Any] = {
            "type": kind,
            "data": data,
            "timestamp": f"2026-04-01T09:{number // 60:02}:{number % 60:02}.000Z",
        }
        if self.with_ids:
            record["id"] = f"{self.session_id[:8]}-{number:04}"
            record["parentId"] = self.records[-1].get("id") if self.records else None
        if agent is not None:
            record["agentId"] = agent
        self.records.append(record)
        return str(record.get("id"))

    def start(self, **more: Any) -> None:
        """The first event."""
        about: dict[str, Any] = {
            "version": 1,
            "producer": "copilot-agent",
            "copilotVersion": "1.0.77",
            "startTime": "2026-04-01T09:00:00Z",
        }
        self.add("session.start", sessionId=self.session_id, context={"cwd": "/work", "branch": "main"}, **about, **more)

    def say(self, words: str, **more: Any) -> None:
        """The person speaks."""
        self.add("user.message", content=words, transformedContent=f"<now/>{words}", agentMode="interactive", **more)

    def reply(self, words: str, *calls: tuple[str, str], agent: str | None = None, **more: Any) -> None:
        """The agent speaks, and asks for tools."""
        number = len(self.records)
        requests = [
            {"toolCallId": call, "name": name, "arguments": {"command": call}, "type": "function"} for call, name in calls
        ]
        said = {"messageId": f"message-{number}", "model": "claude-sonnet-4.5", "content": words, "toolRequests": requests}
        self.add("assistant.message", agent=agent, outputTokens=7, **said, **more)

    def run(self, call: str, result: str | None = "fine", *, agent: str | None = None, **error: Any) -> None:
        """A tool runs."""
        self.add("tool.execution_start", agent=agent, toolCallId=call, toolName="bash", arguments={"command": call})
        self.done(call, result, agent=agent, **error)

    def done(self, call: str, result: str | None = "fine", *, agent: str | None = None, **error: Any) -> None:
        """A tool is done."""
        told: dict[str, Any] = {"result": {"content": result}} if result is not None else {"error": error}
        self.add("tool.execution_complete", agent=agent, toolCallId=call, success=result is not None, **told)

    def ask(self, request: str, call: str, kind: str, source: str | None = None, **more: Any) -> None:
        """A permission is asked for and decided."""
        asked = {"kind": "shell", "toolCallId": call, "fullCommandText": f"do {call}", "intention": "Do it"}
        self.add("permission.requested", requestId=request, permissionRequest=asked)
        told = {} if source is None else {"decisionSource": source}
        self.add("permission.completed", requestId=request, toolCallId=call, result={"kind": kind, **more}, **told)

    def turn(self, number: int) -> None:
        """A turn of the model begins."""
        self.add("assistant.turn_start", turnId=str(number))

    def over(self, number: int) -> None:
        """It ends."""
        self.add("assistant.turn_end", turnId=str(number))

    def shut(self, kind: str = "routine", **models: tuple[int, int, int]) -> None:
        """The session ends."""
        metrics = {
            model.replace("_", "-"): {
                "requests": {"count": 3, "cost": 1},
                "usage": {
                    "inputTokens": put,
                    "outputTokens": out,
                    "cacheReadTokens": cached,
                    "cacheWriteTokens": 0,
                    "reasoningTokens": 0,
                },
            }
            for model, (put, out, cached) in models.items()
        }
        self.add("session.shutdown", shutdownType=kind, totalApiDurationMs=10, modelMetrics=metrics, currentModel="gpt-5")

    def text(self, lines: int | None = None) -> str:
        """The first lines, or all."""
        return "".join(json.dumps(record) + "\n" for record in self.records[:lines])

    def write(self, folder: Path, lines: int | None = None) -> Path:
        """Write the file where the client does."""
        path = folder / self.session_id / "events.jsonl"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(self.text(lines))
        return path


def whole(*, with_ids: bool = True) -> Events:
    """A session in which everything usual happens."""
    events = Events(with_ids=with_ids)
    events.start(selectedModel="claude-sonnet-4.5")
    events.add("system.message", role="system", content="You are Copilot.")
    events.say("Clean up.")
    events.turn(0)
    events.add("hook.start", hookInvocationId="h1", hookType="preToolUse")
    events.reply("I look.", ("toolu_1", "bash"), ("toolu_2", "bash"), reasoningText="Look first.")
    events.ask("p1", "toolu_1", "approved", "human_response")
    events.run("toolu_1", "a b c")
    events.ask("p2", "toolu_2", "denied-interactively-by-user", feedback="Keep it.")
    events.done("toolu_2", None, code="rejected", message="The user rejected this tool call.")
    events.over(0)
    events.turn(1)
    events.reply("", ("toolu_3", "task"))
    events.add("tool.execution_start", toolCallId="toolu_3", toolName="task", arguments={"prompt": "Find it"})
    events.add(
        "subagent.started",
        agent="toolu_3",
        toolCallId="toolu_3",
        agentName="explore",
        agentDisplayName="Explore",
        agentDescription="",
    )
    events.add("user.message", agent="toolu_3", content="Find it")
    events.reply("", ("toolu_4", "bash"), agent="toolu_3")
    events.run("toolu_4", "here", agent="toolu_3")
    events.reply("It is here.", agent="toolu_3")
    events.add("subagent.completed", agent="toolu_3", toolCallId="toolu_3", agentName="explore", agentDisplayName="Explore")
    events.done("toolu_3", "It is here.")
    events.over(1)
    events.turn(2)
    events.reply("Done.")
    events.over(2)
    events.shut(claude_sonnet=(1000, 60, 800), gpt_5=(50, 5, 0))
    events.add("session.resume", resumeTime="2026-04-01T10:00:00Z", eventCount=30)
    events.say("Go on.")
    events.turn(0)
    events.reply("I go.", ("toolu_5", "bash"))
    events.add("tool.execution_start", toolCallId="toolu_5", toolName="bash", arguments={})
    events.add("abort", reason="user_initiated")
    asked = {"question": "Which way?", "choices": ["Left", "Right"]}
    events.say("Then explain.")
    request = {"toolCallId": "ask", "name": "ask_user", "arguments": asked}
    events.add("assistant.message", messageId="m-ask", content="", toolRequests=[request])
    events.done("ask", "User selected: Left")
    events.turn(0)
    events.add("session.error", errorType="rate_limit", message="Too many requests", statusCode=429)
    events.shut(claude_sonnet=(200, 10, 0))
    return events
