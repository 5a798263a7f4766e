"""Values in a bundle that cost more than they are long, are no text, or have the verdict say what was not looked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold.proofs.claims import Absence, Sample
from runfold.proofs.container import ANSWER, CHECKPOINT, REQUIRED, SAMPLE
from runfold.proofs.leaf import envelope_digest
from runfold.proofs.sample import SampledRun
from runfold.proofs.verify import main
from tests.proofs.bundles import ANSWER_OF_A, ASKED, GRANTED, POLICY, MadeUp, listed_anew

Verify = Callable[[Path], tuple[int, str, str]]
POWERS = ("1e999999999999999", "-1E-999999999999999", "1e9999999999999999999999")
HALVES = (r'"\ud800"', r'"a\udfff"')


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    (tmp_path / "policy").write_text(POLICY)

    def verified(bundle: Path) -> tuple[int, str, str]:
        code = main([str(bundle), "--policy", str(tmp_path / "policy")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return verified


@pytest.mark.parametrize("name", [*(name for name in REQUIRED if name != CHECKPOINT), ANSWER, SAMPLE])
def test_powers_of_ten_and_halves_of_characters_are_refused_in_every_field_of_every_file(
    tmp_path: Path, verify: Verify, name: str
) -> None:
    beside: dict[str, dict[str, Any]] = {
        ANSWER: {"answer": ANSWER_OF_A},
        SAMPLE: {"sample": Sample("seed", 1, 110, 1, {}), "population": [SampledRun("run_1", "thread_a")]},
    }
    folder = MadeUp().write(tmp_path / "b", "thread_a", **beside.get(name, {}))
    *lines, last = (folder / name).read_bytes().splitlines(keepends=True)
    for field, value in [(field, value) for field in json.loads(last) for value in POWERS + HALVES]:
        changed = json.dumps({**json.loads(last), field: "?"}, sort_keys=True, separators=(",", ":")).replace('"?"', value)
        (folder / name).write_bytes(b"".join([*lines, changed.encode(), b"\n"]))
        listed_anew(folder)
        code, out, err = verify(folder)
        assert (code, out, err.count("\n")) == (2, "", 1), (field, value)
        assert not err.endswith(": \n"), (field, value)


@pytest.mark.parametrize("value", POWERS)
def test_powers_of_ten_that_were_sealed_are_told_as_what_they_are(tmp_path: Path, verify: Verify, value: str) -> None:
    made = MadeUp()
    shown, leaf = made.shown[2], made.leaves[2]
    beside = shown.envelope.replace(b'"context":{}', f'"context":{{"x":{value}}}'.encode())
    made.shown[2] = shown._replace(envelope=beside)
    made.leaves[2] = leaf._replace(envelope_sha256=envelope_digest(shown.envelope_salt, beside))
    code, _, err = verify(made.write(tmp_path / "b", "thread_a"))
    assert (code, "the event of leaf 3 names no thread" in err) == (2, True)
    made.shown[2] = shown._replace(payload=f'{{"call_id":{value}}}'.encode())
    code, out, _ = verify(made.write(tmp_path / "payload", "thread_a", absence=Absence("thread_a", GRANTED, "call_2")))
    assert (code, "ALTERED approval.requested" in out) == (1, True)


@pytest.mark.parametrize(
    "absence",
    [
        Absence("thread_a", "Approval.granted"),
        Absence("thread_a", "approval.granted\u200b"),
        Absence("thread_a", "approval.granted "),
        Absence("thread_a", "approval.granted in the whole log, as"),
        Absence("thread_a", "approval"),
        Absence("thread_a", GRANTED, ""),
        Absence("thread_a", GRANTED, "call_1 "),
        Absence("thread_a", GRANTED, "c\u0430ll_1"),
        Absence("", GRANTED),
    ],
)
def test_what_no_event_type_and_no_id_can_be_is_not_proven_absent(tmp_path: Path, verify: Verify, absence: Absence) -> None:
    code, out, err = verify(MadeUp().write(tmp_path / "b", "thread_a", absence=absence))
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_nothing_is_absent_of_a_call_that_no_event_names(tmp_path: Path, verify: Verify) -> None:
    code, out, _ = verify(MadeUp().write(tmp_path / "b", "thread_a", absence=Absence("thread_a", GRANTED, "call_")))
    assert (code, "NOT PROVEN: whether approval.granted of call call_ in thread_a is absent" in out) == (1, True)
    assert "as nothing that is shown names that call" in out
    assert verify(MadeUp().write(tmp_path / "c", "thread_a", absence=Absence("thread_a", GRANTED, "call_2")))[0] == 0
    assert verify(MadeUp().write(tmp_path / "d", "thread_a", absence=Absence("thread_a", ASKED, "call_1")))[0] == 1
    assert verify(MadeUp().write(tmp_path / "e", "thread_a", absence=Absence("thread_a", "tool.called", "call_9")))[0] == 0
