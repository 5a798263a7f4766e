"""`runfold url` and `psql`: the database for an analyst's own tools, as a role that only reads unless another is named."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    from runfold.settings import Settings
    from runfold.store.database import Database

RoleName = Literal["reader", "app", "projector", "admin"]
AsRole = Annotated[
    RoleName,
    typer.Option(
        "--role",
        help="As whom: reader sees events and read models, and changes nothing; app appends; projector folds; admin migrates.",
    ),
]


def url(call: Call, role: AsRole = "reader") -> None:
    """Print the address of the database, for psql, a notebook, DuckDB or any other tool that takes a PostgreSQL URL.

    Read models are views in the schema runfold_read, events the view runfold.events; rows are those of the tenant
    (RUNFOLD_TENANT). The embedded server is started, and stays as long as anybody is connected and about a minute longer. Of a
    database of your own it is the address that RUNFOLD_READER_URL names, with its password, or that of another role.
    """
    settings = call.settings()
    with call.busy("Opening the database"):
        database = _opened(settings)
    try:
        address = _address(database, role, settings)
    finally:
        database.close()
    stays = _stays_seconds(database)
    if call.json:
        call.answer({"url": address, "role": role, "tenant": settings.tenant, "stays_seconds": stays})
        return
    sys.stdout.write(f"{address}\n")
    if stays is not None:
        call.note(
            f"The server stops {stays:g} seconds after the last command and the last connection; it stays while you are"
            " connected, or while `runfold serve` or `runfold work` runs."
        )


def psql(
    call: Call,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENT…]", help="Arguments of psql, after --, such as `-- --csv`.")
    ] = None,
    role: AsRole = "reader",
    command: Annotated[
        list[str] | None, typer.Option("--command", "-c", metavar="SQL", help="Run this and exit. May be repeated.")
    ] = None,
) -> None:
    """Open psql on the database, as a role that only reads unless another is named.

    Read models are views in the schema runfold_read, events the view runfold.events; rows are those of the tenant
    (RUNFOLD_TENANT). The embedded server stays while psql is open. psql is looked for in RUNFOLD_PG_BIN, where the embedded
    PostgreSQL lies, and on the PATH.
    """
    import signal

    from runfold.errors import UsageError
    from runfold.maintenance.pg_programs import environment_of

    if call.json:
        raise UsageError("psql prints no JSON; leave out --json, or ask in SQL, as with json_agg")
    settings = call.settings()
    program = _program(settings)
    with call.busy("Opening the database"):
        database = _opened(settings)
    address = _address(database, role, settings)
    database.keep_for_program()
    given = [part for sql in command or () for part in ("--command", sql)]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores, and a program that it becomes would too
    environment = {**os.environ, **environment_of(address), "PGAPPNAME": "runfold psql"}
    os.execve(program, ["psql", *given, *(arguments or ())], environment)  # noqa: S606  what was asked for, with the arguments that were given


def _opened(settings: "Settings") -> "Database":
    from runfold.store.database import Database

    database = Database.of(settings)
    try:
        database.prepare()
    except BaseException:
        database.close()
        raise
    return database


def _address(database: "Database", role: RoleName, settings: "Settings") -> str:
    """The address of a role, which shows the tenant's rows. Raises UsageError where a pooler drops whose they are.

    That is said when a connection is made (`options`), as other programs begin a session with nothing else. What else may be
    amiss with the address, they tell.
    """
    import psycopg

    from runfold.errors import UsageError
    from runfold.sessions import connect_pinned
    from runfold.store.address import parts_of, waiting

    address = database.url_for(role, settings.tenant)
    try:
        with connect_pinned(waiting(address, settings.connect_timeout)) as connection:
            row = connection.execute("SELECT pg_catalog.current_setting('runfold.tenant', true)").fetchone()
        if row == (settings.tenant,):
            return address
        does = "drops"
    except psycopg.OperationalError as error:
        if "startup parameter" not in str(error):
            return address
        does = "refuses"
    place = ":".join(parts_of(address).get(part, "") for part in ("host", "port")).strip(":")
    name = "RUNFOLD_DATABASE_URL" if role == "app" else f"RUNFOLD_{role.upper()}_URL"
    raise UsageError(
        f"the pooler at {place} {does} the startup parameter `options`, which says whose rows are shown (runfold.tenant);"
        f" give the server's own address as {name}"
    )


def _stays_seconds(database: "Database") -> float | None:
    """How long the server stays after everybody has left; None where it is none of ours."""
    from runfold.embedded.server import linger_seconds

    return None if database.embedded is None else linger_seconds()


def _program(settings: "Settings") -> Path:
    import shutil

    from runfold.embedded.binaries import program_folders
    from runfold.errors import UsageError

    for folder in program_folders(settings.pg_bin):
        if os.access(folder / "psql", os.X_OK):
            return folder / "psql"
    found = shutil.which("psql")
    if found is not None and Path(found).is_absolute():  # else the working folder is on the PATH
        return Path(found)
    raise UsageError(
        "psql was not found; install PostgreSQL's client programs (Debian: apt-get install postgresql-client), set"
        " RUNFOLD_PG_BIN to their folder, or give the address that `runfold url` prints to another program"
    )
