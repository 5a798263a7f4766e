"""What `runfold doctor` checks in the database: the server, its durability, migrations, rights, tenants, log and history."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from runfold.errors import MigrationRefused, UsageError
from runfold.queries.reactors import reactor_statuses
from runfold.queries.webhooks import delivery_figures
from runfold.settings import Settings
from runfold.store.epochs import lineage_of
from runfold.store.marks import MarkFile
from runfold.store.queries import named_queries
from runfold.store.reading.history import History
from runfold.store.reading.reader import Reader
from runfold.store.setup import migrate, rights

OLDEST_SERVER = 150000
LATE_SECONDS = 300.0
"""What has waited for longer to be sent deserves a look."""
QUERIES = named_queries("runfold.cli.operate", "server_checks.sql")


class Check(NamedTuple):
    """One check. If something is wrong it says what to do."""

    about: str
    state: Literal["ok", "wrong", "note"]
    fact: str
    next_step: str | None = None


def examine_server(reader: Reader, settings: Settings) -> Iterator[Check]:
    """Check the database that the reader reads."""
    ((number, text, role, database, encoding),) = reader.rows(QUERIES["server"])
    about = f"PostgreSQL {text}, database {database}"
    if number < OLDEST_SERVER:
        yield Check("server", "wrong", about, "Runfold needs PostgreSQL 15 or newer")
    else:
        yield Check("server", "ok", about)
    if encoding != migrate.UTF8:
        fact = f"the database keeps text as {encoding}, so what holds other letters is refused"
        yield Check("encoding", "wrong", fact, "make a backup, and restore it into a database whose encoding is UTF8")
    if reader.rows("SELECT pg_catalog.pg_is_in_recovery()") == [(True,)]:
        fact = "a standby: read-only, and as current as its replication"
        yield Check("standby", "note", fact, "record, fold and create keys on the primary")
    elif reader.rows("SELECT current_setting('transaction_read_only')") == [("on",)]:
        fact = f"sessions of {role} are read-only here (default_transaction_read_only is on), so nothing is recorded"
        yield Check("read-only", "note", fact, f"to record, set it to off for the database {database}, or for {role}")
    yield _durability(reader, allowed=settings.unsafe_durability)
    migrations = _migrations(reader)
    yield migrations
    if migrations.state == "ok":
        lost = list(_as_migrated(reader))
        yield from lost
        if any(line.about == "roles" for line in lost):
            return
        yield from _rights(reader, role)
        yield _schemas(reader)
        yield _tenants(reader, role)
        yield from _log(reader)
        yield from _history(reader, settings)
        yield from _sealing(reader, settings)
        yield from _delivery(reader)
        yield from _reactors(reader)


def _delivery(reader: Reader) -> Iterator[Check]:
    """Say how what is sent to others stands; nothing where nobody asked for anything."""
    from runfold.delivery.webhook_reactors import is_installed

    found = delivery_figures(reader)
    if not (found.webhooks or found.disabled or found.waiting):
        return
    fact = f"{found.webhooks} webhooks active, {found.disabled} disabled; {found.waiting} events wait to be sent"
    if found.waiting:
        fact += f", the oldest for {found.oldest_seconds:.0f} s; {found.failing} of them were tried in vain"
    if not is_installed():
        yield Check("webhooks", "wrong", fact, "install `runfold[webhooks]` where workers run, or nothing is sent")
    elif found.failing or found.oldest_seconds > LATE_SECONDS:
        yield Check("webhooks", "note", fact, "see `runfold webhooks list`, and that `runfold work` runs")
    else:
        yield Check("webhooks", "ok", fact)


def fact_and_step(error: Exception) -> tuple[str, str]:
    """The two halves of an error's message."""
    fact, _, next_step = str(error).partition("; ")
    return fact, next_step or "see above"


def _durability(reader: Reader, *, allowed: bool) -> Check:
    unsafe = reader.unsafe_settings()
    if not unsafe:
        return Check("durability", "ok", "fsync, full_page_writes and synchronous_commit are on")
    named = ", ".join(f"{name}={value}" for name, value in unsafe.items())
    fact = f"{named}: a crash may lose acknowledged events"
    if allowed:
        return Check("durability", "note", f"{fact}; allowed by RUNFOLD_UNSAFE_DURABILITY")
    return Check("durability", "wrong", fact, "set it to on, or pass --unsafe-durability for data you can lose")


