"""The sealer has its checkpoints signed by witnesses: what is published carries them, and one that is silent holds up nothing."""

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from runfold import Ledger, Settings
from runfold.cli.operate.server_checks import examine_server
from runfold.errors import UsageError
from runfold.evidence.bundles.bundle import BundleMaker
from runfold.evidence.publishing import witnessing
from runfold.evidence.publishing.witness import Witness
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.signing import read_signer
from runfold.evidence.sealing.status import seal_status, witness_statuses
from runfold.http.metrics.ledger import of_sealing
from runfold.proofs.note import read_key, read_note
from tests.evidence.publishing.witnesses import served
from tests.waiting import until


def published(settings: Settings) -> str:
    """The note that is published on this machine."""
    (file,) = (settings.home / "sealed").glob("*/checkpoint")
    return file.read_text(encoding="utf-8")


def asking(ledger: Ledger, addresses: str) -> Sealer:
    """A sealer that asks witnesses."""
    ledger.settings = ledger.settings.model_copy(update={"seal_witnesses": addresses})
    return Sealer(ledger)


def keys(ledger: Ledger) -> list[str]:
    return read_signer(ledger.settings.seal_key_file, may_make=False).verifier_keys(ledger.checkpoint().origin)


def test_what_is_published_has_the_signatures_of_all_witnesses_and_so_have_bundles(settings: Settings, tmp_path: Path) -> None:
    with ExitStack() as stack, Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        witnesses = [Witness(tmp_path / name, name, [read_key(key) for key in keys(ledger)]) for name in ("w1", "w2")]
        addresses = [stack.enter_context(served(witness)) for witness in witnesses]
        sealer = asking(ledger, ", ".join(addresses))
        for _ in range(3):  # the log grows, and each time they sign it again
            sealer.seal_all()
            note = read_note(published(settings))
            assert {key.name for key in note.signed_by([witness.key for witness in witnesses])} == {"w1", "w2"}
            assert note.checkpoint().size == ledger.checkpoint().size
            assert published(settings) == ledger.checkpoint().checkpoint
            made = BundleMaker(ledger).make(tmp_path / f"bundle {ledger.position()}", [])
            assert (made.folder / "checkpoint").read_text(encoding="utf-8") == published(settings)
        assert [(each.witness, each.error) for each in witness_statuses(ledger.recorder.reader)] == [
            (address, None) for address in sorted(addresses)
        ]


def test_a_witness_that_is_silent_or_refuses_holds_up_nothing_is_told_of_and_is_forgotten_once_nobody_asks_it(
    settings: Settings, tmp_path: Path
) -> None:
    with ExitStack() as stack, Ledger.open(settings=settings) as ledger:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))  # it takes connections, and never answers
        ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        good = Witness(tmp_path / "good", "good", [read_key(key) for key in keys(ledger)])
        stranger = Witness(tmp_path / "stranger", "stranger", [])  # which knows no key of this log
        addresses = [
            f"http://127.0.0.1:{silent.getsockname()[1]}",
            *(stack.enter_context(served(each)) for each in (stranger, good)),
        ]
        sealer = asking(ledger, ",".join(addresses))
        ledger.create_thread(agent_id="desk")
        sealer.react()
        assert ledger.checkpoint().size == ledger.position()  # it is sealed before anybody was waited for

        def signed() -> bool:
            ledger.create_thread(agent_id="desk")
            sealer.seal_all()
            return bool(read_note(published(settings)).signed_by([good.key]))

        until(signed)
        said = {each.witness: each for each in witness_statuses(ledger.recorder.reader)}
        assert [said[address].error is None for address in addresses] == [False, False, True]
        assert "answer" in str(said[addresses[0]].error)
        assert "404" in str(said[addresses[1]].error)
        checks = [check.state for check in examine_server(ledger.recorder.reader, settings) if check.about == "witness"]
        assert sorted(checks) == ["ok", "wrong", "wrong"]
        (failing, *_) = of_sealing(seal_status(ledger.recorder.reader), said.values(), [])
        assert {sample.labels["witness"]: sample.value > 0 for sample in failing.samples} == dict(
            zip(addresses, (True, True, False), strict=True)
        )
        asking(ledger, addresses[2]).seal_all()
        assert [each.witness for each in witness_statuses(ledger.recorder.reader)] == [addresses[2]]


def test_one_that_comes_back_is_asked_again_and_signs_what_came_meanwhile(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnessing, "_FIRST_PAUSE", 0.01)
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        logs = [read_key(key) for key in keys(ledger)]
        witness = Witness(tmp_path / "w", "w", [])
        with served(witness) as address:
            sealer = asking(ledger, address)
            sealer.seal_all()
            assert read_note(published(settings)).signed_by([witness.key]) == []
            witness._logs = logs

            def signed() -> bool:
                ledger.create_thread(agent_id="desk")
                sealer.react()
                return bool(read_note(published(settings)).signed_by([witness.key]))

            until(signed)
            assert [each.error for each in witness_statuses(ledger.recorder.reader)] == [None]


def test_what_is_no_address_of_a_witness_is_refused_when_the_sealer_starts(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        for text in ("http://witness.example", "witness.example", "https://", "https://ok.example, ftp://x"):
            with pytest.raises(UsageError, match=r"^the address of a witness .*; write RUNFOLD_SEAL_WITNESSES"):
                asking(ledger, text)
