"""The schemas that read models live in: every one is made and dropped by these statements."""

from psycopg import sql


def creation(schema: str) -> sql.Composed:
    """The statement that makes a schema of read models, and lets readers into it; of one that is there it makes nothing.

    Raises psycopg.errors.InsufficientPrivilege for a name that cannot be, DuplicateSchema for somebody else's.
    """
    return sql.SQL("SELECT runfold.create_schema({})").format(sql.Literal(schema))


def removal(schema: str) -> sql.Composed:
    """The statements that drop a schema of read models with all that is in it, if it is there."""
    own = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))  # made before it was made by a function
    return sql.SQL("SELECT runfold.drop_schema({}); ").format(sql.Literal(schema)) + own