def _migrations(reader: Reader) -> Check:
    try:
        migrate.check(reader)
    except MigrationRefused as error:
        return Check("migrations", "wrong", *fact_and_step(error))
    names = [migration.name for migration in migrate.migrations()]
    return Check("migrations", "ok", f"{len(names)} applied, the last is {names[-1]}")


def _as_migrated(reader: Reader) -> Iterator[Check]:
    """Roles and rights of the migrations that are missing, as after a dump was restored without its roles."""
    with reader.datastore.reading() as connection:
        found = rights.faults(connection)
    for kind, about in (("role", "roles"), ("owner", "owners"), ("grant", "grants")):
        facts = [fact for each, fact in found if each == kind]
        if facts:
            more = f", and {len(facts) - 3} more like it" if len(facts) > 3 else ""
            yield Check(about, "wrong", ", ".join(facts[:3]) + more, rights.NEXT_STEP)


def _rights(reader: Reader, role: str) -> Iterator[Check]:
    ((may_read, may_append, too_much, is_super),) = reader.rows(QUERIES["rights"])
    grant = f"as an administrator: GRANT runfold_app TO {role}"
    if not may_read:
        yield Check("role", "wrong", f"{role} may not read the log", grant)
    elif not may_append:
        yield Check("role", "note", f"{role} may read and not append", f"to record runs, {grant}")
    else:
        yield Check("role", "ok", f"{role} may read and append")
    if is_super or too_much:
        what = "is a superuser" if is_super else f"has {', '.join(too_much)} on the log"
        step = "use a role that was granted runfold_app in RUNFOLD_DATABASE_URL, and this one only in RUNFOLD_ADMIN_URL"
        yield Check("append-only", "wrong", f"{role} {what}, so it could change or remove events", step)
    else:
        yield Check(
            "append-only", "ok", f"{role} can add events only through functions of the ledger, and cannot change or remove any"
        )


def _schemas(reader: Reader) -> Check:
    """Whether runfold_projector may create schemas for read models, and no others."""
    ((makes_any, owner_makes),) = reader.rows(QUERIES["schemas"])
    next_step = "run `runfold migrate` as an administrator"
    if makes_any:
        fact = "runfold_projector may create any schema, and could so put functions on the search paths of other roles"
        return Check("schemas", "wrong", fact, next_step)
    if not owner_makes:
        return Check("schemas", "wrong", "read models cannot be rebuilt: runfold_owner may not create schemas here", next_step)
    return Check("schemas", "ok", "runfold_projector may create schemas for read models, and no others")


def _tenants(reader: Reader, role: str) -> Check:
    """Whether the database keeps tenants apart, in addition to the queries."""
    ((is_active, is_app, unwalled),) = reader.rows(QUERIES["tenants"])
    if unwalled:
        fact = f"row-level security does not keep tenants apart in {', '.join(unwalled)}"
        return Check("tenants", "wrong", fact, "start a worker, which enables it for read models; see `runfold check`")
    if not is_active:
        fact = f"row-level security does not apply to {role}: only the queries themselves keep tenants apart"
        return Check("tenants", "note", fact, "use a role that was granted runfold_app and is neither owner nor superuser")
    if not is_app:
        return Check("tenants", "note", f"{role} sees the rows of all tenants unless runfold.tenant is set for it")
    return Check("tenants", "ok", "row-level security keeps tenants apart in the log and in the read models")


def _log(reader: Reader) -> Iterator[Check]:
    head = reader.head()
    ((highest,),) = reader.rows("SELECT coalesce(max(notification_id), 0) FROM runfold.log")
    when = f", recorded at {head.recorded_at:%Y-%m-%d %H:%M:%S} UTC" if head.recorded_at else ""
    if highest < head.position:
        yield Check("log", "wrong", f"the head is at position {head.position}, the last event at {highest}", "runfold check")
    else:
        yield Check("log", "ok", f"at position {head.position}{when}; epoch {head.epoch}")


