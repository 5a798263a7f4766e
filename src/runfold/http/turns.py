"""Whose turn it is on the event loop, where many come at once and what each wants takes some time."""

import asyncio


class Turns:
    """Lets one after another go on, in the order in which they came: one in a round of the event loop.

    So what became ready meanwhile goes first. Without that, fifty who come at once are all begun before the first of them hears
    that what it wants was recorded, though that was done long ago.
    """

    def __init__(self) -> None:
        self._going = asyncio.Lock()

    async def mine(self) -> None:
        """Wait for one's turn, which lasts until one waits for something."""
        async with self._going:
            await asyncio.sleep(0)
