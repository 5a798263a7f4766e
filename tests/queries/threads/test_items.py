"""A thread in windows: its items are the conversation, whatever the window, the position, the branch and the clock."""

from pathlib import Path

import pytest

from runfold import Ledger, RunNotFound, Thread, ThreadNotFound
from runfold.domain.catalogue import event_types
from runfold.errors import UsageError
from runfold.history.approvals import approval_view
from runfold.history.items import LATER, ThreadItem
from runfold.importers.importing import import_paths
from runfold.queries.reading import Reading
from tests.queries.listed import tell
from tests.sent import sent

REWOUND = "claude-code/experiments-ideas/03eb5929-52b3-4b13-ada3-b93ae35806b8.jsonl.gz"


def whole(reading: Reading, thread_id: str, run_id: str, most: int = 7) -> list[ThreadItem]:
    """Every item along the path of a run, window by window."""
    found: list[ThreadItem] = []
    while True:
        window = reading.items(thread_id, run_id, first=len(found) + 1, most=most)
        found += window.items
        assert [item.number for item in window.items] == list(range(window.first, window.first + len(window.items)))
        if not window.items:
            assert len(found) == window.count
            return found


def require_conversation(reading: Reading, thread_id: str, run_id: str) -> None:
    """The items are what the whole conversation holds, each as it is at the end of the path."""
    history = reading.history(run_id)
    items = whole(reading, thread_id, run_id)
    assert [item.message for item in items if item.message] == history.messages()
    assert [item.tool_call for item in items if item.tool_call] == history.tool_calls()
    views = {key: approval_view(events) for key, events in history.approvals().items()}
    assert {item.approval.id: item.approval for item in items if item.approval} == views
    recorded = [event.position for event in history.events()]
    told = {position for item in items for position in (item.position, *(each.position for each in (*item.later, *item.others)))}
    told |= {line.position for item in items for line in item.usage}
    spoken = {event.position for event in history.events() if not event.type.startswith("usage.")}
    assert spoken <= told
    assert sorted(recorded)[0] == items[0].position


@pytest.fixture
def made(ledger: Ledger) -> Ledger:
    tell(ledger, seed=19, threads=2)
    return ledger


def _threads(ledger: Ledger) -> list[str]:
    return [recorded.stream for recorded in ledger.events(types=["thread.created"], limit=1000)]


def test_the_items_of_every_run_are_its_conversation_at_any_position(made: Ledger) -> None:
    head = made.position()
    for thread_id in _threads(made):
        for position in range(head // 5, head + 1, max(head // 5, 1)):
            reading = made.at(position)
            try:
                tree = reading.tree(thread_id)
            except ThreadNotFound:
                continue
            for run_id in tree.nodes:
                require_conversation(reading, thread_id, run_id)


def test_a_real_session_with_a_rewind_is_told_whole_along_each_of_its_branches(ledger: Ledger, trajectories: Path) -> None:
    import_paths(ledger, "claude-code", [trajectories / REWOUND])
    (thread_id,) = _threads(ledger)
    for run_id in ledger.now.tree(thread_id).nodes:
        require_conversation(ledger.now, thread_id, run_id)
    times = [event.happened_at for event in ledger.now.thread_events(thread_id)]
    half = ledger.happened_at(times[len(times) // 2])
    for run_id in half.tree(thread_id).nodes:
        require_conversation(half, thread_id, run_id)


def test_a_run_stands_in_its_thread_as_it_stands_by_itself(made: Ledger) -> None:
    for position in range(1, made.position() + 1, 17):
        reading = made.at(position)
        for thread_id in _threads(made):
            try:
                states = reading.run_states(thread_id)
            except ThreadNotFound:
                continue
            for state in states:
                run = reading.run(state.run_id)
                assert (state.status, state.stop_reason, state.last_position) == (run.status, run.stop_reason, run.position)
            heads = {name: state.run_id for state in states for name in state.heads}
            assert heads == reading.tree(thread_id).heads


def test_a_message_keeps_its_wordings_but_not_what_may_not_be_shown(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    message = run.add_message("user", "first")
    message.revise("second")
    message.revise("third")
    message.redact(fields=["content"], legal_basis="gdpr-17", revision=2)
    (item,) = [item for item in ledger.now.items(thread.id).items if item.message]
    assert [wording.text for wording in (*item.earlier, item.message) if wording] == ["first", "[redacted]", "third"]
    left = run.branch(at_version=4)
    left.start()
    message.redact(fields=["content"], legal_basis="gdpr-17")
    (item,) = [item for item in ledger.now.items(thread.id, left.id).items if item.message]
    assert [wording.text for wording in (*item.earlier, item.message) if wording] == ["[redacted]", "[redacted]"]


def test_a_window_is_found_by_number_and_by_position(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    for number in range(40):
        run.add_message("user", f"word {number}")
    everything = whole(ledger.now, thread.id, run.id)
    window = ledger.now.items(thread.id, around=everything[20].position, most=5)
    assert everything[20] in window.items
    assert (window.count, len(window.items)) == (41, 5)
    assert ledger.now.items(thread.id, most=5).items == tuple(everything[-5:])
    assert ledger.now.items(thread.id, first=900).items == ()
    assert ledger.now.items(thread.id, around=0, most=3).first == 1
    with pytest.raises(UsageError, match="most takes a whole number from 1 to 200"):
        ledger.now.items(thread.id, most=1000)
    with pytest.raises(RunNotFound):
        ledger.now.items(thread.id, "run_of_nobody")


def test_a_thread_without_a_run_has_no_items(thread: Thread, ledger: Ledger) -> None:
    window = ledger.now.items(thread.id)
    assert (window.count, window.items, window.run_id) == (0, (), None)
    assert ledger.now.run_states(thread.id) == []
    assert ledger.now.stretches(thread.id).events == 1


def test_stretches_hold_every_event_once(made: Ledger) -> None:
    for thread_id in _threads(made):
        events = list(made.now.thread_events(thread_id))
        for number_of in (1, 3, 240):
            found = made.now.stretches(thread_id, number_of=number_of)
            assert found.events == len(events)
            assert len(found.stretches) == min(number_of, len(events))
            assert sum(each.count for stretch in found.stretches for each in stretch.types) == len(events)
            ends = [position for each in found.stretches for position in (each.first_position, each.last_position)]
            assert ends == sorted(ends)
            assert (ends[0], ends[-1]) == (events[0].position, events[-1].position)


def test_what_comes_of_an_item_begins_with_the_id_of_it() -> None:
    for name in LATER:
        if not name.startswith("approval."):  # their stream says it
            assert next(iter(event_types[name].model_fields)).endswith("_id")


def test_no_more_is_asked_of_the_database_for_a_longer_thread(
    ledger: Ledger, thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def questions() -> int:
        with sent(monkeypatch) as queries:
            ledger.now.items(thread.id)
            ledger.now.stretches(thread.id)
            ledger.now.run_states(thread.id)
        return len(queries)

    def told(times: int) -> None:
        with ledger.batch() as batch:
            for number in range(times):
                batch.run(run.id).add_message("user", f"word {number}")
                batch.run(run.id).usage(model="m", input_tokens=1)

    run = thread.start_run()
    told(20)
    few = questions()
    told(3_000)
    assert questions() == few
