"""A connection that may make and fill read models, and what a process that does nothing else begins with."""

import os

import psycopg
from psycopg.rows import dict_row

from runfold.errors import LedgerUnavailable
from runfold.store.datastore import Connection, Datastore, is_standby


def connect(datastore: Datastore) -> Connection:
    """A connection of one's own, in autocommit, as runfold_projector: so all tables have one owner, whoever folds.

    Raises LedgerUnavailable where the role may not, psycopg.errors.ReadOnlySqlTransaction at a standby, which may take over
    yet, psycopg.OperationalError.
    """
    connection = datastore.connect()
    connection.row_factory = dict_row
    if is_standby(connection):
        connection.close()
        raise psycopg.errors.ReadOnlySqlTransaction("this server is a standby, so no read models are built here")
    try:
        connection.execute("SET ROLE runfold_projector")
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue) as error:
        connection.close()
        raise LedgerUnavailable(
            f"this role may not build read models ({str(error).strip()})",
            "grant it runfold_projector, or set RUNFOLD_PROJECTOR_URL to a role that has it",
            retriable=False,
        ) from None
    # A lost commit takes rows and checkpoint back together, and they are folded again: no need to wait for the disk.
    connection.execute("SET synchronous_commit = off")
    return connection


def end_without_memory() -> None:
    """Let this process end where memory runs out, so that another is started: for processes that do nothing but fold.

    With RUST_BACKTRACE pydantic-core first prints where it was, needs memory for that, and waits for itself for ever.
    """
    os.environ["RUST_BACKTRACE"] = "0"
