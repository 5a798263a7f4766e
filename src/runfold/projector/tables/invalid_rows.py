"""Rows that a fold led to and that cannot be kept: their own class refuses them, or the database does."""

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import errors

from runfold.errors import ProjectionStopped
from runfold.projections.fold import is_of_the_process, reason_of, words_of
from runfold.projections.projection import AnyProjection


class InvalidRow(Exception):
    """A fold led to a row that its own class refuses, or that is too large for the database."""


@contextlib.contextmanager
def of_a_row(fact: str) -> Iterator[None]:
    """Tell of whatever is raised by the class of a row, or by what is in it, as of the row: both are somebody's.

    Raises InvalidRow.
    """
    try:
        yield
    except (InvalidRow, psycopg.Error):
        raise
    except BaseException as error:
        if is_of_the_process(error):
            raise
        raise InvalidRow(f"{fact}: {reason_of(error)}") from error


@contextlib.contextmanager
def within_limits() -> Iterator[None]:
    """Tell of what is too large for the database as of a row: psycopg counts it among the faults of a connection.

    Raises InvalidRow.
    """
    try:
        yield
    except (errors.ProgramLimitExceeded, errors.StatementTooComplex) as error:
        fact = " ".join(str(error).split())
        raise InvalidRow(f"a row is more than the database takes ({fact}); keep long texts out of key and indexes") from error


@contextlib.contextmanager
def stopped_by_rows(projection: AnyProjection) -> Iterator[None]:
    """Stop the projection of a row that cannot be kept. Raises ProjectionStopped."""
    try:
        yield
    except (InvalidRow, psycopg.DataError, psycopg.IntegrityError, ValueError) as error:
        raise ProjectionStopped(projection.name, f"made an invalid row: {words_of(error)}", "fix the projection") from error
