"""What tests of backups share: a ledger with something in it, a database with nothing in it, and what each holds."""

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runfold import Ledger
from tests.databases import TestDatabase

RIGHTS = """
SELECT 'table', c.oid::regclass::text, c.relowner::regrole::text, concat_ws(' ',
       ARRAY(SELECT a::text FROM unnest(c.relacl) AS a ORDER BY 1)::text, c.relrowsecurity, c.reloptions::text)
  FROM pg_class AS c
 WHERE c.relnamespace = 'runfold'::regnamespace AND c.relkind IN ('r', 'v')
 UNION ALL
SELECT 'function', p.oid::regprocedure::text, p.proowner::regrole::text, concat_ws(' ',
       ARRAY(SELECT a::text FROM unnest(p.proacl) AS a ORDER BY 1)::text, p.prosecdef, p.proconfig::text)
  FROM pg_proc AS p
 WHERE p.pronamespace = 'runfold'::regnamespace
 UNION ALL
SELECT 'policy', polrelid::regclass || ' ' || polname, polroles::regrole[]::text, pg_get_expr(polqual, polrelid)
  FROM pg_policy
 WHERE polrelid = 'runfold.log'::regclass
 UNION ALL
SELECT 'trigger', t.tgrelid::regclass || ' ' || t.tgname, t.tgenabled::text, t.tgtype::text
  FROM pg_trigger AS t
  JOIN pg_class AS c ON c.oid = t.tgrelid AND c.relnamespace = 'runfold'::regnamespace
 WHERE NOT t.tgisinternal
 UNION ALL
SELECT 'schema', nspname::text, nspowner::regrole::text, ARRAY(SELECT a::text FROM unnest(nspacl) AS a ORDER BY 1)::text
  FROM pg_namespace
 WHERE nspname = 'runfold'
 ORDER BY 1, 2
"""


def owners_and_grants(url: str) -> list[tuple[str, str, str, str]]:
    """Owner, grants, policies and guards of everything in the schema runfold."""
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path = pg_catalog")
        return connection.execute(RIGHTS).fetchall()


def events(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT l::text FROM runfold.log AS l ORDER BY notification_id").fetchall()


def tell(ledger: Ledger) -> None:
    """Runs, messages, approvals and a key, folded."""
    for number in range(20):
        run = ledger.create_thread(agent_id=f"agent {number % 3}").start_run()
        run.add_message("user", f"Größe {number} 🦉")
        run.request_approval("send")
    ledger.create_key(owner="human:ada", scopes=["admin"], label="hers")
    ledger.fold()


@contextlib.contextmanager
def empty_database(beside: TestDatabase) -> Iterator[TestDatabase]:
    """A database with nothing in it, on the same server; dropped at the end."""
    parts = conninfo_to_dict(beside.admin_url)
    server, name = make_conninfo(beside.admin_url, dbname="postgres"), f"{parts['dbname']}_empty"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    roles = ("runfold_app", "runfold_owner", "runfold_projector", "runfold_sealer")
    app, owner, projector, sealer = (make_conninfo(server, dbname=name, user=role) for role in roles)
    try:
        yield TestDatabase(app, owner, make_conninfo(server, dbname=name), projector, sealer)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
