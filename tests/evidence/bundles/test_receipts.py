"""Receipts of what was appended: what they tell is what is sealed, and what differs from it later is named."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from runfold import Ledger, Receipt, Settings
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.errors import ScopeMissing, SealingRefused, UsageError
from runfold.evidence.bundles.bundle import BundleMaker
from runfold.evidence.bundles.making import make_bundle
from runfold.evidence.sealer import Sealer
from runfold.proofs.leaf import Leaf, decoded
from runfold.proofs.note import read_note
from runfold.proofs.receipt import ToldEvent
from runfold.proofs.tree import verify_inclusion
from tests.databases import TestDatabase


def recorded(ledger: Ledger) -> list[Receipt]:
    """What is told by each way into the log: a command, one on its way, the same again, many at once, one that goes first."""
    thread = ledger.create_thread(agent_id="desk", thread_id="thread_a")
    again = ledger.create_thread(agent_id="desk", thread_id="thread_a")
    run = thread.start_run(run_id="run_a")
    said = run.add_message("user", "Größe 🦉", message_id="message_a")
    submitted = [run.submit_add_message("user", str(number)) for number in range(3)]
    with ledger.batch() as batch:
        batch.run("run_a").add_message("assistant", "one", occurred_at=datetime(2026, 1, 31, 9, 30, 0, 123456, UTC))
        batch.create_thread(agent_id="desk").start_run()
    named = thread.name_head("kept", run)
    other = thread.start_run()
    moved = thread.put_head("kept", run, expected=other.id)
    assert batch.receipt is not None
    key = ledger.on_behalf(Caller("default", Actor.parse("human:ada"), key="1", request="sha256:" + "0" * 64))
    keyed = [key.run("run_a").add_message("user", "keyed").receipt for _ in range(2)]
    assert keyed[1].is_repeated
    every = [thread.receipt, again.receipt, run.receipt, said.receipt, *(each.result().receipt for each in submitted)]
    return [*every, batch.receipt, named, other.receipt, moved, *keyed]


def test_what_receipts_tell_is_what_is_sealed_and_each_is_proven_under_the_checkpoint(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        receipts = recorded(ledger)
        told = {each.position: each for receipt in receipts for each in receipt.told}
        assert sorted(told) == list(range(1, ledger.position() + 1))
        assert [receipt.told[-1].position for receipt in receipts] == [receipt.position for receipt in receipts]
        before = ledger.verify_receipt(receipts[3])
        assert (before.ok, before.unsealed, before.checkpoint, before.events[0].inclusion) == (True, 1, None, None)
        Sealer(ledger).seal_all()
        for receipt in receipts:
            found = ledger.verify_receipt(json.dumps(receipt.as_json()))
            assert (found.ok, found.unsealed, len(found.events)) == (True, 0, len(receipt.told))
            for view, each in zip(found.events, receipt.told, strict=True):
                assert (view.verdict, view.differs) == ("as_told", ())
                assert each.differs_from_leaf(proven(found.checkpoint.checkpoint, view.inclusion)) == []
        assert ledger.verify_receipt(receipts[0].as_json()) == ledger.verify_receipt(receipts[0])


def proven(note: str, inclusion: object) -> Leaf:
    """The leaf of a proof, verified as an outsider would."""
    checkpoint, leaf = read_note(note).checkpoint(), decoded(inclusion.leaf.encode())  # type: ignore[attr-defined]
    hashes = [bytes.fromhex(hash_) for hash_ in inclusion.hashes]  # type: ignore[attr-defined]
    verify_inclusion(leaf.seq - 1, checkpoint.size, leaf.hash(), hashes, checkpoint.root)
    return leaf


CHANGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "payload": ("state = state || ' '::bytea", "differs", ("payload_sha256",)),
    "actor": ("""metadata = jsonb_set(metadata, '{actor,id}', '"eve"')""", "differs", ("envelope_sha256",)),
    "time": ("recorded_at = recorded_at + interval '1 microsecond'", "differs", ("recorded_at", "envelope_sha256")),
    "thread": ("thread_id = 'thread_z'", "differs", ("thread_id", "envelope_sha256")),
    "salt": ("salt = sha256(salt)", "differs", ("salt", "payload_sha256", "envelope_sha256")),
    "no salt": ("salt = NULL", "differs", ("salt", "payload_sha256", "envelope_sha256")),
    "type": ("topic = 'message.sealed'", "differs", ("type",)),
    "version": ("originator_version = 99", "differs", ("version",)),
    "place": ("notification_id = 99", "differs", ("position",)),
    "id": ("event_id = gen_random_uuid()", "gone", ()),
}


@pytest.mark.parametrize("is_sealed", [False, True])
def test_what_is_not_as_told_is_named_by_its_fields_before_and_after_it_is_sealed(
    settings: Settings, database: TestDatabase, is_sealed: bool
) -> None:
    with Ledger.open(settings=settings) as ledger, psycopg.connect(database.admin_url, autocommit=True) as admin:
        run = ledger.create_thread(agent_id="desk").start_run()
        receipt = run.add_message("user", "46.00 EUR").receipt
        if is_sealed:
            Sealer(ledger).seal_all()
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
        admin.execute("CREATE TEMP TABLE kept AS SELECT * FROM runfold.log WHERE notification_id = %s", [receipt.position])
        for changed, (change, verdict, fields) in CHANGES.items():
            admin.execute(f"UPDATE runfold.log SET {change} WHERE notification_id = %s", [receipt.position])
            found = ledger.verify_receipt(receipt)
            (view,) = found.events
            assert (changed, found.ok, view.verdict, view.differs) == (changed, False, verdict, fields)
            assert (view.inclusion is not None) == is_sealed
            assert found.unsealed == (not is_sealed)
            admin.execute("DELETE FROM runfold.log WHERE notification_id IN (%s, 99)", [receipt.position])
            assert ledger.verify_receipt(receipt).events[0].verdict == "gone"
            admin.execute("INSERT INTO runfold.log SELECT * FROM kept")
        assert ledger.verify_receipt(receipt).ok


def test_what_was_sealed_otherwise_than_told_is_named(settings: Settings, database: TestDatabase) -> None:
    with Ledger.open(settings=settings) as ledger, psycopg.connect(database.admin_url, autocommit=True) as admin:
        run = ledger.create_thread(agent_id="desk").start_run()
        receipt = run.add_message("user", "46.00 EUR").receipt
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
        kept = admin.execute("SELECT state FROM runfold.log WHERE notification_id = %s", [receipt.position]).fetchone()
        change = "UPDATE runfold.log SET state = %s WHERE notification_id = %s"
        admin.execute(change, [kept[0].replace(b"46", b"99"), receipt.position])
        Sealer(ledger).seal_all()
        admin.execute(change, [kept[0], receipt.position])
        (view,) = ledger.verify_receipt(receipt).events
        assert (view.verdict, view.differs, view.inclusion) == ("differs", ("sealed payload_sha256",), None)


def test_a_bundle_of_the_events_of_a_receipt_proves_them_alone(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger:
        receipts = recorded(ledger)
        Sealer(ledger).seal_all()
        made = BundleMaker(ledger).make(tmp_path / "one", [], told=receipts[3].told)
        assert (made.findings.counts, made.findings.receipt, made.findings.threads) == ({"VERIFIED": 1}, "1 AS TOLD", {})
        batch = receipts[7].told
        made = BundleMaker(ledger).make(tmp_path / "many", [], told=batch)
        assert (made.findings.counts["VERIFIED"], made.findings.proven) == (len(batch), True)
        lying = [replace(batch[0], payload_sha256="0" * 64), *batch[1:]]
        made = BundleMaker(ledger).make(tmp_path / "lying", [], told=lying)
        assert (made.findings.receipt, made.findings.proven) == ("NOT PROVEN", False)
        assert made.findings.problems[0].startswith(f"NOT AS TOLD {batch[0].type}, version {batch[0].version}")
        later = ledger.run("run_a").add_message("user", "not sealed").receipt
        made = BundleMaker(ledger).make(tmp_path / "later", [], told=[*batch, *later.told])
        (problem,) = made.findings.problems
        assert problem.startswith(f"NOT SHOWN message.added, version {later.version} of run_a, position {later.position}: ")


def test_receipts_that_tell_of_nothing_or_of_others_are_refused(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        thread = ledger.create_thread(agent_id="desk")
        nothing = thread.archive()
        assert thread.archive().appended == 0
        with pytest.raises(UsageError, match="tells of no event"):
            _ = thread.archive().told
        others = ledger.on_behalf(Caller("acme", Actor.parse("human:ada")))
        with pytest.raises(UsageError, match="of tenant 'default', and this is 'acme'"):
            others.verify_receipt(nothing)
        made = ledger.create_key(owner="human:ada", scopes=["events:read"], label="test")
        assert ledger.verify_receipt(made.receipt).ok
        without = ledger.on_behalf(Caller("default", Actor.parse("human:ada"), scopes=frozenset({"events:read"})))
        with pytest.raises(ScopeMissing, match="audit:read"):
            without.verify_receipt(made.receipt)
        assert without.verify_receipt(nothing).ok


def _changed(change: Callable[[dict[str, object]], object]) -> str:
    told = ToldEvent(
        1, "default", "thread_a", "run_a", 1, "a", 1, f"{'0' * 8}{'-0000' * 3}-{'0' * 12}", "t", *("0" * n for n in (32, 64, 64))
    )
    said: dict[str, object] = {"v": 1, "events": [asdict(told)]}
    change(said)
    return json.dumps(said)


BAD: dict[str, str | bytes] = {
    "": "it is no JSON",
    "[]": "has no list of events",
    "[" * 100_000: "it is no JSON",
    '{"v": 1, "events": "abc"}': "has no list of events",
    _changed(lambda said: said.update(v=2)): "of a version that is not known here ('2')",
    _changed(lambda said: said.update(v=True)): "of a version that is not known here",
    _changed(lambda said: said.update(events=[])): "tells of no event",
    _changed(lambda said: said["events"][0].pop("salt")): "events.0 has not the fields",  # type: ignore[index]
    _changed(lambda said: said["events"][0].update(more=1)): "events.0 has not the fields",  # type: ignore[index]
    _changed(lambda said: said["events"][0].update(position="1")): "events.0.position is no number that can be",  # type: ignore[index]
    _changed(lambda said: said["events"][0].update(position=-1)): "events.0.position is no number that can be",  # type: ignore[index]
    _changed(lambda said: said["events"][0].update(position=2**63)): "events.0.position is no number that can be",  # type: ignore[index]
    _changed(lambda said: said["events"][0].update(stream=None)): "events.0.stream is no text",  # type: ignore[index]
    _changed(lambda said: said["events"][0].update(salt="A" * 32)): "events.0.salt is not 32 hexadecimal digits",  # type: ignore[index]
    _changed(lambda said: said["events"][0].update(payload_sha256="0" * 62)): "is not 64 hexadecimal digits",  # type: ignore[index]
    _changed(lambda said: said["events"][0].update(event_id="1")): "events.0.event_id is no UUID",  # type: ignore[index]
}


def test_what_is_no_receipt_is_refused_in_one_line(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        for text, reason in BAD.items():
            with pytest.raises(UsageError, match="the receipt cannot be read: ") as refused:
                ledger.verify_receipt(text)
            assert (text, reason in str(refused.value), "\n" in str(refused.value)) == (text, True, False)


def test_a_bundle_of_a_receipt_of_which_nothing_is_sealed_is_refused_with_what_to_do(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger:
        thread = ledger.create_thread(agent_id="desk")
        Sealer(ledger).seal_all()
        receipt = thread.start_run().receipt
        with pytest.raises(SealingRefused, match="none of these events is sealed here; run `runfold seal now`"):
            make_bundle(ledger, tmp_path / "bundle", receipt=receipt)
        assert not list(tmp_path.glob("*bundle*"))
        Sealer(ledger).seal_all()
        assert make_bundle(ledger, tmp_path / "bundle", receipt=receipt).findings.proven
