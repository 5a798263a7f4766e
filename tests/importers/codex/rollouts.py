"""Rollouts of the Codex CLI, made up: several versions of the format, line by line."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runfold.importers.format import SourceThread
from runfold.importers.formats.codex import FORMAT
from runfold.importers.sources import SourceFile
from runfold.importers.tally import Note, Problem
from runfold.importers.turns.turn import Session

SESSION = "019b0000-0000-7000-8000-00000000000a"


@dataclass
class Rollout:
    """A file that is written line by line. Each line is a second after the one before."""

    session_id: str = SESSION
    lines: list[dict[str, Any]] = field(default_factory=list)
    hour: int = 10

    def line(self, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        """A line of any kind."""
        number = len(self.lines)
        at = f"2026-03-01T{self.hour:02}:{number // 60:02}:{number % 60:02}.000Z"
        self.lines.append({"timestamp": at, "type": kind, "payload": payload})
        return self.lines[-1]

    def meta(self, **more: Any) -> None:
        """The first line."""
        about = {"id": self.session_id, "timestamp": "2026-03-01T10:00:00.000Z", "cwd": "/work", "originator": "codex_cli_rs"}
        self.line("session_meta", {**about, "cli_version": "0.100.0", "source": "cli", "model_provider": "openai", **more})

    def item(self, kind: str, /, **payload: Any) -> None:
        """An item of the model's provider."""
        self.line("response_item", {"type": kind, **payload})

    def event(self, kind: str, /, **payload: Any) -> None:
        """An event of the client."""
        self.line("event_msg", {"type": kind, **payload})

    def say(self, role: str, words: str) -> None:
        """A message as an item."""
        kind = "output_text" if role == "assistant" else "input_text"
        self.item("message", role=role, content=[{"type": kind, "text": words}])

    def prompt(self, words: str) -> None:
        """A person's prompt, as an item and as an event."""
        self.say("user", words)
        self.event("user_message", message=words, images=[])

    def answer(self, words: str) -> None:
        """The agent's words, as an event and as an item."""
        self.event("agent_message", message=words)
        self.say("assistant", words)

    def begin(self, turn_id: str, words: str | None = None, **context: Any) -> None:
        """A turn as newer versions begin it, and its prompt."""
        self.event("task_started", turn_id=turn_id, model_context_window=272000)
        self.line(
            "turn_context",
            {"turn_id": turn_id, "cwd": "/work", "model": "gpt-5.2-codex", "approval_policy": "on-request", **context},
        )
        if words is not None:
            self.prompt(words)

    def end(self, turn_id: str, words: str | None = None) -> None:
        """The end that newer versions tell."""
        self.event("task_complete", turn_id=turn_id, last_agent_message=words)

    def call(self, call_id: str, command: str = "ls", name: str = "shell") -> None:
        """The agent calls a tool."""
        self.item("function_call", name=name, arguments=json.dumps({"command": command}), call_id=call_id)

    def output(self, call_id: str, output: Any) -> None:
        """The tool answers."""
        self.item("function_call_output", call_id=call_id, output=output)

    def tokens(self, last: tuple[int, int], total: tuple[int, int], cached: int = 0, reasoning: int = 0) -> None:
        """What the last call of the model used, and all of them."""
        usages = [
            {
                "input_tokens": put,
                "cached_input_tokens": cached,
                "output_tokens": out,
                "reasoning_output_tokens": reasoning,
                "total_tokens": put + out,
            }
            for put, out in (total, last)
        ]
        info = {"total_token_usage": usages[0], "last_token_usage": usages[1], "model_context_window": 272000}
        self.event("token_count", info=info, rate_limits={"primary": {"used_percent": len(self.lines)}})

    def text(self, lines: int | None = None) -> str:
        """The first lines, or all."""
        return "".join(json.dumps(line) + "\n" for line in self.lines[:lines])

    def write(self, folder: Path, lines: int | None = None, name: str | None = None) -> Path:
        """Write the file."""
        path = folder / (name or f"rollout-2026-03-01T10-00-00-{self.session_id}.jsonl")
        path.write_text(self.text(lines))
        return path


def whole() -> Rollout:
    """A session of a newer version, in which everything usual happens."""
    rollout = Rollout()
    rollout.meta(base_instructions={"text": "You are Codex."})
    rollout.begin("019b0000-0000-7000-8000-0000000000t1")
    rollout.say("developer", "<permissions instructions>Ask first.</permissions instructions>")
    rollout.say("user", "<environment_context>\n  <cwd>/work</cwd>\n</environment_context>")
    rollout.prompt("Are the tests green?")
    rollout.item("reasoning", id="rs_1", summary=[{"type": "summary_text", "text": "**Look**"}], encrypted_content="gAAA")
    rollout.event("agent_reasoning", text="**Look**")
    rollout.call("call_1", "pytest")
    rollout.tokens((1000, 50), (1000, 50), cached=400, reasoning=20)
    rollout.output("call_1", json.dumps({"output": "1 failed", "metadata": {"exit_code": 1, "duration_seconds": 0.4}}))
    rollout.tokens((1000, 50), (1000, 50), cached=400, reasoning=20)
    rollout.item(
        "custom_tool_call", status="completed", call_id="call_2", name="apply_patch", input="*** Begin Patch\n*** End Patch"
    )
    rollout.event("patch_apply_end", call_id="call_2", stdout="Success.", stderr="", success=True, changes={})
    rollout.item("custom_tool_call_output", call_id="call_2", output="Success.")
    rollout.tokens((1500, 70), (2500, 120), cached=1000)
    rollout.answer("They are now.")
    rollout.end("019b0000-0000-7000-8000-0000000000t1", "They are now.")
    rollout.begin("019b0000-0000-7000-8000-0000000000t2", "Push it.")
    rollout.call("call_3", "git push")
    rollout.output("call_3", "aborted by user after 2.1s")
    rollout.event("turn_aborted", turn_id="019b0000-0000-7000-8000-0000000000t2", reason="interrupted")
    rollout.say("user", "<turn_aborted>\nThe user interrupted the previous turn.\n</turn_aborted>")
    rollout.begin("019b0000-0000-7000-8000-0000000000t3", "Then not.")
    rollout.answer("All right.")
    rollout.end("019b0000-0000-7000-8000-0000000000t3", "All right.")
    return rollout


