"""What was verified on this machine: the size and root of each tree, in a file, so that the next time begins there."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from runfold.durable_files import write_whole
from runfold.proofs.note import Checkpoint
from runfold.proofs.tree import HASH_BYTES


def read_verified(file: Path) -> dict[str, Checkpoint]:
    """Return what was verified before, by the names of trees; nothing where that cannot be read: then all is read again."""
    try:
        said = json.loads(file.read_bytes())
        found = [Checkpoint(origin, int(each["size"]), bytes.fromhex(each["root"])) for origin, each in said.items()]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {each.origin: each for each in found if len(each.root) == HASH_BYTES}


def note_verified(file: Path, verified: Mapping[str, Checkpoint]) -> None:
    """Note what was verified now, beside other trees; where the file cannot be written, the next time begins as this one did."""
    whole = {**read_verified(file), **verified}
    said = {origin: {"size": each.size, "root": each.root.hex()} for origin, each in sorted(whole.items())}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(file, json.dumps(said, indent=1).encode())
