"""The sealed log over HTTP: its last checkpoint as JSON and as text, how sealing stands, each tenant's own, for auditors."""

from pathlib import Path

import httpx2
import pytest

from runfold import Ledger, Settings
from runfold.access.keys import Keys
from runfold.commands.caller import Caller
from runfold.errors import CheckpointNotFound, ScopeMissing
from runfold.evidence.sealer import Sealer
from runfold.http.app import create_app
from runfold.proofs.note import read_note
from tests.databases import TestDatabase
from tests.http.keys import ROOT, make_key, with_key
from tests.serving import serving


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    return database.settings.model_copy(update={"home": tmp_path / "home"})


def test_an_auditor_is_given_the_last_checkpoint_of_their_tenant_and_how_sealing_stands(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger, serving(create_app(ledger, Keys(ledger))) as address:
        ours, theirs = make_key(ledger, "audit:read"), make_key(ledger, "audit:read", tenant="acme")
        with Ledger.connect(address, ours) as remote:
            with pytest.raises(CheckpointNotFound, match="'default' is not there yet"):
                remote.checkpoint()
            assert (remote.sealed_log().origin, remote.sealed_log().sealed_position) == (None, 0)
            Sealer(ledger).seal_all()
            ledger.create_thread(agent_id="desk")
            Sealer(ledger).seal_all()
            last = ledger.checkpoint()
            assert remote.checkpoint() == last
            assert remote.sealed_log() == ledger.sealed_log()
            status = remote.sealed_log()
            assert (status.origin, status.size, status.sealed_position) == (last.origin, last.size, ledger.position())
            assert (status.generation, status.alarms, status.previous_checkpoint) == (1, 0, None)
        said = read_note(last.checkpoint).checkpoint()
        assert (said.origin, said.size, said.root.hex()) == (last.origin, last.size, last.root)
        assert said.map_root is not None
        assert (said.map_root.hex(), last.position) == (last.map_root, ledger.position())
        text = httpx2.get(f"{address}/sealed/checkpoint", headers={**with_key(ours), "Accept": "text/plain"})
        assert (text.content.decode(), text.headers["content-type"]) == (last.checkpoint, "text/plain; charset=utf-8")
        with Ledger.connect(address, theirs) as remote:
            assert remote.checkpoint() == ledger.on_behalf(Caller("acme", ROOT)).checkpoint()
            assert (remote.checkpoint().size, remote.checkpoint().origin == last.origin) == (1, False)
        with Ledger.connect(address, make_key(ledger, "events:read")) as remote:
            for ask in (remote.checkpoint, remote.sealed_log):
                with pytest.raises(ScopeMissing, match="audit:read"):
                    ask()
