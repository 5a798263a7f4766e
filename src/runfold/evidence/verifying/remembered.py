"""What was verified on this machine: the size and root of each tree, in a file, so that the next time begins there.

Beside them stands in which database a tree was. Where it is there no more, it was taken away, or the sealed log was made anew.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runfold.durable_files import write_whole
from runfold.proofs.note import Checkpoint
from runfold.proofs.tree import HASH_BYTES


def read_verified(file: Path) -> dict[str, Checkpoint]:
    """Return what was verified before, by the names of trees; nothing where that cannot be read: then all is read again."""
    return _verified(_read(file))


def verified_in(file: Path, database: str | None) -> set[str]:
    """Return the names of the trees that were verified in a database before; of one that cannot be told, none."""
    told = _read(file)
    return {origin for origin in _verified(told) if database is not None and told[origin].get("database") == database}


def note_verified(file: Path, verified: Mapping[str, Checkpoint], database: str | None = None) -> None:
    """Note what was verified now, beside other trees; where the file cannot be written, the next time begins as this one did."""
    told = _read(file)
    said = {origin: told[origin] for origin in _verified(told)}
    for origin, each in verified.items():
        said[origin] = {"size": each.size, "root": each.root.hex(), **({} if database is None else {"database": database})}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(file, json.dumps(said, indent=1, sort_keys=True).encode())


def _verified(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Checkpoint]:
    try:
        found = [Checkpoint(origin, int(each["size"]), bytes.fromhex(each["root"])) for origin, each in told.items()]
    except (ValueError, TypeError, KeyError):
        return {}
    return {each.origin: each for each in found if len(each.root) == HASH_BYTES}


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        said = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {**said} if isinstance(said, dict) and all(isinstance(each, dict) for each in said.values()) else {}
