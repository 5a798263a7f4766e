"""`runfold migrate`: bring the database's schema up to date."""

from typing import Annotated

import typer

from runfold.cli.call import Call


def migrate(
    call: Call,
    admin_url: Annotated[
        str | None,
        typer.Option("--admin-url", metavar="URL", help="The database as a role that may migrate it (RUNFOLD_ADMIN_URL)."),
    ] = None,
) -> None:
    """Apply the numbered SQL files that the database lacks, each once, in order, by one process at a time.

    Others go on writing meanwhile: indexes of a large log are built beside them. What was broken off goes on when it is run
    again; running it once more, or twice at once, changes nothing. It uses RUNFOLD_ADMIN_URL, or else the database's own URL;
    the embedded database is also migrated by itself whenever it is opened. Where a dump was restored without its roles, it
    sets up owners, grants and row-level security again, as a superuser.
    """
    from runfold.store import migrate as migrating
    from runfold.store.database import Database

    settings = call.settings(**({"admin_url": admin_url} if admin_url else {}))
    mended: list[str] = []
    with call.busy("Migrating") as told:
        database = Database.of(settings)
        try:
            applied = migrating.migrate(database.admin_url, told=told, mended=mended.append)
        finally:
            database.close()
    known = [migration.name for migration in migrating.migrations()]
    if call.json:
        call.answer({"applied": applied, "migrations": known, **({"mended": mended} if mended else {})})
        return
    for name in applied:
        call.out.print(f"applied {name}")
    for fact in mended:
        call.out.print(f"mended: {fact}", soft_wrap=True)
    call.out.print(f"the database is at {known[-1]}" + ("" if applied or mended else "; there was nothing to do"), soft_wrap=True)
