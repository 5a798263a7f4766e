"""The sealer: what it stores and signs, what it publishes, and what it refuses to go on from."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import structlog

from runfold import Ledger, Settings
from runfold.child import NICE, give_way
from runfold.cli.calling.folding import reacting
from runfold.errors import SealingRefused
from runfold.evidence.publishing.places import path_of
from runfold.evidence.sealer import Sealer, sealers
from runfold.evidence.sealing.comparing import stored_trees, tile_reader
from runfold.evidence.sealing.sealing import FEW, seal
from runfold.evidence.sealing.signing import read_signer, require_signed
from runfold.evidence.verifying.verify import LedgerVerification
from runfold.proofs.leaf import Leaf
from runfold.proofs.note import read_key, read_note
from runfold.proofs.tiles import Tiles
from runfold.settings import environment
from tests.databases import TestDatabase
from tests.waiting import until

LEAVES = (
    "SELECT seq, thread_seq, stream, version, type, schema_version, position, encode(payload_sha256, 'hex'),"
    " encode(envelope_sha256, 'hex') FROM runfold.sealed_events ORDER BY tenant_id, seq"
)


@pytest.fixture
def home(settings: Settings) -> Path:
    return settings.home


def record(ledger: Ledger, threads: int = 3) -> None:
    for _ in range(threads):
        run = ledger.create_thread(agent_id="desk").start_run()
        run.add_message("user", "Größe 🦉")


def test_events_are_sealed_in_their_order_under_a_signed_root(settings: Settings, home: Path) -> None:
    with Ledger.open(settings=settings) as ledger:
        record(ledger)
        (sealer,) = sealers(ledger)
        head = ledger.position()
        with structlog.testing.capture_logs() as told:
            assert sealer.seal_all() == head
        assert [line["file"] for line in told] == [str(settings.seal_key_file)]
        with psycopg.connect(ledger.database.sealer_url or "", autocommit=True) as connection:
            leaves = [Leaf(*row) for row in connection.execute(LEAVES)]
            (tree,) = stored_trees(connection)
            tiles = Tiles(tile_reader(connection, tree.tenant_id, tree.generation))
            assert [leaf.seq for leaf in leaves] == [leaf.position for leaf in leaves] == list(range(1, head + 1))
            assert [leaf.thread_seq for leaf in leaves[:4]] == [1, 2, 3, 4]
            assert [tiles.leaf(leaf.seq - 1) for leaf in leaves] == [leaf.hash() for leaf in leaves]
            note = read_note((home / "sealed" / path_of(tree.origin)).read_text())
            (key,) = read_signer(settings.seal_key_file, may_make=False).verifier_keys(tree.origin)
            require_signed(note, [read_key(key).public])
            assert (note.checkpoint().size, note.checkpoint().root) == (head, tiles.root(head))
            record(ledger)
            assert sealer.seal_all() == ledger.position() - head
            assert tiles.root(head) == note.checkpoint().root
        assert settings.seal_key_file.stat().st_mode & 0o777 == 0o600


def test_two_sealers_and_one_that_comes_later_make_one_tree(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        record(ledger)
        one, other = Sealer(ledger), Sealer(ledger)
        total = one.react().done["sealed"] + other.react().done.get("sealed", 0)
        record(ledger)
        total += other.seal_all() + one.seal_all() + Sealer(ledger).seal_all()
        assert total == ledger.position()


def test_a_database_that_was_put_back_is_not_sealed_further(settings: Settings, database: TestDatabase) -> None:
    with Ledger.open(settings=settings) as ledger:
        record(ledger)
        Sealer(ledger).seal_all()
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            for table in ("events", "tiles", "threads", "checkpoints", "logs"):
                connection.execute(f"ALTER TABLE runfold.sealed_{table} DISABLE TRIGGER USER; DELETE FROM runfold.sealed_{table}")
            connection.execute("UPDATE runfold.sealed_position SET position = 0")
        with pytest.raises(SealingRefused, match="rolled back"):
            Sealer(ledger).seal_all()


def test_without_its_keys_nothing_is_sealed_and_no_new_key_is_made(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        record(ledger)
        Sealer(ledger).seal_all()
        settings.seal_key_file.unlink()
        record(ledger)
        with pytest.raises(SealingRefused, match="its signing keys are not in"):
            Sealer(ledger).seal_all()
        assert not settings.seal_key_file.exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("recorded_at = 'infinity'", "a time that cannot be read .timestamp too large"),
        ("context = (repeat('[', 11000) || repeat(']', 11000))::jsonb", "JSON that cannot be read .it is nested too deeply"),
    ],
    ids=["a time that is none", "JSON as deep as nobody reads"],
)
def test_what_nobody_can_read_is_not_sealed_and_said_and_sealing_goes_on_once_it_is_put_right(
    settings: Settings, database: TestDatabase, change: str, why: str
) -> None:
    with Ledger.open(settings=settings) as ledger, psycopg.connect(database.admin_url, autocommit=True) as admin:
        ledger.create_thread(agent_id="desk")
        Sealer(ledger).seal_all()
        position = ledger.position()
        ledger.create_thread(agent_id="desk")
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
        admin.execute(
            "CREATE TABLE public.before AS SELECT recorded_at, context FROM runfold.log WHERE notification_id = %s",
            [position + 1],
        )
        admin.execute(f"UPDATE runfold.log SET {change} WHERE notification_id = {position + 1}")
        with pytest.raises(SealingRefused, match=rf"the event at position {position + 1} \(version 1 of thread_.*\) holds {why}"):
            Sealer(ledger).seal_all()
        admin.execute(
            "UPDATE runfold.log AS l SET (recorded_at, context) = (SELECT b.recorded_at, b.context FROM public.before AS b)"
            " WHERE notification_id = %s",
            [position + 1],
        )
        assert Sealer(ledger).seal_all() == 1


def test_who_breathes_between_a_few_events_seals_the_same_under_one_checkpoint(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        runs = [ledger.create_thread(agent_id="desk").start_run() for _ in range(3)]
        with ledger.batch() as batch:
            for number in range(2 * FEW + 1):
                batch.run(runs[number % 3].id).add_message("user", str(number))
        breaths: list[int] = []
        signer = read_signer(settings.seal_key_file, may_make=True)
        with psycopg.connect(ledger.database.sealer_url or "", autocommit=True) as connection:
            sealed = seal(connection, lambda _: signer, breathe=lambda: breaths.append(1))
            checkpoints = connection.execute("SELECT size FROM runfold.sealed_checkpoints").fetchall()
        assert sealed is not None
        assert (sealed.events, sealed.position, sealed.has_more) == (ledger.position(), ledger.position(), False)
        assert (len(breaths), checkpoints) == (ledger.position() // FEW, [(ledger.position(),)])
        verification = LedgerVerification(ledger, full=True)
        assert list(verification.findings()) == []
        assert verification.read is not None
        assert verification.read.events == ledger.position()
        assert Sealer(ledger).seal_all() == 0


def test_the_sealers_process_lets_others_go_first_and_that_of_what_people_wait_for_does_not(settings: Settings) -> None:
    assert reacting(["sweepers", "webhooks", "sealer"]) == [
        ["work", "--until-input-ends", "--react", "sweepers", "--react", "webhooks"],
        ["work", "--until-input-ends", "--react", "sealer"],
    ]
    assert reacting(["webhooks"]) == [["work", "--until-input-ends", "--react", "webhooks"]]
    assert reacting([]) == []
    with Ledger.open(settings=settings) as ledger, contextlib.ExitStack() as ended:
        began: dict[str, int] = {}
        for words in reacting(["sweepers", "sealer"]):
            command = [sys.executable, "-P", "-m", "runfold.cli.main", *words]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment(settings), start_new_session=True)
            ended.callback(process.wait)
            ended.enter_context(process)
            began[words[-1]] = process.pid
        until(
            lambda: {status.name for status in ledger.reactors() if status.state == "running"} >= {"sealer", "sweeper.approvals"}
        )
        priorities = {kind: os.getpriority(os.PRIO_PROCESS, pid) for kind, pid in began.items()}
        assert priorities == {"sweepers": os.nice(0), "sealer": min(os.nice(0) + NICE, 19)}
        if (groups := Path(f"/proc/{began['sealer']}/autogroup")).exists():
            assert groups.read_text("ascii").split()[-1] == str(NICE)


def test_who_may_not_give_way_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "nice")
    monkeypatch.delattr(os, "getsid")
    give_way()
