"""Spark folds a projection of ours, as it is, to the rows of the read model.

Spark is no part of Runfold. RUNFOLD_TEST_SPARK_PYTHON names a Python that has runfold, pyspark, pandas and pyarrow; else this
one is asked.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.export.exporting import export
from tests.export.conftest import record

PROGRAM = Path(__file__).parents[2] / "scripts" / "spark_fold.py"
PYTHON = os.environ.get("RUNFOLD_TEST_SPARK_PYTHON", sys.executable)


def _lacks() -> str | None:
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return "Spark needs Java 17: java is not on the path"
    found = subprocess.run(
        [PYTHON, "-c", "import pyspark, pandas, pyarrow, runfold"], capture_output=True, text=True, check=False
    )
    why = found.stderr.strip().splitlines()[-1] if found.returncode else None
    return f"{PYTHON} cannot run Spark ({why}); set RUNFOLD_TEST_SPARK_PYTHON to one that can" if why else None


@pytest.fixture(scope="module", autouse=True)
def _spark() -> None:
    if reason := _lacks():
        pytest.skip(reason)


def spark_fold(to: Path, projection: str, against: str) -> tuple[int, dict[str, object]]:
    call = [
        PYTHON,
        str(PROGRAM),
        str(to / "events"),
        projection,
        "--to",
        str(to / "by-spark"),
        "--against",
        str(to / against),
        "--partitions",
        "2",
    ]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_spark_folds_to_the_rows_of_the_read_model(recorded: Ledger, tmp_path: Path) -> None:
    recorded.fold("usage")
    export(recorded, "events", "parquet", tmp_path, rows_per_part=25)
    export(recorded, "usage", "parquet", tmp_path)
    code, said = spark_fold(tmp_path, "usage", "usage")
    assert (code, said["rows"], said["different"], said["events"]) == (0, 3, 0, recorded.position())


def test_a_difference_is_told(recorded: Ledger, tmp_path: Path) -> None:
    recorded.fold("usage")
    export(recorded, "usage", "parquet", tmp_path)
    record(recorded, 1)
    export(recorded, "events", "parquet", tmp_path)
    code, said = spark_fold(tmp_path, "usage", "usage")
    assert (code, said["rows"], said["different"]) == (1, 4, 1)
