"""A batch of which one part is built while another is on its way."""

import asyncio
import random
import sys
import time

import pytest

from runfold import CommandRefused, DuplicateWithDifferentContent, Ledger, LedgerUnavailable, Run, Thread, VersionConflict
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.errors import LedgerError
from runfold.handles.ledgers.batch import Batch


def texts(run: Run) -> list[str | None]:
    return [message.text for message in run.messages()]


def _anything(batch: Batch, runs: list[str], number: int, chance: random.Random) -> object:
    """Give one command, or ask one question; what came of it."""
    thread = batch.thread("thread_1")
    try:
        if not runs or chance.random() < 0.1:
            parent = chance.choice([None, "main", *runs[-2:]])
            runs.append(thread.start_run(run_id=f"run_{number}", parent=parent).id)
            return runs[-1]
        return _of_a_run(batch.run(chance.choice(runs)), thread, number, chance)
    except LedgerError as error:
        return type(error).__name__


def _of_a_run(run: Run, thread: Thread, number: int, chance: random.Random) -> object:
    match chance.randrange(14):
        case 0:
            return run.complete().version
        case 1 | 2:
            return texts(run)
        case 3 | 4:
            return sorted(thread.tree().nodes)
        case 5 | 6 | 7 | 8:  # mostly it is there, with other words or the same, and perhaps on its way
            message_id = f"{run.id}_{number // 4 - chance.randrange(4)}"
            return run.add_message("user", chance.choice("ab"), message_id=message_id).receipt.appended
        case 9:
            return run.set_state({"n": number}).appended
        case _:
            return run.add_message("user", str(number), message_id=f"msg_{number}").receipt.version


def test_the_next_part_is_built_while_one_is_on_its_way(ledger: Ledger, other: Ledger, run: Run, stalled) -> None:
    with ledger.batch() as batch:
        into = batch.run(run.id)
        with stalled():
            into.add_message("user", "one")
            into.add_message("user", "two")
            part = batch.submit_store()
            assert (len(batch), part.done(), batch.appended, batch.receipt) == (0, False, 0, None)
            third = into.add_message("user", "three")
            into.add_message("user", "four")
            assert (len(batch), [found.version for found in batch.collected()]) == (2, [5, 6])
            assert third.receipt.version == 5
        stored = part.result(60)
        assert stored is not None
        assert (stored.version, stored.appended, batch.receipt, batch.appended) == (4, 2, stored, 2)
        assert texts(other.run(run.id)) == ["one", "two"]
        assert batch.submit_store().result(60) == batch.receipt
        assert batch.submit_store().result(60) == batch.receipt, "nothing was new"
    assert batch.appended == 4
    assert texts(other.run(run.id)) == ["one", "two", "three", "four"]
    assert run.add_message("user", "five").receipt.version == 7


def test_a_part_is_on_its_way_before_its_thread_goes_on(ledger: Ledger, other: Ledger, run: Run) -> None:
    before, interval = other.now.reader.head().position, sys.getswitchinterval()
    sys.setswitchinterval(60)  # who computes keeps the interpreter to itself
    try:
        with ledger.batch() as batch:
            for _ in range(200):
                batch.run(run.id).add_message("user", "x" * 2000)
            batch.submit_store()
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                pass
            assert other.now.reader.head().position == before + 200
    finally:
        sys.setswitchinterval(interval)


def test_leaving_the_block_waits_for_the_part_that_is_on_its_way(ledger: Ledger, other: Ledger, run: Run) -> None:
    for number in range(20):
        with ledger.batch() as batch:
            batch.run(run.id).add_message("user", str(number))
            batch.submit_store()
        assert other.now.reader.ends([run.id])[run.id][0] == 3 + number


@pytest.mark.parametrize("where", ["its result", "the next part", "storing", "a question", "the end"])
def test_what_a_part_failed_with_is_raised_where_it_is_waited_for(
    ledger: Ledger, other: Ledger, thread: Thread, run: Run, where: str
) -> None:
    beside = thread.start_run()
    with pytest.raises(VersionConflict, match=f"{run.id} is at version 3, not 2"), ledger.batch() as batch:  # noqa: PT012
        batch.run(run.id).add_message("user", "mine")
        other.run(run.id).add_message("user", "theirs")
        part = batch.submit_store()
        batch.run(beside.id).add_message("user", "built meanwhile")
        match where:
            case "its result":
                part.result(60)
            case "the next part":
                batch.submit_store()
            case "storing":
                batch.store()
            case "a question":
                batch.run(beside.id).messages()
    for late in (batch.submit_store, batch.store, batch.run(beside.id).messages, batch.run(beside.id).complete):
        with pytest.raises(LedgerUnavailable, match=r"the batch is void .* begin another"):
            late()
    assert (texts(other.run(run.id)), texts(other.run(beside.id)), batch.appended) == (["theirs"], [], 0)
    assert (texts(run), beside.add_message("user", "by itself").receipt.version) == (["theirs"], 3)


