"""However a rebuild ends: it says why, the table in use serves, and nothing is left that says it is being built."""

import sys
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.errors import LedgerError, ProjectionStopped
from runfold.projections.registry import load
from runfold.projector.rebuilding import in_order
from runfold.projector.status import statuses
from tests.projector.conftest import Fill, Rebuilding, Work
from tests.projector.rebuilding.rebuilds import (
    EVERY_TOY,
    CountingTools,
    ImpossibleTally,
    ImpossibleTools,
    PoisonedTally,
    PoisonedTools,
    ToolPerDayByThread,
    dying,
    leftovers,
)
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS, PricedTally, Tally, Tools

FAULTS = [
    (PoisonedTally(), r"tally failed on the tool.called at position \d+: ValueError: no such tool; fix"),
    (PoisonedTools(), r"tools failed on the tool.called at position \d+: ValueError: no such tool; fix"),
    (ImpossibleTally(), r"tally made an invalid row: .*out of range"),
    (ImpossibleTools(), r"tools failed on the tool.called at position \d+: .*out of range"),
    (ToolPerDayByThread(), r"torn_tools says partition = \"thread\", and its row"),
    (CountingTools(), r"tools is not pure: the same events gave the row"),
]


@pytest.fixture
def in_use(fill: Fill, work: Work, ledger: Ledger) -> None:
    """The toys, folded, with one tool that is too much for some."""
    fill(4)
    ledger.create_thread(agent_id="a").start_run().call_tool("poison")
    fill(1)
    work().catch_up()


def states(books: Books) -> set[str]:
    """How the read models are."""
    return {status.state for status in statuses(books.connection, TOYS.values())}


def test_by_the_projections_fault(rebuild: Rebuilding, in_use: None, books: Books) -> None:
    for number, (projection, said) in enumerate(FAULTS):
        with pytest.raises(ProjectionStopped, match=said):
            rebuild(projection, keep=number % 2 == 1)
        assert leftovers(books) == [], said
        assert states(books) == {"up to date"}, said
    require_sound(books.url, TOYS.values())


def test_what_is_rebuilt_beside_a_faulty_one_is_left_half_made_no_more_than_that(
    rebuild: Rebuilding, in_use: None, books: Books
) -> None:
    for others in ([Tally(), PoisonedTools()], [Tools(), ToolPerDayByThread()]):
        with pytest.raises(ProjectionStopped):
            rebuild(*others)
        assert leftovers(books) == []
        assert states(books) == {"up to date"}


@pytest.mark.parametrize("name", ["tally", "tools"])
def test_interrupted_it_says_so_and_the_next_one_goes_on(
    rebuild: Rebuilding, in_use: None, books: Books, ledger: Ledger, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_order, "PAGE", 20)
    begun: list[Any] = []

    def interrupt(stage: str, done: int, total: int) -> None:
        begun.extend(status.state for status in ledger.projections() if status.generation == 2)
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(TOYS[name], told=interrupt)
    assert set(begun) == {"being built"}
    (half,) = [status for status in ledger.projections() if status.generation == 2]
    assert half.state == "interrupted"
    assert half.error == (
        "a rebuild ended before it was done (it was stopped or killed, or the database was away), and what it has folded is "
        f"kept; `runfold rebuild {name}` continues it"
    )
    (found,) = rebuild(TOYS[name])
    assert found.generation == 2, "it went on"
    assert found.compared is not None
    assert (found.compared.different, found.position) == (0, books.head())
    require_sound(books.url, TOYS.values())
    assert leftovers(books) == []


@pytest.mark.fault("A5")
@pytest.mark.parametrize(
    "point",
    [
        pytest.param("job planned", marks=pytest.mark.long),
        "page in order stored",
        pytest.param("indexes made", marks=pytest.mark.long),
        pytest.param("compared", marks=pytest.mark.long),
        "ready to catch up",
    ],
)
def test_killed_while_it_folds_in_order_it_goes_on(
    rebuild: Rebuilding, in_use: None, fill: Fill, books: Books, point: str
) -> None:
    code, said = dying(books.url, point, EVERY_TOY[2])
    assert code == -9, said
    assert states(books) == ({"up to date", "being built"} if point == "ready to catch up" else {"up to date", "interrupted"})
    fill(2)
    (found,) = rebuild(Tools())
    assert found.compared is not None
    assert (found.compared.rows, found.compared.different, found.position) == (4, 0, books.head())
    require_sound(books.url, [Tools()])
    assert leftovers(books) == []


CHANGING = """
from tests.projector.toys import Tools

class Changing(Tools):
    "The same, by code that changes."

    def evolve(self, row, recorded):
        return super().evolve(row, recorded).but(calls=row.calls + {each})
"""


@pytest.mark.parametrize("partition", ['"thread"', "None"])
def test_what_other_code_has_begun_is_not_gone_on_with(
    rebuild: Rebuilding, in_use: None, books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partition: str
) -> None:
    key = 'key = ("tool", "day")' if partition == "None" else "pass"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = tmp_path / "changing.py"
    module.write_text(f"{CHANGING.format(each=1)}    {key}\n")

    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(load("changing:Changing"), told=interrupt)
    monkeypatch.delitem(sys.modules, "changing")
    module.write_text(f"{CHANGING.format(each=1000)}    {key}\n")
    changed = load("changing:Changing")
    (found,) = rebuild(changed)
    assert found.generation == 3, "begun anew"
    assert books.faults(changed) == []


@pytest.mark.parametrize("name", list(TOYS))
def test_where_the_one_in_use_has_stopped_it_is_compared_there_or_said_to_be_not(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books, name: str
) -> None:
    head = fill(3, complete=True)
    work({name: TOYS[name]}).catch_up()
    fill(2, complete=True)
    stop = (
        "INSERT INTO runfold.troubles (name, generation, state, position, error, message, attempts)"
        " VALUES (%s, 1, 'stopped', %s, 'PoisonEvent', 'it cannot', 4)"
    )
    books.connection.execute(stop, [name, head + 1])
    (found,) = rebuild(TOYS[name])
    assert found.compared is not None
    assert (found.position, found.compared.different, found.switched) == (head, 0, True)
    require_sound(books.url, [TOYS[name]])


def test_before_its_first_event_nothing_can_be_compared_and_that_is_said(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books
) -> None:
    work({"tools": Tools()}).catch_up()
    books.connection.execute(
        "INSERT INTO runfold.troubles (name, generation, state, position, error, message, attempts)"
        " VALUES ('tools', 1, 'stopped', 1, 'PoisonEvent', 'it cannot', 4)"
    )
    fill(2)
    (found,) = rebuild(Tools())
    assert (found.compared, found.switched) == (None, True)
    assert found.not_compared == "the table in use has stopped at position 0 (`runfold projections` says more)"


def test_rolling_back_where_only_what_it_depends_on_has_changed_says_so(rebuild: Rebuilding, fill: Fill, ledger: Ledger) -> None:
    fill(2)
    rebuild(Tally())
    rebuild(PricedTally())
    with pytest.raises(LedgerError) as error:
        ledger.roll_back("tests.projector.toys:PricedTally")
    assert str(error.value) == (
        "tally was folded with no dependency before, and this program folds it with prices of May (its version is 1 both times); "
        "return to no dependency, and then roll the read model back"
    )
    rebuild(Tally())
    with pytest.raises(LedgerError, match="tally was folded with prices of May before, and this program folds it with no dep"):
        ledger.roll_back("tests.projector.toys:Tally")
