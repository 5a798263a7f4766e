"""Threads: title, archive, tombstone, heads, imports."""

import pytest

from runfold.domain.event import Event
from runfold.domain.thread import (
    MOST_HEADS,
    HeadMoved,
    HeadNamed,
    Thread,
    ThreadArchived,
    ThreadDeleted,
    ThreadImported,
    ThreadRenamed,
    ThreadRestored,
    ThreadSuperseded,
)
from runfold.domain.values import digest

from .samples import thread_created
from .story import Given, fold, given

archived, deleted, restored = ThreadArchived(reason="done"), ThreadDeleted(reason="asked to"), ThreadRestored()
named = HeadNamed(name="try-2", run_id="run_1")
moved = HeadMoved(name="try-2", from_run_id="run_1", to_run_id="run_2", reason="checked_out")


def test_a_thread_is_created_once() -> None:
    Given(Thread("thread_1")).when(lambda thread: thread.create(thread_created)).then(thread_created)
    given(thread_created).when(lambda thread: thread.create(thread_created)).known("thread", version=1)
    assert Thread("thread_1").describe() == "not created"


def test_a_thread_is_renamed() -> None:
    thread = given(thread_created).when(lambda thread: thread.rename("Refunds")).then(ThreadRenamed(title="Refunds"))
    assert thread.title == "Refunds"
    given(thread_created).when(lambda thread: thread.rename("Orders")).then()


def test_an_archived_thread_rests_until_it_is_restored() -> None:
    given(thread_created).when(lambda thread: thread.archive("done")).then(archived)
    given(thread_created, archived).when(lambda thread: thread.archive()).then()
    given(thread_created, archived).when(lambda thread: thread.rename("Refunds")).refused("restore it first")
    given(thread_created, archived).when(lambda thread: thread.restore()).then(restored)
    given(thread_created).when(lambda thread: thread.restore()).then()
    assert fold(thread_created, archived, restored).describe() == "open at version 3"


@pytest.mark.parametrize("before", [(thread_created,), (thread_created, archived)])
def test_a_tombstone_stays(before: tuple[Event, ...]) -> None:
    given(*before).when(lambda thread: thread.delete("asked to")).then(deleted)
    given(*before, deleted).when(lambda thread: thread.delete("again")).then()
    given(*before, deleted).when(lambda thread: thread.restore()).refused("stays deleted")
    given(*before, deleted).when(lambda thread: thread.rename("Refunds")).refused("a deleted thread accepts no more commands")
    given(*before, deleted).when(lambda thread: thread.name_head("try-2", "run_1")).refused("accepts no more commands")


# Heads


def test_a_head_is_named_once_and_then_moved() -> None:
    given(thread_created).when(lambda thread: thread.name_head("try-2", "run_1")).then(named)
    given(thread_created, named).when(lambda thread: thread.name_head("try-2", "run_1")).then()
    given(thread_created, named).when(lambda thread: thread.name_head("try-2", "run_2")).refused(
        "head 'try-2' already exists; move it"
    )
    given(thread_created, named, moved).when(lambda thread: thread.name_head("try-2", "run_1")).refused("move it")
    given(thread_created).when(lambda thread: thread.name_head("main", "run_1")).refused("head 'main' already exists")


@pytest.mark.row("RV-56")
def test_a_thread_has_a_thousand_heads_at_most_and_moves_them_as_before() -> None:
    full = (thread_created, *(HeadNamed(name=f"try-{number}", run_id="run_1") for number in range(2, MOST_HEADS + 1)))
    more = given(*full)
    more.when(lambda thread: thread.name_head("one more", "run_1")).refused(
        "a thread has 1,000 heads at most; move one that it has"
    )
    more.when(lambda thread: thread.put_head("one more", "run_1", None)).refused("a thread has 1,000 heads at most")
    more.when(lambda thread: thread.name_head("try-2", "run_1")).then()
    more.when(lambda thread: thread.put_head("try-2", "run_2", "run_1")).then(moved)
    given(*full[:-1]).when(lambda thread: thread.name_head("one more", "run_1")).then(HeadNamed(name="one more", run_id="run_1"))


def test_a_head_is_moved_from_where_the_caller_believes_it_to_be() -> None:
    given(thread_created, named).when(lambda thread: thread.move_head("try-2", "run_2", "run_1", expected="run_1")).then(moved)
    given(thread_created, named).when(lambda thread: thread.move_head("try-2", "run_3", "run_2", expected="run_1")).refused(
        "head 'try-2' is at run_2, not run_1"
    )
    given(thread_created).when(lambda thread: thread.move_head("try-9", "run_2", None)).refused("head 'try-9' does not exist")


def test_moving_a_head_to_where_it_is_changes_nothing() -> None:
    before = (thread_created, named, moved)
    given(*before).when(lambda thread: thread.move_head("try-2", "run_2", "run_2")).then()
    given(*before).when(lambda thread: thread.move_head("try-2", "run_2", "run_2", expected="run_1")).then()


def test_the_first_head_may_be_moved_before_there_is_a_run() -> None:
    rewound = HeadMoved(name="main", to_run_id="run_1", reason="rewound")
    given(thread_created).when(lambda thread: thread.move_head("main", "run_1", None, "rewound")).then(rewound)


# Imports


def test_a_source_is_imported_once_until_it_changes() -> None:
    first = ThreadImported(format="claude-code", source_digest=digest("one"))
    second = ThreadImported(format="claude-code", source_digest=digest("two"))
    given(thread_created).when(lambda thread: thread.record_import(first)).then(first)
    given(thread_created, first).when(lambda thread: thread.record_import(first)).then()
    given(thread_created, first).when(lambda thread: thread.record_import(second)).then(second)


def test_a_newer_importer_says_that_it_has_read_the_source() -> None:
    before = ThreadImported(format="claude-code", source_digest=digest("one"))
    after = before.model_copy(update={"importer_version": 2, "times_judged_by": "producer"})
    assert before.importer_version == 1
    given(thread_created, before).when(lambda thread: thread.record_import(after)).then(after)
    given(thread_created, before, after).when(lambda thread: thread.record_import(after)).then()


def test_a_thread_is_superseded_once_by_each_that_stands_for_it() -> None:
    first = ThreadSuperseded(by_thread_ids=("thread_2",), reason="read otherwise")
    third = ThreadSuperseded(by_thread_ids=("thread_3",), reason="read otherwise")
    both = ("thread_2", "thread_3", "thread_2")
    given(thread_created).when(lambda thread: thread.supersede(("thread_2",), "read otherwise")).then(first)
    given(thread_created, first).when(lambda thread: thread.supersede(("thread_2",), "again")).then()
    given(thread_created, first).when(lambda thread: thread.supersede(both, "read otherwise")).then(third)
    given(thread_created).when(lambda thread: thread.supersede(("thread_1",), "itself")).refused("cannot stand for itself")
    assert fold(thread_created, first, third).superseded_by == ("thread_2", "thread_3")
