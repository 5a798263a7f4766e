"""What cannot be kept of one line is told, and what stands beside it goes in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.tally import Tally
from tests.importers.claude.told import Lines, Record, call

Importing = Callable[..., Tally]
Changing = Callable[[Record, Record], Any]
"""Changes the line of an answer with three calls, or the line of their results."""

ODD: dict[str, tuple[Changing, int, int]] = {
    "a tool without a name": (lambda asked, _: asked["message"]["content"][1].update(name=""), 2, 2),
    "a tool with an endless name": (lambda asked, _: asked["message"]["content"][1].update(name="n" * 501), 2, 2),
    "a file of no type": (
        lambda _, answered: answered["message"]["content"][1].update(
            content=[{"type": "image", "source": {"media_type": "", "data": "eA=="}}]
        ),
        3,
        3,
    ),
    "a tier that is a number": (lambda asked, _: asked["message"]["usage"].update(service_tier=5), 3, 3),
    "a part of a kind with no name": (lambda asked, _: asked["message"]["content"].append({"type": ""}), 3, 3),
    "a part of a kind with an endless name": (lambda asked, _: asked["message"]["content"].append({"type": "t" * 501}), 3, 3),
    "a model with an endless name": (lambda asked, _: asked["message"].update(model="m" * 501), 3, 3),
    "a time before the first year": (lambda asked, _: asked.update(timestamp="0001-01-01T00:00:00+14:00"), 3, 3),
    "a time after the last year": (lambda asked, _: asked.update(timestamp="9999-12-31T23:00:00-14:00"), 3, 3),
}


@pytest.mark.parametrize("kind", ODD)
def test_beside_what_is_odd_all_else_goes_in(ledger: Ledger, importing: Importing, tmp_path: Path, kind: str) -> None:
    change, called, ended = ODD[kind]
    told = Lines("s")
    told.prompt("u", None)
    asked = told.answer("a", "u", call("c1"), call("c2"), call("c3"))
    answered = told.result("r", "a", "c1")
    answered["message"]["content"] += [
        {"type": "tool_result", "tool_use_id": name, "content": "done"} for name in ("c2", "c3")
    ] + [{"type": "text", "text": "And more."}]
    told.answer("b", "r")
    change(asked, answered)
    tally = importing("claude-code", told.write(tmp_path / "one.jsonl"))
    types = [recorded.type for recorded in ledger.subscribe(follow=False)]
    assert (types.count("tool.called"), types.count("tool.succeeded"), types.count("usage.recorded")) == (called, ended, 2)
    assert (types.count("message.added"), types.count("run.completed")) == (7, 1)
    assert {problem.line for problem in tally.problems} <= {2, 3}


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00"])
def test_a_time_that_no_event_can_have_is_told_and_the_other_sessions_go_in(
    ledger: Ledger, importing: Importing, tmp_path: Path, moment: str
) -> None:
    for session in ("s-1", "s-2"):
        told = Lines(session)
        told.prompt(session, None)["timestamp"] = moment if session == "s-1" else "2026-08-01T10:00:00Z"
        told.write(tmp_path / f"{session}.jsonl")
    tally = importing("claude-code", tmp_path)
    assert (tally.threads, tally.messages, [problem.line for problem in tally.problems]) == (2, 2, [1])
