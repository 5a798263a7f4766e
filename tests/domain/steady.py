"""How generated tests run: the same examples each time, or new and more ones where RUNFOLD_TEST_EXAMPLES says how many."""

import os

from hypothesis import settings

_ASKED = int(os.environ.get("RUNFOLD_TEST_EXAMPLES", "0"))

STEADY = settings(derandomize=not _ASKED, deadline=None, database=None, max_examples=_ASKED or 100)
