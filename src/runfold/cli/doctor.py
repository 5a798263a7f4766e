"""`runfold doctor`: is everything there that Runfold needs?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

from runfold.cli.call import Call

if TYPE_CHECKING:
    from runfold.settings import Settings
    from runfold.store.reader import Reader

OLDEST_SERVER = 150000
HIDDEN = "********"


class Line(NamedTuple):
    """One thing looked at. A wrong one names the next step."""

    about: str
    state: Literal["ok", "wrong", "note"]
    fact: str
    next_step: str | None = None


def doctor(call: Call) -> None:
    """Show the settings, and look whether the database, its schema and this role are as they should be.

    Secrets are hidden. Exit 1 if something is wrong; each wrong thing names what to do.
    """
    settings = call.settings()
    shown_settings = effective(settings)
    lines = list(examine(settings))
    wrong = sum(line.state == "wrong" for line in lines)
    if call.json:
        call.answer({"ok": not wrong, "settings": shown_settings, "checks": [line._asdict() for line in lines]})
    else:
        _print(call, shown_settings, lines)
    if wrong:
        raise typer.Exit(1)


def _print(call: Call, settings: dict[str, Any], lines: list[Line]) -> None:
    from runfold.cli.terminal import print_whole, shown, table

    marks = {"ok": ("ok", "green"), "wrong": ("WRONG", "bold red"), "note": ("note", "yellow")}
    rows = [(name, "" if value is None else value) for name, value in settings.items()]
    print_whole(call.out, table(("setting", "value"), rows, wraps="value"))
    call.out.print()
    for line in lines:
        mark, style = marks[line.state]
        call.out.print(shown(f"{mark:<6}", style), shown(f"{line.about:<18}", "bold"), shown(line.fact), soft_wrap=True)
        if line.next_step:
            call.out.print(shown(f"{'':<26}{line.next_step}", "dim"), soft_wrap=True)


def effective(settings: "Settings") -> dict[str, Any]:
    """Every setting under its environment name, with secrets hidden."""
    shown: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if hasattr(value, "get_secret_value"):
            value = without_secrets(value.get_secret_value())
        shown[f"RUNFOLD_{name.upper()}"] = value if isinstance(value, bool | int | float | None) else str(value)
    return shown


def without_secrets(url: str) -> str:
    """A database's URL without what lets one in."""
    from urllib.parse import quote

    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError:
        return HIDDEN  # not a URL that PostgreSQL understands, so nobody can say which part of it is secret
    for name in parts.keys() & {"password", "sslpassword", "passfile", "oauth_client_secret"}:
        parts[name] = HIDDEN
    login = quote(parts.pop("user", "")) + (f":{parts.pop('password')}" if "password" in parts else "")
    place = parts.pop("host", "") if not parts.get("host", "").startswith("/") else ""
    port = f":{parts.pop('port')}" if place and "port" in parts else ""
    base = f"postgresql://{login}{'@' if login else ''}{place}{port}/{quote(parts.pop('dbname', ''))}"
    rest = "&".join(f"{name}={quote(value, safe='/*')}" for name, value in sorted(parts.items()))
    return f"{base}?{rest}" if rest else base


def examine(settings: "Settings") -> Iterator[Line]:
    """Look at everything. What cannot be looked at because of something before it is left out."""
    from runfold.cli.version import versions
    from runfold.errors import LedgerError
    from runfold.store.database import Database
    from runfold.store.reader import Reader

    found = versions()
    missing = [name for name, number in found.items() if number == "not installed"]
    if missing:
        yield Line("libraries", "wrong", f"{', '.join(missing)} not installed", "pip install runfold again")
    yield Line("versions", "ok", ", ".join(f"{name} {number}" for name, number in found.items()))
    try:
        yield from _embedded(settings)
        database = Database.of(settings)
    except LedgerError as error:
        yield Line("database", "wrong", *_fact_and_step(error))
        return
    datastore = database.datastore(settings.connect_timeout)
    try:
        database.prepare()
        yield from _server(Reader(datastore), settings)
    except LedgerError as error:
        yield Line("database", "wrong", *_fact_and_step(error))
    finally:
        datastore.close()
        database.close()


def _fact_and_step(error: Exception) -> tuple[str, str]:
    fact, _, next_step = str(error).partition("; ")
    return fact, next_step or "see above"


