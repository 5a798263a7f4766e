"""What an import says: problems one by one, notes counted by kind."""

from runfold.importers.tally import Note, Problem, Reports, Tally


def test_notes_are_counted_by_kind_and_the_first_says_where() -> None:
    tally = Tally()
    for line in (3, 4, 9):
        tally.reports.take(Note("a.jsonl", line, "lines of type 'tag', which are no part of a conversation"))
    tally.reports.take(Note("b.jsonl", None, "files without a line"))
    assert [str(note) for note in tally.notes] == [
        "lines of type 'tag', which are no part of a conversation (3 times, first in a.jsonl:3)",
        "files without a line (in b.jsonl)",
    ]
    assert (tally.as_json()["notes"], tally.as_json()["problems"]) == (4, 0)


def test_problems_are_kept_one_by_one_in_their_order() -> None:
    reports, tally = Reports(), Tally()
    reports.take(Problem("a.jsonl", 1, "is not JSON"))
    reports.take(Note("a.jsonl", 2, "blank lines", count=2))
    reports.take(Problem("a.jsonl", 1, "is not JSON"))
    for _ in range(2):
        reports.tell(tally.reports.take)
    assert [str(problem) for problem in tally.problems] == ["a.jsonl:1: is not JSON"] * 4
    assert [note.as_json() for note in tally.notes] == [{"kind": "blank lines", "count": 4, "file": "a.jsonl", "line": 2}]


def test_a_file_whose_name_has_lines_is_named_on_one() -> None:
    assert str(Problem("a\nb.jsonl", 1, "is not JSON")) == "a\\nb.jsonl:1: is not JSON"
    assert str(Note("a\rb.jsonl", None, "files without a line")) == "files without a line (in a\\rb.jsonl)"
