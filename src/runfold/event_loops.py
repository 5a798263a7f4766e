"""Event loops, seen from threads that are not theirs."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def tell_loop(loop: asyncio.AbstractEventLoop, told: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
    """Call it soon in a loop, from any thread. A loop that has ended is not told: nobody waits there any more."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(told, *args)
