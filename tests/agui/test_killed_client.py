"""A client that is killed in the middle of a run: another joins it, and ends with the same messages."""

import signal
from pathlib import Path
from typing import Any

from tests.agui import node


def script(gate: Path) -> list[Any]:
    said = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": delta} for delta in ("one ", "two")]
    begun = {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}
    return [
        {"type": "RUN_STARTED"},
        *(begun, said[0], {"gate": str(gate)}, said[1], {"type": "TEXT_MESSAGE_END", "messageId": "m"}),
        {"type": "RUN_FINISHED"},
    ]


def test_after_kill_9_a_client_joins_its_run_and_has_what_an_undisturbed_one_has(told: dict[str, Any], tmp_path: Path) -> None:
    folder, gate, open_gate = node.program(tmp_path), tmp_path / "gate", tmp_path / "open"
    open_gate.touch()
    asked = {**told, "thread": "killed", "run": "killed-run", "script": script(gate)}
    first = node.start(folder, "killed.mjs", asked)
    assert first.stdout is not None
    assert first.stdout.readline() == "seen\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    gate.touch()
    joined = node.result(node.start(folder, "killed.mjs", {**asked, "quiet": True}))
    other = {**told, "thread": "undisturbed", "run": "whole-run", "script": script(open_gate), "quiet": True}
    assert joined == node.result(node.start(folder, "killed.mjs", other)) == {"contents": ["go", "one two"], "errors": 0}
