"""Bundles of a real ledger, made and verified."""

import hashlib
import json
from pathlib import Path

import psycopg
import pytest

from runfold import Ledger, Settings
from runfold.domain.security import BundleMade
from runfold.errors import InvalidEvent, NotFound, SealingRefused, UsageError
from runfold.evidence.bundles.bundle import BundleMaker, Made
from runfold.evidence.bundles.making import make_bundle
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.comparing import stored_trees
from runfold.evidence.sealing.signing import read_signer
from runfold.maintenance.checking import LogCheck
from runfold.proofs.note import read_note
from runfold.proofs.verify import main
from tests.databases import TestDatabase


def record(ledger: Ledger, threads: int = 3) -> list[str]:
    """Record threads whose runs take turns, so that none of them lies in one piece; return the ids of runs."""
    runs = [ledger.create_thread(agent_id="desk").start_run() for _ in range(threads)]
    for text in ("Größe 🦉", "<script>alert(1)</script>"):
        for run in runs:
            run.add_message("user", text)
    return [run.id for run in runs]


def make(ledger: Ledger, folder: Path, *ids: str, left_out: tuple[str, ...] = ()) -> Made:
    return BundleMaker(ledger, left_out).make(folder, ids)


def verified(ledger: Ledger, folder: Path) -> int:
    """The exit code of the offline verifier, with the policy that the ledger's own keys make."""
    (tree,) = stored(ledger)
    keys = read_signer(ledger.settings.seal_key_file, may_make=False).verifier_keys(tree)
    policy = folder.parent / "policy"
    policy.write_text("".join(f"log {key}\n" for key in keys) + "quorum none\n")
    return main([str(folder), "--policy", str(policy)])


def stored(ledger: Ledger) -> list[str]:
    with ledger.recorder.store.reading() as connection:
        return [tree.origin for tree in stored_trees(connection)]


def test_a_thread_is_bundled_whole_and_verified_offline_and_the_same_is_made_of_the_same_bytes(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger.open(settings=settings) as ledger:
        run, *_ = record(ledger)
        Sealer(ledger).seal_all()
        record(ledger, 1)
        made = make(ledger, tmp_path / "one", run)
        (thread,) = made.threads
        assert (made.findings.threads, made.unsealed > 0) == ({thread: "COMPLETE"}, True)
        assert made.events == made.findings.counts["VERIFIED"] < ledger.position()
        assert verified(ledger, tmp_path / "one") == 0
        assert capsys.readouterr().out.endswith(f"thread      {thread} COMPLETE\nVERIFIED\n")
        make(ledger, tmp_path / "two", thread)
        files = sorted(path.name for path in (tmp_path / "one").iterdir())
        assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)
        assert "<script>" not in (tmp_path / "one" / "report.html").read_text()
        left_out = make(ledger, tmp_path / "left out", thread, left_out=("message.*",))
        assert left_out.findings.counts["REDACTED"] > 0
        assert "Größe".encode() not in (tmp_path / "left out" / "report.html").read_bytes()
        assert verified(ledger, tmp_path / "left out") == 0
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_making_a_bundle_is_recorded_with_who_has_it_what_is_in_it_and_the_digest_of_its_manifest(
    settings: Settings, tmp_path: Path
) -> None:
    with Ledger.open(settings=settings) as ledger:
        run, *_ = record(ledger)
        Sealer(ledger).seal_all()
        before = ledger.position()
        made = BundleMaker(ledger, ("message.*",), envelope={"actor": "human:ada"}).make(tmp_path / "one", [run])
        (told,) = ledger.events(after=before)
        assert (told.type, str(told.metadata.actor), told.thread_id) == ("security.bundle_made", "human:ada", told.stream)
        digest = hashlib.sha256((tmp_path / "one" / "MANIFEST").read_bytes()).hexdigest()
        assert told.event == BundleMade(
            origin=made.findings.checkpoint.origin,
            size=before,
            manifest_digest=f"sha256:{digest}",
            events=made.events,
            threads=made.threads,
            thread_count=1,
            left_out=("message.*",),
        )
        make(ledger, tmp_path / "log")
        assert [each.event.whole_log for each in ledger.events(types=["security.bundle_made"])] == [False, True]  # type: ignore[attr-defined]
        with pytest.raises(UsageError, match="unknown event type 'messages"):
            make(ledger, tmp_path / "kept", run, left_out=("messages.*",))
        assert list(LogCheck(ledger.recorder.reader).findings()) == []


