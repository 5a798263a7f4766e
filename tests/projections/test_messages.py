"""Wordings of messages: given what was said, then these rows, and from them any run's conversation."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runfold import Ledger, Run
from runfold.domain.run_events import ParentKind
from runfold.history.views import Message
from runfold.projections.messages import ALL, MessageRow, Messages, Shown, conversation
from tests.projections.folded import rows_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "the-words-themselves"

Rows = dict[tuple[Any, ...], MessageRow]
Read = Callable[[Run], list[Shown]]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


@pytest.fixture
def read(ledger: Ledger) -> Read:
    """The conversation as of a run, read from rows, after it was held against the ledger's own fold of the path."""

    def of(run: Run) -> list[Shown]:
        return agreed(ledger, rows_of(Messages(), ledger), run.id)

    return of


def agreed(ledger: Ledger, rows: Rows, run_id: str) -> list[Shown]:
    """The conversation from rows, where it says what the ledger's own fold says."""
    path = [(segment.run_id, segment.up_to_version) for segment in ledger.now.history(run_id).path]
    found = conversation(path, [row for row in rows.values() if row.run_id in dict(path)])
    expected = ledger.now.history(run_id).messages()
    assert [shown_as(shown) for shown in found] == [seen_as(message) for message in expected]
    return found


def shown_as(shown: Shown) -> dict[str, Any]:
    """What a reader makes of a message's rows."""
    added, wording = shown.added, shown.wording
    labels = {name: getattr(added, name) for name in ("name", "author") if name not in shown.redacted}
    return {
        "id": wording.message_id,
        "run_id": wording.run_id,
        "revision": wording.revision,
        "position": wording.content_position,
        "added_position": added.content_position,
        "added_at": added.happened_at,
        "role": added.role,
        "tool_call_id": added.tool_call_id,
        "activity_type": added.activity_type,
        "streaming": shown.streaming,
        "finish_reason": None if shown.streaming else added.finish_reason,
        "is_redacted": bool(shown.redacted),
        "labels": {name: label for name, label in labels.items() if label is not None},
    }


def seen_as(message: Message) -> dict[str, Any]:
    """The same of the ledger's own fold."""
    labels = {"name": message.name, "author": message.author}
    fields = message.model_dump(exclude={"content", "name", "author", "actor"})  # who recorded it stands in the log alone
    return {**fields, "labels": {name: label for name, label in labels.items() if label not in {None, "[redacted]"}}}


def wordings(shown: list[Shown]) -> list[tuple[str, int]]:
    """Which messages, each in which revision."""
    return [(message.wording.message_id, message.wording.revision) for message in shown]


# Rows


