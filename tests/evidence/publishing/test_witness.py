"""Witnesses: they sign what has only grown, remember it, and are asked for by a bundle whose policy wants a quorum of them."""

import base64
from contextlib import ExitStack
from pathlib import Path

import pytest

from runfold import Ledger, Settings
from runfold.errors import SealingRefused
from runfold.evidence.bundles.bundle import BundleMaker
from runfold.evidence.publishing.asking import post
from runfold.evidence.publishing.witness import Witness
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.comparing import stored_trees
from runfold.evidence.sealing.signing import read_signer
from runfold.proofs.note import Key, read_key
from runfold.proofs.verify import main
from tests.evidence.publishing.witnesses import served
from tests.proofs.bundles import KEY, ORIGIN, MadeUp
from tests.proofs.naive import consistency, root


def request(log: MadeUp, size: int, old: int, other: bytes | None = None) -> bytes:
    """A request to sign the checkpoint of some first leaves of a log, with the proof from an older size."""
    hashes = log.hashes[:size] if other is None else [other, *log.hashes[1:size]]
    log.checkpoint = log.checkpoint._replace(size=size, root=root(hashes))
    proof = consistency(old, hashes) if old else []
    lines = "".join(f"{base64.b64encode(hash_).decode()}\n" for hash_ in proof)
    return f"old {old}\n{lines}\n{log.note()}".encode()


def known() -> list[Key]:
    from runfold.proofs.note import public_key  # noqa: PLC0415

    return [public_key(KEY, ORIGIN)]


def test_a_witness_signs_what_has_only_grown_and_remembers_it_when_it_starts_again(tmp_path: Path) -> None:
    log, witness = MadeUp(), Witness(tmp_path, "w", known())
    assert witness.add_checkpoint(request(log, 4, 0)).status == 200
    assert witness.add_checkpoint(request(log, 6, 0)).status == 409
    again = Witness(tmp_path, "w", known())
    assert again.key == witness.key
    assert again.add_checkpoint(request(log, 6, 0)).text == "4\n"
    assert again.add_checkpoint(request(log, 9, 4)).status == 200
    assert again.add_checkpoint(request(log, 9, 9)).status == 200
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


def test_a_witness_signs_no_second_history_and_nothing_that_it_cannot_read(tmp_path: Path) -> None:
    log, witness = MadeUp(), Witness(tmp_path, "w", known())
    assert witness.add_checkpoint(request(log, 4, 0)).status == 200
    assert witness.add_checkpoint(request(log, 4, 4, other=bytes(32))).status == 409
    assert witness.add_checkpoint(request(log, 6, 4, other=bytes(32))).status == 422
    assert Witness(tmp_path, "w", []).add_checkpoint(request(log, 6, 4)).status == 404
    other = [read_key(str(key._replace(public=bytes(31) + b"\1"))) for key in known()]
    assert Witness(tmp_path, "w", other).add_checkpoint(request(log, 6, 4)).status == 403
    good = request(log, 6, 4)
    for bad in (b"", b"old 4", good.replace(b"old 4", b"old 04"), good.replace(b"old 4", b"old 7"), b"\xff" + good, good[:-9]):
        assert witness.add_checkpoint(bad).status == 400, bad
    assert witness.add_checkpoint(good).status == 200


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"7",
        b"null",
        b"[" * 100_000,
        b'{"size": 4}',
        b'{"size": "4", "root": "00"}',
        b'{"size": true, "root": "%064d"}' % 0,
        b'{"size": -1, "root": "%064d"}' % 0,
        b'{"size": 4, "root": 7}',
        b'{"size": 4, "root": "zz"}',
        b'{"size": 4, "root": "00"}',
    ],
)
def test_a_witness_that_does_not_know_what_it_signed_last_signs_nothing_and_says_so(
    tmp_path: Path, kept: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    log, witness = MadeUp(), Witness(tmp_path, "w", known())
    assert witness.add_checkpoint(request(log, 4, 0)).status == 200
    (file,) = tmp_path.glob("*.json")
    before = file.read_bytes()
    file.write_bytes(kept)
    for old in (0, 4):
        assert witness.add_checkpoint(request(log, 6, old)).status == 500
        told = "".join(capsys.readouterr())
        assert file.name in told
        assert "put it back" in told
    assert file.read_bytes() == kept
    file.write_bytes(before)
    assert witness.add_checkpoint(request(log, 6, 4)).status == 200


def test_a_witness_that_cannot_write_or_whose_clock_is_wrong_answers_so_over_http_and_notes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, log = [-1.0], MadeUp()
    witness = Witness(tmp_path, "w", known(), now=lambda: clock[0])
    with served(witness) as address:

        def asked() -> int:
            return post(f"{address}/add-checkpoint", request(log, 4, 0), seconds=5, most_bytes=10_000).status

        assert asked() == 500
        assert "before 1970" in "".join(capsys.readouterr())
        clock[0] = 1_800_000_000.0
        (lock,) = tmp_path.glob("*.lock")
        lock.unlink()
        lock.mkdir()  # as where the folder cannot be written, also by root
        assert asked() == 500
        assert lock.name in "".join(capsys.readouterr())
        lock.rmdir()
        assert asked() == 200


def test_a_bundle_has_the_signatures_of_two_witnesses_and_the_policy_wants_both(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger.open(settings=settings) as ledger, ExitStack() as stack:
        ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        with ledger.recorder.store.reading() as connection:
            (tree,) = stored_trees(connection)
        keys = read_signer(settings.seal_key_file, may_make=False).verifier_keys(tree.origin)
        witnesses = [Witness(tmp_path / name, name, [read_key(key) for key in keys]) for name in ("w1", "w2")]
        addresses = [stack.enter_context(served(witness)) for witness in witnesses]
        policy = tmp_path / "policy"
        policy.write_text(
            "".join(f"log {key}\n" for key in keys)
            + "".join(f"witness {witness.key.name} {witness.key}\n" for witness in witnesses)
            + "group both all w1 w2\nquorum both\n"
        )

        def verified(name: str, asked: list[str]) -> int:
            maker = BundleMaker(ledger, witnesses=asked)
            return main([str(maker.make(tmp_path / name, []).folder), "--policy", str(policy)])

        assert verified("one", addresses[:1]) == 2
        assert "the quorum is missing: witnesses that signed it: w1" in capsys.readouterr().err
        assert verified("both", addresses) == 0
        ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        assert verified("grown", addresses) == 0
        with pytest.raises(SealingRefused, match="answers 404"):
            verified("unknown", [f"{addresses[0]}/elsewhere"])
