"""Threads are found by their id elsewhere, however long it is."""

from runfold import Ledger
from tests.projector.toys import INCOMPRESSIBLE


def test_threads_are_told_apart_by_all_of_a_long_id_elsewhere(ledger: Ledger) -> None:
    ids = ["short", INCOMPRESSIBLE, f"{INCOMPRESSIBLE}.", INCOMPRESSIBLE[:200], INCOMPRESSIBLE[:201]]
    made = {each: ledger.create_thread(agent_id="a", external_ref=each).id for each in ids}
    ledger.fold("threads")
    for each in ids:
        assert [thread.thread_id for thread in ledger.now.threads(external_ref=each).items] == [made[each]]
    some = ledger.now.threads(external_ref=ids[1:3]).items
    assert {thread.thread_id for thread in some} == {made[each] for each in ids[1:3]}
    assert ledger.now.rows("threads", {"external_ref": ids[1]}).items[0].thread_id == made[ids[1]]
