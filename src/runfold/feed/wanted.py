"""What a stream is to hold, and a page of it from the log."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from runfold.feed.following import Span
from runfold.feed.frames import Form, Frame, Frames
from runfold.feed.run_watch import ENDINGS, RunWatch
from runfold.store import epochs
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Reader, Stretch


@dataclass(frozen=True)
class Wanted:
    """What a stream is to hold. `goal` is where it ends; None: nowhere."""

    within: Filter
    types: tuple[str, ...]
    after: int
    head: int
    epoch: UUID
    """The history that these positions are of."""
    goal: int | None
    run: RunWatch | None = None
    is_named: bool = True
    """Whether each event is shown with the name of its type, beside what it holds."""
    form: Form = "runfold"
    shown: Filter = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", Filter(types=self.types))

    @property
    def shown_within(self) -> Filter:
        """Return what is to be given."""
        return replace(self.within, types=self.types)

    @property
    def filter(self) -> Filter:
        """Return what must be looked at: of a run everything, for its end must be seen whatever types are shown."""
        return self.within if self.run else self.shown_within


class Page(NamedTuple):
    """What of the log was looked through, as frames, how many events that were, and how the run is after them."""

    span: Span[Frame]
    read: int
    epoch: UUID
    run_ended: RunWatch | None


def read_page(reader: Reader, frames: Frames, wanted: Wanted, after: int, up_to: int, limit: int, epoch: UUID) -> Page:
    """Return the events after a position of a history, at most so many. Raises HistoryChanged, LedgerUnavailable, Damage."""
    head = reader.head()
    up_to = min(up_to, head.position)
    looking = reader.knowing(head)
    stretch = looking.stretch(wanted.filter, after=after, up_to=up_to, limit=limit) if up_to > after else Stretch([], after)
    present = epochs.still(reader, stretch.position, epoch).epoch
    shown = [recorded for recorded in stretch.events if wanted.shown.takes(recorded)]
    framed = frames.framing(present, wanted.form)
    given = [Frame(recorded.position, framed(recorded)) for recorded in shown]
    run = wanted.run
    ended = [RunWatch(run.run_id, ENDINGS[each.type]) for each in stretch.events if run and run.ends_with(each)]
    return Page(Span(after, stretch.position, epoch, given), len(stretch.events), present, ended[-1] if ended else None)
