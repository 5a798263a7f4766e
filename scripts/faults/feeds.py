"""Readers at the tail: each a process of its own that keeps every position it is given, in the order it is given."""

import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from faults.clients import Work, note, open_ledger
from runfold import LedgerUnavailable, Subscription

_POSITION = struct.Struct("<q")


@dataclass(frozen=True)
class Following(Work):
    """A reader's task. It ends when it has been given everything up to the goal, once there is one."""

    after: int = 0
    slow: float = 0.0

    until_goal: ClassVar[bool] = True

    @property
    def delivered(self) -> Path:
        """Its file of positions."""
        return Path(self.folder) / f"{self.name}.positions"


def follow(work: Following) -> None:
    """The body of a reader's process. Started again after a kill, it resumes behind what it wrote down."""
    before = positions(work.delivered)
    with work.delivered.open("r+b" if work.delivered.exists() else "wb") as file, open_ledger(work) as ledger:
        file.truncate(len(before) * _POSITION.size)
        file.seek(0, 2)
        with ledger.subscribe(after=before[-1] if before else work.after) as subscription:
            threading.Thread(target=_stop_at_goal, args=(work, subscription), daemon=True).start()
            while True:
                try:
                    for recorded in subscription:
                        file.write(_POSITION.pack(recorded.position))
                        file.flush()
                        if work.slow:
                            time.sleep(work.slow)
                except LedgerUnavailable as error:
                    note(work, error)
                else:
                    return


def _stop_at_goal(work: Following, subscription: Subscription) -> None:
    while not (work.goal.exists() and subscription.position >= int(work.goal.read_text() or 2**62)):
        time.sleep(0.02)
    subscription.stop()


def positions(path: Path) -> list[int]:
    """What a reader was given, in order."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = len(data) // _POSITION.size * _POSITION.size
    return [position for (position,) in _POSITION.iter_unpack(data[:whole])]
