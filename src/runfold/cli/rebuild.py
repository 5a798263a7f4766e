"""`runfold rebuild`, `schemas` and `drop-schema`: read models folded anew, and as of the past."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call

if TYPE_CHECKING:
    from runfold.ledger import Ledger
    from runfold.projector.rebuild import Rebuilt

MOST_SHOWN = 5


def rebuild(
    call: Call,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME|MODULE:CLASS…", help="Which read models; your own as module:Class.")
    ] = None,
    *,
    all_of_them: Annotated[bool, typer.Option("--all", help="All that are known.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that fold side by side.")] = 2,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show which rows differ from those in use, and the events behind them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only; what is in use stays in use.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the table that was in use before the last one.")
    ] = False,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="P|TIME", help="Fold up to a position, or a time of the store; with --into.")
    ] = None,
    branch: Annotated[str | None, typer.Option("--branch", metavar="RUN", help="Fold one run's path alone; with --into.")] = None,
    into: Annotated[str | None, typer.Option("--into", metavar="SCHEMA", help="A schema to make, query and drop.")] = None,
) -> None:
    """Fold read models anew beside the ones in use, compare, catch up, and switch; or fold the past into a schema.

    The tables in use serve all the while. A rebuild that was killed goes on where it was when it is given again. With
    --dry-run, exit 1 if a row differs.
    """
    from runfold.errors import UsageError

    if bool(names) == all_of_them:
        raise UsageError("name the read models to fold anew, or say --all")
    if (as_of is not None or branch is not None) != (into is not None):
        raise UsageError("--as-of and --branch go with --into SCHEMA, and it with one of them")
    if rollback and (diff or dry_run or into is not None):
        raise UsageError("--rollback goes alone")
    if into is not None and (diff or dry_run):
        raise UsageError("--dry-run and --diff compare with what is in use, and a schema of the past is compared with nothing")
    chosen = tuple(names or ())
    with call.ledger() as ledger:
        if into is not None:
            _make_past(call, ledger, chosen, into, as_of, branch, workers)
        elif rollback:
            _roll_back(call, ledger, chosen)
        else:
            _rebuild(call, ledger, chosen, workers, diff=diff, dry_run=dry_run)


def _rebuild(call: Call, ledger: "Ledger", names: tuple[str, ...], workers: int, *, diff: bool, dry_run: bool) -> None:
    import time

    from runfold.cli.progress import progress_bar

    began = time.monotonic()
    with progress_bar(call.err, "Rebuilding", "events") as told:
        found = ledger.rebuild(*names, processes=workers, keep=dry_run, told=lambda stage, done, total: told(done, total, stage))
    seconds = time.monotonic() - began
    different = sum(each.compared.different for each in found if each.compared)
    if call.json:
        call.answer({"seconds": round(seconds, 3), "different": different, "read_models": [_as_json(each) for each in found]})
    else:
        _print(call, found, seconds, diff=diff)
        for name in _passed_over(names, found) if dry_run else ():
            call.note(f"{name} is not compared: its rows are not made from one thread each")
    if dry_run and different:
        raise typer.Exit(1)


def _passed_over(names: tuple[str, ...], found: "list[Rebuilt]") -> list[str]:
    from runfold.projections.registry import chosen

    return sorted(chosen(names).keys() - {each.name for each in found})


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
    }


def _print(call: Call, found: "list[Rebuilt]", seconds: float, *, diff: bool) -> None:
    from runfold.cli.terminal import counted, print_whole, shown, table

    rows = [
        (
            each.name,
            "in use" if each.switched else "dropped",
            each.position,
            "" if each.compared is None else each.compared.rows,
            "" if each.compared is None else each.compared.different,
        )
        for each in found
    ]
    print_whole(call.out, table(("name", "new table", "#filled to", "#compared", "#different"), rows, wraps="name"))
    for each in found:
        if each.compared and each.compared.different:
            call.out.print(shown(f"{each.name}: {counted(each.compared.different, 'row')} differ", "yellow"), soft_wrap=True)
            for example in each.compared.examples[: None if diff else 0]:
                _print_difference(call, example)
    call.out.print(f"{counted(len(found), 'read model')} in {seconds:.1f} s", style="dim", soft_wrap=True)


def _print_difference(call: Call, example: Any) -> None:
    from runfold.cli.terminal import shown

    key = " ".join(str(part) for part in example.key[1:])
    if example.lacking:
        call.out.print(
            shown(f"  {key}: not in the {'new table' if example.lacking == 'new' else 'table in use'}"), soft_wrap=True
        )
    for column, (old, new) in example.columns.items():
        call.out.print(shown(f"  {key}: {column} was {old!r}, and is {new!r}"), soft_wrap=True)
    events = ", ".join(f"{position} {kind}" for position, kind in example.events[:MOST_SHOWN])
    more = " …" if len(example.events) > MOST_SHOWN else ""
    call.out.print(shown(f"    from the events at {events}{more}", "dim"), soft_wrap=True)


def _roll_back(call: Call, ledger: "Ledger", names: tuple[str, ...]) -> None:
    from runfold.projections.registry import known

    found = {name: ledger.roll_back(name) for name in names or known()}
    if call.json:
        call.answer({"rolled_back": found})
        return
    for name, position in found.items():
        call.out.print(f"{name} is the table of before again, which goes on from position {position}", soft_wrap=True)


def _make_past(
    call: Call, ledger: "Ledger", names: tuple[str, ...], into: str, as_of: str | None, branch: str | None, workers: int
) -> None:
    from runfold.cli.progress import progress_bar
    from runfold.cli.terminal import shown
    from runfold.queries.reading import parse_moment

    with progress_bar(call.err, "Folding the past", "events") as told:
        made = ledger.make_schema(
            into,
            *names,
            as_of=None if as_of is None else parse_moment(as_of),
            branch=branch,
            processes=workers,
            progress=lambda done, total: told(done, total, ""),
        )
    if call.json:
        call.answer({"schema": made.schema, "position": made.position, "run_id": made.run_id, "names": made.names})
        return
    along = f" along the path of {made.run_id}" if made.run_id else ""
    call.out.print(shown(f"{into} holds {', '.join(made.names)}, as of position {made.position}{along}"), soft_wrap=True)
    call.note(f"Query it with SQL as {into}.{made.names[0]}; `runfold drop-schema {into}` removes it.")


def schemas(call: Call) -> None:
    """List the schemas of the past: which read models they hold, as of when, along which run's path.

    Those that somebody named stay until `runfold drop-schema`; those behind moments are dropped when nobody uses them.
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
    from runfold.cli.terminal import counted, print_whole, shown, table

    rows = [
        (
            each.schema,
            each.position,
            each.run_id or "",
            ", ".join(each.names),
            "" if each.ready else "failed" if each.error else "half done",
            "until dropped" if each.kept else "while used",
            f"{each.created_at:%Y-%m-%d %H:%M}",
        )
        for each in found
    ]
    heads = ("schema", "#as of", "along", "read models", "state", "kept", "made (UTC)")
    print_whole(call.out, table(heads, rows, wraps="read models"))
    for failed in (each for each in found if each.error):
        call.out.print(shown(f"{failed.schema}: {failed.error}", "red"), soft_wrap=True)
    call.out.print(counted(len(found), "schema"), style="dim", soft_wrap=True)


def drop_schema(
    call: Call,
    schema: Annotated[str, typer.Argument(metavar="SCHEMA", help="As `runfold schemas` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Drop a schema of the past with all tables in it. The log and the read models in use are not touched."""
    from runfold.errors import UsageError

    if not yes and not call.json and call.err.is_terminal and not typer.confirm(f"Drop {schema} and all that is in it?"):
        raise UsageError("nothing was dropped")
    with call.ledger() as ledger:
        ledger.drop_schema(schema)
    if call.json:
        call.answer({"dropped": schema})
    else:
        call.out.print(f"{schema} is dropped", soft_wrap=True)
