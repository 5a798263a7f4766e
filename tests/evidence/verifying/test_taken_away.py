"""All that was sealed is taken away, or made anew: who verified before, or has what was published, is told by each way."""

import shutil

import pytest

from runfold import Ledger
from runfold.errors import SealingRefused
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.comparing import stored_trees, trees_to_begin
from runfold.evidence.verifying.remembered import note_verified, read_verified, verified_in
from runfold.evidence.verifying.verify import LedgerVerification
from runfold.maintenance.checking import Finding
from runfold.proofs.note import Checkpoint

from ..stage import TABLES, Stage

SEALED = [table for table in TABLES if table.startswith("sealed_") and table != "sealed_position"]
UNSEALED = [*(f"DELETE FROM runfold.{table}" for table in SEALED), "UPDATE runfold.sealed_position SET position = 0"]
EMPTIED = [*UNSEALED, "DELETE FROM runfold.log", "UPDATE runfold.head SET position = 0"]


def found(stage: Stage, *, full: bool) -> list[Finding]:
    return list(LedgerVerification(stage.ledger, full).findings())


@pytest.mark.fault("B9", "B10")
@pytest.mark.parametrize("attack", [UNSEALED, EMPTIED], ids=["what was sealed", "everything"])
@pytest.mark.parametrize("known", ["what was published", "what was verified", "what was handed over"])
@pytest.mark.parametrize("full", [False, True])
def test_that_all_was_taken_away_is_named_by_whatever_is_known(stage: Stage, attack: list[str], known: str, full: bool) -> None:
    settings = stage.ledger.settings
    assert found(stage, full=full) == []
    if known != "what was published":
        shutil.rmtree(settings.home / "sealed")
    if known != "what was verified":
        (settings.home / "verified.json").unlink()
    for statement in attack:
        stage.admin.execute(statement)
    handed_over = [stage.kept] if known == "what was handed over" else []
    differences = list(LedgerVerification(stage.ledger, full, handed_over).findings())
    assert {each.kind for each in differences} == {"rolled back"}
    assert "somebody took all of it away" in differences[0].fact


@pytest.mark.parametrize("full", [False, True])
def test_what_was_verified_here_before_must_still_be_the_beginning_also_where_all_is_read_again(stage: Stage, full: bool) -> None:
    file = stage.ledger.settings.home / "verified.json"
    assert found(stage, full=full) == []
    ((origin, known),) = read_verified(file).items()
    note_verified(file, {origin: known._replace(root=bytes(32))})
    (forked,) = found(stage, full=full)
    assert (forked.kind, "what was verified here before" in forked.fact) == ("forked", True)
    note_verified(file, {origin: known._replace(size=known.size + 7)})
    (back,) = found(stage, full=full)
    assert (back.kind, "what was verified here before" in back.fact) == ("rolled back", True)


def test_trees_that_tenants_would_begin_are_those_that_they_begin(stage: Stage) -> None:
    with stage.ledger.recorder.store.reading() as connection:
        assert trees_to_begin(connection) == []
        (named,) = trees_to_begin(connection, ["default", "nobody yet"])
        assert (named.tenant_id, named.size) == ("nobody yet", 0)
        (before,) = stored_trees(connection)
    for statement in UNSEALED:
        stage.admin.execute(statement)
    with stage.ledger.recorder.store.reading() as connection:
        assert [tree.origin for tree in trees_to_begin(connection)] == [before.origin]
    shutil.rmtree(stage.ledger.settings.home / "sealed")
    Sealer(stage.ledger).seal_all()
    with stage.ledger.recorder.store.reading() as connection:
        assert [tree.origin for tree in stored_trees(connection)] == [before.origin]


@pytest.mark.fault("B9", "B10")
@pytest.mark.parametrize("full", [False, True])
def test_a_tenant_that_was_taken_away_whole_is_missed(stage: Stage, full: bool) -> None:
    with Ledger.open(settings=stage.ledger.settings.model_copy(update={"tenant": "other"})) as other:
        other.create_thread(agent_id="desk").start_run()
    stage.ledger.run("run_1").add_message("user", "one more")
    stage.seal()
    assert found(stage, full=full) == []
    for table in ("log", *SEALED):
        stage.admin.execute(f"DELETE FROM runfold.{table} WHERE tenant_id = 'other'")
    differences = [(each.kind, each.fact) for each in found(stage, full=full)]
    assert any(kind == "missing" and "as where a tenant was taken away" in fact for kind, fact in differences)
    assert any(kind == "rolled back" and "what was verified here before" in fact for kind, fact in differences)
    (stage.ledger.settings.home / "verified.json").unlink()
    assert {each.kind for each in found(stage, full=full)} == {"missing"}


