"""Bundles of evidence that a server makes, and what comes of one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from runfold.errors import UsageError
from runfold.remote.client import Client


class BundleReceived(NamedTuple):
    """A bundle that a server made."""

    file: Path
    verdict: str
    """What the server says of it: VERIFIED, NOT PROVEN or NOT REFOLDED. Believe your own `runfold-verify`."""
    unsealed: int
    """Events of the ledger that were not sealed yet, and are not in it."""


def download(client: Client, file: Path, asked: Mapping[str, Any]) -> BundleReceived:
    """Have a bundle made and write it to a file. Raises LedgerError, UsageError where there is such a file."""
    file = file.expanduser()
    if file.exists():
        raise UsageError(f"{file} is there already; name another")
    file.parent.mkdir(parents=True, exist_ok=True)
    headers = client.download("/bundles", orjson.dumps(asked), file)
    return BundleReceived(file, headers["Runfold-Bundle-Verdict"], int(headers["Runfold-Unsealed-Events"]))
