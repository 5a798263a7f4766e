"""The words that are kept to be searched: given what was recorded, then these rows."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from runfold import Ledger, Recorded, Run
from runfold.domain.message import MessagePartAppended
from runfold.projections import search
from runfold.projections.search import MOST_CHARACTERS, MOST_TEXTS, Search, SearchRow
from runfold.projections.words.said import LONGEST_TEXT
from runfold.projections.words.splitting import spaced
from tests.projections.folded import rows_of

Found = Callable[[], list[SearchRow]]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run(goal={"id": "tickets"})


@pytest.fixture
def rows(ledger: Ledger) -> Found:
    return lambda: list(rows_of(Search(), ledger).values())


def words(row: SearchRow) -> list[str]:
    return row.words.split(" / ")


def test_a_call_is_one_row_with_its_arguments_and_its_result(run: Run, rows: Found) -> None:
    call = run.call_tool("read_file", {"path": "src/app_main.py", "lines": [1, 2]})
    call.fail("no such file", code="not_found", result={"tried": ["a\nb"]})
    (row,) = rows()
    assert (row.kind, row.item_id, row.run_id, row.agent_id, row.goal_id) == ("tool_call", call.id, run.id, "support", "tickets")
    assert words(row) == [
        "read file . path src app main py lines 1 lines 2",
        "not found no such file . tried a b",
    ]
    assert len(row.positions) == 2
    assert row.first_position == row.positions[0]


def test_a_decision_and_a_problem_have_their_words(run: Run, rows: Found) -> None:
    decision = run.decide(
        "classify it", options=[{"id": "a", "description": "how-to", "pros": ["quick"]}], chosen="a", reasoning="why"
    )
    decision.outcome(success=False, error="wrong", result={"code": 7})
    run.report_problem("minor", "a typo", suggested_fix="mend it").resolve("mended")
    run.violate_constraint("budget", "hard", "too dear", details={"limit": 5})
    found = {row.item_id.partition("@")[0]: words(row) for row in rows()}
    assert found[decision.id] == ["classify it . how to . quick . why", "wrong . code 7"]
    assert found["budget"] == ["too dear . limit 5"]
    assert ["a typo . mend it", "mended"] in found.values()


def test_a_streamed_message_has_all_its_words_once_it_is_sealed_and_most_before(run: Run, rows: Found) -> None:
    text = " ".join(f"word{number}" for number in range(900))
    message = run.add_message("assistant", text[:5], streaming=True)
    for start in range(5, len(text), 7):
        message.append_text(text[start : start + 7])
    (row,) = rows()
    there = row.words.removeprefix(". ").split()
    assert there == text.split()[: len(there)]
    assert len(there) > 750
    assert row.ends[0] > row.positions[0]
    message.seal()
    (row,) = rows()
    assert row.words.removeprefix(". ") == text
    assert (row.tail, row.streamed_in, row.is_whole) == ("", "", True)


def test_no_word_of_what_was_redacted_is_left(run: Run, rows: Found) -> None:
    first = run.add_message("user", "the secret")
    first.revise("a second wording")
    first.redact(legal_basis="gdpr", revision=1)
    (row,) = rows()
    assert words(row) == ["a second wording"]
    first.redact(legal_basis="gdpr")
    streamed = run.add_message("assistant", "an open ", streaming=True)
    streamed.append_text("x" * 300 + " secret tail")
    streamed.redact(legal_basis="gdpr")
    streamed.append_text(" and more of the secret")
    streamed.seal()
    for row in rows():
        assert (row.words, row.tail, row.labels, row.positions) == ("", "", (), ())


def test_a_redaction_counts_in_all_runs_of_the_thread(ledger: Ledger, run: Run, rows: Found) -> None:
    message = run.add_message("user", "the secret")
    other = run.branch()
    other.message(message.id).revise("still the secret")
    message.redact(legal_basis="gdpr")
    (row,) = rows()
    assert row.words == ""
    run.add_message("user", "something else").redact(legal_basis="gdpr", fields=["name"])
    assert [row.words for row in rows()] == ["", "something else"]


def test_what_is_too_long_is_cut_and_says_so(run: Run, rows: Found) -> None:
    run.add_message("user", "ab " * LONGEST_TEXT)
    (row,) = rows()
    assert (len(row.words), row.is_whole) == (LONGEST_TEXT, False)
    revised = run.add_message("user", "short")
    for number in range(MOST_TEXTS):
        revised.revise(f"short {number}")
    row = rows()[-1]
    assert (len(row.positions), row.is_whole) == (MOST_TEXTS, False)
    call = run.call_tool("x", {"text": "cd " * 6_000})
    call.succeed(["ef " * 6_000])
    row = rows()[-1]
    assert row.is_whole
    assert len(row.words) < MOST_CHARACTERS
    streamed = run.add_message("assistant", streaming=True)
    for _ in range(3):
        streamed.append_text("gh " * 3_000)
    streamed.seal()
    row = rows()[-1]
    assert (len(row.words.removeprefix(". ")), row.is_whole) == (LONGEST_TEXT, False)


def test_a_streamed_message_is_split_into_words_once_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[int] = []
    monkeypatch.setattr(search, "spaced", lambda text: split.append(len(text)) or spaced(text))
    for length in (2_000, 20_000, 100_000):
        split.clear()
        row = Search().initial(("thread_x", "message", "", "msg_1"))
        parts = (MessagePartAppended(message_id="msg_1", offset=at, text="word " * 2) for at in range(0, length, 10))
        for version, event in enumerate(parts, 1):
            place = (version, "run_1", version, event, bytes(16), "default", "thread_x", datetime.now(UTC), 1, "{}", "{}")
            row = Search().evolve(row, Recorded(*place))
        assert len(row.words) <= LONGEST_TEXT + 2
        assert min(length, LONGEST_TEXT) * 7 // 8 <= sum(split) <= min(length, LONGEST_TEXT)
        assert row.is_whole == (length <= LONGEST_TEXT)
