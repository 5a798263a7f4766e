"""Bundles of evidence that a server makes, and what comes of one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from runfold.domain.json_text import json_text
from runfold.errors import UsageError
from runfold.file_errors import at_home
from runfold.proofs.container import BundleUnreadable, open_bundle
from runfold.remote.answers import foreign
from runfold.remote.client import Client


class BundleReceived(NamedTuple):
    """A bundle that a server made."""

    file: Path
    verdict: str
    """What the server says of it: VERIFIED, NOT PROVEN or NOT REFOLDED. Believe your own `runfold-verify`."""
    unsealed: int
    """Events of the ledger that were not sealed yet, and are not in it."""


def download(client: Client, file: Path, asked: Mapping[str, Any]) -> BundleReceived:
    """Have a bundle made, and write it to a file once it came whole. Raises LedgerError, UsageError where that is there."""
    file = at_home(file)
    if file.exists():
        raise UsageError(f"{file} is there already; name another")

    def read(part: Path, answer: httpx2.Response) -> BundleReceived:
        try:
            open_bundle(part)
        except BundleUnreadable as error:
            raise foreign(answer, f"with what is no bundle ({error})") from None
        headers = answer.headers
        return BundleReceived(file, headers["Runfold-Bundle-Verdict"], int(headers["Runfold-Unsealed-Events"]))

    body = json_text(asked).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    return client.download("/bundles", body, file, read)
