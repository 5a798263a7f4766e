"""How a block under `with`, or `async with`, ends what it works on: well, badly with its exception, or cancelled.

What was ended in the block already, and a run that waits or is stuck, is left as it is. The exception goes on, whatever comes of
recording it.
"""

import concurrent.futures
import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from runfold.commands.submitted import Submitted
from runfold.errors import CommandRefused, DuplicateWithDifferentContent, LedgerError
from runfold.handles.calling.handle import Handle

_MOST_CHARACTERS = 10_000
_MOST_TYPE_CHARACTERS = 200
_NOT_RUNNING = frozenset({"completed", "failed", "cancelled", "waiting", "stuck"})
"""States of a run in which a block's end changes nothing."""


class End(NamedTuple):
    """The command that ends something, and its arguments."""

    method: str
    arguments: dict[str, Any]


def _is_cancellation(error: BaseException) -> bool:
    """Return whether nobody waits for the work any more: Ctrl-C, a cancelled task, a program that exits."""
    return not isinstance(error, Exception) or isinstance(error, concurrent.futures.CancelledError)


def _type_of(error: BaseException) -> str:
    """Return the name of an exception's class."""
    return _kept(type(error).__qualname__, _MOST_TYPE_CHARACTERS) or "Exception"


def _words_of(error: BaseException) -> str:
    """Return what an exception says, or else its class, as a text that can be recorded."""
    try:
        words = str(error)
    except Exception:  # an exception's words are its author's code
        words = ""
    return _kept(words, _MOST_CHARACTERS) or _type_of(error)


def _kept(text: str, most: int) -> str:
    kept = text.replace("\0", "�").encode(errors="replace").decode()
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


def end_of(well: str, error: BaseException | None) -> End:
    """Return how a block that ended so ends its run or tool call."""
    if error is None:
        return End(well, {})
    if _is_cancellation(error):
        return End("cancel", {"reason": _type_of(error)})
    return End("fail", {"message": _words_of(error), "error_type": _type_of(error)})


def finish_of(error: BaseException | None) -> End:
    """Return how a block that ended so finishes its step or model call."""
    if error is None:
        return End("finish", {})
    code = "cancelled" if _is_cancellation(error) else "error"
    return End("finish", {"error": _words_of(error), "error_type": _type_of(error), "code": code})


def leave(handle: Handle, end: End, error: BaseException | None) -> None:
    """End what a block worked on."""
    with _going_on(handle, error):
        getattr(handle, end.method)(**end.arguments)


async def leave_async(handle: Handle, end: End, error: BaseException | None) -> None:
    """End what a block worked on, without holding up others."""
    with _going_on(handle, error):
        submitted: Submitted[Any] = getattr(handle, f"submit_{end.method}")(**end.arguments)
        await submitted


@contextlib.contextmanager
def _going_on(handle: Handle, error: BaseException | None) -> Iterator[None]:
    """Leave alone what has ended already, and let the exception of the block go before one of recording it."""
    try:
        yield
    except DuplicateWithDifferentContent:
        return
    except LedgerError as trouble:
        if isinstance(trouble, CommandRefused) and trouble.state.partition(" ")[0] in _NOT_RUNNING:
            return
        if error is None:
            raise
        error.add_note(f"the end of {handle!r} was not recorded: {trouble}")
