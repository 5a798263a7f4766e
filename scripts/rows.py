"""Which feature rows of existing systems no passing test shows yet.

The list of rows is not part of the project: it is a file that its developers keep, whose path is the first argument. Nothing of
Runfold needs it; the markers `row(...)` of tests name its rows, and `row_left(..., why=...)` those that are left out, on a test
of what there is instead. This runs the tests that have such markers, compares those that passed with the list, and prints each
row that is not shown, with the reason where there is one, and last how many are shown.
"""

import re
import sys
from pathlib import Path

import pytest

ROW = re.compile(r"^\| ((?:RV|AG|LT|CV|CM|HV)-\d+) \| (.+?) \|", re.MULTILINE)


class Shown:
    """A pytest plugin that remembers the rows of tests that passed."""

    def __init__(self) -> None:
        self.of_test: dict[str, set[str]] = {}
        self.rows: set[str] = set()
        self.left_by_test: dict[str, dict[str, str]] = {}
        self.left: dict[str, str] = {}
        """The rows that are left out, each with the reason."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read the markers, and leave out what shows no row."""
        for item in items:
            self.of_test[item.nodeid] = {row for marker in item.iter_markers("row") for row in marker.args}
            left = item.iter_markers("row_left")
            self.left_by_test[item.nodeid] = {row: marker.kwargs["why"] for marker in left for row in marker.args}
        items[:] = [item for item in items if self.of_test[item.nodeid] or self.left_by_test[item.nodeid]]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what passed."""
        if report.when == "call" and report.passed:
            self.rows |= self.of_test[report.nodeid]
            self.left |= self.left_by_test[report.nodeid]


def main() -> int:
    """Print what is missing. Exit 1 when a test failed, or names a row that is not in the list."""
    given = sys.argv[1:]
    if not given or not Path(given[0]).is_file():
        print(
            f"{' '.join(given) or 'no file'}: name the file with the list of rows; it is not part of the project", file=sys.stderr
        )
        return 2
    wanted = dict(ROW.findall(Path(given[0]).read_text(encoding="utf-8")))
    shown = Shown()
    outcome = pytest.main(["-q", "--no-header", *given[1:]], plugins=[shown])
    unknown = sorted((shown.rows | shown.left.keys()) - wanted.keys())
    missing = [row for row in wanted if row not in shown.rows]
    for row in missing:
        print(f"{row:8} {wanted[row]}{f': left out: {shown.left[row]}' if row in shown.left else ''}")
    for row in unknown:
        print(f"{row:8} is marked in a test and is not in the list")
    with_reason = sum(row in shown.left for row in missing)
    print(f"{len(shown.rows & wanted.keys())} of {len(wanted)} are shown, {with_reason} more are left out with a reason")
    return 1 if outcome != pytest.ExitCode.OK or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
