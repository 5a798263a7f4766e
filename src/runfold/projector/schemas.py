"""The schemas that read models live in: every one is made and dropped by these statements."""

from psycopg import sql


def creation(schema: str) -> sql.Composed:
    """The statement that makes a schema unless it is there."""
    return sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))


def removal(schema: str) -> sql.Composed:
    """The statement that drops a schema with all that is in it, if it is there."""
    return sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
