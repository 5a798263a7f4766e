"""Filling one read model in the order of positions, while nobody else folds it: for rows that any events may be behind.

It goes on from its own checkpoint, and each page is stored whole with it, so what a killed rebuild has done is kept.
"""

import contextlib
import os
import secrets
from collections.abc import Callable

from runfold.errors import ProjectionStopped
from runfold.failpoint import reach
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import source_of
from runfold.projector import checkpoints, filling
from runfold.projector.checking.comparing import compare
from runfold.projector.checkpoints import ReadModel, read_models
from runfold.projector.filling import Job, Target
from runfold.projector.folding.page import Page, Pages
from runfold.projector.folding.shard import FAULTS, FOR_GOOD, Shard
from runfold.projector.folding.team import read_head
from runfold.projector.rebuilding.rebuilt import NO_TABLE, OTHER_KEY, Rebuilt, Site, code_of, live_of, stands
from runfold.projector.tables import generations
from runfold.projector.tables.indexing import index
from runfold.projector.tables.table import Table
from runfold.projector.worker import Worker
from runfold.store.datastore import Connection
from runfold.store.epochs import lineage_over
from runfold.uncollected import VERY_SELDOM, seldom_collected

PAGE = 2_000
NEAR = 2_000
"""How many events the two tables may be apart when the snapshot is taken in which they are compared."""


class InOrder:
    """A generation that is being filled. To be closed."""

    def __init__(self, site: Site, projection: AnyProjection, model: ReadModel) -> None:
        """Go on from where it is. Raises BrokenCheckpoint, ProjectionStopped."""
        claim = checkpoints.claim(site.connection, model, f"rebuild:{os.getpid()}:{secrets.token_hex(4)}")
        if claim is None:
            raise ProjectionStopped(projection.name, "is being folded by somebody else", "repeat the command")
        self._connection = site.connection
        self._shard = Shard(projection, claim)
        self._pages = Pages(site.datastore)

    @property
    def position(self) -> int:
        """Return how far it is."""
        return self._shard.position

    def go(self, up_to: int, told: Callable[[int, int], None]) -> None:
        """Fold up to a position. Raises ProjectionStopped, psycopg.Error."""
        with seldom_collected(VERY_SELDOM):
            self._go(up_to, told)

    def _go(self, up_to: int, told: Callable[[int, int], None]) -> None:
        while self.position < up_to:
            end = min(self.position + PAGE, up_to)
            page = self._pages.read(self.position, end, self._shard.types)
            if end < up_to:
                self._pages.ask(end, min(end + PAGE, up_to), self._shard.types)
            self._take_in(page)
            told(self.position, up_to)
            reach("page in order stored")

    def _take_in(self, page: Page) -> None:
        """A page, in halves where it fails, down to the event that is at fault."""
        shard = self._shard
        try:
            self._store(page)
        except FAULTS as error:
            shard.forget()
            if isinstance(error, FOR_GOOD) or page.up_to - page.after == 1:
                raise shard.explain(error, page) from error
            for half in page.halves():
                if half.after == self.position:  # a slow fold comes less far than the page does
                    self._take_in(half)

    def _store(self, page: Page) -> None:
        shard, connection = self._shard, self._connection
        folded = shard.fold(connection, page)
        with connection.transaction():
            checkpoints.advance(connection, [shard.claim], page.after, folded.up_to, shard.claim.epoch)
            shard.write(connection, folded)
            checkpoints.acknowledge(connection, [folded.applied], page.after, folded.up_to)
        shard.settle(folded)

    def close(self) -> None:
        """Give it back, for others to go on."""
        self._pages.close()
        checkpoints.release(self._connection, self._shard.claim)


def fill_in_order(site: Site, projection: AnyProjection, made: dict[str, Rebuilt]) -> None:
    """Fill a read model beside the one in use, compare both as of one position, and add it to `made`.

    Raises ProjectionStopped, psycopg.Error.
    """
    connection, name = site.connection, projection.name
    number = _generation(connection, projection)
    reach("job planned")
    model = next(each for each in read_models(connection) if (each.name, each.generation) == (name, number))
    found = made[name] = Rebuilt(name, number)
    with contextlib.closing(InOrder(site, projection, model)) as filled:
        filled.go(_up_to(site, projection), lambda done, total: site.tell("folding", done, total))
        index(connection, projection, Table(projection, number), key_only=site.keep)
        reach("indexes made")
        _compare(site, projection, filled, found)
        found.position = filled.position
    reach("compared")
    if not site.keep:
        with connection.transaction():
            generations.offer(connection, name, number)
            connection.execute(filling.QUERIES["remove jobs of schema"], {"schema": generations.schema_of(model)})
    reach("ready to catch up")


def _generation(connection: Connection, projection: AnyProjection) -> int:
    """The one that an earlier rebuild by the same code left half filled of this log; else a new one. Returns its number."""
    head = read_head(connection)
    lineage, code = lineage_over(connection, head.epoch), code_of(projection)
    jobs = [filling.planned(connection, row["job"]) for row in connection.execute("SELECT job FROM runfold.fillings").fetchall()]
    for model in read_models(connection):
        if model.name != projection.name or model.state != "filling" or not generations.fits(projection, model):
            continue
        target = Target(source_of(projection), generations.schema_of(model), code)
        is_of_this = model.epoch is not None and lineage.holds(model.position or 0, model.epoch)
        if is_of_this and any(job and job.targets == (target,) for job in jobs):
            checkpoints.adopt(connection, model, head.epoch)
            return model.generation
    with connection.transaction():
        number = generations.renew(connection, projection, "filling")
        table = Table(projection, number)
        table.add_key(connection)
        generations.start(connection, projection, number, head.epoch)
        job = Job(f"rebuild-{secrets.token_hex(6)}", 0, head.epoch, (Target(source_of(projection), table.schema, code),))
        filling.forget_abandoned(connection)
        filling.note(connection, job)
    return number


def _up_to(site: Site, projection: AnyProjection) -> int:
    """Where the one in use is, after it was brought up if nobody else did that; else the end of the log."""
    head = read_head(site.connection).position
    bring_up(site, {projection.name: projection}, head)
    live = live_of(read_models(site.connection), projection.name)
    return (live and live.position) or head


def bring_up(site: Site, projections: dict[str, AnyProjection], up_to: int) -> None:
    """Fold the ones in use up to a position, if nobody else has: before that new ones of that position cannot be compared."""
    late = {
        model.name: projections[model.name]
        for model in read_models(site.connection)
        if model.name in projections
        and model.state == "live"
        and (model.position or 0) < up_to
        and model.trouble != "stopped"
        and generations.fits(projections[model.name], model)
    }
    if late:
        worker = Worker(site.datastore, late)
        try:
            worker.catch_up()
        finally:
            worker.close()


def _compare(site: Site, projection: AnyProjection, filled: InOrder, found: Rebuilt) -> None:
    """Compare both in one snapshot of the database: there the one in use stands still, and the new one is brought up to it."""
    connection = site.connection
    while (live := live_of(read_models(connection), projection.name)) and (live.position or 0) > filled.position + NEAR:
        filled.go(live.position or 0, lambda done, total: site.tell("folding", done, total))
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        live = live_of(read_models(connection), projection.name)
        if live is None:
            found.not_compared = NO_TABLE
            return
        filled.go(live.position or 0, lambda done, total: site.tell("folding", done, total))
        if live.position != filled.position:
            found.not_compared = stands(live)
            return
        found.compared = compare(connection, projection, live, found.generation, filled.position, is_exact=True)
        if found.compared is None:
            found.not_compared = OTHER_KEY
