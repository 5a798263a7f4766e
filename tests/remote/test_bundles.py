"""What comes of a bundle that a server is to make, where something else answers, or what came is broken."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, LedgerError
from runfold.evidence.bundles.making import make_bundle
from runfold.evidence.sealer import Sealer
from tests.remote.proxy import ALIVE, Proxy, answer


def packed() -> bytes:
    """A .zip that is no bundle."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("hello.txt", "hello")
    return whole.getvalue()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((b"PK", "runfold-bundle-verdict: VERIFIED", "runfold-unsealed-events: 0"), "is neither a folder nor a .zip"),
        ((packed(), "runfold-bundle-verdict: VERIFIED", "runfold-unsealed-events: 0"), "no file of a bundle"),
        ((packed()[:-30], "runfold-bundle-verdict: VERIFIED", "runfold-unsealed-events: 0"), "is neither a folder nor a .zip"),
    ],
    ids=["no zip", "another zip", "a part of one"],
)
def test_what_is_no_bundle_is_said_so_and_not_kept(said: tuple[Any, ...], words: str, tmp_path: Path) -> None:
    with Proxy(None) as proxy:
        proxy.answers.append(ALIVE)
        with Ledger.connect(proxy.url, "rf_key", patience=0) as remote:
            body, *headers = said
            proxy.answers.append(answer("200 OK", body, *headers, kind="application/zip"))
            with pytest.raises(LedgerError, match=f"with what is no bundle .*{words}.*, as no Runfold server does"):
                remote.make_bundle(tmp_path / "bundle.zip", whole_log=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("headers", [(), ("runfold-bundle-verdict: VERIFIED",), ("runfold-unsealed-events: x",)])
def test_a_bundle_of_which_a_server_says_nothing_is_not_kept(ledger: Ledger, headers: tuple[str, ...], tmp_path: Path) -> None:
    ledger.create_thread(agent_id="desk")
    Sealer(ledger).seal_all()
    make_bundle(ledger, tmp_path / "made.zip", whole_log=True)
    with Proxy(None) as proxy:
        proxy.answers.append(ALIVE)
        with Ledger.connect(proxy.url, "rf_key", patience=0) as remote:
            proxy.answers.append(answer("200 OK", (tmp_path / "made.zip").read_bytes(), *headers, kind="application/zip"))
            with pytest.raises(LedgerError, match="with a file of another kind, as no Runfold server does"):
                remote.make_bundle(tmp_path / "given.zip", whole_log=True)
    assert [path.name for path in tmp_path.iterdir()] == ["made.zip"]