def implicit() -> Rollout:
    """A session of 2025, which tells neither where turns begin nor where they end well."""
    rollout = Rollout("019a0000-0000-7000-8000-00000000000b")
    rollout.meta(cli_version="0.46.0", instructions=None)
    rollout.say("user", "<user_instructions>\nBe short.\n</user_instructions>")
    rollout.say("user", "<environment_context>\n  <cwd>/work</cwd>\n</environment_context>")
    rollout.say("user", "What is here?")
    rollout.event("user_message", message="What is here?", kind="plain")
    rollout.line(
        "turn_context",
        {"cwd": "/work", "approval_policy": "on-request", "sandbox_policy": {"mode": "read-only"}, "model": "gpt-5-codex"},
    )
    rollout.event("token_count", info=None, rate_limits={})
    rollout.event("agent_reasoning", text="**List**")
    rollout.item("reasoning", summary=[{"type": "summary_text", "text": "**List**"}], content=None, encrypted_content="gBBB")
    rollout.call("call_a", "ls")
    rollout.tokens((800, 30), (800, 30))
    rollout.output("call_a", "Exit code: 0\nWall time: 0.1 seconds\nOutput:\nREADME.md\n")
    rollout.answer("One file.")
    rollout.tokens((900, 20), (1700, 50))
    rollout.tokens((900, 20), (1700, 50))
    rollout.say("user", "Remove it.")
    rollout.event("user_message", message="Remove it.", kind="plain")
    rollout.call("call_b", "rm README.md")
    rollout.output("call_b", "exec command rejected by user")
    rollout.event("turn_aborted", reason="interrupted")
    return rollout


def bare() -> Rollout:
    """A session of the first versions: items without an envelope or a time."""
    rollout = Rollout("5973b6c0-94b8-487b-a530-2aeb6098ae0e")
    rollout.lines = [
        {"id": rollout.session_id, "timestamp": "2025-05-07T17:24:21.500Z", "instructions": "Be short."},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello."}]},
        {"type": "reasoning", "id": "rs_9", "summary": []},
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "call_z",
            "status": "completed",
            "action": {"type": "exec", "command": ["echo"]},
        },
        {"record_type": "state"},
        {"type": "function_call_output", "call_id": "call_z", "output": '{"output":"hello","metadata":{"exit_code":0}}'},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
    ]
    return rollout


CHILD, ITS_TURN = "019b0000-0002-7000-8000-0000000000c1", "019b0000-0003-7000-8000-0000000000d1"


def reading(*texts: str, told: list[Problem | Note] | None = None) -> list[Session]:
    """The conversations in files."""
    files = [SourceFile(f"rollout-{n}.jsonl", None, len(text), text.encode()) for n, text in enumerate(texts)]
    reports: list[Problem | Note] = [] if told is None else told
    return [session_of(source) for source in FORMAT.read(files, reports.append)]


def session_of(source: SourceThread) -> Session:
    """The session that a thread is recorded from."""
    session = source.record.args[0]  # type: ignore[attr-defined]
    assert isinstance(session, Session)
    return session


def steps(sessions: Iterable[Session]) -> dict[tuple[str, str, str], Any]:
    """All that was read, by thread, run and step."""
    found: dict[tuple[str, str, str], Any] = {}
    for session in sessions:
        for run_id, turn in session.turns.items():
            found[session.thread_id, run_id, ""] = (turn.parent, turn.kind, turn.agent_id, turn.rewound)
            found.update({(session.thread_id, run_id, step.id): (step.fact, step.actor) for step in turn.steps.values()})
    return found


def fork(source: Rollout, session_id: str, lines: int, *, hour: int = 12) -> Rollout:
    """A new file that begins with another's lines, at another time."""
    copy = Rollout(session_id, hour=hour)
    copy.meta(forked_from_id=source.session_id)
    for line in source.lines[:lines]:
        copy.line(line["type"], line["payload"])
    return copy


def spawning() -> tuple[Rollout, Rollout]:
    """A session whose agent spawns another, and that one's, which was given its parent's past."""
    parent = Rollout()
    parent.meta()
    parent.begin("019b0000-0001-7000-8000-0000000000a1", "Ask somebody.")
    parent.call("call_1", "find it", name="spawn_agent")
    copied = len(parent.lines)
    parent.output("call_1", json.dumps({"agent_id": CHILD, "nickname": "Ada"}))
    parent.answer("Asked.")
    parent.end("019b0000-0001-7000-8000-0000000000a1")
    source = {"subagent": {"thread_spawn": {"parent_thread_id": SESSION, "depth": 1, "agent_role": "explorer"}}}
    child = Rollout(CHILD, hour=11)
    child.meta(source=source, forked_from_id=SESSION, agent_role="explorer")
    for line in parent.lines[:copied]:
        child.line(line["type"], line["payload"])
    child.begin(ITS_TURN, "Find it.")
    child.tokens((10, 2), (10, 2))
    child.answer("It is here.")
    child.end(ITS_TURN)
    return parent, child
