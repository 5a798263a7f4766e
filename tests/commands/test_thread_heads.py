"""The heads that commands look at: what they are when all is read, in time linear in how much there is."""

import random
from collections.abc import Callable, Iterator

import pytest

from runfold import Ledger, Thread
from runfold.commands.collected import Collected
from runfold.commands.thread_heads import GrowingHeads, Heads, ThreadHeads
from runfold.domain.recorded import Recorded
from runfold.errors import CommandRefused
from runfold.history.tree import Tree
from runfold.store.reading.tenant_reader import TenantReader

HEADS = ("main", "other", "third")


@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_that_all_events_make_whoever_else_records(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance, compared = random.Random(seed), 0  # noqa: S311  runs, not secrets
    threads = [ledger.create_thread(agent_id="support").id for _ in range(2)]
    runs = {thread_id: [other.thread(thread_id).start_run().id] for thread_id in threads}
    with ledger.batch() as batch:
        look = GrowingHeads.of

        def compared_with_all(heads: GrowingHeads, thread_id: str) -> Heads:
            nonlocal compared
            found = look(heads, thread_id)
            assert found == batch.thread(thread_id).tree().heads
            compared += 1
            return found

        monkeypatch.setattr(GrowingHeads, "of", compared_with_all)
        for _ in range(80):
            thread_id = chance.choice(threads)
            known, thread = runs[thread_id], batch.thread(thread_id)
            match chance.randrange(6):
                case 0:
                    known.append(thread.start_run(parent=chance.choice([*HEADS[:1], *known])).id)
                case 1:
                    known.append(thread.start_run(parent=chance.choice(known), kind="branches").id)
                case 2 | 3:
                    thread.put_head(chance.choice(HEADS), chance.choice(known))
                case 4:
                    batch.store()
                case _:
                    others(other.thread(thread_id))
    assert compared > 20
    for thread_id in threads:
        assert set(runs[thread_id]) <= other.thread(thread_id).tree().nodes.keys()


def others(thread: Thread) -> None:
    """Somebody else's run in the thread, which no command of the batch contradicts."""
    thread.start_run()


@pytest.mark.parametrize("most", [1, 1000])
def test_what_is_kept_of_them_is_what_the_log_says_whoever_moved_them(ledger: Ledger, other: Ledger, most: int) -> None:
    chance, known = random.Random(most), ThreadHeads(most)  # noqa: S311
    threads = [ledger.create_thread(agent_id="support") for _ in range(3)]
    runs = {thread.id: [thread.start_run().id] for thread in threads}
    for _ in range(60):
        thread = chance.choice([ledger, other]).thread(chance.choice(threads).id)
        if chance.random() < 0.5:
            runs[thread.id].append(thread.start_run(parent=chance.choice(["main", *runs[thread.id]])).id)
        else:
            thread.put_head(chance.choice(HEADS), chance.choice(runs[thread.id]))
        asked = chance.choice(threads)
        assert known.of(TenantReader.of(ledger.recorder.reader, "default"), asked.id) == asked.tree().heads


def test_what_is_kept_of_another_history_is_not_believed(ledger: Ledger, other: Ledger) -> None:
    """As where a backup was put back while nobody looked: what stands at the same positions is something else there."""
    known, log = ThreadHeads(), TenantReader.of(ledger.recorder.reader, "default")
    thread = ledger.create_thread(agent_id="support")
    first = thread.start_run()
    kept = log.tree(thread.id)
    second = thread.start_run()
    assert known.found("default", thread.id, lambda after: log.tree(thread.id, after=after)).heads == {"main": second.id}
    before = known.found("default", thread.id, lambda after: [each for each in kept if each.position > after])
    assert before.heads == {"main": first.id}
    assert known.of(log, thread.id) == {"main": second.id}
    assert known.found("default", thread.id, lambda _: []).heads == {}


Commands = Callable[[Ledger, str, int], None]


def starts(ledger: Ledger, thread_id: str, number: int) -> None:
    for _ in range(number):
        ledger.thread(thread_id).start_run()


def moves(ledger: Ledger, thread_id: str, number: int) -> None:
    first = ledger.thread(thread_id).start_run()
    second = ledger.thread(thread_id).start_run(parent=first, kind="branches")
    for turn in range(number):
        ledger.thread(thread_id).move_head("main", (first, second)[turn % 2 == 0])


def expects(ledger: Ledger, thread_id: str, number: int) -> None:
    at = ledger.thread(thread_id).start_run()
    for _ in range(number):
        at = ledger.thread(thread_id).start_run(expected_head=at.id)


def moves_together(ledger: Ledger, thread_id: str, number: int) -> None:
    with ledger.batch() as batch:
        thread = batch.thread(thread_id)
        first = thread.start_run()
        for _ in range(number):
            thread.move_head("main", thread.start_run(parent=first, kind="branches"))
        with pytest.raises(CommandRefused):
            thread.move_head("main", first, expected="run_none")


def batches(ledger: Ledger, thread_id: str, number: int) -> None:
    for _ in range(number):
        with ledger.batch() as batch:
            batch.thread(thread_id).start_run()


def many_threads(ledger: Ledger, thread_id: str, number: int) -> None:
    with ledger.batch() as batch:
        for _ in range(number):
            batch.create_thread(agent_id="support").start_run()


@pytest.mark.fault("K1")
@pytest.mark.parametrize("commands", [starts, moves, expects, moves_together, batches, many_threads])
def test_commands_of_a_thread_take_in_each_event_a_few_times_however_many_there_are(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, commands: Commands
) -> None:
    taken, number, take_in, collected = 0, 40, Tree.evolve, Collected.of_tree

    def counted(tree: Tree, recorded: Recorded) -> None:
        nonlocal taken
        taken += 1
        take_in(tree, recorded)

    def counted_too(events: Collected, after: int = 0) -> Iterator[Recorded]:
        nonlocal taken
        for recorded in collected(events, after):
            taken += 1
            yield recorded

    thread_id = ledger.create_thread(agent_id="support").id
    monkeypatch.setattr(Tree, "evolve", counted)
    monkeypatch.setattr(Collected, "of_tree", counted_too)
    commands(ledger, thread_id, number)
    assert taken <= 5 * number + 10
