"""Folds a projection, as it is, over exported events with Spark: for more history than one machine takes in.

    runfold export events --output out && runfold export usage --to out
    python scripts/spark_fold.py out/events usage --output out/usage-by-spark --against out/usage

A projection says what a row is made from: the events of one thread, or of one goal. By the hash of that Spark spreads the
events over its workers, puts each share in the order of positions, and hands it to `runfold.projections.fold.fold_all`, the
definition of what a read model holds. The rows come out with the columns of the read model; `--against` compares them with
its export, row by row. A projection that says nothing of the kind is folded by one worker.

Runfold does not depend on any of this. It takes Java 17, and on every machine a Python with runfold, pyspark, pandas and
pyarrow; `--master` names a cluster, which must be able to read and write the folders. `--partitions` are shares of threads:
a worker holds the rows of one share in memory.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from runfold.errors import LedgerError
from runfold.export import manifest
from runfold.export.events import recorded_of
from runfold.projections.columns import columns_of
from runfold.projections.fold import fold_all
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import load, named, source_of

TYPES = {
    "text": "string",
    "bigint": "bigint",
    "boolean": "boolean",
    "double precision": "double",
    "numeric": "decimal(38,18)",
    "timestamptz": "timestamp",
    "date": "date",
    "text[]": "array<string>",
    "bigint[]": "array<bigint>",
    "jsonb": "string",
}
"""A column's type in PostgreSQL and in Spark. JSON is text, as in an export."""
ROWS_AT_ONCE = 2000
Batches = Iterator[Any]


def folding(source: str) -> Callable[[Batches], Batches]:
    """What a worker does with its share of events."""

    def fold_share(batches: Batches) -> Batches:
        import pyarrow  # noqa: PLC0415  only where Spark is

        projection = load(source)
        shape = arrow_schema(projection)
        standings = fold_all(projection, (recorded_of(row) for batch in batches for row in batch.to_pylist()))
        rows = (
            {**_values(standing.row), "tenant_id": key[0], "position": standing.position} for key, standing in standings.items()
        )
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            yield pyarrow.RecordBatch.from_pylist(chunk, schema=shape)

    return fold_share


def _values(row: Any) -> dict[str, Any]:
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.__dict__.items()}


def spark_schema(projection: AnyProjection) -> dict[str, str]:
    """The columns of a read model, with their types in Spark."""
    own = {column.name: TYPES[column.type] for column in columns_of(projection.row)}
    return {"tenant_id": "string", **own, "position": "bigint"}


def arrow_schema(projection: AnyProjection) -> Any:
    """The same for Arrow."""
    import pyarrow as pa  # noqa: PLC0415  as above

    kinds = {
        "string": pa.string(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "double": pa.float64(),
        "date": pa.date32(),
        "decimal(38,18)": pa.decimal128(38, 18),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "array<string>": pa.list_(pa.string()),
        "array<bigint>": pa.list_(pa.int64()),
    }
    return pa.schema([(name, kinds[kind]) for name, kind in spark_schema(projection).items()])


def read(spark: Any, folder: Path) -> Any:
    """The parts of an export that its manifest lists."""
    said = manifest.read(folder)
    if said is None or said.format != "parquet" or not said.parts:
        raise SystemExit(
            f"{folder} holds no rows as Parquet; make it with `runfold export {folder.name} --output {folder.parent}`"
        )
    return spark.read.parquet(*(str(folder / part.file) for part in said.parts))


def fold(events: Any, projection: AnyProjection, partitions: int) -> Any:
    """The rows of a read model."""
    shares = {"thread": ("tenant_id", "thread_id"), "goal": ("tenant_id", "goal_id"), None: ()}[projection.partition]
    wanted = events.where(events.type.isin([event.type for event in projection.events]))
    shared = wanted.repartition(partitions, *shares) if shares else wanted.repartition(1)
    columns = ", ".join(f"`{name}` {kind}" for name, kind in spark_schema(projection).items())
    return shared.sortWithinPartitions("position").mapInArrow(folding(source_of(projection)), columns)


def different(spark: Any, ours: Path, theirs: Path, projection: AnyProjection) -> int:
    """How many rows are in one of the two and not in the other."""
    from pyspark.sql.functions import udf  # noqa: PLC0415  as above

    same_text = udf(lambda text: None if text is None else json.dumps(json.loads(text), sort_keys=True), "string")
    kinds = {column.name: column.type for column in columns_of(projection.row)}
    found = []
    for rows in (spark.read.parquet(str(ours)), read(spark, theirs)):
        columns = [
            (same_text(rows[name]).alias(name) if kinds.get(name) == "jsonb" else rows[name]) for name in spark_schema(projection)
        ]
        found.append(rows.select(columns))
    one, other = found
    return int(one.exceptAll(other).count() + other.exceptAll(one).count())


def main() -> int:
    """Fold, and compare. Exit 1 where there is a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("events", type=Path, help="a folder that `runfold export events` made")
    parser.add_argument("projection", help="a read model's name, or module:Class")
    parser.add_argument("--to", type=Path, required=True, help="where the rows go; it must not be there yet")
    parser.add_argument("--against", type=Path, help="an export of the read model, as of the same position")
    parser.add_argument("--master", default="local[*]")
    parser.add_argument("--partitions", type=int, default=8)
    asked = parser.parse_args()
    try:
        projection = load(asked.projection) if ":" in asked.projection else named(asked.projection)
    except LedgerError as error:
        parser.error(str(error))
    spark = session(asked.master)
    started = time.perf_counter()
    events = read(spark, asked.events.resolve())
    fold(events, projection, asked.partitions).write.parquet(str(asked.to.resolve()))
    seconds = time.perf_counter() - started
    said = {"projection": projection.name, "events": events.count(), "seconds": round(seconds, 2)}
    said["rows"] = spark.read.parquet(str(asked.to.resolve())).count()
    if asked.against:
        said["different"] = different(spark, asked.to.resolve(), asked.against.resolve(), projection)
    print(json.dumps(said))
    return 1 if said.get("different") else 0


def session(master: str) -> Any:
    """Spark, whose workers use this Python."""
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415  as above
    except ImportError:
        raise SystemExit("pyspark is not installed; run `pip install pyspark pandas pyarrow`, and install Java 17") from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ROWS_AT_ONCE),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master(master).appName("runfold")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


if __name__ == "__main__":
    sys.exit(main())
