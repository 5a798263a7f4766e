"""Bundles of evidence over HTTP: a .zip with what a key may see, recorded, and verified by who got it."""

import hashlib
import json
import zipfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runfold import Ledger, Settings
from runfold.access.keys import Keys
from runfold.domain.security import BundleMade
from runfold.errors import InvalidEvent, NotFound, ScopeMissing, SealingRefused, UsageError
from runfold.evidence.bundles.making import make_bundle, prove_absence
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.signing import read_signer
from runfold.http.app import create_app
from runfold.proofs.container import open_bundle
from runfold.proofs.policy import read_policy
from runfold.proofs.verify import verify_bundle
from tests.databases import TestDatabase
from tests.http.keys import make_key, with_key
from tests.serving import serving


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    return database.settings.model_copy(update={"home": tmp_path / "home"})


def verified(ledger: Ledger, file: Path) -> Any:
    """What the offline verifier says, with the policy that the ledger's own keys make."""
    (key,) = read_signer(ledger.settings.seal_key_file, may_make=False).verifier_keys(ledger.checkpoint().origin)
    return verify_bundle(open_bundle(file), read_policy(f"log {key}\nquorum none\n"))


def payloads(file: Path) -> dict[str, int]:
    """How many events of each type are shown with their payload."""
    with zipfile.ZipFile(file) as packed:
        leaves = [json.loads(line) for line in packed.read("entries.jsonl").splitlines()]
        shown = [json.loads(line) for line in packed.read("events.jsonl").splitlines()]
    found: dict[str, int] = {}
    for leaf, event in zip(leaves, shown, strict=True):
        found[leaf["type"]] = found.get(leaf["type"], 0) + ("payload" in event)
    return found


