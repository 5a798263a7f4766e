"""A database that was put back, copied or restored; keys that are changed or lost."""

import re
from functools import partial
from pathlib import Path

import psycopg
import pytest
import structlog
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from runfold import Ledger, Settings
from runfold.domain.security import LossAccepted
from runfold.errors import SealingRefused
from runfold.evidence.losses import Loss, accept_losses, record_loss
from runfold.evidence.sealer import Sealer, sealers
from runfold.evidence.sealing.comparing import stored_trees
from runfold.evidence.sealing.signing import add_key, keep_newest, read_signer, require_signed
from runfold.evidence.verifying.checkpoints import Kept
from runfold.evidence.verifying.verify import LedgerVerification
from runfold.maintenance.backup import back_up
from runfold.maintenance.restore import restore
from runfold.proofs.note import ED25519, Key, NoteRefused, read_note
from runfold.store.datastore import Connection
from runfold.store.marks import MarkFile
from tests.backups import empty_database
from tests.databases import TestDatabase

WHY = "the move was given up"


def _seal(ledger: Ledger) -> str:
    Sealer(ledger).seal_all()
    with ledger.recorder.store.reading() as connection:
        return stored_trees(connection)[0].note or ""


def _verified(ledger: Ledger, *kept: str, **options: object) -> list[str]:
    verification = LedgerVerification(ledger, True, [Kept(each, "kept") for each in kept], **options)  # type: ignore[arg-type]
    return [finding.kind for finding in verification.findings()]


@pytest.mark.fault("J4", "B9", "B10")
def test_a_restored_ledger_goes_on_under_the_same_root_and_one_that_lacks_events_only_once_that_is_accepted(
    settings: Settings, database: TestDatabase, tmp_path: Path
) -> None:
    with Ledger.open(settings=settings) as ledger:
        run = ledger.create_thread(agent_id="desk").start_run(run_id="run_1")
        before = _seal(ledger)
        back_up(database.admin_url, tmp_path / "ledger.dump", None)
    with empty_database(database) as other:
        restore(other.admin_url, tmp_path / "ledger.dump", None, MarkFile(tmp_path / "marks"))
        there = settings.model_copy(update=_urls(other))
        with Ledger.open(settings=there) as ledger:
            ledger.run("run_1").add_message("user", "after the move")
            moved = _seal(ledger)
            assert read_note(moved).checkpoint().origin == read_note(before).checkpoint().origin
            assert _verified(ledger, before, moved) == []
    with Ledger.open(settings=settings) as ledger:
        with pytest.raises(SealingRefused, match="rolled back"):
            Sealer(ledger).seal_all()
        assert set(_verified(ledger)) == {"rolled back"}
        sealer = Sealer(ledger)
        with sealer.datastore.reading() as connection:
            (loss,) = accept_losses(connection, sealer.places, WHY, lambda loss: record_loss(ledger, loss, WHY))
        assert loss.origin.endswith("-2")
        (told,) = ledger.events(types=["security.*"])
        assert told.event == LossAccepted(
            origin=loss.origin,
            previous_origin=read_note(before).checkpoint().origin,
            previous_checkpoint=moved,
            fact=loss.fact,
            comment=WHY,
        )
        record_loss(ledger, loss, WHY)  # said again, as by somebody who was killed before the tree was begun
        assert len(ledger.events(types=["security.*"])) == 1
        ledger.run(run.id).add_message("user", "here again")
        assert read_note(_seal(ledger)).checkpoint().size == ledger.position()
        assert _verified(ledger) == []
        assert _verified(ledger, moved) == ["forked"]
        verification = LedgerVerification(ledger)
        assert list(verification.findings()) == []
        assert verification.read is not None
        assert verification.read.after_losses() == [loss.origin]


