"""Filling read models thread by thread in several processes, beside the ones in use, and comparing both."""

import secrets
from collections.abc import Mapping

from runfold.failpoint import reach
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import source_of
from runfold.projector import filling
from runfold.projector.checking.comparing import compare
from runfold.projector.checkpoints import read_models
from runfold.projector.filling import Job, Target
from runfold.projector.folding.team import read_head
from runfold.projector.rebuilding.in_order import bring_up
from runfold.projector.rebuilding.rebuilt import NO_TABLE, OTHER_KEY, Rebuilt, Site, code_of, live_of, stands, state_of
from runfold.projector.tables import generations
from runfold.projector.tables.generations import Begun
from runfold.projector.tables.indexing import index
from runfold.projector.tables.table import Table
from runfold.store.datastore import Connection
from runfold.store.epochs import lineage_over

COMPARED_BEFORE = "the rebuild that was killed had compared it before"


def fill_by_thread(site: Site, projections: Mapping[str, AnyProjection], found: dict[str, Rebuilt]) -> None:
    """Fill and compare, and add what was made to `found`. Raises ProjectionStopped, LedgerUnavailable, psycopg.Error."""
    connection = site.connection
    job, numbers = _job(site, projections)
    reach("job planned")
    filling.fill(site.datastore, connection, job, site.processes, lambda done, total: site.tell("folding", done, total))
    reach("shards filled")
    applied = {row["name"]: row for row in connection.execute(filling.QUERIES["applied"], {"job": job.job})}
    bring_up(site, dict(projections), job.up_to)
    for name, projection in projections.items():
        said = applied.get(name, {"events": 0, "digest": 0})
        found[name] = Rebuilt(name, numbers[name], job.up_to)
        _finish(site, projection, found[name], Begun(job.up_to, job.epoch, said["events"], said["digest"]))
    if not site.keep:
        connection.execute(filling.QUERIES["remove job"], {"job": job.job})


def _finish(site: Site, projection: AnyProjection, found: Rebuilt, begun: Begun) -> None:
    """Index what was filled, compare it, and let workers keep it up."""
    connection, models = site.connection, read_models(site.connection)
    if state_of(models, found.name, found.generation) != "filling":
        found.not_compared = COMPARED_BEFORE
        return
    index(connection, projection, Table(projection, found.generation), key_only=site.keep)
    reach("indexes made")
    live = live_of(models, found.name)
    if live is None:
        found.not_compared = NO_TABLE
    elif (live.position or 0) < found.position:
        found.not_compared = stands(live)
    else:
        found.compared = compare(connection, projection, live, found.generation, found.position)
        found.not_compared = None if found.compared else OTHER_KEY
    reach("compared")
    if not site.keep:
        generations.ready(connection, projection, found.generation, begun)
    reach("ready to catch up")


def _job(site: Site, projections: Mapping[str, AnyProjection]) -> tuple[Job, dict[str, int]]:
    """The job that an earlier rebuild left half done, if it is of these, by this code and of this log; else a new one."""
    connection = site.connection
    head = read_head(connection)
    going_on = {"filling"} if site.keep else {"filling", "building"}  # what others fold on is compared no more
    numbers = {
        model.name: model.generation
        for model in read_models(connection)
        if model.name in projections and model.state in going_on and generations.fits(projections[model.name], model)
    }
    targets = _targets({name: projections[name] for name in numbers}, numbers)
    lineage = lineage_over(connection, head.epoch)
    for row in connection.execute("SELECT job FROM runfold.fillings").fetchall():
        job = filling.planned(connection, row["job"])
        if (
            job
            and lineage.holds(job.up_to, job.epoch)
            and set(job.targets) == set(targets)
            and numbers.keys() == projections.keys()
        ):
            return job, numbers
    return _new_job(connection, projections, site.processes)


def _new_job(connection: Connection, projections: Mapping[str, AnyProjection], processes: int) -> tuple[Job, dict[str, int]]:
    numbers = {name: generations.renew(connection, each, "filling") for name, each in projections.items()}
    head = read_head(connection)
    # One that another version folds goes no further here: new rows are compared with it where it stands.
    others = [
        model.position
        for model in read_models(connection)
        if model.state == "live" and model.name in projections and not generations.fits(projections[model.name], model)
    ]
    up_to = min([head.position, *(position for position in others if position)])
    job = Job(f"rebuild-{secrets.token_hex(6)}", up_to, head.epoch, _targets(projections, numbers))
    with connection.transaction():
        filling.forget_abandoned(connection)
        filling.plan(connection, job, processes)
    return job, numbers


def _targets(projections: Mapping[str, AnyProjection], numbers: Mapping[str, int]) -> tuple[Target, ...]:
    return tuple(Target(source_of(each), Table(each, numbers[name]).schema, code_of(each)) for name, each in projections.items())