def test_who_seals_signs_nothing_that_does_not_go_on_from_what_it_signed_last(stage: Stage) -> None:
    sealer = Sealer(stage.ledger)
    stage.ledger.run("run_1").add_message("user", "one more")
    sealer.seal_all()
    stage.admin.execute("UPDATE runfold.log SET state = '{}' WHERE notification_id = 5")
    for table in SEALED:
        if table != "sealed_logs":
            stage.admin.execute(f"DELETE FROM runfold.{table}")
    stage.admin.execute("UPDATE runfold.sealed_logs SET size = 0, map_size = 0")
    stage.admin.execute(ANEW)
    with pytest.raises(SealingRefused, match="forked: of the checkpoint that was signed here last"):
        sealer.react()
    assert stage.admin.execute("SELECT count(*) FROM runfold.sealed_checkpoints").fetchone() == (0,), "nothing was signed"
    with pytest.raises(SealingRefused, match="rolled back"):  # by what was published, now that all is compared again
        sealer.react()


RENAMED = [
    "UPDATE runfold.epochs SET id = '11111111-0000-4000-8000-000000000000' WHERE id = (SELECT h.epoch FROM runfold.head AS h)",
    "UPDATE runfold.head SET epoch = '11111111-0000-4000-8000-000000000000'",
]


@pytest.mark.fault("B9", "B10")
@pytest.mark.parametrize("full", [False, True])
def test_a_ledger_under_another_name_is_not_taken_for_another_where_the_database_is_the_same(stage: Stage, full: bool) -> None:
    assert found(stage, full=full) == []
    stage.admin.execute("UPDATE runfold.log SET state = '{}' WHERE notification_id = 5")
    stage.admin.execute("ALTER TABLE runfold.epochs DISABLE TRIGGER USER")
    for statement in [*UNSEALED, *RENAMED]:
        stage.admin.execute(statement)
    assert {each.kind for each in found(stage, full=full)} == {"rolled back"}
    Sealer(stage.ledger).seal_all()
    assert {each.kind for each in found(stage, full=full)} == {"rolled back"}


def test_trees_of_other_databases_and_of_an_older_file_are_left_alone(stage: Stage) -> None:
    file = stage.ledger.settings.home / "verified.json"
    note_verified(file, {"runfold/elsewhere": Checkpoint("runfold/elsewhere", 7, bytes(32))}, "1/2")
    note_verified(file, {"runfold/older": Checkpoint("runfold/older", 7, bytes(32))})
    assert found(stage, full=False) == found(stage, full=True) == []
    assert {*read_verified(file)} > {"runfold/elsewhere", "runfold/older"}
    for text in ("", "[]", "null", '{"a": 1}', '{"a": {"size": 1}}', "[" * 100_000):
        file.write_text(text)
        assert (read_verified(file), verified_in(file, "1/2")) == ({}, set())


ANEW = "UPDATE runfold.sealed_position SET position = 0"
OTHERS = {
    "a second tree": "INSERT INTO runfold.sealed_logs (tenant_id, generation, origin, previous_note, reason)"
    " SELECT tenant_id, 2, origin || '-2', 'x', 'y' FROM runfold.sealed_logs",
    "another name": "UPDATE runfold.sealed_logs SET origin = origin || 'x', size = 0, map_size = 0",
    "another name of a second": "INSERT INTO runfold.sealed_logs (tenant_id, generation, origin, previous_note, reason)"
    " SELECT tenant_id, 2, origin || '-3', 'x', 'y' FROM runfold.sealed_logs",
}


@pytest.mark.fault("B9", "B10")
@pytest.mark.parametrize("other", OTHERS)
def test_an_altered_log_is_not_sealed_as_another_tree_and_one_that_is_put_there_is_named(stage: Stage, other: str) -> None:
    stage.admin.execute("UPDATE runfold.log SET state = '{}' WHERE notification_id = 5")
    if other == "another name":
        for table in SEALED:
            if table != "sealed_logs":
                stage.admin.execute(f"DELETE FROM runfold.{table}")
    stage.admin.execute(OTHERS[other])
    stage.admin.execute(ANEW)
    for full in (False, True):
        assert "forked" in {each.kind for each in found(stage, full=full)}
    with pytest.raises(SealingRefused, match=r"nobody has accepted one|and its name is runfold/"):
        Sealer(stage.ledger).seal_all()
    for full in (False, True):
        assert "forked" in {each.kind for each in found(stage, full=full)}


@pytest.mark.parametrize("said", [b"\xff", b"[]", b"{", b'{"origin": "another"}'])
def test_an_acceptance_that_cannot_be_read_accepts_nothing(stage: Stage, said: bytes) -> None:
    stage.admin.execute(OTHERS["a second tree"])
    changed = "UPDATE runfold.log SET topic = 'security.loss_accepted', state = %s WHERE notification_id = 5"
    stage.admin.execute(changed, [said])
    assert "forked" in {each.kind for each in found(stage, full=True)}
