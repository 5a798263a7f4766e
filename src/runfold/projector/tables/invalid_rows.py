"""Rows that a fold led to and that cannot be kept: their own class refuses them, or the database does."""

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import errors

from runfold.errors import ProjectionStopped
from runfold.projections.projection import AnyProjection


class InvalidRow(Exception):
    """A fold led to a row that its own class refuses, or that is too large for the database."""


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
        reason = " ".join(str(error).split())
        raise ProjectionStopped(projection.name, f"made an invalid row: {reason}", "fix the projection") from error
