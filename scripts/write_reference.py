"""Write docs/reference/ from the code, or with --check say which pages are not as the code is.

Commands from the command line, routes from the OpenAPI document, events and read models from their classes.
"""

import argparse
import ast
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperOption

from runfold.cli.app import program
from runfold.cli.calling.options import EVERYWHERE
from runfold.domain.catalogue import event_types
from runfold.domain.context import Context
from runfold.http.app import described
from runfold.projections.columns import Column, columns_of
from runfold.projections.registry import known
from runfold.projections.totals import columns_of_totals

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
EITHER = "\\|"
"""A bar within a cell."""
NOTE = "<!-- Written by scripts/write_reference.py; `make schemas` writes it anew. -->\n"


def cell(text: str) -> str:
    """Text for a cell of a table, in one line."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield "# Commands\n"
    yield "Each takes `--json`, `--database-url`, `--home`, `--env-file`, `--zone`, `--unsafe-durability` and `--verbose`, too.\n"
    yield "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 not found, 4 conflict, 5 damage found.\n"
    root = program()
    yield from _group(root, "runfold")


def _group(group: Any, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        yield f"## {path} {name}\n"
        yield _paragraphs(command.help or "")
        if hasattr(command, "commands"):
            yield from _group(command, f"{path} {name}")
        else:
            yield from _parameters(command)


def _paragraphs(text: str) -> str:
    parts = text.partition("\f")[0].replace("<", "&lt;").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in parts) + "\n"


def _parameters(command: Any) -> Iterator[str]:
    rows = [row for parameter in command.get_params(typer.Context(command)) if (row := _parameter(parameter)) is not None]
    if rows:
        yield "\n".join(["| | |", "|---|---|", *rows]) + "\n"


def _parameter(parameter: Any) -> str | None:
    if not isinstance(parameter, TyperOption):
        name = parameter.metavar or parameter.name.upper()
        return f"| `{name.replace('|', EITHER)}` | {cell(getattr(parameter, 'help', None) or '')} |"
    if parameter.hidden or not parameter.help or parameter.rich_help_panel == EVERYWHERE or parameter.name == "help":
        return None
    flags = ", ".join([*parameter.opts, *parameter.secondary_opts])
    taken = "" if parameter.is_flag else f" {parameter.metavar or 'N'}"
    return f"| `{f'{flags}{taken}'.replace('|', EITHER)}` | {cell(parameter.help)} |"


def routes() -> Iterator[str]:
    """Every route with its public name, scope and first sentence."""
    yield "# Routes\n"
    yield "What each takes and answers stands in `schemas/openapi.json`, which a server has at `/openapi.json` and `/docs`.\n"
    rows: dict[str, list[str]] = {}
    for path, verbs in described()["paths"].items():
        for verb, operation in verbs.items():
            scopes = [scope for entry in operation.get("security", ()) for scope in entry.get("key", ())]
            scope = f"`{scopes[0]}`" if scopes else "no key"
            old = " (deprecated)" if operation.get("deprecated") else ""
            cells = f"`{operation['operationId']}`{old}", f"`{verb.upper()} {path}`", scope, cell(operation.get("summary", ""))
            rows.setdefault(operation["tags"][0], []).append(f"| {' | '.join(cells)} |")
    for tag, lines in sorted(rows.items()):
        yield f"## {tag}\n"
        yield "\n".join(["| name | route | scope | |", "|---|---|---|---|", *lines]) + "\n"


def events() -> Iterator[str]:
    """Every event type with its sentence and fields."""
    yield "# Events\n"
    yield "The JSON Schema of each is in `schemas/events/`, one file for each version of its shape. The package brings them"
    yield "(`runfold/schemas/events/`), and a server has them at `/schemas` and `/schemas/TYPE`, without a key.\n"
    yield "Beside each stands its `context`, so that a fold needs no other event. What is not known is absent:\n"
    yield "\n".join(["| context | |", "|---|---|", *_context_rows()]) + "\n"
    for name, event in sorted(event_types.all().items()):
        yield f"## {name}\n"
        yield _paragraphs(event.__doc__ or "")
        schema = event.model_json_schema(mode="serialization")
        required = set(schema.get("required", ()))
        fields = ", ".join(f"`{field}`" + ("" if field in required else "?") for field in schema.get("properties", {}))
        yield f"Version {event.schema_version}. Fields: {fields or 'none'}.\n"


def _context_rows() -> Iterator[str]:
    """What stands beside each field of a context."""
    (told,) = ast.parse(inspect.getsource(Context)).body
    assert isinstance(told, ast.ClassDef)
    for field, words in pairwise(told.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(words, ast.Expr), f"{field.target.id} has no words"
            yield f"| `{field.target.id}` | {cell(ast.literal_eval(words.value))} |"


def read_models() -> Iterator[str]:
    """Every read model with its sentence and columns."""
    yield "# Read models\n"
    yield "Each is a view of its name in the schema `runfold_read`, with `tenant_id` and `position` besides.\n"
    for name, projection in sorted(known().items()):
        yield f"## {name}\n"
        yield _paragraphs(projection.__doc__ or "")
        yield f"Version {projection.version}. Key: {', '.join(f'`{column}`' for column in projection.key)}.\n"
        yield _columns(columns_of(projection.row))
        for totals in projection.totals:
            yield f"### {totals.name}\n"
            yield f"{totals.purpose} Kept with `{name}`, in the same transaction; rows of one group are one.\n"
            yield _columns(columns_of_totals(totals))


def _columns(columns: Iterable[Column]) -> str:
    rows = [
        f"| `{column.name}` | {column.type}{'' if not column.nullable else ', may be null'} | {cell(column.comment)} |"
        for column in columns
    ]
    return "\n".join(["| column | type | |", "|---|---|---|", *rows]) + "\n"


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "commands.md": commands,
    "routes.md": routes,
    "events.md": events,
    "read-models.md": read_models,
}


def page_text(name: str) -> str:
    """A page, as its file has it."""
    return "\n".join([NOTE, *PAGES[name]()])


def main(arguments: list[str] | None = None) -> int:
    """0 when the pages are as the code has them; with --check, 1 and their names when they are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 and name the pages that drifted")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pages are")
    given = parser.parse_args(arguments)
    os.environ["COLUMNS"] = "200"
    texts = {name: page_text(name) for name in PAGES}
    there = {path.name: path.read_text(encoding="utf-8") for path in given.folder.glob("*.md")}
    drifted = sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))
    if given.check and drifted:
        print(
            *(f"changed: {name}" for name in drifted), "run `make schemas` and commit what it writes", sep="\n", file=sys.stderr
        )
        return 1
    for name in [] if given.check else drifted:
        if name in texts:
            (given.folder / name).write_text(texts[name], encoding="utf-8")
        else:
            (given.folder / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
