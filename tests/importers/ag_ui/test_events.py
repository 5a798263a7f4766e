"""What single events of AG-UI become: chunks, reasoning, interrupts by the producer's clock, and odd values."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.ag_ui.shapes import moment
from runfold.importers.tally import Tally
from tests.importers.ag_ui.chats import Event, answered, called, finished, requested, said, started, user, write

Importing = Callable[..., Tally]
TEN = 1_780_308_000_000
"""Ten o'clock, 1 June 2026, in milliseconds."""


def chunk(delta: str, message_id: str = "", **more: Any) -> Event:
    """A piece of a message that needs no start."""
    return {"type": "TEXT_MESSAGE_CHUNK", "delta": delta, **({"messageId": message_id} if message_id else {}), **more}


def call_chunk(delta: str, call_id: str = "", name: str = "") -> Event:
    """A piece of a tool call that needs no start."""
    named = {"toolCallId": call_id, "toolCallName": name} if call_id else {}
    return {"type": "TOOL_CALL_CHUNK", "delta": delta, **named}


def words(ledger: Ledger) -> list[tuple[str, str]]:
    """The conversation of the only thread."""
    ledger.fold("threads")
    (row,) = ledger.now.threads().items
    return [(message.role, message.text) for message in ledger.thread(row.thread_id).messages()]


@pytest.mark.parametrize("named", ["", "m" * 501, None])
def test_what_a_model_without_a_name_that_can_be_kept_used_is_counted(
    importing: Importing, ledger: Ledger, tmp_path: Path, named: str | None
) -> None:
    used = {"model": named, "provider": named, "inputTokens": 5, "outputTokens": True}
    tally = importing("ag-ui", write(tmp_path / "e.json", [started(), finished(usage=[used])]))
    (recorded,) = ledger.events(types=["usage.recorded"])
    assert (recorded.event.model, recorded.event.tokens.input_tokens) == (named[:500] or None if named else None, 5)
    assert [problem.reason for problem in tally.problems] == ["1.usage.0.outputTokens: is no number; it was left out"]


RAW = {"type": "CUSTOM", "name": "x", "value": 1}


@pytest.mark.parametrize(
    ("events", "texts"),
    [
        ([chunk("a", "m1"), chunk("b"), chunk("c", "m1")], ["abc"]),
        ([chunk("a", "m1"), chunk("b"), chunk("c", "m2"), chunk("d")], ["ab", "cd"]),
        ([chunk("a", "m1"), RAW, chunk("b", "m1")], ["a", "", "b"]),
        ([chunk("a", "m1"), *called("c1"), chunk("b", "m1")], ["a", "", "b"]),
        ([chunk("a", "m1"), call_chunk("{", "c1", "look"), call_chunk("}"), chunk("b", "m2")], ["a", "", "b"]),
        ([*said("m1", "a"), *called("c1"), answered("c1", "r"), *said("m1", "b")], ["a", "", "r", "b"]),
        ([said("m1", "a")[0], chunk("b", "m1"), *said("m1", "c")[1:]], ["bc"]),
        ([chunk("a")], ["a"]),
    ],
)
def test_chunks_go_on_with_what_is_open_and_any_other_event_closes_it(
    ledger: Ledger, importing: Importing, tmp_path: Path, events: list[Event], texts: list[str]
) -> None:
    tally = importing("ag-ui", write(tmp_path / "e.json", [started(), *events, finished()]))
    assert tally.problems == []
    assert [text for _, text in words(ledger)] == texts


