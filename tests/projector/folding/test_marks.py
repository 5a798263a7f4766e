"""Where a fold is can be read from outside, and the system ends one that nobody watches over any more."""

import signal
import subprocess
import sys

from runfold.projector.folding.marks import MarkReader

_PROGRAM = """
import ctypes, sys
from runfold.projector.folding.marks import Marks
marks = Marks.watched(int(sys.argv[1]), ["b", "a"], 0.5)
marks.tell(3, 7)
with marks.folding("a", 2):
    marks.at(41)
with marks.folding("b", 1):
    marks.at(42)
    while True:
        ctypes.PyDLL(None).sleep(1000)
"""


def test_the_last_place_can_be_read_after_the_system_has_ended_a_process_that_keeps_pythons_lock() -> None:
    marks = MarkReader(["a", "b"])
    try:
        assert marks.read().projection is None
        process = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(marks.descriptor)], pass_fds=[marks.descriptor], timeout=120, check=False
        )
        assert process.returncode == -signal.SIGALRM
        mark = marks.read()
        assert (mark.projection, mark.generation, mark.position) == ("b", 1, 42)
        assert marks.progress() == (3, 7)
    finally:
        marks.close()