def test_an_auditor_elsewhere_gets_what_is_verified_and_that_they_did_is_recorded(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger, serving(create_app(ledger, Keys(ledger))) as address:
        run = ledger.create_thread(agent_id="desk").start_run(run_id="run_a")
        said = [run.add_message("user", text) for text in ("46.00 EUR", "my number is 12345")]
        ledger.create_thread(agent_id="desk").start_run(run_id="run_b").add_message("user", "hello")
        said[1].redact(fields=["content"], legal_basis="asked for")
        auditor = make_key(ledger, "audit:read", "events:read", owner="human:eve")
        Sealer(ledger).seal_all()
        with Ledger.connect(address, auditor) as remote:
            got = remote.make_bundle(tmp_path / "thread.zip", "run_a")
            assert (got.verdict, got.unsealed) == ("VERIFIED", 0)
            found = verified(ledger, got.file)
            assert (found.verdict, list(found.threads.values()), found.counts["REDACTED"]) == ("VERIFIED", ["COMPLETE"], 1)
            assert payloads(got.file)["message.added"] == 1
            assert b"my number is" not in got.file.read_bytes()
            (told,) = ledger.events(types=["security.bundle_made"])
            assert (str(told.metadata.actor), isinstance(told.event, BundleMade)) == ("human:eve", True)
            with zipfile.ZipFile(got.file) as packed:
                digest = hashlib.sha256(packed.read("MANIFEST")).hexdigest()
            assert told.event.manifest_digest == f"sha256:{digest}"  # type: ignore[attr-defined]
            again = remote.make_bundle(tmp_path / "again.zip", "run_a")
            assert again.file.read_bytes() == got.file.read_bytes()
            whole = remote.make_bundle(tmp_path / "whole.zip", whole_log=True, leave_out="run.*")
            assert payloads(whole.file)["security.key_created"] == payloads(whole.file)["run.created"] == 0
            assert verified(ledger, whole.file).verdict == "VERIFIED"
            single = remote.make_bundle(tmp_path / "single.zip", receipt=said[0].receipt)
            assert verified(ledger, single.file).counts == {"VERIFIED": 1}
            for run_id, verdict in (("run_a", "NOT REFOLDED"), ("run_b", "VERIFIED")):  # a fold looks at what was redacted
                rows = remote.make_bundle(tmp_path / f"{run_id}.zip", answer=("run_summaries", run_id))
                assert rows.verdict == verdict
            absent = remote.prove_absence(tmp_path / "absent.zip", said[0].receipt.told[0].thread_id, "approval.granted")
            assert verified(ledger, absent.file).absence.startswith("ABSENT: approval.granted")
            present = remote.prove_absence(tmp_path / "present.zip", said[0].receipt.told[0].thread_id, "run.created")
            assert present.verdict == "NOT PROVEN"
            assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
        ours = make_bundle(ledger, tmp_path / "ours.zip", "run_a")
        assert (ours.findings.verdict, payloads(tmp_path / "ours.zip")["message.added"]) == ("VERIFIED", 2)
        make_bundle(ledger, tmp_path / "folder", "run_a")
        with zipfile.ZipFile(tmp_path / "ours.zip") as packed:
            assert {name: packed.read(name) for name in packed.namelist()} == {
                path.name: path.read_bytes() for path in (tmp_path / "folder").iterdir()
            }
        none = prove_absence(ledger, tmp_path / "none.zip", ours.threads[0], "tool.called", call="call_1")
        assert none.findings.proven


def test_a_sample_of_runs_and_what_is_in_no_thread_are_shown_to_auditors_elsewhere(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger, serving(create_app(ledger, Keys(ledger))) as address:
        first, _ = (ledger.create_thread(agent_id="desk").start_run() for _ in range(2))
        auditor = make_key(ledger, "audit:read", "events:read", owner="human:eve")
        Sealer(ledger).seal_all()
        asked = {"n": 1, "created_from": datetime(2026, 1, 1, tzinfo=UTC), "agent_id": ["desk"]}
        ours = make_bundle(ledger, tmp_path / "ours.zip", sample=("x", {"n": 1}), whole_log=True).findings
        assert ours.sample is not None
        with Ledger.connect(address, auditor) as remote:
            given = verified(ledger, remote.make_bundle(tmp_path / "given.zip", sample=("x", asked)).file).sample
            assert (given.drawn, given.population, given.sample.population, given.runs) == ("DRAWN", "GIVEN", 2, ours.sample.runs)
            every = verified(ledger, remote.make_bundle(tmp_path / "all.zip", sample=("x", {"n": 1}), whole_log=True).file)
            assert (every.verdict, every.sample.population) == ("VERIFIED", "COMPLETE")
            ledger.prepare(3, processes=1)
            before = remote.make_bundle(tmp_path / "before.zip", sample=("x", {"n": 5}), at=3, whole_log=True)
            then = verified(ledger, before.file).sample
            assert (then.runs, then.sample.position, then.population) == ([first.id], 3, "COMPLETE")
            with pytest.raises(InvalidEvent, match="position 9999 is not in the ledger"):
                remote.make_bundle(tmp_path / "wrong.zip", sample=("x", {"n": 1}), at=9999)
            with pytest.raises(UsageError, match="only a sample is drawn as of a moment"):
                remote.make_bundle(tmp_path / "wrong.zip", whole_log=True, at=3)
            absent = verified(ledger, remote.prove_absence(tmp_path / "absent.zip", None, "run.failed").file)
            assert absent.absence == "ABSENT: run.failed in the whole log"
            for wrong in ({"colour": "red"}, {"created_from": "soon"}, {"n": "many"}):
                with pytest.raises(InvalidEvent):
                    remote.make_bundle(tmp_path / "wrong.zip", sample=("x", wrong))
        assert prove_absence(ledger, tmp_path / "never.zip", None, "run.failed").findings.proven


def test_what_is_asked_amiss_or_without_the_scopes_is_refused_and_nothing_is_recorded(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger, serving(create_app(ledger, Keys(ledger))) as address:
        auditor, *lacking = (
            make_key(ledger, *scopes) for scopes in (("audit:read", "events:read"), ("audit:read",), ("events:read",))
        )
        theirs = make_key(ledger, "audit:read", "events:read", tenant="acme")
        file = tmp_path / "bundle.zip"
        with Ledger.connect(address, auditor) as remote:
            with pytest.raises(SealingRefused, match="nothing of tenant default is sealed yet"):
                remote.make_bundle(file, whole_log=True)
            thread = ledger.create_thread(agent_id="desk")
            Sealer(ledger).seal_all()
            for ids, more in (((), {}), ((thread.id,), {"whole_log": True}), ((thread.id,), {"leave_out": ["mesages.*"]})):
                with pytest.raises(InvalidEvent):
                    remote.make_bundle(file, *ids, **more)  # type: ignore[arg-type]
            with pytest.raises(NotFound):
                remote.make_bundle(file, "thread_x")
            (tmp_path / "mine").write_text("mine")
            with pytest.raises(UsageError, match="is there already"):
                remote.make_bundle(tmp_path / "mine", thread.id)
        for key in lacking:
            with Ledger.connect(address, key) as remote, pytest.raises(ScopeMissing):
                remote.make_bundle(file, thread.id)
        with Ledger.connect(address, theirs) as remote, pytest.raises(NotFound):
            remote.make_bundle(file, thread.id)
        assert not file.exists()
        assert ledger.events(types=["security.bundle_made"]) == []
        body = {"ids": [thread.id], "absence": {"type": "approval.granted"}}
        answer = httpx2.post(f"{address}/bundles", json=body, headers=with_key(auditor))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        assert len(answer.content) == int(answer.headers["content-length"])
        assert zipfile.ZipFile(BytesIO(answer.content)).testzip() is None