def test_arguments_of_chunks_are_whole(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    events = [call_chunk('{"a"', "c1", "look"), call_chunk(":1}"), call_chunk("{}", "c2", "look"), answered("c2", "x")]
    importing("ag-ui", write(tmp_path / "e.json", [started(), *events, finished()]))
    (run,) = (item.stream for item in ledger.events(types=["run.created"]))
    calls = ledger.now.tool_calls(run_id=run).items
    assert [(call.arguments_text, call.status) for call in calls] == [('{"a":1}', "called"), ("{}", "succeeded")]


def test_thinking_is_reasoning(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    thinking = [
        {"type": "THINKING_START", "title": "Plan"},
        {"type": "THINKING_TEXT_MESSAGE_START"},
        {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "Hm"},
        {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "m"},
        {"type": "THINKING_TEXT_MESSAGE_END"},
        {"type": "THINKING_END"},
    ]
    tally = importing("ag-ui", write(tmp_path / "e.json", [started(), *thinking, *thinking, *said("m", "Yes"), finished()]))
    assert (tally.problems, tally.notes) == ([], [])
    assert words(ledger) == [("reasoning", "Hmm"), ("reasoning", "Hmm"), ("assistant", "Yes")]


@pytest.mark.parametrize(("output", "reasoning", "beside"), [(9, 20, True), (9, 9, False), (0, 4, True), (None, 4, False)])
def test_reasoning_above_the_output_stands_beside_it(
    ledger: Ledger, importing: Importing, tmp_path: Path, output: int | None, reasoning: int, beside: bool
) -> None:
    used = {"inputTokens": 5, "outputTokens": output, "reasoningTokens": reasoning}
    assert importing("ag-ui", write(tmp_path / "e.json", [started(), finished(usage=[used])])).problems == []
    (recorded,) = ledger.events(types=["usage.recorded"])
    tokens = recorded.as_json()["data"]["tokens"]
    assert (tokens.get("output_tokens"), tokens["reasoning_output_tokens"]) == (output, reasoning)
    assert tokens.get("reasoning_beside", False) is beside


def test_a_provider_id_that_is_used_again_is_another_call(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    used = [{"inputTokens": 1, "outputTokens": 2}]
    for turn in ("r1", "r2"):
        twice = [*called("Bash:0"), answered("Bash:0", "a"), *called("Bash:0"), answered("Bash:0", "a")]
        importing("ag-ui", write(tmp_path / f"{turn}.json", [started(turn), *twice, finished(turn, usage=used)]))
    assert [item.type for item in ledger.events(types=["tool.*"])] == ["tool.called", "tool.succeeded"] * 4
    assert len(ledger.events(types=["usage.recorded"])) == 2


def asking(expires_at: str | None) -> list[Event]:
    """A run that waits for an answer until then."""
    interrupt = {"id": "i1", "reason": "tool_call", "toolCallId": "c1", "expiresAt": expires_at}
    outcome = {"type": "interrupt", "interrupts": [interrupt]}
    return [started("r1", timestamp=TEN), *called("c1", "delete"), finished("r1", outcome=outcome, timestamp=TEN)]


@pytest.mark.parametrize(
    ("answered_at", "is_granted"),
    [(TEN + 60_000, True), ((TEN + 60_000) // 1000, True), (None, True), (TEN + 3_600_000, False), (TEN + 86_400_000, False)],
)
def test_an_answer_counts_at_the_time_at_which_its_run_began(
    ledger: Ledger, importing: Importing, tmp_path: Path, answered_at: int | None, is_granted: bool
) -> None:
    write(tmp_path / "1.json", asking("2026-06-01T11:00:00Z"))
    write(tmp_path / "2.request.json", requested("r2", resume=[{"interruptId": "i1", "payload": {"approved": True}}]))
    again = [*called("c1", "delete"), answered("c1", "gone")] if is_granted else [*said("m", "Too late.")]
    write(tmp_path / "2.json", [started("r2", timestamp=answered_at), *again, finished("r2", timestamp=answered_at)])
    tally = importing("ag-ui", tmp_path)
    types = [item.type for item in ledger.events(types=["approval.*"])]
    if is_granted:
        assert (tally.problems, types[-2:]) == ([], ["approval.granted", "approval.consumed"])
        assert [item.type for item in ledger.events(types=["tool.*"])] == ["tool.called", "tool.succeeded"]
    else:
        assert "approval.granted" not in types
        assert types[-1] == "approval.expired"
        assert ["had expired at 2026-06-01T11:00:00Z" in problem.reason for problem in tally.problems] == [True]
    assert importing("ag-ui", tmp_path).events == 0


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ({"type": "cancelled"}, "cancelled"),
        ({"type": "success"}, "completed"),
        (None, "completed"),
        ({"type": "odd"}, "completed"),
    ],
)
def test_a_run_ends_as_it_is_stated(ledger: Ledger, importing: Importing, tmp_path: Path, outcome: Any, status: str) -> None:
    importing("ag-ui", write(tmp_path / "e.json", [started(), {**finished(), "outcome": outcome}]))
    (created,) = ledger.events(types=["run.created"])
    assert ledger.run(created.stream).view().status == status


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (TEN, datetime(2026, 6, 1, 10, tzinfo=UTC)),
        (TEN // 1000, datetime(2026, 6, 1, 10, tzinfo=UTC)),
        (TEN * 1000, datetime(2026, 6, 1, 10, tzinfo=UTC)),
        (str(TEN), datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("2026-06-01T10:00:00Z", datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("2026-06-01T10:00:00", None),
        (float("nan"), None),
        (True, None),
        (-1, None),
        ("soon", None),
    ],
)
def test_times_are_told_by_their_size(written: Any, at: datetime | None) -> None:
    assert moment(written) == at


def test_one_odd_value_is_one_problem_and_the_words_of_its_event_are_kept(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    odd = '[{"type":"RUN_STARTED","threadId":"t","runId":"r","timestamp":NaN},'
    odd += '{"type":"TEXT_MESSAGE_START","messageId":"m","role":7},'
    odd += '{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"a\\u0000b\\ud800","timestamp":"soon"},'
    odd += '{"type":"TEXT_MESSAGE_END","messageId":"m"},{"type":"DANCE"},{"type":"DANCE"},'
    odd += (
        '{"type":"RUN_FINISHED","threadId":"t","runId":"r","usage":[{"inputTokens":12.5,"outputTokens":"n/a","totalTokens":9}]}]'
    )
    (tmp_path / "e.json").write_text(odd)
    tally = importing("ag-ui", tmp_path)
    assert words(ledger) == [("assistant", "a\\u0000b\\ud800"), ("activity", ""), ("activity", "")]  # those that danced, whole
    (created,) = ledger.events(types=["run.created"])
    assert ledger.run(created.stream).view().status == "completed"
    assert [(note.count, "DANCE" in note.kind) for note in tally.notes if "DANCE" in note.kind] == [(2, True)]
    assert all(problem.file and problem.line for problem in tally.problems)
    assert len(ledger.events(types=["usage.recorded"])) == 1


def test_people_say_what_has_their_role_and_nothing_else(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    sent = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "assistant", "content": "Hi!"},
        {"role": "reasoning", "content": "Hm"},
        user("Hello"),
    ]
    importing("ag-ui", write(tmp_path / "r.json", requested("r1", *sent)))
    actors = [item.as_json()["metadata"]["actor"] for item in ledger.events(types=["message.added"])]
    assert [actor["kind"] for actor in actors] == ["service", "service", "agent", "agent", "human"]
