"""Answers in bundles: when the fold of the events counts, and when nothing follows from it."""

import shutil
from pathlib import Path

import pytest

from runfold.proofs.answer import AnswerRow, CannotFold, Folding
from runfold.proofs.claims import Answer
from runfold.proofs.container import ANSWER, CLAIMS, BundleUnreadable, open_bundle
from runfold.proofs.findings import Findings, Seen
from runfold.proofs.verify import as_json, as_lines, findings_of
from tests.proofs.bundles import ANSWER_OF_A, MadeUp, listed_anew

LOG = MadeUp()


class Counting:
    """A fold that counts events."""

    def __init__(self) -> None:
        self.events = 0

    def take(self, seen: Seen) -> None:
        if seen.shown is None or seen.shown.payload is None:
            raise AssertionError("nothing is left out here")
        self.events += 1

    def differences(self, rows: list[AnswerRow]) -> list[str]:
        return [f"events is {row.row['events']}, not {self.events}" for row in rows if row.row["events"] != self.events]


def count(answer: Answer) -> Counting:
    if answer.version != 1:
        raise CannotFold("it was folded by another version")
    return Counting()


def found(folder: Path, folding: Folding | None = count) -> Findings:
    return findings_of(open_bundle(folder), LOG.checkpoint, folding)


def test_a_row_that_the_events_come_to_is_refolded_and_another_differs(tmp_path: Path) -> None:
    right = found(LOG.write(tmp_path / "right", "thread_a", answer=ANSWER_OF_A))
    assert as_lines(right)[-2:] == ["answer      counts thread_a: 1 row REFOLDED", "VERIFIED"]
    assert as_json(right)["answer"]["rows"] == [{"thread": "thread_a", "events": 5}]
    rows = [AnswerRow(109, {"events": 6})]
    wrong = found(LOG.write(tmp_path / "wrong", "thread_a", answer=ANSWER_OF_A, rows=rows))
    assert as_lines(wrong)[-2:] == ["DIFFERS counts thread_a: events is 6, not 5", "NOT PROVEN"]
    whole = ANSWER_OF_A._replace(thread=None)
    assert found(LOG.write(tmp_path / "log", log=True, answer=whole, rows=[AnswerRow(110, {"events": 10})])).proven


def test_what_was_not_folded_is_not_verified_and_all_else_is(tmp_path: Path) -> None:
    folder = LOG.write(tmp_path / "right", "thread_a", answer=ANSWER_OF_A)
    untried = found(folder, None)
    assert (untried.verdict, untried.proven, untried.problems) == ("NOT REFOLDED", False, [])
    assert as_lines(untried)[-1] == "NOT REFOLDED: all else is verified"
    other = found(LOG.write(tmp_path / "other", "thread_a", answer=ANSWER_OF_A._replace(version=2)))
    assert as_lines(other)[-2] == "answer      counts thread_a: 1 row NOT REFOLDED, as it was folded by another version"
    assert other.verdict == "NOT REFOLDED"


@pytest.mark.parametrize(
    ("answer", "lacking", "said"),
    [
        (ANSWER_OF_A, {9}, "thread_a is not proven to be complete"),
        (ANSWER_OF_A._replace(thread="thread_b"), set(), "thread_b is not proven to be complete"),
        (ANSWER_OF_A._replace(thread=None), set(), "the whole log is not proven to be complete"),
        (ANSWER_OF_A._replace(position=108), set(), "it is to be as of position 108, and there are events up to 109"),
    ],
)
def test_nothing_follows_from_events_that_are_not_all_there(tmp_path: Path, answer: Answer, lacking: set[int], said: str) -> None:
    folder = LOG.write(tmp_path / "b", "thread_a", answer=answer, lacking=lacking)
    assert f"NOT REFOLDED counts thread_a: {said}" in found(folder).problems
    assert found(folder).verdict == "NOT PROVEN"


def test_a_bundle_whose_answer_and_claims_do_not_fit_is_none(tmp_path: Path) -> None:
    whole = LOG.write(tmp_path / "whole", "thread_a", answer=ANSWER_OF_A)

    def refused(name: str, file: str, raw: bytes | None) -> str:
        folder = shutil.copytree(whole, tmp_path / name)
        if raw is None:
            (folder / file).unlink()
        else:
            (folder / file).write_bytes(raw)
        listed_anew(folder)
        with pytest.raises(BundleUnreadable) as raised:
            found(folder)
        return str(raised.value)

    claims = (whole / CLAIMS).read_bytes()
    assert refused("no rows", ANSWER, None) == "answer.jsonl is missing"
    assert refused("empty", ANSWER, b"") == "answer.jsonl has no row"
    assert refused("strange", ANSWER, b'{"position":"1"}\n') == "answer.jsonl has a row with fields that none has"
    unclaimed = b'{"log":false,"threads":["thread_a"],"v":1}\n'
    assert refused("unclaimed", CLAIMS, unclaimed) == "answer.jsonl belongs to nothing that it is to show"
    for name, lie in {"version": b'"version":"one"', "no version": b'"v2":"1"', "number": b'"version":1'}.items():
        assert refused(name, CLAIMS, claims.replace(b'"version":"1"', lie)).startswith("claims.json "), name
    assert refused("key", CLAIMS, claims.replace(b'["thread_a"],"position"', b'"thread_a","position"')).startswith("claims.json ")
