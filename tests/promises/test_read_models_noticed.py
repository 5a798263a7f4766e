"""The checking of the read models' promises notices what is wrong: with planted bugs in folds, and in the machine."""

import re
import time
from collections import defaultdict

import pytest

from runfold.domain.recorded import Recorded
from runfold.projector import checkpoints
from runfold.projector.folding import page, shard
from runfold.projector.tables import table as tables
from tests.projector.toys import OpenCalls, Tally, TallyRow
from tests.projector.ways import Site, in_pieces, tried


class Clocked(Tally):
    """A fold that asks for the time: whose rows no two folds agree on."""

    def evolve(self, row: TallyRow, recorded: Recorded) -> TallyRow | None:
        return row.but(calls=time.time_ns(), seen=(*row.seen, recorded.position))


class Counting(Tally):
    """A fold that goes by what it remembers, and not by the row."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = defaultdict(int)

    def evolve(self, row: TallyRow, recorded: Recorded) -> TallyRow | None:
        self.calls[recorded.stream] += 1
        return row.but(calls=self.calls[recorded.stream])


def reading_the_last_event_again(patch: pytest.MonkeyPatch) -> None:
    """An event counts twice when a page ends on it."""
    honest = page.Pages.read

    def read(self: page.Pages, after: int, up_to: int, types: frozenset[str]) -> page.Page:
        return honest(self, max(0, after - 1), up_to, types)._replace(after=after)

    patch.setattr(page.Pages, "read", read)


def forgetting_rows(patch: pytest.MonkeyPatch) -> None:
    """A row that is no longer at hand begins anew."""
    patch.setattr(tables.Table, "load", lambda *_: {})
    patch.setattr(shard, "ROWS_AT_HAND", 0)


def not_removing(patch: pytest.MonkeyPatch) -> None:
    """What goes away stays."""
    honest = tables.Table.changes
    patch.setattr(
        tables.Table,
        "changes",
        lambda self, changed: honest(self, {key: each for key, each in changed.items() if each.row}),
    )


def moving_on_without_writing(patch: pytest.MonkeyPatch) -> None:
    """As when checkpoint and rows are not stored together."""
    skipped = iter([True])
    honest = tables.Table.store
    patch.setattr(tables.Table, "store", lambda *given: None if next(skipped, False) else honest(*given))


def taking_no_receipt(patch: pytest.MonkeyPatch) -> None:
    """The rows are right, and nobody could say so."""
    patch.setattr(checkpoints, "acknowledge", lambda *_: None)


BUGS = {
    "a clock": (Clocked(), None, "is not pure: it calls time.time_ns"),
    "a memory": (Counting(), None, "is not pure: the same events gave"),
    "a memory that is not looked for": (Counting(), "blind", "has calls = "),
    "the last event again": (Tally(), reading_the_last_event_again, "the receipts are"),
    "rows forgotten": (Tally(), forgetting_rows, "has calls = "),
    "rows not removed": (OpenCalls(), not_removing, "too many"),
    "a page not written": (Tally(), moving_on_without_writing, "no row|has calls = "),
    "no receipt": (Tally(), taking_no_receipt, r"the receipts are \[\]"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_noticed(site: Site, bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    projection, plant, said = BUGS[bug]
    if plant == "blind":
        monkeypatch.setattr(shard, "require_pure", lambda *_: None)
    elif callable(plant):
        plant(monkeypatch)
    found = tried(site, in_pieces, {projection.name: projection})[projection.name]
    assert re.search(said, "\n".join(found)), found


def test_without_a_bug_the_same_checking_is_content(site: Site) -> None:
    assert tried(site, in_pieces, {"tally": Tally(), "open_calls": OpenCalls()}) == {"tally": [], "open_calls": []}
