"""A projection that says wrongly what its rows are made from is named, with the events that show it, whoever folds it."""

import re

import pytest

from runfold import Ledger
from runfold.errors import ProjectionStopped, WrongPartition
from runfold.projections.registry import checked
from runfold.projector.status import statuses
from tests.projector.conftest import Fill, Rebuilding, Work
from tests.projector.rebuilding.rebuilds import ToolPerDayByGoal, ToolPerDayByThread, leftovers
from tests.projector.soundness import Books
from tests.projector.toys import Tools

BY_THREAD, BY_GOAL = (f"tests.projector.rebuilding.rebuilds:ToolPerDayBy{part}" for part in ("Thread", "Goal"))
SAID = re.compile(
    r'torn_tools says partition = "thread", and its row \(\'tool_\d\', .*\) is touched from two threads: by the tool\.called at '
    r"position (\d+) \((thread_\w+)\) and by the tool\.called at position (\d+) \((thread_\w+)\); leave out partition, or add"
)


def require_named(message: str, ledger: Ledger) -> None:
    """It says which event of which threads touch one row; and so they do."""
    said = SAID.match(message)
    assert said is not None, message
    for position, thread in (said[1], said[2]), (said[3], said[4]):
        (event,) = ledger.events(after=int(position) - 1, limit=1)
        assert (event.type, event.thread_id) == ("tool.called", thread)
    assert said[2] != said[4]


@pytest.mark.parametrize(("threads", "keep"), [(2, False), (9, True)], ids=["a shard each", "many in a shard"])
def test_a_rebuild_names_the_row_and_the_threads_and_leaves_nothing_half_made(
    rebuild: Rebuilding, fill: Fill, books: Books, ledger: Ledger, threads: int, keep: bool
) -> None:
    fill(threads)
    with pytest.raises(ProjectionStopped) as error:
        rebuild(ToolPerDayByThread(), keep=keep)
    require_named(str(error.value), ledger)
    assert leftovers(books) == []
    assert [status.state for status in statuses(books.connection, [ToolPerDayByThread()])] == ["not begun"]


def test_a_schema_of_the_past_is_refused_in_the_same_words_and_not_left_half_made(fill: Fill, ledger: Ledger) -> None:
    fill(2)
    with pytest.raises(ProjectionStopped) as error:
        ledger.make_schema("past", BY_THREAD)
    require_named(str(error.value), ledger)
    assert ledger.schemas() == []


def test_a_worker_stops_it_before_a_row_is_stored(fill: Fill, work: Work, books: Books, ledger: Ledger) -> None:
    fill(3)
    work({"torn_tools": ToolPerDayByThread(), "tools": Tools()}).catch_up()
    stopped = books.model("torn_tools")
    assert (stopped.trouble, stopped.error, stopped.position) == ("stopped", WrongPartition.__name__, 0)
    require_named(stopped.message or "", ledger)
    assert books.faults(Tools(), books.head()) == [], "others go on"


def test_once_the_partition_is_left_out_a_retry_goes_on(fill: Fill, work: Work, books: Books, ledger: Ledger) -> None:
    fill(3)
    work({"torn_tools": ToolPerDayByThread()}).catch_up()

    class Mended(ToolPerDayByThread):
        """The same, without."""

        partition = None  # type: ignore[assignment]

    assert ledger.retry("torn_tools")
    work({"torn_tools": Mended()}).catch_up()
    assert books.faults(Mended(), books.head()) == []


def test_a_wrong_goal_is_named_like_a_wrong_thread(fill: Fill, rebuild: Rebuilding, ledger: Ledger, books: Books) -> None:
    for goal in ("goal_a", "goal_b"):
        ledger.create_thread(agent_id="a").start_run(goal={"id": goal}).call_tool("find")
    said = r"from two goals: by the tool.called at position \d+ \(goal_a\) and by .*\(goal_b\)"
    with pytest.raises(WrongPartition, match=said):
        rebuild(ToolPerDayByGoal())
    assert leftovers(books) == []


def test_another_word_for_a_partition_is_refused_at_once() -> None:
    class Odd(Tools):
        """The same, by something that there is not."""

        partition = "threads"  # type: ignore[assignment]

    with pytest.raises(Exception, match=r"says partition = 'threads'; it is 'thread' or 'goal', or is left out"):
        checked(Odd())
