"""Who comes with many others goes on in the order of their coming, and lets go first what became ready meanwhile."""

import asyncio

from runfold.http.turns import Turns


def test_each_goes_on_alone_in_a_round_of_the_loop_and_what_it_made_ready_before_the_next() -> None:
    async def check() -> list[str]:
        turns, told, loop = Turns(), list[str](), asyncio.get_running_loop()

        async def come(name: int) -> None:
            await turns.mine()
            told.append(f"turn {name}")
            loop.call_soon(told.append, f"ready after {name}")

        await asyncio.gather(*map(come, range(4)))
        return told

    assert asyncio.run(check()) == [f"{what} {name}" for name in range(4) for what in ("turn", "ready after")]


def test_who_gives_up_holds_up_nobody() -> None:
    async def check() -> list[int]:
        turns, told = Turns(), list[int]()

        async def come(name: int) -> None:
            await turns.mine()
            told.append(name)

        coming = [asyncio.ensure_future(come(name)) for name in range(5)]
        await asyncio.sleep(0)
        coming[0].cancel()
        coming[3].cancel()
        await asyncio.wait(coming)
        return told

    assert asyncio.run(check()) == [1, 2, 4]