def test_a_message_has_a_row_for_each_wording_and_says_who_speaks_in_the_first(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("search")
    message = run.add_message("tool", "Found.", name="search", author="service:search", tool_call_id=call.id, occurred_at=NOON)
    message.revise("Found it.", reason="whole")
    rows = rows_of(Messages(), ledger)
    first, second = rows[run.id, message.id, 1], rows[run.id, message.id, 2]
    assert (first.role, first.name, first.author, first.tool_call_id) == ("tool", "search", "service:search", call.id)
    assert (first.happened_at, first.characters, first.part_types) == (NOON, 6, ("text",))
    assert (second.role, second.name, second.characters) == (None, None, 9)
    assert len(rows) == 2
    for row, text in ((first, "Found."), (second, "Found it.")):
        (recorded,) = ledger.events(after=(row.content_position or 0) - 1, limit=1)
        assert (recorded.stream, recorded.version) == (run.id, row.content_version)
        assert recorded.event.model_dump()["content"][0]["text"] == text


def test_a_streamed_message_grows_in_its_row_until_it_is_sealed(ledger: Ledger, run: Run, read: Read) -> None:
    message = run.add_message("assistant", "Let", streaming=True)
    message.append_text(" me")
    message.append_text(" see", offset=6)
    message.append_text(" see", offset=6)
    row = rows_of(Messages(), ledger)[run.id, message.id, 1]
    assert (row.streaming, row.characters, row.appended, row.finish_reason) == (True, 10, 2, None)
    assert row.last_appended_position == ledger.position()
    assert [shown.streaming for shown in read(run)] == [True]
    message.seal(finish_reason="stop")
    row = rows_of(Messages(), ledger)[run.id, message.id, 1]
    assert (row.streaming, row.finish_reason, row.sealed_version) == (False, "stop", run.view().version)
    assert [shown.streaming for shown in read(run)] == [False]


def test_kinds_of_parts_are_said_and_only_text_is_counted(ledger: Ledger, run: Run) -> None:
    parts = [
        {"type": "reasoning", "text": "Hm."},
        {"type": "text", "text": "Yes"},
        {"type": "text", "text": "!"},
        {"type": "file", "media_type": "image/png", "url": "https://example.test/a.png"},
    ]
    message = run.add_message("assistant", parts)
    row = rows_of(Messages(), ledger)[run.id, message.id, 1]
    assert (row.part_types, row.characters) == (("reasoning", "text", "file"), 4)


def test_no_words_are_in_a_row(ledger: Ledger, run: Run) -> None:
    message = run.add_message("assistant", SECRET, streaming=True, encrypted_value=SECRET)
    message.append_text(SECRET)
    message.seal()
    message.revise(SECRET, reason=SECRET)
    run.add_message("activity", [{"type": "data", "data": {"words": SECRET}}], activity_type="plan")
    assert SECRET not in repr(rows_of(Messages(), ledger))


# Redactions


def test_what_is_redacted_in_all_wordings_is_hidden_in_those_to_come_too(ledger: Ledger, run: Run, read: Read) -> None:
    message = run.add_message("user", "I am Ada.", name="Ada", author="human:ada")
    message.redact(legal_basis="request", fields=["content", "name"])
    message.revise("I am nobody.")
    rows = rows_of(Messages(), ledger)
    assert rows[run.id, message.id, ALL].redacted == ("content", "name")
    assert (rows[run.id, message.id, 1].name, rows[run.id, message.id, 1].author) == (None, "human:ada")
    assert [shown.redacted for shown in read(run)] == [{"content", "name"}]


def test_what_is_redacted_in_one_wording_is_shown_in_another(run: Run, read: Read) -> None:
    message = run.add_message("user", "My number is 7.")
    message.redact(legal_basis="request", revision=1)
    assert [shown.redacted for shown in read(run)] == [{"content"}]
    message.revise("My number is secret.")
    assert [shown.redacted for shown in read(run)] == [frozenset()]


def test_a_redaction_holds_for_runs_that_left_before_it_and_not_for_the_ancestors_of_the_run_that_said_it(
    run: Run, read: Read
) -> None:
    message = run.add_message("user", "My number is 7.")
    left, right = run.branch(), run.branch()
    for child in (left, right):
        child.start()
    right.message(message.id).revise("My number is 8.")
    right.message(message.id).redact(legal_basis="request")
    assert [shown.redacted for shown in (*read(run), *read(left), *read(right))] == [set(), set(), {"content"}]
    message.redact(legal_basis="request")
    assert [shown.redacted for shown in (*read(run), *read(left))] == [{"content"}, {"content"}]


def test_a_child_that_redacts_all_wordings_of_an_ancestors_message_makes_no_first_wording_of_it(
    ledger: Ledger, run: Run, read: Read
) -> None:
    message = run.add_message("user", "My number is 7.")
    child = run.branch()
    child.start()
    child.message(message.id).revise("My number is 8.")
    child.message(message.id).redact(legal_basis="request")
    child.message(message.id).revise("My number is 9.")
    assert {key[2] for key in rows_of(Messages(), ledger) if key[0] == child.id} == {ALL, 2, 3}
    assert [shown.redacted for shown in read(child)] == [{"content"}]


# Branches


@pytest.mark.row("RV-50", "RV-51", "RV-53")
def test_the_nearest_runs_wording_counts_at_the_messages_old_place_and_siblings_never_appear(
    ledger: Ledger, run: Run, read: Read
) -> None:
    first, second = run.add_message("user", "One"), run.add_message("user", "Two")
    left, right = run.branch(), run.branch()
    for child in (left, right):
        child.start()
    left.message(first.id).revise("Left")
    mine = right.add_message("assistant", "Right")
    grandchild = left.branch()
    grandchild.start()
    grandchild.message(first.id).revise("Left of left")
    assert wordings(read(run)) == [(first.id, 1), (second.id, 1)]
    assert wordings(read(left)) == [(first.id, 2), (second.id, 1)]
    assert wordings(read(grandchild)) == [(first.id, 3), (second.id, 1)]
    assert wordings(read(right)) == [(first.id, 1), (second.id, 1), (mine.id, 1)]
    assert {key[:2] for key in rows_of(Messages(), ledger) if key[0] == left.id} == {(left.id, first.id)}


def test_what_an_ancestor_said_or_revised_after_its_child_left_is_not_in_the_childs_past(run: Run, read: Read) -> None:
    message = run.add_message("user", "One")
    message.revise("Two")
    child = run.branch()
    message.revise("Three")
    late = run.add_message("user", "Late")
    before = run.branch(at_version=3)
    assert wordings(read(run)) == [(message.id, 3), (late.id, 1)]
    assert wordings(read(child)) == [(message.id, 2)]
    assert wordings(read(before)) == [(message.id, 1)]
    assert wordings(read(run.branch(at_version=2))) == []


def test_a_message_that_streams_where_its_run_was_left_streams_there_for_ever(run: Run, read: Read) -> None:
    message = run.add_message("assistant", "Let", streaming=True)
    child = run.branch()
    message.append_text(" me see")
    message.seal(finish_reason="stop")
    assert [(shown.streaming, shown.wording.characters) for shown in read(run)] == [(False, 10)]
    assert [shown.streaming for shown in read(child)] == [True]


@pytest.mark.parametrize(("kind", "inherited"), [("resumes", 2), ("continues", 2), ("retries", 1), ("spawned_by", 0)])
def test_each_kind_of_child_sees_what_it_inherits(run: Run, read: Read, kind: ParentKind, inherited: int) -> None:
    run.add_message("user", "One")
    middle = run.branch(kind="continues")
    middle.start()
    middle.add_message("assistant", "Two")
    middle.complete()
    child = middle.branch(kind=kind)
    child.start()
    child.add_message("assistant", "Three")
    assert len(read(child)) == inherited + 1


def test_a_message_added_again_under_its_old_id_is_the_nearest_ones_at_the_old_place(run: Run, read: Read) -> None:
    run.add_message("user", "One", message_id="m1")
    run.add_message("user", "Two", message_id="m2")
    run.message("m1").revise("One, revised")
    child = run.branch()
    child.start()
    child.add_message("assistant", "Another one", message_id="m1")
    assert wordings(read(child)) == [("m1", 1), ("m2", 1)]
    child.message("m1").revise("Another one, revised")
    assert wordings(read(child)) == [("m1", 2), ("m2", 1)]


def test_the_conversation_of_every_real_run_is_what_the_ledger_says(real: Ledger, counts: dict[str, Any]) -> None:
    rows = rows_of(Messages(), real)
    by_run: dict[str, Rows] = {}
    for key, row in rows.items():
        by_run.setdefault(row.run_id, {})[key] = row
    created = list(real.subscribe(types=["run.created"], follow=False))
    for recorded in created:
        path = [segment.run_id for segment in real.now.history(recorded.stream).path]
        agreed(real, {key: row for member in path for key, row in by_run.get(member, {}).items()}, recorded.stream)
    trials = counts["tau-bench-airline"]["by_role"]
    tried = {recorded.stream for recorded in created if recorded.context.goal_id is not None}
    roles = Counter(row.role for row in rows.values() if row.run_id in tried)
    assert roles == trials


def test_a_real_rewind_leaves_two_conversations_from_one_past(real: Ledger) -> None:
    rows = rows_of(Messages(), real)
    created = list(real.subscribe(types=["run.created"], follow=False))
    kinds = {recorded.stream: (recorded.event.model_dump()["parent"] or {}).get("kind") for recorded in created}
    (branch,) = [recorded for recorded in created if kinds[recorded.stream] == "branches"]
    (instead_of,) = [
        recorded
        for recorded in created
        if recorded.context.parent_run_id == branch.context.parent_run_id and kinds[recorded.stream] == "continues"
    ]
    before, after = (wordings(agreed(real, rows, each.stream)) for each in (instead_of, branch))
    shared = [each for each in before if each in after]
    assert shared == before[: len(shared)] == after[: len(shared)]
    assert 0 < len(shared) < min(len(before), len(after))
    assert not set(before[len(shared) :]) & set(after[len(shared) :])


def test_the_table_gives_the_rows_of_a_path(ledger: Ledger, run: Run) -> None:
    message = run.add_message("user", "One")
    child = run.branch()
    child.start()
    child.message(message.id).revise("Two")
    child.message(message.id).redact(legal_basis="request")
    path = [(segment.run_id, segment.up_to_version) for segment in ledger.now.history(child.id).path]
    ledger.fold("runfold.projections.messages:Messages")
    with ledger.now.read_models.reading("messages") as snapshot:
        rows = snapshot.rows(Messages(), "run_id = ANY(%b)", [[run_id for run_id, _ in path]])
    (shown,) = conversation(path, rows)
    assert (shown.added.role, shown.wording.revision, shown.redacted) == ("user", 2, {"content"})


def test_a_message_that_the_past_left_streaming_is_read_as_each_run_went_on_with_it(run: Run, read: Read) -> None:
    message = run.add_message("assistant", "Let", streaming=True)
    branch, other = run.branch(), run.branch()
    for each in (branch, other):
        each.start()
    branch.message(message.id).append_text(" me see")
    following = branch.branch()
    branch.message(message.id).seal(finish_reason="stop")
    message.seal(finish_reason="length")
    shown = [read(each)[0] for each in (run, branch, other, following)]
    assert [each.streaming for each in shown] == [False, False, True, True]
    assert [each.added.finish_reason for each in shown[:2]] == ["length", "stop"]
