"""The tree that a batch's commands look at: what it is when all is read, in time linear in how much there is."""

import random

import pytest

from runfold import Ledger, Thread
from runfold.commands.growing_trees import GrowingTrees
from runfold.domain.recorded import Recorded
from runfold.errors import CommandRefused
from runfold.history.tree import Tree

HEADS = ("main", "other", "third")


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_tree_that_all_events_make_whoever_else_records(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance, compared = random.Random(seed), 0  # noqa: S311  runs, not secrets
    threads = [ledger.create_thread(agent_id="support").id for _ in range(2)]
    runs = {thread_id: [other.thread(thread_id).start_run().id] for thread_id in threads}
    with ledger.batch() as batch:
        look = GrowingTrees.of

        def compared_with_all(trees: GrowingTrees, thread_id: str) -> Tree:
            nonlocal compared
            found, whole = look(trees, thread_id), batch.thread(thread_id).tree()
            assert (list(found.nodes), found.heads) == (list(whole.nodes), whole.heads)
            compared += 1
            return found

        monkeypatch.setattr(GrowingTrees, "of", compared_with_all)
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


def test_a_batch_that_moves_a_head_again_and_again_takes_in_each_event_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, number, take_in = 0, 40, Tree.evolve

    def counted(tree: Tree, recorded: Recorded) -> None:
        nonlocal taken
        taken += 1
        take_in(tree, recorded)

    monkeypatch.setattr(Tree, "evolve", counted)
    thread_id = ledger.create_thread(agent_id="support").id
    with ledger.batch() as batch:
        thread = batch.thread(thread_id)
        first = thread.start_run()
        for _ in range(number):
            thread.move_head("main", thread.start_run(parent=first, kind="branches"))
        with pytest.raises(CommandRefused):
            thread.move_head("main", first, expected="run_none")
    assert taken <= 2 * number + 10
