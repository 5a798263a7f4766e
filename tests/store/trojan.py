"""Functions, operators, tables and views that are named as PostgreSQL's or ours, and note who ran them."""

import re
from pathlib import Path

import psycopg
from psycopg import sql

import runfold

SOURCES = Path(runfold.__file__).parent
VARIANTS = (
    "text",
    "bigint",
    "integer",
    "name",
    "oid",
    "uuid",
    "timestamptz",
    "jsonb",
    "bytea",
    "numeric",
    "text[]",
    "bigint[]",
    "uuid[]",
    "text, text",
    "text, bigint",
    "integer, integer",
    "bigint, bigint",
    "bigint, integer",
    "text[], bigint[]",
    "regclass, text",
    "text, text, boolean",
    "integer, text",
    "bigint, text",
    "text[], text",
    "jsonb, text",
    "bytea, text",
    "",
)
OPERATORS = [
    (sign, left, right)
    for sign in ("=", "<>", "<", ">", "<=", ">=", "+", "-", "||", "->>", "~", "@>")
    for left, right in (
        ("text", "text"),
        ("bigint", "bigint"),
        ("bigint", "integer"),
        ("name", "text"),
        ("text", "name"),
        ("oid", "bigint"),
        ("regclass", "oid"),
        ("uuid", "uuid"),
        ("timestamptz", "timestamptz"),
        ("jsonb", "text"),
        ("text[]", "text[]"),
    )
]
RELATIONS = (
    "log",
    "head",
    "migrations",
    "read_models",
    "checkpoints",
    "receipts",
    "troubles",
    "workers",
    "fillings",
    "filling_lanes",
    "past_schemas",
    "events",
    "unwalled",
    "read_positions",
    "pg_class",
    "pg_roles",
    "pg_namespace",
    "pg_proc",
    "pg_settings",
    "pg_database",
    "pg_locks",
    "pg_policy",
    "pg_constraint",
    "pg_trigger",
    "pg_index",
    "pg_db_role_setting",
    "run_summaries",
    "usage",
    "threads",
)


TYPES = ("text", "jsonb", "uuid", "timestamptz", "bytea", "regclass", "oid", "numeric", "int8", "int4", "bool")


def prepare(admin: psycopg.Connection) -> None:
    """Where it is noted who ran what: anybody may add, whoever they are just then."""
    admin.execute("CREATE SCHEMA caught CREATE TABLE caught (what text, who text)")
    admin.execute(
        "CREATE FUNCTION caught.note(what text, who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER"
        " SET search_path = pg_catalog, pg_temp AS $$ INSERT INTO caught.caught VALUES (what, who) RETURNING true $$"
    )
    admin.execute("GRANT USAGE ON SCHEMA caught TO PUBLIC")


def caught(admin: psycopg.Connection) -> list[tuple[str, str]]:
    """What ran, and as whom."""
    return admin.execute("SELECT DISTINCT what, who FROM caught.caught").fetchall()


def used_functions(admin: psycopg.Connection) -> list[str]:
    """PostgreSQL's functions whose names are anywhere in our sources, and our own."""
    text = "\n".join(path.read_text() for kind in ("*.py", "*.sql") for path in SOURCES.rglob(kind))
    names = set(re.findall(r"\b([a-z_]+)\s*\(", text))
    found = admin.execute(
        "SELECT DISTINCT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE n.nspname IN ('pg_catalog', 'runfold') AND p.prokind <> 'p' AND p.proname = ANY(%s)",
        [sorted(names)],
    )
    return sorted(name for (name,) in found)


def plant(attacker: psycopg.Connection, schema: str, functions: list[str]) -> int:
    """Put everything into a schema that the attacker may create in; how much there was."""
    count = 0
    for name in functions:
        for arguments in VARIANTS:
            _function(attacker, schema, name, arguments)
            count += 1
    for index, (sign, left, right) in enumerate(OPERATORS):
        _function(attacker, schema, f"op_{index}", f"{left}, {right}", "boolean" if sign in "= <> < > <= >= ~ @>" else left)
        place = sql.Identifier(schema)
        attacker.execute(
            sql.SQL("CREATE OPERATOR {}.{} (FUNCTION = {}.{}, LEFTARG = {}, RIGHTARG = {})").format(
                place, sql.SQL(sign), place, sql.Identifier(f"op_{index}"), sql.SQL(left), sql.SQL(right)
            )
        )
    for kind in TYPES:
        body = sql.SQL("caught.note({}, current_user::text)").format(sql.Literal(f"{schema}.{kind}"))
        attacker.execute(sql.SQL("CREATE DOMAIN {} AS text CHECK ({})").format(sql.Identifier(schema, kind), body))
    there = attacker.execute("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace", [schema])
    for relation in set(RELATIONS) - {name for (name,) in there}:
        note = sql.SQL("caught.note({}, current_user::text)").format(sql.Literal(f"{schema}.{relation}"))
        attacker.execute(sql.SQL("CREATE VIEW {} AS SELECT {} AS position").format(sql.Identifier(schema, relation), note))
    return count + len(OPERATORS) + len(RELATIONS)


def _function(attacker: psycopg.Connection, schema: str, name: str, arguments: str, returns: str = "") -> None:
    body = (
        f"BEGIN PERFORM caught.note({sql.Literal(f'{schema}.{name}').as_string(attacker)}, current_user::text); RETURN NULL; END"
    )
    attacker.execute(
        sql.SQL("CREATE FUNCTION {}({}) RETURNS {} LANGUAGE plpgsql AS {}").format(
            sql.Identifier(schema, name),
            sql.SQL(arguments),
            sql.SQL(returns or arguments.partition(",")[0] or "text"),
            sql.Literal(body),
        )
    )
