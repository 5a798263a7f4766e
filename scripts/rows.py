"""Which feature rows of existing systems no passing test shows yet.

The list of rows is not part of the project: it is a file that its developers keep, whose path is the first argument. Nothing of
Runfold needs it; the markers `row(...)` of tests name its rows. This runs the tests that have such markers, compares those that
passed with the list, and prints each missing row, and last how many are shown.
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

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read the markers, and leave out what shows no row."""
        for item in items:
            self.of_test[item.nodeid] = {row for marker in item.iter_markers("row") for row in marker.args}
        items[:] = [item for item in items if self.of_test[item.nodeid]]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what passed."""
        if report.when == "call" and report.passed:
            self.rows |= self.of_test[report.nodeid]


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
    unknown = sorted(shown.rows - wanted.keys())
    for row in [row for row in wanted if row not in shown.rows]:
        print(f"{row:8} {wanted[row]}")
    for row in unknown:
        print(f"{row:8} is marked in a test and is not in the list")
    print(f"{len(shown.rows & wanted.keys())} of {len(wanted)}")
    return 1 if outcome != pytest.ExitCode.OK or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
