"""The benchmarks, interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_benchmarks_that_are_interrupted_say_so_in_a_line_and_leave_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    given = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "scripts" / "bench" / "run.py")]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as benchmarks:
        until(lambda: any(tmp_path.glob("runfold-bench-*/postgres*")))
        benchmarks.send_signal(number)
        _, said = benchmarks.communicate(timeout=60)
    assert (benchmarks.returncode, said) == (130, "interrupted; everything was cleaned up\n")
    assert not any(tmp_path.glob("runfold-bench-*"))
