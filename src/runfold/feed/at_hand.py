"""What of the log is in the memory of this process already, for one stream: its newest events, and blocks read for many."""

from collections.abc import Callable
from typing import NamedTuple

from runfold.domain.recorded import Recorded
from runfold.errors import Damage
from runfold.feed.block import Block
from runfold.feed.run_watch import ENDINGS, RunWatch
from runfold.feed.shared import Feed
from runfold.feed.wanted import Wanted

CHUNK_BYTES = 256 * 1024


class Found(NamedTuple):
    """Some frames, how far the log was looked through for them, and why no further."""

    frames: list[bytes]
    position: int
    is_damaged: bool = False
    """What comes next is wanted, and cannot be read."""
    run_ended: RunWatch | None = None
    """The last is the end of the run that is followed."""


class AtHand:
    """Finds what one stream is to be given and is here. A block that it was at stays, though others have forgotten it."""

    def __init__(self, feed: Feed, asked: Wanted, enters: Callable[[Block], object]) -> None:
        """`enters` is called with each block that it comes to."""
        self._feed, self._asked, self._enters = feed, asked, enters
        self._block: Block | None = None

    def take(self, block: Block | None) -> None:
        """Take a block that was read; None lets go of the one that it was at."""
        self._block = block
        if block is not None:
            self._enters(block)

    def find(self, after: int, up_to: int) -> Found:
        """Return what comes after a position and up to another, or as much of it as is sent at once.

        It ends before an event that cannot be read, and behind one that ends the run that is followed.
        """
        frames, size, position = list[bytes](), 0, after
        look = self._in_block if self._asked.run is None else self._one_by_one
        while position < up_to and size < CHUNK_BYTES:
            found = look(position, up_to, CHUNK_BYTES - size) or self._one_by_one(position, up_to, CHUNK_BYTES - size)
            frames += found.frames
            size += sum(map(len, found.frames))
            is_end = found.position == position or found.is_damaged or found.run_ended is not None
            position = found.position
            if is_end:
                return Found(frames, position, found.is_damaged, found.run_ended)
        return Found(frames, position)

    def _in_block(self, after: int, up_to: int, most_bytes: int) -> Found | None:
        """Return what is here of the block that comes next; None where none is here."""
        block, form = self._block_at(after + 1), self._asked.form
        if block is None:
            return None
        made, framing = block.frames(form), self._feed.framing(form)
        frames, size = list[bytes](), 0
        for taken in block.taken(self._asked.filter, after, up_to):
            try:
                frames.append(made[taken - block.begins] or block.frame(taken, form, framing))
            except Damage:
                return Found(frames, taken - 1, is_damaged=True)
            size += len(frames[-1])
            if size >= most_bytes:
                return Found(frames, taken)
        return Found(frames, min(up_to, block.ends - 1))

    def _one_by_one(self, after: int, up_to: int, most_bytes: int) -> Found:
        wants, run = self._asked.filter.takes, self._asked.run
        shows = self._asked.shown.takes if self._asked.types else None
        frames, size, position = list[bytes](), 0, after
        while position < up_to and size < most_bytes and (recorded := self._recorded(position + 1)) is not None:
            if wants(recorded):
                if shows is None or shows(recorded):
                    try:
                        frames.append(self._frame(position + 1))
                    except Damage:
                        return Found(frames, position, is_damaged=True)
                    size += len(frames[-1])
                if run is not None and run.ends_with(recorded):
                    return Found(frames, position + 1, run_ended=RunWatch(run.run_id, ENDINGS[recorded.type]))
            position += 1
        return Found(frames, position)

    def _block_at(self, position: int) -> Block | None:
        if self._block is None or not self._block.holds(position):
            self.take(self._feed.block(position))
        return self._block

    def _recorded(self, position: int) -> Recorded | None:
        if (entry := self._feed.newest(position)) is not None:
            self._block = None
            return entry.recorded
        block = self._block_at(position)
        return None if block is None else block.recorded(position)

    def _frame(self, position: int) -> bytes:
        form = self._asked.form
        if (entry := self._feed.newest(position)) is not None:
            return self._feed.frame(entry, form)
        block = self._block_at(position)
        assert block is not None, "it was there a moment ago"  # noqa: S101
        return block.frame(position, form, self._feed.framing(form))
