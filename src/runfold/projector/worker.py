"""A worker: it claims read models, and folds what is new into their tables.

Rows, checkpoint and receipt of a page are stored in one transaction, so that each event counts exactly once. Read models
that are equally far are folded from one reading of the log and stored together; where that fails, each is tried by
itself, in halves of the page down to the event that is at fault, and only that read model stops.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

import psycopg

from runfold.errors import PoisonEvent, ProjectionStopped
from runfold.failpoint import reach
from runfold.logs import configure_unless_done, logger
from runfold.projections.projection import AnyProjection
from runfold.projector import checkpoints
from runfold.projector.checking import trial
from runfold.projector.checkpoints import ClaimsLost, ReadModel
from runfold.projector.connection import connect
from runfold.projector.folding.marks import Marks
from runfold.projector.folding.page import Page, Pages
from runfold.projector.folding.page_size import PageSize
from runfold.projector.folding.shard import FAULTS, FOR_GOOD, Shard
from runfold.projector.folding.storing import Ahead, Storing, Together, store_together
from runfold.projector.folding.team import TAKE_OVER_SECONDS, Team, read_head
from runfold.projector.past import moments
from runfold.projector.tables import generations, indexing
from runfold.store.datastore import Connection, Datastore, unavailable
from runfold.store.hint import Listener
from runfold.store.reading.reader import Head
from runfold.uncollected import VERY_SELDOM, SeldomWhile, seldom_collected

LARGEST_PAGE, FIRST_PAGE = 8_000, 500
"""Positions read at once (see folding/page_size.py)."""
BUSY_SECONDS, QUIET_SECONDS = 0.005, 0.25

Progress = Callable[[int, int], None]


class Worker:
    """One thread that folds. `run` goes on until it is told to stop; `catch_up` ends when everything is folded."""

    def __init__(
        self,
        datastore: Datastore,
        projections: Mapping[str, AnyProjection],
        *,
        take_over_seconds: float = TAKE_OVER_SECONDS,
        marks: Marks | None = None,
        tries_out: bool = False,
    ) -> None:
        """Make one. With `tries_out`, a version that is first used here is tried in other processes (see trial.py)."""
        configure_unless_done("warning")
        self._datastore = datastore
        self._team = Team(projections, take_over_seconds, marks)
        self._listener = Listener(datastore)
        self._pages = Pages(datastore)
        self._storing = Storing(datastore)
        self._ahead: Ahead | None = None
        self._open: Connection | None = None
        self.when_stored: Callable[[int, bytes, datetime], object] = lambda *_: None
        """Called with the position, id and time of the last event that was folded. It must not wait."""
        self._size = PageSize(FIRST_PAGE, LARGEST_PAGE)
        self._sweep_at = 0.0
        self._has_begun = False
        self._tries_out = tries_out
        self._collector = SeldomWhile(VERY_SELDOM)

    def run(self, stop: threading.Event) -> None:
        """Fold until told to stop. A database that is away is waited for."""
        try:
            with seldom_collected():
                self._run(stop)
        finally:
            self.close()

    def _run(self, stop: threading.Event) -> None:
        pause = BUSY_SECONDS
        while not stop.is_set():
            try:
                self._beat_if_due()
                self._sweep_if_due()
                self._has_begun = True
                if self._step():
                    pause = BUSY_SECONDS
                    continue
                self._listener.wait(min(pause, self._team.next_beat_in()))
                pause = min(pause * 2, QUIET_SECONDS)
            except psycopg.ProgrammingError as error:  # rights or tables are missing, which waiting does not mend
                raise unavailable(error) from error
            except psycopg.Error as error:
                if isinstance(error, psycopg.errors.ReadOnlySqlTransaction) and not self._has_begun:
                    raise unavailable(error) from error  # later it is a standby that is about to take over
                self._start_over(error)
                stop.wait(QUIET_SECONDS)

    def catch_up(self, progress: Progress | None = None) -> int:
        """Fold all that is there now, or wait for others who have claimed it; returns the position.

        Read models that have stopped are left as they are. Raises LedgerUnavailable.
        """
        try:
            with seldom_collected(VERY_SELDOM):
                return self._catch_up(progress)
        except psycopg.Error as error:
            raise unavailable(error) from error

    def _catch_up(self, progress: Progress | None) -> int:
        target = read_head(self._connection).position
        self._team.look_again()
        while True:
            self._team.look_again(within=BUSY_SECONDS * 10)
            self._beat_if_due()
            behind = [model for model in self._team.models if self._team.is_ours(model) and not self._has_done(model, target)]
            if not behind:
                if self._end_storing():
                    return target
                continue
            if progress is not None:
                progress(sum(map(self._position, behind)), target * len(behind))
            if not self._step():
                time.sleep(BUSY_SECONDS)

    def close(self) -> None:
        """Give everything back, so that others can go on at once."""
        self._listener.close()
        self._pages.close()
        self._storing.close()
        self._collector.hold(False)
        self._ahead = None
        with contextlib.suppress(psycopg.Error):  # they find out by themselves
            if self._open is not None and not self._open.closed:
                self._team.leave(self._open)
                self._open.close()
        self._open = None

    # Folding

    def _beat_if_due(self) -> None:
        """What is given back to others by a beat is stored before."""
        if self._team.next_beat_in() <= 0:
            self._end_storing()
        self._team.beat_if_due(self._connection)

    def _step(self) -> bool:
        """Take in one page for the read models that have waited longest; False when there is nothing to do."""
        head = read_head(self._connection)
        now = time.monotonic()
        due = [shard for shard in self._team.shards.values() if shard.position < head.position and shard.not_before <= now]
        if due:
            self._take_in_next(due, head)
        else:
            self._end_storing()
        self._index_filled()
        self._switch_built(head)
        return bool(due)

    def _take_in_next(self, due: list[Shard], head: Head) -> None:
        began = time.monotonic()
        first = min(due, key=lambda shard: shard.served)
        ahead = [shard.position for shard in due if shard.position > first.position]
        whole = min([first.position + self._size.positions, head.position, *ahead])
        up_to = first.most(whole)
        group = [each for each in due if each.position == first.position and each.most(whole) == whole]
        if up_to < whole:  # what is slow, or was at fault, keeps no others waiting
            group = [first]
        types = frozenset(name for shard in group for name in shard.types)
        page = self._pages.read(first.position, up_to, types)
        has_more = len(group) == len(due) and page.up_to == whole < head.position
        if has_more:
            self._pages.ask(page.up_to, min(page.up_to + self._size.positions, head.position), types)
        reach("page read")
        self._collector.hold(has_more)
        if has_more:
            self._take_in_ahead(group, page, head)
        elif self._end_storing():
            self._take_in(group, page, head)
        if up_to == whole:  # else it is one read model that is slow, and not the reading
            self._size.taken(page.up_to - page.after, time.monotonic() - began)

    def _take_in_ahead(self, group: list[Shard], page: Page, head: Head) -> None:
        """Fold a page while the one before it is stored, and let it be stored while the next one is folded.

        What it goes on from may turn out not to be stored: then it is forgotten, and folded again from what is.
        """
        try:
            folded = self._fold(group, page)
        except FAULTS as error:
            if self._end_storing():
                self._mend(group, page, head, error)
            return
        if not self._end_storing():
            return
        if not all(each.up_to == page.up_to and shard.may_be_ahead(each) for shard, each in folded):
            self._take_in(group, page, head)
            return
        self._storing.begin(partial(store_together, folded=folded, after=page.after, up_to=page.up_to, epoch=head.epoch))
        self._ahead = Ahead(folded, page, head)
        self._settle(folded, head)

    def _end_storing(self) -> bool:
        """Wait until the page before is stored; False where it was not, and the read models are where they were before it."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return True
        try:
            self._storing.end()
        except Exception as error:
            for shard, each in ahead.folded:
                shard.go_back(each.applied.claim)
            self._mend([shard for shard, _ in ahead.folded], ahead.page, ahead.head, error)
            return False
        self._tell_stored(ahead.page)
        return True

    def _take_in(self, group: list[Shard], page: Page, head: Head) -> None:
        try:
            self._store(group, page, head)
        except (ClaimsLost, *FAULTS) as error:
            self._mend(group, page, head, error)

    def _mend(self, group: list[Shard], page: Page, head: Head, error: Exception) -> None:
        """Go on after a page was not stored; what is the database's doing is raised."""
        for shard in group:
            shard.forget()
        if isinstance(error, ClaimsLost):
            for shard in group:
                if (shard.name, shard.claim.generation) in error.lost:
                    self._team.drop(shard)
                    logger().info("claim lost", read_model=shard.name, position=shard.position)
            return
        if not isinstance(error, FAULTS):
            raise error
        for shard in [each for each in group if each.position == page.after]:  # others are stored already
            if isinstance(error, FOR_GOOD) and error.name == shard.name:
                self._stop(shard, error)
            else:
                self._take_in_alone(shard, page, head)

    def _take_in_alone(self, shard: Shard, page: Page, head: Head) -> bool:
        """A page for one read model, halved until what is at fault stands alone; False when it did not get through."""
        try:
            self._store([shard], page, head)
        except ClaimsLost:
            self._team.drop(shard)
            return False
        except FOR_GOOD as error:
            self._stop(shard, error)
            return False
        except FAULTS as error:
            shard.forget()
            if page.up_to - page.after > 1:
                first, second = page.halves()
                return self._take_in_alone(shard, first, head) and self._take_in_alone(shard, second, head)
            self._put_off(shard, shard.explain(error, page))
            return False
        return shard.position == page.up_to  # less where it is slow

    def _fold(self, group: list[Shard], page: Page) -> Together:
        for shard in group:
            self._try_out(shard, page)
        folded = [(shard, shard.fold(self._connection, page)) for shard in group]
        reach("page folded")
        return folded

    def _store(self, group: list[Shard], page: Page, head: Head) -> None:
        folded = self._fold(group, page)
        slow = [(shard, each) for shard, each in folded if each.up_to < page.up_to]
        whole = [(shard, each) for shard, each in folded if each.up_to == page.up_to]
        for each in [whole, *([one] for one in slow)]:  # the slow ones as far as time allowed; the rest comes at their next turn
            if each:
                store_together(self._connection, each, page.after, each[0][1].up_to, head.epoch)
                self._settle(each, head)
        self._tell_stored(page)

    def _tell_stored(self, page: Page) -> None:
        self._size.stored()
        for recorded in page.events[-1:]:
            self.when_stored(recorded.position, recorded.event_id_bytes, recorded.recorded_at)
        reach("page stored")

    def _settle(self, folded: Together, head: Head) -> None:
        for shard, each in folded:
            shard.settle(each)
            if (rate := shard.slow_rate(each)) is not None:
                left = head.position - shard.position
                logger().warning("slow", read_model=shard.name, events_per_second=round(rate, 2), behind_events=left)

    def _try_out(self, shard: Shard, page: Page) -> None:
        if self._tries_out and trial.is_own(shard.projection) and shard.is_to_be_tried(page):
            trial.require_same(self._datastore, [shard.projection], page.up_to)
            shard.note_tried(page)

    def _put_off(self, shard: Shard, error: ProjectionStopped) -> None:
        if shard.put_off(error.position if isinstance(error, PoisonEvent) else shard.position + 1):
            checkpoints.note_trouble(self._connection, shard.claim, error, "retrying", shard.attempts)
            logger().warning("retrying", read_model=shard.name, error=str(error), attempt=shard.attempts)
        else:
            self._stop(shard, error)

    def _stop(self, shard: Shard, error: ProjectionStopped) -> None:
        self._team.stop(self._connection, shard.claim, error, max(1, shard.attempts))
        checkpoints.release(self._connection, shard.claim)
        self._team.drop(shard)

    def _index_filled(self) -> None:
        """Make the indexes of tables that were begun without, now that all is in them that was there to be folded."""
        for shard in list(self._team.shards.values()):
            if shard.indexed_at is None or shard.position < shard.indexed_at or not self._end_storing():
                continue
            try:
                indexing.complete(self._connection, shard.projection, shard.table)
            except ProjectionStopped as error:
                self._stop(shard, error)
                continue
            shard.indexed_at = None
            reach("generation indexed")
            self._beat_if_due()

    def _switch_built(self, head: Head) -> None:
        """Put what has caught up in the place of the one before it."""
        now = time.monotonic()
        for shard in list(self._team.shards.values()):
            if shard.building and shard.is_indexed and shard.position >= head.position and shard.switch_not_before <= now:
                self._switch(shard)

    def _switch(self, shard: Shard) -> None:
        try:
            if generations.switch(self._connection, shard.projection, shard.claim):
                reach("generation switched")
                shard.building = False
            else:
                shard.switch_not_before = time.monotonic() + QUIET_SECONDS
        except ClaimsLost:
            self._team.drop(shard)
        except ProjectionStopped as error:
            self._stop(shard, error)
        self._team.look_again()

    def _sweep_if_due(self) -> None:
        """Where no server runs, nobody else drops the moments that are used no more."""
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + moments.SWEEP_SECONDS
            moments.sweep(self._connection)

    # What it knows

    def _has_done(self, model: ReadModel, target: int) -> bool:
        shard = self._team.shards.get((model.name, model.generation))
        is_in_use = shard.is_indexed and not shard.building if shard else model.state != "building"
        return model.trouble == "stopped" or (self._position(model) >= target and is_in_use)

    def _position(self, model: ReadModel) -> int:
        shard = self._team.shards.get((model.name, model.generation))
        return shard.position if shard else model.position or 0

    @property
    def _connection(self) -> Connection:
        if self._open is None or self._open.closed:
            self._open = connect(self._datastore)
        return self._open

    def _start_over(self, error: Exception) -> None:
        """After a fault of the database: what is at hand may not be what is stored, and claims may be gone."""
        logger().warning("the database does not answer", error=" ".join(str(error).split()))
        if self._open is not None:
            self._open.close()
        self._open = None
        self._size.failed(error)
        self._team.shards.clear()
        self._team.look_again()
        self._pages.close()
        self._storing.close()
        self._ahead = None
        self._listener.close()
        self._datastore.revive()
