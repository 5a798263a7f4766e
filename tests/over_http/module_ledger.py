"""A ledger for all tests of a module, where they do not mind each other's events."""

import contextlib
import os
from collections.abc import Iterator

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runfold import Ledger, Settings


@contextlib.contextmanager
def module_ledger(admin_url: str, template: str, module: str) -> Iterator[Ledger]:
    """Opened on a database of its own, with a role that may fold read models."""
    name = f"runfold_{module}_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO runfold_projector").format(sql.Identifier(name)))
    urls = {f"{role}_url": make_conninfo(admin_url, dbname=name, user=f"runfold_{role}") for role in ("app", "projector")}
    with Ledger.open(settings=Settings(database_url=urls["app_url"], projector_url=urls["projector_url"])) as ledger:
        yield ledger
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
