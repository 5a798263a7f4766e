"""`runfold rebuild`: read models folded again from the start, or as of the past."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.former_words import formerly

if TYPE_CHECKING:
    from runfold.ledger import Ledger
    from runfold.projector.rebuilding.rebuilt import Rebuilt


def rebuild(
    call: Call,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME|MODULE:CLASS…", help="Names of read models; your own as module:Class.")
    ] = None,
    *,
    all_of_them: Annotated[bool, typer.Option("--all", help="All read models.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="How many processes fold in parallel.")] = 2,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show the rows that differ from those in use, and the events behind them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare with the tables in use; change nothing.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Return to the table that was in use before the last rebuild.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="P|TIME|DAY", help="As of a position, or a time by the database's clock; needs --into."),
        formerly("--as-of"),
    ] = None,
    branch: Annotated[
        str | None, typer.Option("--branch", metavar="RUN", help="Fold only the path of this run; needs --into.")
    ] = None,
    into: Annotated[
        str | None, typer.Option("--into", metavar="SCHEMA", help="Create this schema for the past, to be queried and dropped.")
    ] = None,
) -> None:
    """Rebuild read models beside the ones in use, compare, catch up, and switch; or fold the past into a schema.

    The tables in use stay available meanwhile. A rebuild that was killed continues where it stopped when the command is
    repeated; one that fails by the projection's fault leaves nothing behind. With --dry-run, exit 1 if a row differs, or if
    there is nothing to compare with.
    """
    from runfold.errors import UsageError

    if bool(names) == all_of_them:
        raise UsageError("name the read models to rebuild, or pass --all")
    if (at is not None or branch is not None) != (into is not None):
        raise UsageError("--at and --branch need --into SCHEMA, and --into needs one of them")
    if rollback and (diff or dry_run or into is not None):
        raise UsageError("--rollback cannot be combined with other options")
    if into is not None and (diff or dry_run):
        raise UsageError("--dry-run and --diff compare with the tables in use; leave them out with --into")
    chosen = tuple(names or ())
    with call.ledger() as ledger:
        if into is not None:
            _make_past(call, ledger, chosen, into, at, branch, workers)
        elif rollback:
            _roll_back(call, ledger, chosen)
        else:
            _rebuild(call, ledger, chosen, workers, diff=diff, dry_run=dry_run)


def _rebuild(call: Call, ledger: "Ledger", names: tuple[str, ...], workers: int, *, diff: bool, dry_run: bool) -> None:
    import time

    from runfold.terminal.progress import progress_bar

    began = time.monotonic()
    left = "The tables in use serve as before; the same command continues from what is folded."
    with call.saying_if_interrupted(left), progress_bar(call.err, "Rebuilding", "events") as told:
        found = ledger.rebuild(*names, processes=workers, keep=dry_run, told=lambda stage, done, total: told(done, total, stage))
    seconds = time.monotonic() - began
    compared = [each.compared.different for each in found if each.compared]
    different = sum(compared) if compared else None
    if call.json:
        call.answer({"seconds": round(seconds, 3), "different": different, "read_models": [_as_json(each) for each in found]})
    else:
        from runfold.terminal.rebuilds import print_rebuilt

        print_rebuilt(call.out, found, seconds, with_rows=diff)
    if dry_run and (different or len(compared) < len(found)):
        raise typer.Exit(1)


def _as_json(each: "Rebuilt") -> dict[str, Any]:
    from dataclasses import asdict

    compared = asdict(each.compared) if each.compared else None
    if compared and each.compared:
        compared["examples"] = [example._asdict() for example in each.compared.examples]
    return {
        "name": each.name,
        "generation": each.generation,
        "filled_to": each.position,
        "switched": each.switched,
        "compared": compared,
        "not_compared": each.not_compared,
    }


def _roll_back(call: Call, ledger: "Ledger", names: tuple[str, ...]) -> None:
    from runfold.projections.registry import known

    found = {name: ledger.roll_back(name) for name in names or known()}
    if call.json:
        call.answer({"rolled_back": found})
        return
    for name, position in found.items():
        call.out.print(f"{name} uses its previous table again, and catches up from position {position}", soft_wrap=True)


def _make_past(
    call: Call, ledger: "Ledger", names: tuple[str, ...], into: str, at: str | None, branch: str | None, workers: int
) -> None:
    from runfold.terminal.progress import progress_bar
    from runfold.terminal.text import shown

    with progress_bar(call.err, "Folding the past", "events") as told:
        made = ledger.make_schema(
            into,
            *names,
            as_of=None if at is None else call.moment(at),
            branch=branch,
            processes=workers,
            progress=lambda done, total: told(done, total, ""),
        )
    if call.json:
        call.answer({"schema": made.schema, "position": made.position, "run_id": made.run_id, "names": made.names})
        return
    along = f" for the path of {made.run_id}" if made.run_id else ""
    call.out.print(shown(f"{into} holds {', '.join(made.names)}, as of position {made.position}{along}"), soft_wrap=True)
    call.note(f"Query it with SQL as {into}.{made.names[0]}; `runfold drop-schema {into}` removes it.")