def test_no_bundle_is_handed_over_that_could_not_be_recorded(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger:
        run, *_ = record(ledger)
        Sealer(ledger).seal_all()
        maker = BundleMaker(ledger, envelope={"actor": "nobody"})
        with pytest.raises(InvalidEvent):
            maker.make(tmp_path / "one", [run])
        assert [path.name for path in tmp_path.iterdir() if "one" in path.name] == []


def test_the_whole_log_is_bundled_without_proofs_as_its_leaves_make_the_root(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger:
        record(ledger)
        Sealer(ledger).seal_all()
        made = make(ledger, tmp_path / "all")
        assert made.events == ledger.position() - 1  # that it was made is recorded
        assert (tmp_path / "all" / "proofs.jsonl").read_bytes() == b""
        assert verified(ledger, tmp_path / "all") == 0


def test_what_a_superuser_changed_or_removed_since_is_named(
    settings: Settings, database: TestDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger.open(settings=settings) as ledger:
        run, other, _ = record(ledger)
        Sealer(ledger).seal_all()
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
            changed = "UPDATE runfold.log SET state = state || ' '::bytea WHERE originator_id = %s AND originator_version = 2"
            connection.execute(changed, [run])
            connection.execute("DELETE FROM runfold.log WHERE originator_id = %s AND originator_version = 2", [other])
        made = make(ledger, tmp_path / "changed", run)
        assert f"version 2 of {run}" in made.findings.problems[0]
        assert verified(ledger, tmp_path / "changed") == 1
        assert "its payload is not what was sealed" in capsys.readouterr().out
        with pytest.raises(SealingRefused, match=f"version 2 of {other}, was sealed at position"):
            make(ledger, tmp_path / "removed", other)
        assert not (tmp_path / "removed").exists()


def test_what_is_not_there_or_not_sealed_is_refused_and_no_folder_is_overwritten(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger:
        with pytest.raises(SealingRefused, match="nothing of tenant default is sealed yet"):
            make(ledger, tmp_path / "b", "thread_x")
        record(ledger)
        Sealer(ledger).seal_all()
        with pytest.raises(NotFound, match="thread_x"):
            make(ledger, tmp_path / "b", "thread_x")
        assert list(tmp_path.glob("*b*")) == []
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "mine").write_text(json.dumps("mine"))
        with pytest.raises(UsageError, match="not empty"):
            make(ledger, tmp_path / "b")
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="file is there already, and no folder; name another"):
            make(ledger, tmp_path / "file")


def test_a_checkpoint_that_nobody_who_signs_here_has_signed_makes_no_bundle_that_is_verified(
    settings: Settings, database: TestDatabase, tmp_path: Path
) -> None:
    with Ledger.open(settings=settings) as ledger, psycopg.connect(database.admin_url, autocommit=True) as admin:
        run, *_ = record(ledger)
        Sealer(ledger).seal_all()
        made = make_bundle(ledger, tmp_path / "ours", run)
        assert (made.findings.verdict, made.signature_verified) == ("VERIFIED", True)
        (note,) = admin.execute("SELECT note FROM runfold.sealed_checkpoints").fetchone() or ("",)
        forged = read_signer(tmp_path / "keys of somebody else", may_make=True).sign(read_note(note).checkpoint())
        admin.execute("ALTER TABLE runfold.sealed_checkpoints DISABLE TRIGGER USER")
        admin.execute("UPDATE runfold.sealed_checkpoints SET note = %s", [forged])
        other = make_bundle(ledger, tmp_path / "forged", run)
        assert other.findings.verdict == "NOT PROVEN"
        assert "NOT SIGNED: the checkpoint in the database is not one of ours" in other.findings.problems[0]
        settings.seal_key_file.unlink()
        unknown = make_bundle(ledger, tmp_path / "without keys", run)
        assert (unknown.findings.verdict, unknown.signature_verified) == ("VERIFIED", False)
