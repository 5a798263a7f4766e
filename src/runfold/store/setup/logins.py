"""What an administrator has to do before a database can be migrated and used: roles, grants, and the logins of its programs.

It is done, as far as the role that migrates may, or written down as statements for somebody who may.
"""

import secrets
from collections.abc import Iterator
from typing import NamedTuple

from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from runfold.errors import MigrationRefused
from runfold.store.address import as_url, parts_of
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries
from runfold.store.setup.rights import OWNER, ROLES

SETTINGS = {
    "app": "RUNFOLD_DATABASE_URL",
    "projector": "RUNFOLD_PROJECTOR_URL",
    "reader": "RUNFOLD_READER_URL",
    "sealer": "RUNFOLD_SEALER_URL",
}
"""By what follows `runfold_` in the name of a role: the setting that takes the address of a login that was granted it."""
LONGEST_NAME = 63
_LIMITED = ("runfold_app", "runfold_projector", "runfold_sealer")
_LIMITS = (("idle_in_transaction_session_timeout", "10s"), ("lock_timeout", "5s"))
_NOT_OF_A_LOGIN = {"options", "passfile", "service", "sslcert", "sslkey", "sslpassword", "application_name"}
_QUERIES = named_queries("runfold.store.setup", "logins.sql")


class Login(NamedTuple):
    """A login that was made now, and how it is used."""

    name: str
    role: str
    setting: str
    url: str
    """With its password, which nobody is told again."""


def lacking(connection: Connection) -> list[str]:
    """The statements by which an administrator lets this role migrate the database."""
    there = {name for (name,) in connection.execute(_QUERIES["roles"], [list(ROLES)])}
    found = [f"CREATE ROLE {role};" for role in ROLES if role not in there]
    wanted = [f"{name}={value}" for name, value in _LIMITS]
    limited = {name for (name,) in connection.execute(_QUERIES["roles with limits"], [list(_LIMITED), wanted])}
    for role in _LIMITED:
        found += [f"ALTER ROLE {role} SET {name} = '{value}';" for name, value in _LIMITS if role not in limited]
    user, database = _names(connection)
    ((is_owner, may_make_schemas, has_schema, owner_may),) = connection.execute(_QUERIES["rights"], [OWNER] * 2)
    if not owner_may:
        found.append(f"GRANT CREATE ON DATABASE {database} TO {OWNER};")
    if not is_owner:
        found.append(f"GRANT {OWNER} TO {user};")
    if not may_make_schemas and not has_schema:
        found.append(f"CREATE SCHEMA runfold AUTHORIZATION {OWNER};")
    return found


def statements(connection: Connection) -> list[str]:
    """The statements that make a login of each role that nobody can use yet. The passwords are to be filled in."""
    return [_statement(connection, use) for use in _unused(connection)]


def create(connection: Connection, url: str) -> list[Login]:
    """Make the database's own login of each role, with a password of its own, but for those that there are.

    `url` is the address that the connection was made by. Raises MigrationRefused.
    """
    made = []
    for use, setting in SETTINGS.items():
        name, password = _login_name(connection, use), secrets.token_urlsafe(24)
        if connection.execute(_QUERIES["roles"], [[name]]).fetchone():
            continue
        kept = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        login, role = sql.Identifier(name), sql.Identifier(f"runfold_{use}")
        try:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(login, kept, role))
        except InsufficientPrivilege as error:
            raise MigrationRefused(
                f"this role may not make logins ({str(error).splitlines()[0]}); let an administrator run\n\n"
                + "\n".join(_statement(connection, use) for use in SETTINGS)
            ) from None
        made.append(Login(name, f"runfold_{use}", setting, _address(connection, url, name, password)))
    return made


def _statement(connection: Connection, use: str) -> str:
    name = _quoted(connection, _login_name(connection, use))
    return f"CREATE ROLE {name} LOGIN PASSWORD '…' IN ROLE runfold_{use};"


def _unused(connection: Connection) -> Iterator[str]:
    """Yield the roles that neither log in themselves nor were granted to a login, but for superusers and owners."""
    used = {role for (role,) in connection.execute(_QUERIES["roles with logins"], [list(ROLES), OWNER])}
    yield from (use for use in SETTINGS if f"runfold_{use}" not in used)


def _login_name(connection: Connection, use: str) -> str:
    """The database's name and the role's; other databases of the server have logins of their own."""
    name = f"{connection.info.dbname[: LONGEST_NAME - 16]}_{use}"
    return f"{name}_login" if name in ROLES else name


def _address(connection: Connection, url: str, name: str, password: str) -> str:
    parts = {key: value for key, value in parts_of(url).items() if key not in _NOT_OF_A_LOGIN}
    return as_url({**parts, "dbname": connection.info.dbname, "user": name, "password": password})


def _names(connection: Connection) -> tuple[str, str]:
    return _quoted(connection, connection.info.user), _quoted(connection, connection.info.dbname)


def _quoted(connection: Connection, name: str) -> str:
    return sql.Identifier(name).as_string(connection)
