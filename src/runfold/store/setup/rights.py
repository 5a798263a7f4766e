"""Who owns what in the schema runfold, and who may do what with it, as the migrations say; and how that is set up again.

A dump that is restored where the roles are missing leaves everything to whoever restored it: no owner, no grant and no
policy that names a role comes with it. What the migrations said of these is then said again, statement by statement.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import psycopg
from psycopg import sql

from runfold.errors import MigrationRefused
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

OWNER = "runfold_owner"
ROLES = (OWNER, "runfold_app", "runfold_projector", "runfold_reader", "runfold_sealer")
NEXT_STEP = "run `runfold migrate` as a superuser (RUNFOLD_ADMIN_URL), which sets it up again"

_TOKEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'|(\$\w*\$).*?\1|;", re.DOTALL)
_GRANT = re.compile(
    r"(GRANT|REVOKE)\s+([\w, ]+?)\s+ON\s+(FUNCTION\s+|SCHEMA\s+|TABLE\s+)?(.+?)\s+(?:TO|FROM)\s+([\w, ]+?)\s*$", re.DOTALL
)
_RENAMED = re.compile(r"ALTER (?:FUNCTION|TABLE|VIEW) runfold\.(\w+) RENAME TO (\w+)")
_ROLES = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)"
_QUERIES = named_queries("runfold.store.setup", "rights.sql")
_UNWALLED = "SELECT schema || '.' || name FROM runfold.unwalled WHERE owner <> 'runfold_projector' ORDER BY 1"


class Grant(NamedTuple):
    """What a role may do with something."""

    role: str
    privilege: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.privilege} on {self.name} to {self.role}"


def statements(text: str) -> Iterator[str]:
    """The statements of an SQL file, without comments."""
    found, begin = "", 0
    for token in _TOKEN.finditer(text):
        found += text[begin : token.start()]
        begin = token.end()
        if token[0] == ";":
            yield found.strip()
            found = ""
        elif not token[0].startswith("--"):
            found += token[0]
    if found.strip():
        yield found.strip()


@cache
def _said() -> tuple[str, ...]:
    """Return what the migrations say of rights, in order."""
    folder = resources.files("runfold.store.setup") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name[:4].isdigit())
    said = [
        "GRANT USAGE ON SCHEMA runfold TO runfold_app, runfold_projector, runfold_reader",
        "GRANT SELECT ON runfold.migrations TO runfold_app, runfold_projector, runfold_reader",
    ]
    for statement in (each for name in files for each in statements((folder / name).read_text(encoding="utf-8"))):
        if renamed := _RENAMED.match(statement):  # what was said of it before is said of it under its new name
            said = [re.sub(rf"\brunfold\.{renamed[1]}\b", f"runfold.{renamed[2]}", each) for each in said]
        elif statement.startswith(("GRANT ", "REVOKE ", "SELECT runfold.keep_tenants_apart(", "CREATE POLICY ")):
            said.append(statement)
    return tuple(said)


@cache
def granted() -> frozenset[Grant]:
    """Return what our roles may do, of all that the migrations grant and revoke."""
    held: set[Grant] = set()
    for statement in _said():
        if (found := _GRANT.match(statement)) is None:
            continue
        verb, privileges, kind, names, roles = found.groups()
        each = {
            Grant(role.strip(), privilege.strip(), (kind or "TABLE").strip(), name.strip().partition("(")[0])
            for role in roles.split(",")
            for privilege in privileges.split(",")
            for name in re.split(r",(?![^(]*\))", names)
        }
        if verb == "GRANT":
            held |= each
        else:
            held -= {grant for grant in held for gone in each if _takes(gone, grant)}
    return frozenset(grant for grant in held if grant.role in ROLES)


@cache
def closed() -> frozenset[str]:
    """The functions that not everybody may call."""
    found = (_GRANT.match(statement) for statement in _said() if statement.startswith("REVOKE ALL ON FUNCTION "))
    return frozenset(
        name.strip().partition("(")[0]
        for each in found
        if each is not None and each[5] == "PUBLIC"
        for name in re.split(r",(?![^(]*\))", each[4])
    )


def _takes(gone: Grant, grant: Grant) -> bool:
    return (gone.role, gone.kind, gone.name) == (grant.role, grant.kind, grant.name) and gone.privilege in {
        "ALL",
        "ALL PRIVILEGES",
        grant.privilege,
    }


def faults(connection: Connection) -> list[tuple[str, str]]:
    """Return what is not as the migrations say: of which kind (role, owner, grant, row security), and the fact."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        there = {role for (role,) in cursor.execute(_ROLES, [list(ROLES)])}
        found = [("role", f"the role {role} is missing") for role in ROLES if role not in there]
        strays = cursor.execute(_QUERIES["strays"]).fetchall()
        found += [("owner", f"{name} belongs to {owner}, not to {OWNER}") for _, name, owner, _ in strays]
        found += [("grant", f"{grant} is not granted") for grant in _lacking(cursor, there)]
        found += [
            ("grant", f"everybody may call {name}") for (name,) in cursor.execute(_QUERIES["open"], [sorted(closed())]).fetchall()
        ]
        found += [
            ("row security", f"row-level security does not keep tenants apart in {name}")
            for (name,) in cursor.execute(_UNWALLED).fetchall()
        ]
    return found


def _lacking(cursor: psycopg.Cursor[tuple[str, ...]], there: set[str]) -> list[Grant]:
    wanted = [grant for grant in granted() if grant.role in there]
    columns: list[Sequence[str]] = [list(column) for column in zip(*wanted, strict=True)] or [[], [], [], []]
    return [Grant(*row) for row in cursor.execute(_QUERIES["lacking"], columns)]


def take_over(connection: Connection) -> list[str]:
    """Give everything in the schema to runfold_owner that a superuser has there; the names of it.

    For a superuser, before anything else is done as runfold_owner. Raises MigrationRefused for what belongs to a role that
    is none, and could have put anything there.
    """
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        strays = cursor.execute(_QUERIES["strays"]).fetchall()
        for _, name, owner, is_super in strays:
            if not is_super:
                raise MigrationRefused(
                    f"{name} belongs to {owner}, which may have put anything into it; look at it, drop it or run"
                    f" ALTER … OWNER TO {OWNER} as a superuser, and migrate again",
                    name=name,
                    owner=owner,
                )
        for kind, name, _, _ in strays:
            # PostgreSQL wrote the name, with its schema and quotes, and of a routine with its arguments.
            cursor.execute(sql.SQL(f"ALTER {kind} {name} OWNER TO {OWNER}"))
    return [name for _, name, _, _ in strays]


def say_again(connection: Connection) -> list[str]:
    """Grant, revoke and keep tenants apart as the migrations say, where something of it is missing; what was missing.

    For runfold_owner, once everything is migrated.
    """
    missing = [fact for _, fact in faults(connection)]
    if missing:
        with connection.transaction():
            for statement in _said():
                try:
                    with connection.transaction():
                        connection.execute(sql.SQL(statement))
                except psycopg.errors.DuplicateObject:  # a policy that is still there
                    continue
                except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):  # a later migration removed it
                    continue
    return missing
