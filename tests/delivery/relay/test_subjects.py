"""Subjects of events, and which streams take them."""

import pytest

from runfold.delivery.relay.subjects import Subjects, as_word, covers
from runfold.errors import UsageError


def test_a_pattern_makes_subjects_and_stands_for_all_of_them() -> None:
    subjects = Subjects("ledger.{tenant}.{thread}.{type}", "acme.eu")
    assert subjects.of("run.started", "thread_1") == "ledger.acme=2Eeu.thread_1.run.started"
    assert subjects.wildcard == "ledger.acme=2Eeu.*.*.*"
    assert covers([subjects.wildcard], subjects.of("run.started", "thread_1"))
    assert Subjects("all", "acme").of("run.started", "t") == Subjects("all", "acme").wildcard == "all"


def test_no_two_names_meet_in_one_word() -> None:
    names = ["a", "a.b", "a_b", "a=2Eb", "a:b", "a@b", "", "=", "*", ">", "é"]
    words = [as_word(name) for name in names]
    assert len({*words}) == len(names)
    assert not [word for word in words if not word or {*word} & {*" .*>\t"}]


@pytest.mark.parametrize("pattern", ["", ".", "a..b", "a.*", "a.>", "a b", "{type", "{run}", "x{type}", "{tenant}{type}", "a.\n"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="is no pattern for subjects"):
        Subjects(pattern, "acme")


@pytest.mark.parametrize(
    ("subject", "wanted", "does"),
    [
        (">", "a.*.*", True),
        ("a.>", "a.*.*", True),
        ("a.>", "a", False),
        ("a.*.*", "a.*.*", True),
        ("a.*.*", "a.b.c", True),
        ("a.b.*", "a.*.*", False),
        ("a.*", "a.*.*", False),
        ("a.*.*.*", "a.*.*", False),
        ("*.*.*", "a.*.*", True),
        ("a.*", "a.>", False),
    ],
)
def test_a_subject_takes_what_it_stands_for(subject: str, wanted: str, does: bool) -> None:
    assert covers(["z", subject], wanted) is does
