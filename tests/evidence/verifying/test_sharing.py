"""A long log that several processes verify."""

import threading
from pathlib import Path

import psycopg
import pytest

from runfold import Ledger
from runfold.evidence.sealer import Sealer
from runfold.evidence.verifying.pages import Part, Verified, asking, verified_pages
from runfold.evidence.verifying.sharing import STRETCH, Helper, Stretches
from tests.databases import TestDatabase


def found(number: int) -> list[Verified]:
    return [Verified(number, number + 1, 1, {"acme": Part(1, [bytes(32)])})]


def test_a_process_finds_what_is_found_here_and_says_so_once_it_is_gone(database: TestDatabase, tmp_path: Path) -> None:
    settings = database.settings.model_copy(update={"home": tmp_path / "home"})
    with Ledger.open(settings=settings) as ledger, ledger.recorder.store.reading() as connection:
        run = ledger.create_thread(agent_id="desk").start_run()
        for number in range(20):
            run.add_message("user", f"message {number}")
        Sealer(ledger).seal_all()
        generations, last = {settings.tenant: 1}, ledger.position()
        helper = Helper(ledger.recorder.store, generations)
        try:
            helper.begin()
            for first, end in ((0, last), (3, 9)):
                expected = list(verified_pages(asking(connection), generations, first, end))
                assert helper.verify(first, end) == expected
                assert all(page.parts for page in expected)
            with psycopg.connect(database.admin_url, autocommit=True) as admin:
                admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
                admin.execute("UPDATE runfold.log SET state = '{}' WHERE notification_id = 5")
            stretches = helper.verify(0, last)
            assert stretches == list(verified_pages(asking(connection), generations, 0, last))
            (wrong,) = [each for each in stretches if each.parts is None]
            assert wrong.after < 5 <= wrong.until < last, "not all of the page is in doubt"
        finally:
            helper.end()
        with pytest.raises((OSError, ValueError)):
            helper.verify(0, last)


def test_each_stretch_is_taken_once_and_told_in_order_whoever_has_verified_it() -> None:
    stretches = Stretches(5, 5 + 40 * STRETCH - 3)
    taken: list[int] = []

    def help_along() -> None:
        while (number := stretches.take()) is not None:
            taken.append(number)
            stretches.give(number, None if number % 5 == 0 else found(number))  # of some it does not find anything out

    helpers = [threading.Thread(target=help_along) for _ in range(3)]
    for helper in helpers:
        helper.start()
    told: list[Verified] = []
    own: list[int] = []
    for number in range(len(stretches.ends)):
        while (mine := stretches.own(number)) is not None:
            own.append(mine)
            stretches.give(mine, found(mine))
        told += stretches.found(number)
    stretches.end()
    for helper in helpers:
        helper.join(30)
    assert told == [each for number in range(40) for each in found(number)]
    assert stretches.ends[0] == (5, 5 + STRETCH)
    assert stretches.ends[-1] == (5 + 39 * STRETCH, 2 + 40 * STRETCH)
    assert sorted({*taken, *own}) == list(range(40))
    assert len(taken) == len({*taken})
    assert {*taken} & {*own} == {number for number in taken if number % 5 == 0}


def test_who_tells_in_order_verifies_what_others_were_at_when_they_ended_and_nobody_is_far_ahead() -> None:
    stretches = Stretches(0, 40 * STRETCH)
    assert [stretches.take() for _ in range(9)] == list(range(9))
    stretches.give(0, None)
    assert stretches.own(0) == 0, "nothing was found out of it"
    stretches.give(0, found(0))
    assert stretches.own(0) is None
    assert stretches.found(0) == found(0)
    assert stretches.own(1) == 9, "another is at 1, and there is something else to do"
    stretches.end()
    assert stretches.take() is None