def _embedded(settings: "Settings") -> Iterator[Line]:
    if settings.database_url is not None:
        yield Line("database", "ok", without_secrets(settings.database_url.get_secret_value()))
        return
    from runfold.embedded.place import find_place
    from runfold.embedded.watchdog import postmaster_pid

    place = find_place(settings.home)
    pid = postmaster_pid(place.data)
    running = f"runs as process {pid}" if pid else "did not run, and was started for this"
    yield Line("database", "ok", f"the embedded PostgreSQL, which {running}")
    yield Line("embedded folders", "ok", f"data {place.data}, socket {place.socket_folder}, log {place.log_file}")


def _server(reader: "Reader", settings: "Settings") -> Iterator[Line]:
    ((number, text, role, name),) = reader.rows(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_user::text,"
        " current_database()::text"
    )
    about = f"PostgreSQL {text}, database {name}"
    if number < OLDEST_SERVER:
        yield Line("server", "wrong", about, "Runfold needs PostgreSQL 15 or newer")
    else:
        yield Line("server", "ok", about)
    if reader.rows("SELECT pg_catalog.pg_is_in_recovery()") == [(True,)]:
        fact = "a standby: it is read, as of what it has taken over from its primary, and takes no writes"
        yield Line("standby", "note", fact, "record, fold and make keys at the primary")
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


def _durability(reader: "Reader", *, allowed: bool) -> Line:
    unsafe = reader.unsafe_settings()
    if not unsafe:
        return Line("durability", "ok", "fsync, full_page_writes and synchronous_commit are on")
    named = ", ".join(f"{name}={value}" for name, value in unsafe.items())
    fact = f"{named}: a crash may lose acknowledged events"
    if allowed:
        return Line("durability", "note", f"{fact}; allowed by RUNFOLD_UNSAFE_DURABILITY")
    return Line("durability", "wrong", fact, "set it to on, or pass --unsafe-durability for data you can lose")


def _migrations(reader: "Reader") -> Line:
    from runfold.errors import MigrationRefused
    from runfold.store import migrate

    try:
        migrate.check(reader)
    except MigrationRefused as error:
        return Line("migrations", "wrong", *_fact_and_step(error))
    names = [migration.name for migration in migrate.migrations()]
    return Line("migrations", "ok", f"{len(names)} applied, the last is {names[-1]}")


def _as_migrated(reader: "Reader") -> Iterator[Line]:
    """What is missing of the roles and rights that the migrations made, as after a dump was restored without its roles."""
    from runfold.store import rights

    with reader.datastore.reading() as connection:
        found = rights.faults(connection)
    for kind, about in (("role", "roles"), ("owner", "owners"), ("grant", "grants")):
        facts = [fact for each, fact in found if each == kind]
        if facts:
            more = f", and {len(facts) - 3} more like it" if len(facts) > 3 else ""
            yield Line(about, "wrong", ", ".join(facts[:3]) + more, rights.NEXT_STEP)


_RIGHTS = """
SELECT has_table_privilege('runfold.log', 'SELECT'),
       has_function_privilege((SELECT p.oid FROM pg_catalog.pg_proc AS p
                                 JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
                                WHERE n.nspname = 'runfold' AND p.proname = 'append'), 'EXECUTE'),
       ARRAY(SELECT wanted FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS wanted
              WHERE has_table_privilege('runfold.log', wanted)),
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
"""


def _rights(reader: "Reader", role: str) -> Iterator[Line]:
    ((may_read, may_append, too_much, is_super),) = reader.rows(_RIGHTS)
    grant = f"as an administrator: GRANT runfold_app TO {role}"
    if not may_read:
        yield Line("role", "wrong", f"{role} may not read the log", grant)
    elif not may_append:
        yield Line("role", "note", f"{role} may read and not append", f"to record runs, {grant}")
    else:
        yield Line("role", "ok", f"{role} may read and append")
    if is_super or too_much:
        what = "is a superuser" if is_super else f"has {', '.join(too_much)} on the log"
        step = "use a role that was granted runfold_app in RUNFOLD_DATABASE_URL, and this one only in RUNFOLD_ADMIN_URL"
        yield Line("append-only", "wrong", f"{role} {what}, so it could change or remove events", step)
    else:
        yield Line("append-only", "ok", f"{role} can neither insert, change nor remove events but through runfold.append")