@pytest.mark.parametrize("said_before", ["the same, in other words", "another fact", "of another tree before"])
def test_what_was_recorded_of_a_loss_before_it_came_about_does_not_stand_in_for_who_accepts_it(
    settings: Settings, said_before: str
) -> None:
    with Ledger.open(settings=settings) as ledger:
        loss = Loss("default", "it went back", "runfold/a-2", "runfold/a", "the last checkpoint")
        planted = {
            "the same, in other words": loss,
            "another fact": loss._replace(fact="none of note"),
            "of another tree before": loss._replace(previous_origin="runfold/b"),
        }[said_before]
        record_loss(ledger, planted, "all is well")
        record_loss(ledger, loss, WHY)
        first, last = (recorded.event for recorded in ledger.events(types=["security.loss_accepted"]))
        assert isinstance(first, LossAccepted)
        assert isinstance(last, LossAccepted)
        assert (first.comment, last.comment, last.fact) == ("all is well", WHY, loss.fact)
        assert record_loss(ledger, loss, WHY).position == ledger.position()


def _urls(database: TestDatabase) -> dict[str, SecretStr]:
    names = ("database_url", "admin_url", "projector_url", "sealer_url")
    urls = (database.url, database.admin_url, database.projector_url, database.sealer_url)
    return {name: SecretStr(url) for name, url in zip(names, urls, strict=True)}


