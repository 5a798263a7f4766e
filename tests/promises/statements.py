"""Every statement that is sent to the database while somebody looks: how it is carried out; and all that stand in `src`."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from psycopg.rows import tuple_row

import runfold
from runfold.projections.registry import known
from runfold.store.queries import named_queries
from runfold.store.unlocked import Unlocked

SOURCE = Path(runfold.__file__).parent
LARGE = {"log", *known()}
PAGE_ROWS, TOUCHED_ROWS = 2_001, 25_000
"""No more rows are sorted for a page, nor looked at."""
EACH = 2
"""How many times each statement is explained: with its first parameters, and others."""
_STATEMENT = re.compile(r"\s*(--[^\n]*\n\s*)*(SELECT|WITH|INSERT|UPDATE|DELETE|COPY)\b")
_COPY = re.compile(r"\s*COPY \((.*)\) TO STDOUT", re.DOTALL)
_CALLS = ("runfold.append_events", "runfold.take_lock(", "runfold.take_session_lock(", "set_config", "NOTIFY")
"""What changes something when it is carried out, though it is a SELECT. Functions are looked at from outside."""


@dataclass
class Seen:
    """What was sent, and what is wrong with how it is carried out."""

    texts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, set[str]] = field(default_factory=dict)
    whole_readings: int = 0
    """How many times the log was read from end to end, by whatever means."""
    of_any_size: bool = False
    """Whether what is asked just now is counted or looked for among all rows that there are, so that these are looked at."""

    def take(self, cursor: psycopg.Cursor[Any], query: Any, parameters: Any) -> None:
        """One statement, before it is carried out."""
        said = query.as_string(cursor) if isinstance(query, sql.Composable) else query
        text = said.decode() if isinstance(said, bytes) else str(said)
        text = copied[1] if (copied := _COPY.match(text)) else text
        kept = plain(text)
        if not _STATEMENT.match(text) or ";" in kept.rstrip("; "):  # several at once, which make tables
            return
        self.texts[kept] += 1
        if self.texts[kept] <= EACH and not any(call in text for call in _CALLS):
            for mode in ("force_custom_plan", "force_generic_plan"):
                self._explain(cursor.connection, kept, text, parameters, mode)

    def _explain(self, connection: psycopg.Connection[Any], kept: str, text: str, parameters: Any, mode: str) -> None:
        plan = _plan(connection, text, parameters, mode, "")
        if not any(_is_large(node) for node in _nodes(plan)):
            return
        if re.match(r"(SELECT|WITH)\b", kept):
            plan = _plan(connection, text, parameters, mode, "ANALYZE, TIMING OFF, SUMMARY OFF,")
        self.indexes.setdefault(kept, set()).update(node["Index Name"] for node in _nodes(plan) if "Index Name" in node)
        if faults := list(_faults(plan, of_any_size=self.of_any_size)):
            self.faults.setdefault(kept, f"{mode}: {'; '.join(faults)}\n{json.dumps(plan, indent=1)[:6000]}")


def _plan(connection: psycopg.Connection[Any], text: str, parameters: Any, mode: str, how: str) -> dict[str, Any]:
    """As a prepared statement is planned: for these parameters, or once for any."""
    converted = PostgresQuery(Transformer(connection))
    converted.convert(text, parameters)
    values = [parameters[name] for name in converted._order or ()] if isinstance(parameters, dict) else list(parameters or ())
    literals = ", ".join(sql.Literal(value).as_string(connection) for value in values)
    with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor, unseen(connection):
        types = ", ".join(_type(cursor, oid) for oid in converted.types or ())
        cursor.execute(f"PREPARE explained {f'({types})' if types else ''} AS {converted.query.decode()}".encode(), prepare=False)
        try:
            cursor.execute(f"SET plan_cache_mode = {mode}".encode(), prepare=False)
            given = f"({literals})" if literals else ""
            cursor.execute(f"EXPLAIN ({how} VERBOSE, FORMAT JSON) EXECUTE explained {given}".encode(), prepare=False)
            ((found,),) = cursor.fetchall()
        finally:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
                cursor.execute("RESET plan_cache_mode", prepare=False)
                cursor.execute("DEALLOCATE explained", prepare=False)
    plan = (json.loads(found) if isinstance(found, str | bytes) else found)[0]["Plan"]
    assert isinstance(plan, dict)
    return plan


_types: dict[int, str] = {0: "unknown"}


def _type(cursor: psycopg.Cursor[Any], oid: int) -> str:
    if oid not in _types:
        ((_types[oid],),) = cursor.execute(f"SELECT format_type({oid}, NULL)".encode()).fetchall()
    return _types[oid]


_busy: set[int] = set()


@contextmanager
def unseen(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """What is asked meanwhile is ours."""
    _busy.add(id(connection))
    try:
        yield
    finally:
        _busy.discard(id(connection))


@contextmanager
def looking(seen: Seen) -> Iterator[None]:
    """Every statement of this process."""
    with pytest.MonkeyPatch.context() as patch:
        cursors = ((psycopg.Cursor, "execute"), (psycopg.ServerCursor, "execute"), (psycopg.Cursor, "copy"))
        for kind, name in (*cursors, (Unlocked, "unmade_rows")):
            patch.setattr(kind, name, _looked_at(getattr(kind, name), seen))
        yield


def _looked_at(method: Any, seen: Seen) -> Any:
    def looked_at(self: psycopg.Cursor[Any], query: Any, params: Any = None, **more: Any) -> Any:
        if id(self.connection) not in _busy:
            seen.take(self, query, params)
        return method(self, query, params, **more)

    return looked_at


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _is_large(node: dict[str, Any]) -> bool:
    return node.get("Relation Name") in LARGE


def _faults(plan: dict[str, Any], *, of_any_size: bool) -> Iterator[str]:
    for node in _nodes(plan):
        loops = node.get("Actual Loops", 1)
        if _is_large(node):
            if node["Node Type"] not in {"Index Scan", "Index Only Scan"} and "ModifyTable" not in node["Node Type"]:
                yield f"{node['Node Type']} of {node['Relation Name']}"
            rows = sum(node.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"))
            if rows * loops > TOUCHED_ROWS and not of_any_size:
                yield f"{rows * loops:,.0f} rows of {node['Relation Name']} are looked at"
        if node["Node Type"] in {"Sort", "Incremental Sort"} and not of_any_size:
            rows = sum(inner.get("Actual Rows", 0) * inner.get("Actual Loops", 1) for inner in node["Plans"][:1])
            if rows > PAGE_ROWS:
                yield f"{rows:,.0f} rows are sorted"


def plain(text: str) -> str:
    """A statement in one line, without its comment."""
    return re.sub(r"\s+", " ", re.sub(r"--[^\n]*\n", " ", text)).strip()


@dataclass(frozen=True)
class Written:
    """A statement in the source, as far as it stands there: the pieces between what is filled in."""

    place: str
    pieces: tuple[str, ...]

    def is_in(self, text: str) -> bool:
        """Whether a statement that was sent is this one."""
        at = 0
        for piece in self.pieces:
            if (at := text.find(piece, at)) < 0:
                return False
            at += len(piece)
        return True


def written() -> list[Written]:
    """Every statement in the source that reads or changes the log or a read model."""
    found = []
    for path in sorted(SOURCE.rglob("*.sql")):
        if "migrations" not in path.parts:
            package = ".".join(("runfold", *path.relative_to(SOURCE).parent.parts))
            for name, text in named_queries(package, path.name).items():
                found.append(_written(f"{path.relative_to(SOURCE)}: {name}", text))
    for path in sorted(SOURCE.rglob("*.py")):
        for node in _texts(ast.parse(path.read_text())):
            text = _text(node)
            if _STATEMENT.match(text):
                found.append(_written(f"{path.relative_to(SOURCE)}:{node.lineno}", text))
    return [each for each in found if each is not None]


def _texts(tree: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Whole texts: those that are no part of another."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            yield node
        else:
            yield from _texts(node)


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _written(place: str, text: str) -> Written | None:
    """None for one that has to do with small tables alone."""
    if not re.search(r"runfold\.log\b|\{[a-z_]*\}", text):
        return None
    pieces = tuple(
        piece
        for part in re.split(r"\{[^}]*\}", plain(text).replace("{{", "{").replace("}}", "}"))
        if len(piece := part.strip()) > 3
    )
    return Written(place, pieces) if pieces else None