_SCHEMAS = """
SELECT has_database_privilege('runfold_projector', current_database(), 'CREATE'),
       has_database_privilege('runfold_owner', current_database(), 'CREATE')
"""


def _schemas(reader: "Reader") -> Line:
    """Whether runfold_projector makes schemas of read models, and no others."""
    ((makes_any, owner_makes),) = reader.rows(_SCHEMAS)
    next_step = "run `runfold migrate` as an administrator"
    if makes_any:
        fact = "runfold_projector may make any schema, and so put functions of its own on other roles' search paths"
        return Line("schemas", "wrong", fact, next_step)
    if not owner_makes:
        return Line("schemas", "wrong", "no schemas of read models can be made: runfold_owner may make none here", next_step)
    return Line("schemas", "ok", "runfold_projector may make schemas of read models, and no others")


_WALLS = """
SELECT row_security_active('runfold.log'), pg_has_role('runfold_app', 'USAGE'),
       ARRAY(SELECT u.schema || '.' || u.name FROM runfold.unwalled AS u ORDER BY 1)
"""


def _tenants(reader: "Reader", role: str) -> Line:
    """Whether the database keeps tenants apart, beside our own queries."""
    ((is_active, is_app, unwalled),) = reader.rows(_WALLS)
    if unwalled:
        fact = f"row-level security does not keep tenants apart in {', '.join(unwalled)}"
        return Line("tenants", "wrong", fact, "start a worker, which sees to read models; `runfold check` says more")
    if not is_active:
        fact = f"row-level security is on, and not for {role}: only the queries themselves keep tenants apart"
        return Line("tenants", "note", fact, "use a role that was granted runfold_app, and is neither owner nor superuser")
    if not is_app:
        return Line("tenants", "note", f"{role} sees everybody's rows, unless runfold.tenant was set for it")
    return Line("tenants", "ok", "row-level security keeps them apart in the log and in the read models")


def _log(reader: "Reader") -> Iterator[Line]:
    head = reader.head()
    ((highest,),) = reader.rows("SELECT coalesce(max(notification_id), 0) FROM runfold.log")
    when = f", recorded at {head.recorded_at:%Y-%m-%d %H:%M:%S} UTC" if head.recorded_at else ""
    if highest < head.position:
        yield Line("log", "wrong", f"the head is at position {head.position}, the last event at {highest}", "runfold check")
    else:
        yield Line("log", "ok", f"at position {head.position}{when}; epoch {head.epoch}")


def _history(reader: "Reader", settings: "Settings") -> Iterator[Line]:
    """Of which history the database is, and whether it is where that one says, as far as the mark file knows."""
    from runfold.errors import UsageError
    from runfold.store.epochs import lineage_of
    from runfold.store.history import History
    from runfold.store.marks import MarkFile

    present, *before = lineage_of(reader, reader.head())
    since = f"{present.reason} {present.began_at:%Y-%m-%d %H:%M:%S} UTC"
    parts = f", the same as {present.parent} up to position {present.from_position}" if before else ""
    try:
        parting = History(reader, MarkFile(settings.marks)).parted()
    except UsageError as error:
        yield Line("mark file", "wrong", *_fact_and_step(error))
        return
    if parting and parting.lost_position is None:
        yield Line("history", "note", parting.fact, "the next process that opens the ledger begins a new history")
    elif parting:
        step = "open the ledger as a role that was granted runfold_app, as any command does: it then begins a new history"
        yield Line("history", "wrong", parting.fact, step)
    else:
        yield Line("history", "ok", f"{present.id}, {since}{parts}")
    yield Line("mark file", "ok", f"{settings.marks}, which notes how far each history was seen")
    ((knows_server, knows_timeline),) = reader.rows(
        "SELECT system_identifier IS NOT NULL, timeline IS NOT NULL OR pg_catalog.pg_is_in_recovery() FROM runfold.place()"
    )
    if not (knows_server and knows_timeline):
        missing = " and ".join(
            name for name, known in (("system identifier", knows_server), ("timeline", knows_timeline)) if not known
        )
        fact = f"the server does not tell its {missing}: a copy, or a standby that took over, is noticed by the mark file alone"
        yield Line("history", "note", fact)
