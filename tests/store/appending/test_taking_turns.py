"""Callers that append for themselves and the thread that appends for others take turns, and nobody is forgotten."""

import asyncio
import random
import threading
import time

import pytest

from runfold import Ledger, Run


def test_nobody_waits_for_ever(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")
    forgotten: list[str] = []

    def write(run: Run) -> None:
        for number in range(300):
            try:
                run.submit_add_message("user", str(number)).result(timeout=60)
                run.add_message("user", str(number))
            except TimeoutError:
                forgotten.append(f"{run.id} {number}")
                return

    writers = [threading.Thread(target=write, args=[thread.start_run(parent=None)], daemon=True) for _ in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(240)
    assert not forgotten
    assert not any(writer.is_alive() for writer in writers)
    assert ledger.position() == 1 + 6 * (2 + 600)


@pytest.mark.fault("C-1", "C-7")
@pytest.mark.parametrize("seed", range(3))
def test_event_loops_and_threads_that_come_and_pause_take_turns(ledger: Ledger, seed: int) -> None:
    thread = ledger.create_thread(agent_id="support")
    finished: list[str] = []

    def pauses(number: int) -> list[float]:
        chance = random.Random(f"{seed} {number}")  # noqa: S311  the same each time
        return [chance.choice([0.0, 0.0, 0.001, 0.03, 0.06]) for _ in range(25)]

    async def say(run: Run, number: int) -> None:
        for pause in pauses(number):
            async with asyncio.timeout(60):
                await run.submit_add_message("user", "from a loop")
            await asyncio.sleep(pause)
        finished.append(run.id)

    async def say_all(runs: list[Run], number: int) -> None:
        await asyncio.gather(*(say(run, number + each) for each, run in enumerate(runs)))

    def write(run: Run, number: int) -> None:
        for pause in pauses(number):
            run.add_message("user", "from a thread")
            time.sleep(pause)
        finished.append(run.id)

    def hold_up(number: int) -> None:
        at, other = runs[0].id, runs[1].id
        for pause in pauses(number):
            thread.put_head("here", other, expected=at)  # while nobody else appends
            at, other = other, at
            time.sleep(pause)
        finished.append("held up")

    runs = [thread.start_run(parent=None) for _ in range(8)]
    thread.put_head("here", runs[0])
    working = [
        threading.Thread(target=lambda: asyncio.run(say_all(runs[:3], 0)), daemon=True),
        threading.Thread(target=lambda: asyncio.run(say_all(runs[3:5], 3)), daemon=True),
        *(threading.Thread(target=write, args=[run, number], daemon=True) for number, run in enumerate(runs[5:], 5)),
        threading.Thread(target=hold_up, args=[8], daemon=True),
    ]
    for each in working:
        each.start()
    for each in working:
        each.join(240)
    assert sorted(finished) == sorted(["held up", *(run.id for run in runs)])
    assert ledger.position() == 1 + 8 * (2 + 25) + 1 + 25
