"""A database that is put back to an older copy, as its files would be, or that is replaced by a copy of an earlier moment."""

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.databases import TestDatabase

GUARDS = ("log_is_immutable", "log_is_not_truncated")


def put_back(database: TestDatabase, position: int) -> None:
    """The log as it was at a position, at the same place: what a restored folder of files is."""
    with psycopg.connect(database.admin_url) as connection:
        for guard in GUARDS:
            connection.execute(sql.SQL("ALTER TABLE runfold.log DISABLE TRIGGER {}").format(sql.Identifier(guard)))
        connection.execute("DELETE FROM runfold.log WHERE notification_id > %s", [position])
        connection.execute(
            "UPDATE runfold.head"
            " SET position = %s, recorded_at = coalesce((SELECT max(recorded_at) FROM runfold.log), '-infinity')",
            [position],
        )
        for guard in GUARDS:
            connection.execute(sql.SQL("ALTER TABLE runfold.log ENABLE ALWAYS TRIGGER {}").format(sql.Identifier(guard)))


class EarlierCopy:
    """A copy of a database as it is now, which can take its place later, at the same URL."""

    def __init__(self, database: TestDatabase) -> None:
        parts = conninfo_to_dict(database.admin_url)
        self._name = str(parts["dbname"])
        self._server = make_conninfo(database.admin_url, dbname="postgres")
        self._copy = f"{self._name}_copy"
        # A copy is made of a database that nobody is connected to: who is connected tries again until they may.
        self._run("ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {text}")
        self._run("CREATE DATABASE {copy} TEMPLATE {name} STRATEGY file_copy")
        self._run("ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        self._run("GRANT CREATE ON DATABASE {copy} TO runfold_projector")

    def take_over(self) -> None:
        """The database as it was takes the place of the one that is."""
        self._run("DROP DATABASE {name} WITH (FORCE)")
        self._run("ALTER DATABASE {copy} RENAME TO {name}")

    def _run(self, statement: str) -> None:
        names = {"name": sql.Identifier(self._name), "copy": sql.Identifier(self._copy), "text": sql.Literal(self._name)}
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(**names))
