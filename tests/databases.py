"""A database of its own for each test: a copy of a migrated, empty one."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runfold import Settings

_numbers = itertools.count(1)


@dataclass(frozen=True)
class TestDatabase:
    """One test's database: its URL as the application's role, as the owner of the log, as projector, and as superuser."""

    __test__ = False

    url: str
    owner_url: str
    admin_url: str
    projector_url: str
    sealer_url: str

    @property
    def name(self) -> str:
        """What it is called on its server, as who copies it says."""
        return str(conninfo_to_dict(self.url)["dbname"])

    @property
    def settings(self) -> Settings:
        """Settings that point at it, and with which nothing is folded or tried out by itself."""
        return Settings(
            database_url=self.url,
            admin_url=self.admin_url,
            projector_url=self.projector_url,
            sealer_url=self.sealer_url,
            fold_on_read=0,
            try_folds=False,
        )


def create_database(admin_url: str, template: str, name: str) -> TestDatabase:
    """A copy of the template. Its name is made this process's own, and unlike all others."""
    name = f"runfold_{name}_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        # Copying files is several times as quick as writing them into the WAL.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        # What a role may do with a database as such is not copied with it.
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO runfold_owner").format(sql.Identifier(name)))
    return TestDatabase(
        url=make_conninfo(admin_url, dbname=name, user="runfold_app"),
        owner_url=make_conninfo(admin_url, dbname=name, user="runfold_owner"),
        admin_url=make_conninfo(admin_url, dbname=name),
        projector_url=make_conninfo(admin_url, dbname=name, user="runfold_projector"),
        sealer_url=make_conninfo(admin_url, dbname=name, user="runfold_sealer"),
    )


@contextlib.contextmanager
def fresh_database(admin_url: str, template: str, name: str) -> Iterator[TestDatabase]:
    """One that is dropped at the end."""
    made = create_database(admin_url, template, name)
    try:
        yield made
    finally:
        dropped = sql.Identifier(made.name)
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(dropped))


def go_on_in(copied: TestDatabase) -> None:
    """Let the history go on in a copy as if it had begun there; as it is, who opens it begins another, because it was copied."""
    with psycopg.connect(copied.admin_url) as connection:
        connection.execute("ALTER TABLE runfold.epochs DISABLE TRIGGER epochs_are_immutable")
        connection.execute("UPDATE runfold.epochs SET database = (runfold.place()).database")
        connection.execute("ALTER TABLE runfold.epochs ENABLE ALWAYS TRIGGER epochs_are_immutable")
