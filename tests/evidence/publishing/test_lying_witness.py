"""Witnesses that answer something else: a note is published without it, sealing goes on, and a bundle says what is wrong."""

import base64

import pytest

from runfold import Ledger, Settings
from runfold.errors import SealingRefused
from runfold.evidence.publishing.cosigning import cosigned, signatures
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.status import witness_statuses
from runfold.proofs.note import read_note
from tests.evidence.publishing.liars import answering, ok
from tests.proofs.bundles import ORIGIN, MadeUp


def line(name: str, raw: bytes = bytes(80)) -> str:
    return f"— {name} {base64.b64encode(raw).decode()}\n"


def log_key_id(note: str) -> bytes:
    """By what a signature says that it was made with the key of the log."""
    return read_note(note).signatures[0][1][:4]


WRONG = {
    "no base64": "— w ====\n",
    "a plus in the name": line("w+1"),
    "a control character": line("w\x01"),
    "too many for one witness": "".join(map(line, "abcde")),
    "too many for a note": "".join(line(f"w{number}") for number in range(100)),
    "too long": line("w", bytes(8000)),
    "a blank line": f"{line('w')}\n{line('w')}",
    "nothing": "",
    "a page": "<html><body>Please sign in</body></html>",
    "another note": "other\n1\nroot\n\n" + line("w"),
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_stand_under_a_note_is_not_put_there(said: str) -> None:
    note = MadeUp().note()
    with answering(ok(said.encode())) as address, pytest.raises(SealingRefused, match="has not signed the checkpoint: "):
        cosigned(note, [address], lambda _old, _new: [])


def test_nobody_signs_in_the_name_of_the_log_and_others_may_sign_with_two_keys() -> None:
    note = MadeUp().note()
    false = line(ORIGIN, log_key_id(note) + bytes(64))
    with answering(ok(false.encode())) as address, pytest.raises(SealingRefused, match="under the name of the log"):
        cosigned(note, [address], lambda _old, _new: [])
    both = line("w") + line("w", bytes(79) + b"\1")
    with answering(ok(both.encode())) as address:
        assert cosigned(note, [address], lambda _old, _new: []) == note + both


def test_one_that_tells_its_size_through_a_server_that_names_an_encoding_is_understood() -> None:
    asked: list[int] = []
    with (
        answering(ok(b"3\n", "text/x.tlog.size; charset=utf-8", "409 Conflict")) as address,
        pytest.raises(SealingRefused, match="answers 409"),
    ):
        cosigned(MadeUp().note(), [address], lambda old, _new: asked.append(old) or [])
    assert asked == [0, 3]


def test_one_that_trickles_is_waited_for_no_longer_than_one_that_is_silent() -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\nX-Slow: ", *[b"x"] * 100, pause=0.05) as address,
        pytest.raises(SealingRefused, match=r"does not answer \(ReadTimeout"),
    ):
        signatures(MadeUp().note(), address, lambda _old, _new: [], seconds=0.2)


def test_a_witness_that_lies_never_stops_the_sealing(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        note = ledger.checkpoint().checkpoint
        false = line(read_note(note).checkpoint().origin, log_key_id(note) + bytes(64))
        with answering(ok(false.encode())) as address:
            ledger.settings = ledger.settings.model_copy(update={"seal_witnesses": address})
            for _ in range(2):  # the second time what was published is compared
                ledger.create_thread(agent_id="desk")
                Sealer(ledger).seal_all()
        (file,) = (settings.home / "sealed").glob("*/checkpoint")
        assert len(read_note(file.read_text(encoding="utf-8")).signatures) == 1
        assert read_note(ledger.checkpoint().checkpoint).checkpoint().size == ledger.position()
        (status,) = witness_statuses(ledger.recorder.reader)
        assert "under the name of the log" in str(status.error)