def test_a_block_that_ends_with_an_error_waits_for_the_part_on_its_way_and_stores_no_more(
    ledger: Ledger, other: Ledger, run: Run
) -> None:
    with pytest.raises(ZeroDivisionError) as raised, ledger.batch() as batch:  # noqa: PT012
        batch.run(run.id).add_message("user", "handed over")
        part = batch.submit_store()
        batch.run(run.id).add_message("user", "lost")
        raise ZeroDivisionError
    assert part.done()
    assert not hasattr(raised.value, "__notes__")
    assert texts(other.run(run.id)) == ["handed over"]


def test_an_error_of_the_block_tells_that_a_part_on_its_way_failed_too(ledger: Ledger, other: Ledger, run: Run) -> None:
    with pytest.raises(ZeroDivisionError) as raised, ledger.batch() as batch:  # noqa: PT012
        batch.run(run.id).add_message("user", "mine")
        other.run(run.id).add_message("user", "theirs")
        batch.submit_store()
        raise ZeroDivisionError
    (note,) = raised.value.__notes__
    assert f"a part of the batch was on its way, and failed: {run.id} is at version 3, not 2" in note


def test_what_a_part_on_its_way_says_is_known_to_the_next(ledger: Ledger, run: Run) -> None:
    with ledger.batch() as batch:
        into = batch.run(run.id)
        for number in range(20):
            into.add_message("user", str(number), message_id=f"msg_{number}")
            batch.submit_store()
            again = into.add_message("user", str(number), message_id=f"msg_{number}").receipt
            assert (again.appended, again.version) == (0, 3 + number)
            batch.submit_store()
            with pytest.raises(DuplicateWithDifferentContent):
                into.add_message("user", "other", message_id=f"msg_{number}")
        assert texts(into) == [str(number) for number in range(20)]


def test_a_head_is_expected_where_the_part_on_its_way_puts_it(ledger: Ledger, other: Ledger, run: Run) -> None:
    thread_id = run.view().thread_id
    with ledger.batch() as batch:
        thread, at = batch.thread(thread_id), run.id
        for number in range(10):
            following = thread.start_run(run_id=f"run_{number}", parent="main", expected_head=at)
            assert batch.submit_store().done(), "what expects something of a head is stored at once"
            at = f"run_{number}_again"
            thread.start_run(run_id=at, parent=following)
            batch.submit_store()
    assert ledger.thread(thread_id).tree().heads["main"] == at
    with pytest.raises(CommandRefused, match="the batch expects it at"), ledger.batch() as batch:  # noqa: PT012
        thread = batch.thread(thread_id)
        thread.start_run(run_id="run_mine", parent="main", expected_head=at)
        other.thread(thread_id).start_run(run_id="run_theirs")
        batch.submit_store()


def test_closing_the_ledger_stores_the_part_that_is_on_its_way(ledger: Ledger, other: Ledger, run: Run) -> None:
    with ledger.batch() as batch:
        for number in range(300):
            batch.run(run.id).add_message("user", str(number))
        part = batch.submit_store()
        ledger.close()
        assert part.done()
    assert batch.appended == 300
    assert len(texts(other.run(run.id))) == 300


def test_an_event_loop_builds_the_next_part_while_one_is_on_its_way(ledger: Ledger, run: Run) -> None:
    async def record() -> list[int]:
        versions = []
        with ledger.batch() as batch:
            into, part = batch.run(run.id), None
            for number in range(60):
                into.add_message("user", str(number))
                if number % 6 == 5:
                    if part is not None and (receipt := await part) is not None:
                        versions.append(receipt.version)
                    part = batch.submit_store()
        return versions

    assert asyncio.run(record()) == [8 + 6 * number for number in range(9)]
    assert texts(run) == [str(number) for number in range(60)]


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_in_parts_comes_to_what_it_comes_to_in_one(ledger: Ledger, seed: int) -> None:
    """Whatever is stored between its commands, and however: the answers, and all that is recorded."""
    recorded, answers = [], []
    for tenant, ways in {"whole": "", "parts": "store", "beside": "submit_store", "both": "store submit_store"}.items():
        chance, dice, runs, said = random.Random(seed), random.Random(seed), list[str](), []  # noqa: S311
        own = ledger.on_behalf(Caller(tenant, Actor(kind="service", id="test")))
        own.create_thread(thread_id="thread_1", agent_id="support")
        with own.batch() as batch:
            for number in range(120):
                said.append(_anything(batch, runs, number, chance))
                if ways and dice.random() < 0.4:
                    getattr(batch, dice.choice(ways.split()))()
        found = own.thread("thread_1").events()
        recorded.append([(each.stream, each.version, each.type, each.payload, each.context_json) for each in found])
        answers.append(said)
    assert len(recorded[0]) > 50
    for other in range(1, 4):
        assert (recorded[other], answers[other]) == (recorded[0], answers[0])
