"""`runfold moments`, `schemas` and `drop-schema`: read models of the past."""

from typing import Annotated

import typer

from runfold.cli.calling.call import Call

HELP = """Prepare, list and drop moments: read models of the whole ledger as of a position or a time.

Questions over HTTP with `at` that are about more than a few threads or runs are answered from a moment of the same tenant
(RUNFOLD_TENANT). A moment that is not used for a while is dropped; for a schema that stays, see `runfold rebuild --into`."""


def prepare(
    call: Call,
    moment: Annotated[str, typer.Argument(metavar="P|TIME|DAY", help="A position, or a time by the database's clock.")],
    *,
    expires_in: Annotated[
        str | None,
        typer.Option(
            "--expires-in", metavar="DURATION", help="Kept for this long after its last use: 90s, 15m, 1h (the default), 7d."
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="How many processes fold in parallel.")] = 2,
) -> None:
    """Fold all read models as of a moment, and keep them while they are used. Repeating the command changes nothing.

    If it is killed, the next call, or a running server, starts it again.
    """
    from runfold.terminal.progress import progress_bar

    with call.ledger() as ledger, progress_bar(call.err, "Folding the past", "events") as told:
        made = ledger.prepare(
            call.moment(moment), expires_in=expires_in, processes=workers, progress=lambda done, total: told(done, total, "")
        )
    if call.json:
        call.answer(made.model_dump(mode="json"))
        return
    from runfold.terminal.text import to_the_minute

    call.out.print(f"{made.id} is {made.state}, as of position {made.position}", soft_wrap=True)
    call.note(f"Ask with at={made.position}. It expires at {to_the_minute(made.expires_at)} (UTC) unless it is used.")


def list_moments(call: Call) -> None:
    """List the moments of this tenant by position: how far each is folded, and when it expires."""
    with call.ledger() as ledger:
        position, found = ledger.position(), ledger.moments()
    if call.json:
        call.answer({"as_of": position, "items": [view.model_dump(mode="json") for view in found]})
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.read_models import moment_table
    from runfold.terminal.text import counted

    print_whole(call.out, moment_table(found))
    call.out.print(counted(len(found), "moment"), style="dim", soft_wrap=True)


def drop(
    call: Call,
    moment_id: Annotated[str, typer.Argument(metavar="MOMENT", help="The id, as `runfold moments list` shows it.")],
) -> None:
    """Drop a moment. The log and the read models in use are not touched; a tenant that prepared the same moment keeps it."""
    with call.ledger() as ledger:
        ledger.drop_moment(moment_id)
    if call.json:
        call.answer({"dropped": moment_id})
    else:
        call.out.print(f"{moment_id} is dropped", soft_wrap=True)


def schemas(call: Call) -> None:
    """List the schemas of the past: which read models they hold, as of when, and of which run's path.

    Schemas made by `runfold rebuild --into` stay until `runfold drop-schema`; those of moments are dropped when unused.
    """
    with call.ledger() as ledger:
        found = ledger.schemas()
    if call.json:
        call.answer(
            {
                "items": [
                    {
                        "schema": each.schema,
                        "position": each.position,
                        "run_id": each.run_id,
                        "names": each.names,
                        "ready": each.ready,
                        "kept": each.kept,
                        "error": each.error,
                        "created_at": each.created_at.isoformat(),
                    }
                    for each in found
                ]
            }
        )
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.read_models import schema_table
    from runfold.terminal.text import counted, shown

    print_whole(call.out, schema_table(found))
    for failed in (each for each in found if each.error):
        call.out.print(shown(f"{failed.schema}: {failed.error}", "red"), soft_wrap=True)
    call.out.print(counted(len(found), "schema"), style="dim", soft_wrap=True)


def drop_schema(
    call: Call,
    schema: Annotated[str, typer.Argument(metavar="SCHEMA", help="The schema, as `runfold schemas` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Drop a schema of the past and its tables. The log and the read models in use are not touched."""
    from runfold.errors import UsageError

    if not yes and not call.is_confirmed(f"Drop {schema} and everything in it?"):
        raise UsageError("nothing was dropped; give --yes to drop it without being asked")
    with call.ledger() as ledger:
        ledger.drop_schema(schema)
    if call.json:
        call.answer({"dropped": schema})
    else:
        call.out.print(f"{schema} is dropped", soft_wrap=True)
