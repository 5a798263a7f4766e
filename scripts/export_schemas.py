"""Write schemas/ from the code, or with --check say which files are not as the code is.

events/<type>.v<n>.json are made of the event classes, openapi.json of the routes, asyncapi.json of what is sent by itself,
read-models.json of the projections. A projection whose columns, key or events changed under the same version is refused:
workers would stop at the rows that the program of before folded.
Schemas of earlier versions stay as they were: they describe what is stored. A file that no class answers for is removed.
"""

import argparse
import json
import re
import sys
from functools import cache
from pathlib import Path

from runfold.domain.catalogue import event_types
from runfold.domain.event import Event
from runfold.http.app import described
from runfold.http.asyncapi import asyncapi
from runfold.projections.registry import known
from runfold.projector.tables.table import fingerprint

FOLDER = Path(__file__).parents[1] / "schemas" / "events"
OPENAPI, ASYNCAPI, READ_MODELS = "openapi.json", "asyncapi.json", "read-models.json"
"""Beside the folder of the events."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAME = re.compile(r"(?P<type>.+)\.v(?P<version>\d+)\.json\Z")


def schema_text(event_class: type[Event]) -> str:
    """The JSON Schema of what is stored for an event, as its file has it."""
    schema = {"$schema": DIALECT, **event_class.model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


@cache
def openapi_text() -> str:
    """The OpenAPI document, as its file has it."""
    return json.dumps(described(), indent=1, ensure_ascii=False) + "\n"


@cache
def asyncapi_text() -> str:
    """The AsyncAPI document, as its file has it."""
    return json.dumps(asyncapi(dict(sorted(event_types.all().items()))), indent=1, ensure_ascii=False) + "\n"


@cache
def read_models_text() -> str:
    """The version of each projection, and the digest of its columns, key and events under it."""
    said = {
        name: {"version": projection.version, "fingerprint": fingerprint(projection)}
        for name, projection in sorted(known().items())
        if type(projection).__module__.startswith("runfold.")
    }
    return json.dumps(said, indent=1) + "\n"


def documents() -> dict[str, str]:
    """The documents beside the folder of the events, as the code has them."""
    return {OPENAPI: openapi_text(), ASYNCAPI: asyncapi_text(), READ_MODELS: read_models_text()}


def not_raised(path: Path) -> list[str]:
    """What a projection folds otherwise than before under the same version, a line each; `path` holds how it was before."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return [
        f"{name} changed its columns, key or events, and its version is still {now['version']}; raise it"
        for name, now in json.loads(read_models_text()).items()
        if name in before and now != before[name] and now["version"] <= before[name]["version"]
    ]


def expected() -> dict[str, str]:
    """Each file's name and text, as the code has them."""
    return {f"{name}.v{event.schema_version}.json": schema_text(event) for name, event in sorted(event_types.all().items())}


def is_stale(name: str) -> bool:
    """Whether no class answers for a file: its type is not ours, or its version is still to come."""
    found = _NAME.match(name)
    return not found or found["type"] not in event_types or int(found["version"]) > event_types[found["type"]].schema_version


def drift(folder: Path) -> list[str]:
    """What is not as the code has it, a line a file."""
    wanted, there = expected(), {path.name for path in folder.glob("*")}
    return [
        *(f"missing: {name}" for name in wanted if name not in there),
        *(
            f"changed: {name}"
            for name, text in wanted.items()
            if name in there and (folder / name).read_text(encoding="utf-8") != text
        ),
        *(f"stale: {name}" for name in sorted(there) if is_stale(name)),
        *(line for name, text in documents().items() for line in _document_drift(folder.parent / name, text)),
    ]


def _document_drift(path: Path, text: str) -> list[str]:
    if not path.exists():
        return [f"missing: {path.name}"]
    return [] if path.read_text(encoding="utf-8") == text else [f"changed: {path.name}"]


def write(folder: Path) -> int:
    """Make the files as the code has them; how many changed."""
    found = drift(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in expected().items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, text in documents().items():
        (folder.parent / name).write_text(text, encoding="utf-8")
    for path in folder.glob("*"):
        if is_stale(path.name):
            path.unlink()
    return len(found)


def main(arguments: list[str] | None = None) -> int:
    """0 when the files are as the code has them; with --check, 1 and their names when they are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 and name the files that drifted")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files of the events are")
    given = parser.parse_args(arguments)
    if kept := not_raised(given.folder.parent / READ_MODELS):
        print(*kept, sep="\n", file=sys.stderr)
        return 1
    if not given.check:
        said = f"{len(expected())} schemas in {given.folder}, {len(documents())} documents beside it"
        print(f"{said}, {write(given.folder)} changed")
        return 0
    if found := drift(given.folder):
        print(*found, "run `python scripts/export_schemas.py` and commit what it writes", sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
