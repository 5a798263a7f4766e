"""Small sources of every format, for what must hold of all of them. A format without a sample fails the tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.importers.codex import rollouts
from tests.importers.conftest import SessionFile, text, tool_use
from tests.importers.copilot import sessions
from tests.importers.formats.chats import FINISHED, STARTED, Chat, call, user
from tests.importers.formats.chats import text as streamed
from tests.importers.inspect.logs import SampleLog, json_log
from tests.importers.inspect.logs import call as inspect_call
from tests.importers.made_trials import results, simulation
from tests.importers.otlp import traces

BY_LINE = ("claude-code", "codex", "copilot", "otlp")
"""Formats of which a record is a line, so that a file may grow."""
MESSAGES = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Book it."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "function": {"name": "book", "arguments": '{"flight": 7}'}, "type": "function"}],
    },
    {"role": "tool", "content": "Error: full", "tool_call_id": "call_1", "name": "book"},
    {"role": "assistant", "content": "It is full."},
]


def _claude_code(folder: Path) -> None:
    main = SessionFile(folder / "main.jsonl", session_id="5e551011-0000-4000-8000-000000000001")
    main.say("Are the tests green?")
    main.reply("msg-1", text("I look."), requestId="req-1")
    main.reply("msg-1", tool_use("toolu_1", "Bash", command="pytest"), output_tokens=9, requestId="req-1")
    main.records[1]["message"]["stop_reason"] = None  # the rest of the answer follows
    main.result("toolu_1", "1 failed", is_error=True)
    main.reply("msg-2", tool_use("toolu_2", "Edit", file="a.py"), requestId="req-2")
    main.result("toolu_2", [{"type": "text", "text": "done"}])
    main.reply("msg-3", text("They are now."), requestId="req-3", message_stop="end_turn")
    main.say("Push it.")
    main.reply("msg-4", tool_use("toolu_3", "Bash", command="git push"), requestId="req-4")
    main.write()
    fork = SessionFile(folder / "fork.jsonl", session_id="5e551011-0000-4000-8000-000000000002")
    fork.records = [{**record, "sessionId": fork.session_id} for record in main.records[:7]]
    fork.add("user", "And then?", uuid="fork-line-7")
    fork.add("assistant", [text("Nothing.")], uuid="fork-line-8", message={"id": "msg-9", "model": "model-1"}, requestId="req-9")
    fork.write()


def _codex(folder: Path) -> None:
    for made in (rollouts.whole(), rollouts.implicit(), rollouts.bare()):
        made.write(folder)


def _copilot(folder: Path) -> None:
    sessions.whole().write(folder)


def _inspect(folder: Path) -> None:
    sample = SampleLog()
    asked = inspect_call("call-1", cmd="ls")
    sample.answer("m-1", "I look.", asked)
    sample.approval(asked, "approve", "human")
    sample.result("call-1", "a b", "m-2")
    sample.answer("m-3", "Two.")
    json_log(folder / "log.json", sample.done(scores={"match": {"value": "C", "answer": "Two."}}))


def _otlp(folder: Path) -> None:
    traces.lines(folder / "traces.jsonl", traces.request(*traces.turn(1)), traces.request(*traces.turn(2)))


def _tau2(folder: Path) -> None:
    (folder / "results.json").write_text(json.dumps(results(simulation("sim-1", reward=1.0), simulation("sim-2")), indent=1))


def _tau_bench(folder: Path) -> None:
    trials = [{"task_id": task, "trial": 0, "reward": task % 2, "info": {}, "traj": MESSAGES} for task in range(3)]
    (folder / "trials.json").write_text(json.dumps(trials, indent=1))


def _ag_ui(folder: Path) -> None:
    chat = Chat(folder)
    result = {"type": "TOOL_CALL_RESULT", "messageId": "m2", "toolCallId": "c1", "content": "sun"}
    usage: list[dict[str, Any]] = [{"model": "m", "inputTokens": 7, "outputTokens": 9}]
    events = [
        {**STARTED, "runId": "r1"},
        *streamed("m1", "Let me ", "see."),
        *call("c1", "weather", '{"city":', '"Kiel"}'),
        result,
    ]
    chat.turn([*events, *streamed("m3", "Sunny."), {**FINISHED, "runId": "r1", "usage": usage}], user("Hi"))
    chat.turn([{**STARTED, "runId": "r2"}, *streamed("m4", "Bye."), {**FINISHED, "runId": "r2"}], user("Hi"), user("Bye"))


SAMPLES: dict[str, Callable[[Path], None]] = {
    "ag-ui": _ag_ui,
    "claude-code": _claude_code,
    "codex": _codex,
    "copilot": _copilot,
    "inspect": _inspect,
    "otlp": _otlp,
    "tau-bench": _tau_bench,
    "tau2": _tau2,
}
"""Writes the files of a format into a folder."""


def files_of(format: str, folder: Path) -> list[Path]:
    """Write the sample of a format, and return its files."""
    SAMPLES[format](folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())