def _history(reader: Reader, settings: Settings) -> Iterator[Check]:
    """Which history the database belongs to, and whether the mark file has seen more of it than the database holds."""
    present, *before = lineage_of(reader, reader.head())
    since = f"{present.reason} {present.began_at:%Y-%m-%d %H:%M:%S} UTC"
    parts = f", the same as {present.parent} up to position {present.from_position}" if before else ""
    try:
        parting = History(reader, MarkFile(settings.marks)).parted()
    except UsageError as error:
        yield Check("mark file", "wrong", *fact_and_step(error))
        return
    if parting and parting.lost_position is None:
        yield Check("history", "note", parting.fact, "the next process that opens the ledger starts a new history")
    elif parting:
        step = "open the ledger as a role that was granted runfold_app, as any command does, to start a new history"
        yield Check("history", "wrong", parting.fact, step)
    else:
        yield Check("history", "ok", f"{present.id}, {since}{parts}")
    yield Check("mark file", "ok", f"{settings.marks}, which notes how far each history has been seen")
    ((knows_server, knows_timeline),) = reader.rows(QUERIES["place"])
    if not (knows_server and knows_timeline):
        missing = " and ".join(
            name for name, known in (("system identifier", knows_server), ("timeline", knows_timeline)) if not known
        )
        fact = f"the server does not tell its {missing}: only the mark file can detect a copy or a promoted standby"
        yield Check("history", "note", fact)


def _sealing(reader: Reader, settings: Settings) -> Iterator[Check]:
    """Say how far the log is sealed, and whether a sealer met anything that cannot be."""
    from runfold.evidence.sealing.status import place_statuses, seal_status, witness_statuses

    found = seal_status(reader)
    if found.alarms:
        yield Check("sealed log", "wrong", f"{found.alarms} alarms, the first: {found.first_alarm}", "runfold verify --full")
    if not found.trees:
        if found.unsealed_events:
            yield Check("sealed log", "note", "nobody has sealed any event", "let `runfold work` or `runfold serve` run")
        return
    fact = f"sealed up to position {found.position}"
    if found.unsealed_seconds > settings.max_lag:
        late = f"{fact}; {found.unsealed_events} events wait, the oldest for {found.unsealed_seconds:.0f} s"
        yield Check("sealed log", "wrong", late, "see `runfold reactors`, and that `runfold work` runs without --no-seal")
    else:
        yield Check("sealed log", "ok", fact)
    for witness in witness_statuses(reader):
        if witness.error is None:
            yield Check("witness", "ok", f"{witness.witness} signs checkpoints")
        else:
            failing = f"{witness.witness} has not signed for {witness.failing_seconds:.0f} s: {witness.error}"
            yield Check("witness", "wrong", failing, "see that it runs, and knows the keys of this log (`runfold seal keys`)")
    for place in place_statuses(reader):
        if place.error is None:
            yield Check("publishing", "ok", f"{place.place} has the last checkpoints")
        else:
            failing = f"{place.place} could not be given a checkpoint for {place.failing_seconds:.0f} s: {place.error}"
            yield Check("publishing", "wrong", failing, "see that it can be reached and written; it is tried again by itself")
    if not settings.seal_publish:
        fact = "checkpoints are published on this machine alone, whose administrators can change them"
        yield Check("sealed log", "note", fact, "set RUNFOLD_SEAL_PUBLISH to a place that they cannot change")


def _reactors(reader: Reader) -> Iterator[Check]:
    """Look whether somebody does what is due by itself."""
    found = reactor_statuses(reader)
    for status in found:
        if status.error is not None:
            yield Check("reactors", "wrong", f"{status.name}: {status.error}", "runfold reactors")
    running = [status.name for status in found if status.state == "running"]
    if running:
        yield Check("reactors", "ok", f"{', '.join(running)} run")
    else:
        fact = "nobody does what is due by itself, such as the expiry of approvals"
        yield Check("reactors", "note", fact, "start `runfold work` or `runfold serve`, or run `runfold sweep` now and then")
