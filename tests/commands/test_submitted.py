"""Commands on their way: from threads, from asyncio, in order."""

import asyncio
import threading
import time

import pytest

from runfold import CommandRefused, InvalidEvent, Ledger, LedgerUnavailable, Run


def texts(run: Run) -> list[str]:
    return [message.text for message in run.messages()]


def test_submitting_returns_at_once_and_the_result_comes_when_it_is_durable(ledger: Ledger, run: Run, stalled) -> None:
    with stalled():
        submitted = run.submit_add_message("user", "hello")
        assert not submitted.done()
        with pytest.raises(TimeoutError, match="still on its way; it may yet be recorded"):
            submitted.result(0.05)
    message = submitted.result(60)
    assert submitted.done()
    assert (message.receipt.position, message.receipt.recorded_at) == (4, ledger.events(after=3)[0].recorded_at)


def test_what_a_command_refuses_its_result_raises(run: Run) -> None:
    run.complete()
    with pytest.raises(CommandRefused):
        run.submit_add_message("user", "late").result(60)
    with pytest.raises(InvalidEvent):
        run.submit_merge_metadata({"no": {"json"}}).result(60)


def test_many_coroutines_await_their_commands(ledger: Ledger, run: Run) -> None:
    async def say(number: int) -> int:
        message = await run.submit_add_message("user", str(number))
        return message.receipt.version

    async def main() -> list[int]:
        return await asyncio.gather(*(say(number) for number in range(200)))

    versions = asyncio.run(main())
    assert versions == list(range(3, 203))
    assert texts(run) == [str(number) for number in range(200)]


def test_awaiting_raises_what_the_command_raised_and_may_be_done_twice(run: Run) -> None:
    async def main() -> None:
        submitted = run.submit_complete()
        first, second = await asyncio.gather(wait(submitted), wait(submitted))
        assert first == second == await submitted
        with pytest.raises(CommandRefused):
            await run.submit_add_message("user", "late")

    async def wait(submitted):
        return await submitted

    asyncio.run(main())


def test_a_loop_that_is_gone_does_not_disturb_the_others(ledger: Ledger, run: Run, stalled, monkeypatch) -> None:
    loop = asyncio.new_event_loop()
    monkeypatch.setattr(loop, "is_closed", lambda: False)  # as if it went right after somebody looked

    async def give_up() -> None:
        task = asyncio.ensure_future(wait(run.submit_add_message("user", "abandoned")))
        await asyncio.sleep(0.05)
        task.cancel()

    async def wait(submitted):
        return await submitted

    with stalled():
        loop.run_until_complete(give_up())
        loop.close()
        patient = run.submit_add_message("user", "patient")
    patient.result(60)
    assert texts(run) == ["abandoned", "patient"]


def test_commands_of_one_thread_on_one_run_keep_their_order_whatever_conflicts_there_are(
    ledger: Ledger, other: Ledger, run: Run
) -> None:
    """Two processes write to one run, so that many of their batches conflict."""
    stop, had_a_turn = threading.Event(), threading.Semaphore(0)

    def disturb() -> None:
        count = 0
        while not stop.is_set():
            other.run(run.id).add_message("assistant", f"other {count}")
            had_a_turn.release()
            count += 1
            time.sleep(0.005)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    submitted = []
    for number in range(200):
        submitted.append(run.submit_add_message("user", str(number)))
        if number % 10 == 9:
            run.add_message("user", f"waited {number}")
            assert had_a_turn.acquire(timeout=60)
    for message in submitted:
        message.result(60)
    stop.set()
    disturber.join()
    said = texts(run)
    mine = [text for text in said if not text.startswith("other")]
    expected = []
    for number in range(200):
        expected += [str(number), f"waited {number}"] if number % 10 == 9 else [str(number)]
    assert mine == expected
    others = [text for text in said if text.startswith("other")]
    assert others == [f"other {count}" for count in range(len(others))]
    assert len(others) > 5


def test_commands_that_must_be_read_for_keep_their_order(settings, ledger: Ledger, run: Run) -> None:
    """A cold process: the run is read first, and what follows must not overtake."""
    with Ledger.open(settings=settings) as cold:
        submitted = [cold.run(run.id).submit_add_message("user", str(number)) for number in range(100)]
        cold.run(run.id).add_message("user", "last")
        assert all(message.done() for message in submitted)
    assert texts(run) == [*(str(number) for number in range(100)), "last"]


def test_commands_built_on_one_that_conflicts_are_tried_again_with_it(ledger: Ledger, other: Ledger, run: Run, stalled) -> None:
    run.add_message("user", "before")
    with stalled():
        theirs = other.run(run.id).submit_add_message("user", "theirs")
        mine = [run.submit_add_message("user", f"mine {number}") for number in range(5)]
        unrelated = ledger.submit_create_thread(thread_id="thread_unrelated")
    theirs.result(60)
    assert [message.result(60).receipt.appended for message in mine] == [1] * 5
    assert unrelated.result(60).receipt.appended == 1
    said = texts(run)
    assert [text for text in said if text.startswith("mine")] == [f"mine {number}" for number in range(5)]
    assert sorted(said) == sorted(["before", "theirs", *(f"mine {number}" for number in range(5))])


def test_closing_stores_what_is_on_its_way_and_answers_everybody(settings, ledger: Ledger, run: Run) -> None:
    closing = Ledger.open(settings=settings)
    submitted = [closing.run(run.id).submit_add_message("user", str(number)) for number in range(100)]
    closing.close()
    assert all(message.done() for message in submitted)
    outcomes = []
    for message in submitted:
        try:
            outcomes.append(message.result(0).receipt.appended)
        except LedgerUnavailable:
            outcomes.append(0)
    assert len(texts(run)) == sum(outcomes) == 100