@pytest.mark.fault("J9")
def test_while_keys_are_changed_both_sign_and_then_the_new_one_alone(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        run = ledger.create_thread(agent_id="desk").start_run()
        old_note = _seal(ledger)
        (old,) = read_signer(settings.seal_key_file, may_make=False).public_keys
        add_key(settings.seal_key_file, only=False)
        new, *others = read_signer(settings.seal_key_file, may_make=False).public_keys
        assert others == [old]
        run.add_message("user", "both")
        both = read_note(_seal(ledger))
        require_signed(both, [old])
        require_signed(both, [new])
        assert keep_newest(settings.seal_key_file) == 1
        run.add_message("user", "the new one")
        alone = read_note(_seal(ledger))
        require_signed(alone, [new])
        with pytest.raises(NoteRefused, match="no key that is known"):
            require_signed(alone, [old])
        assert settings.seal_key_file.stat().st_mode & 0o777 == 0o600
        keys = [str(Key(both.checkpoint().origin, ED25519, public)) for public in (old, new)]
        assert _verified(ledger, old_note, keys=keys) == []


def test_keys_that_vanish_under_a_sealer_are_told_of_once_while_it_still_has_them(settings: Settings) -> None:
    file = settings.seal_key_file
    with Ledger.open(settings=settings) as ledger, structlog.testing.capture_logs() as logged:
        run, sealer = ledger.create_thread(agent_id="desk").start_run(), Sealer(ledger)

        def told() -> int:
            run.add_message("user", "more")
            assert sealer.seal_all() > 0
            return sum("not in their file" in line["event"] for line in logged)

        assert told() == 0
        away = file.rename(file.with_name("away"))
        assert [told(), told()] == [1, 1]
        away.rename(file)
        assert told() == 1
        file.write_text("no key")
        assert told() == 2


def test_a_role_that_only_reads_verifies_and_one_that_may_not_seal_is_told_so(settings: Settings, database: TestDatabase) -> None:
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk")
        _seal(ledger)
    reader = make_conninfo(database.admin_url, user="runfold_reader")
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE runfold_reader LOGIN")
    only_reads = settings.model_copy(update={"database_url": SecretStr(reader)})
    with Ledger.open(settings=only_reads) as ledger:
        assert _verified(ledger) == []
    may_not = settings.model_copy(update={"sealer_url": settings.database_url})
    with Ledger.open(settings=may_not) as ledger:
        assert sealers(ledger) == []
        with pytest.raises(SealingRefused, match="GRANT runfold_sealer"):
            Sealer(ledger).seal_all()


@pytest.mark.parametrize("with_leaves", [False, True])
def test_after_a_lost_end_that_was_accepted_every_event_is_sealed(
    settings: Settings, database: TestDatabase, *, with_leaves: bool
) -> None:
    with Ledger.open(settings=settings) as ledger, psycopg.connect(database.admin_url, autocommit=True) as admin:
        run = ledger.create_thread(agent_id="desk").start_run()
        while ledger.position() < 6:
            run.add_message("user", f"message {ledger.position()}")
        before = _seal(ledger)
        for number in range(5):
            run.add_message("user", f"message {number}, which is lost")
        longer = _seal(ledger)
        for table in ("log", "sealed_events", "sealed_checkpoints"):
            admin.execute(f"ALTER TABLE runfold.{table} DISABLE TRIGGER USER")
        admin.execute("DELETE FROM runfold.log WHERE notification_id > 6")
        admin.execute("UPDATE runfold.head SET position = 6")
        if with_leaves:
            admin.execute("DELETE FROM runfold.sealed_events WHERE position > 6")
            admin.execute("UPDATE runfold.sealed_logs SET size = 6, map_size = 6")
        with pytest.raises(SealingRefused, match="rolled back" if with_leaves else "and the log ends at 6"):
            Sealer(ledger).seal_all()
    with Ledger.open(settings=settings) as ledger:
        sealer = Sealer(ledger)
        with sealer.datastore.reading() as connection:
            (loss,) = accept_losses(connection, sealer.places, WHY, lambda loss: record_loss(ledger, loss, WHY))
            assert accept_losses(connection, [], WHY, lambda loss: record_loss(ledger, loss, WHY)) == []
        assert loss.origin.endswith("-2")
        for number in range(5):
            ledger.run(run.id).add_message("user", f"later {number}")
        assert read_note(_seal(ledger)).checkpoint().size == ledger.position() == 12
        assert _verified(ledger) == []
        assert _verified(ledger, before) == []
        (found,) = LedgerVerification(ledger, True, [Kept(longer, "kept")]).findings()
        assert found.fact.startswith("kept: not all of its 11 events are here as they were sealed; ")
        assert "which somebody accepted" in found.fact
        assert "security.loss_accepted" in found.next_step
        forged = before.replace("\n6\n", "\n7\n", 1)
        assert _verified(ledger, forged) == ["checkpoint"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE runfold.log SET state = state || ' '::bytea WHERE notification_id = 3",
            r"the payload of .*, at position 3 changed",
        ),
        ("DELETE FROM runfold.log WHERE notification_id = 3", "at position 3 is missing"),
    ],
)
def test_a_loss_is_not_accepted_together_with_a_change_of_what_is_left_unless_that_is_accepted_and_told_as_well(
    settings: Settings, database: TestDatabase, change: str, said: str
) -> None:
    with Ledger.open(settings=settings) as ledger, psycopg.connect(database.admin_url, autocommit=True) as admin:
        run = ledger.create_thread(agent_id="desk").start_run()
        while ledger.position() < 8:
            run.add_message("user", f"message {ledger.position()}")
        _seal(ledger)
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
        admin.execute(change)
        admin.execute("DELETE FROM runfold.log WHERE notification_id > 6")
        admin.execute("UPDATE runfold.head SET position = 6")
    with Ledger.open(settings=settings) as ledger:
        sealer = Sealer(ledger)

        def accept(connection: Connection, *, also_changed: bool) -> list[Loss]:
            tell = partial(record_loss, ledger, comment=WHY)
            return accept_losses(connection, sealer.places, WHY, tell, also_changed=also_changed)

        with sealer.datastore.reading() as connection:
            with pytest.raises(
                SealingRefused, match=f"what is left is not as it was sealed: .*{said}; put it right from a backup"
            ):
                accept(connection, also_changed=False)
            assert ledger.events(types=["security.*"]) == []
            (loss,) = accept(connection, also_changed=True)
            assert re.search(said, loss.fact)
        (told,) = ledger.events(types=["security.*"])
        assert isinstance(told.event, LossAccepted)
        assert told.event.fact == loss.fact
