"""The log as it was at an earlier position, and what a question was answered then."""

from collections.abc import Callable
from typing import Any

import psycopg

from runfold import LedgerError
from runfold.queries.reading import Reading
from tests.databases import TestDatabase

Question = Callable[[Reading], Any]


def ending_at(position: int, source: str, made: TestDatabase) -> None:
    """Copy the first events of a log, and nothing else."""
    with psycopg.connect(source) as giver, psycopg.connect(made.admin_url, autocommit=True) as taker:
        asked = f"COPY (SELECT * FROM runfold.log WHERE notification_id <= {position:d}) TO STDOUT (FORMAT binary)"
        with giver.cursor().copy(asked) as given, taker.cursor().copy("COPY runfold.log FROM STDIN (FORMAT binary)") as taken:
            for piece in given:
                taken.write(piece)
        taker.execute("UPDATE runfold.head SET position = %s, recorded_at = clock_timestamp()", [position])


def answered(question: Question, reading: Reading) -> Any:
    """The answer, or the error."""
    try:
        return question(reading)
    except LedgerError as error:
        return type(error), str(error)
