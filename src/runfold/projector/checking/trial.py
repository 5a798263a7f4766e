"""Whether a fold comes to the same rows in other processes: with another seed of hashes, another environment, and without
what this one has kept between events.

A sample of the log is folded in fresh processes, which is done once when a version of a projection is first used, and by
`runfold check`. What only a clock or chance shows is found while it folds (see purity.py). The projections that come with
Runfold are tried by its tests alone.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from psycopg.rows import tuple_row

from runfold.child import run_module
from runfold.domain.recorded import Recorded
from runfold.errors import Damage, ImpureProjection, LedgerError
from runfold.logs import debug
from runfold.projections.columns import columns_of
from runfold.projections.fold import FoldFailed, fold, reason_of, touched, words_of
from runfold.projections.projection import AnyProjection, Key, Row
from runfold.projections.registry import load, source_of
from runfold.projector.checking.purity import watched
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import Datastore

MOST_EVENTS, LOOKED_THROUGH = 60, 50_000
"""How many events a projection is tried with, and among how many positions from the start of the log they are looked for."""
MOST_SECONDS = 20.0
_KEPT = ("PATH", "HOME", "PYTHON", "LD_", "DYLD_", "LC_", "LANG", "VIRTUAL_ENV", "RUNFOLD_", "PG", "TMP", "TEMP", "SYSTEMROOT")
_CAUSES = {
    "hashes": (
        "in a process with another seed of hashes",
        "the order of a set, hash() or id() is usually behind it: sort what comes from a set",
    ),
    "environment": (
        "in a process with another environment and time zone",
        "os.environ, or a local time (fromtimestamp or astimezone without a zone) is usually behind it",
    ),
    "memory": (
        "in a process that begins with that event",
        "something that the class, the instance or the module keeps between events is usually behind it: keep it in the row",
    ),
}
_QUERY = (
    f"SELECT {COLUMNS} FROM runfold.log WHERE (topic = ANY(%b)) IS TRUE AND notification_id <= %b"
    " ORDER BY notification_id LIMIT %b"
)

_FAILED = ["", "the row"]
"""Stands for the key of a row where a fold fails in one process, and does not in another."""


def is_own(projection: AnyProjection) -> bool:
    """Return whether it does not come with Runfold."""
    return not type(projection).__module__.startswith("runfold.")


def require_same(datastore: Datastore, projections: Iterable[AnyProjection], up_to: int) -> None:
    """Raise ImpureProjection for the first of some projections that comes to other rows in other processes."""
    for fault in findings(datastore, projections, up_to):
        raise fault


def findings(datastore: Datastore, projections: Iterable[AnyProjection], up_to: int) -> Iterator[ImpureProjection]:
    """Try projections with the first events of the log, up to a position, and yield those that are not pure.

    One that cannot be imported elsewhere, or whose fold fails, is passed over: that is found by other means.
    """
    sources = {source_of(projection): projection for projection in projections if "<" not in source_of(projection)}
    if not sources or not up_to:
        return
    same, other = dict(os.environ), {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    told = {"url": datastore.url, "timeout": datastore.connect_timeout, "sources": list(sources), "up_to": up_to}
    answers = _answers(
        told,
        {
            "first": {**same, "PYTHONHASHSEED": "1"},
            "hashes": {**same, "PYTHONHASHSEED": "2"},
            "again": {**same, "PYTHONHASHSEED": "3"},
            "environment": {**other, "PYTHONHASHSEED": "1", "TZ": "XXX-14"},
        },
    )
    for source, projection in sources.items():
        fault = _fault({name: answer[source] for name, answer in answers.items() if source in answer})
        if fault is not None:
            yield ImpureProjection(projection.name, fault)


def _answers(told: dict[str, Any], environments: Mapping[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    running = {}
    for name, environment in environments.items():
        running[name] = run_module(
            "runfold.projector.checking.trial", environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    found: dict[str, dict[str, Any]] = {}
    until = time.monotonic() + MOST_SECONDS
    for name, process in running.items():
        with process:
            try:
                left = max(0.1, until - time.monotonic())
                said, _ = process.communicate(json.dumps({**told, "forks": name == "first"}), left)
                found[name] = json.loads(said.splitlines()[-1])
            except (subprocess.TimeoutExpired, ValueError, IndexError, BrokenPipeError) as error:
                debug("a fold could not be tried", process=name, error=repr(error))
            finally:
                process.kill()
    return found


def _fault(answers: dict[str, Any]) -> str | None:
    """Return what two processes do not agree on, and what usually causes it."""
    first = answers.get("first")
    if first is None or first["failed"]:
        return None
    if first["asked"]:
        return f"it {first['asked'][0]}"
    if first["memory"]:
        return _said("memory", *first["memory"])
    for name, cause in (("hashes", "hashes"), ("again", "hashes"), ("environment", "environment")):
        other = answers.get(name)
        if other is None:
            continue
        if other["failed"]:
            return f"its fold fails {_CAUSES[cause][0]}: {other['failed']}; {_CAUSES[cause][1]}"
        for one, another in zip(first["steps"], other["steps"], strict=False):
            if difference := _difference(one, another):
                return _said(cause, *difference)
    return None


def _said(cause: str, position: int, kind: str, key: list[Any], column: str, one: Any, other: Any) -> str:
    where, usually = _CAUSES[cause]
    return f"the {kind} at position {position} gives its row {tuple(key)} {column} = {one!r}, and {other!r} {where}; {usually}"


def _difference(one: list[Any], other: list[Any]) -> list[Any] | None:
    """The first column that two folds of one event do not agree on; each is the position, the type, and the rows."""
    position, kind, rows = one
    before = {json.dumps(key): row for key, row in rows}
    after = {json.dumps(key): row for key, row in other[2]}
    for key in [*(key for key in after if key not in before), *before]:
        row, another = before.get(key) or {}, after.get(key) or {}
        for column in [*row, *(name for name in another if name not in row)]:
            if row.get(column) != another.get(column):
                return [position, kind, json.loads(key)[1:], column, row.get(column), another.get(column)]
    return None


# In a process of its own


class _Trial:
    """One projection, folded event by event."""

    def __init__(self, projection: AnyProjection, events: list[Recorded]) -> None:
        self._projection, self._events = projection, events
        self._before: dict[Key, Row | None] = {}

    def run(self, *, forks: bool) -> dict[str, Any]:
        """Fold all in this process; and before, each event in one that has seen no other, if that is asked for."""
        answer: dict[str, Any] = {"steps": [], "asked": [], "memory": None, "failed": None}
        alone = list(self._all_alone()) if forks else []
        self._before = {}
        try:
            answer["steps"] = watched(lambda: [self._step(recorded) for recorded in self._events], answer["asked"])
        except (FoldFailed, LedgerError, ValueError, TypeError) as error:
            answer["failed"] = words_of(error)
        pairs = zip(answer["steps"], alone, strict=False)
        answer["memory"] = next((found for step, other in pairs if (found := _difference(step, other))), None)
        return answer

    def _step(self, recorded: Recorded) -> list[Any]:
        """Fold an event: its position, its type, and the rows that it changes, by their keys."""
        changed = fold(self._projection, touched(self._projection, [recorded]), self._before.get)
        self._before.update({key: standing.row for key, standing in changed.items()})
        rows = [[list(key), json.loads(each.row.model_dump_json()) if each.row else None] for key, each in changed.items()]
        return [recorded.position, recorded.type, json.loads(json.dumps(rows, default=str))]

    def _all_alone(self) -> Iterator[list[Any]]:
        """Fold each event in a copy of this process, which has folded nothing, with rows as they are read. Ends at a failure."""
        for recorded in self._events:
            step = self._alone(recorded)
            yield step
            if step[2] and step[2][0][0] == _FAILED:
                return
            try:
                for key, row in step[2]:
                    self._before[self._typed(key)] = row and self._projection.row.model_validate_json(json.dumps(row))
            except ValueError:
                return

    def _typed(self, key: list[Any]) -> Key:
        """A key as the projection gives it, from JSON, which has no days."""
        kinds = {column.name: column.type for column in columns_of(self._projection.row)}
        own = zip(self._projection.key, key[1:], strict=True)
        return (key[0], *(date.fromisoformat(each) if kinds[name] == "date" else each for name, each in own))

    def _alone(self, recorded: Recorded) -> list[Any]:
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException), os.fdopen(theirs, "w") as out:
                out.write(json.dumps(self._told(recorded)))
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as said:
            told = json.loads(said.read() or "null")
        os.waitpid(child, 0)
        return told or [recorded.position, recorded.type, []]

    def _told(self, recorded: Recorded) -> list[Any]:
        try:
            return self._step(recorded)
        except FoldFailed as failed:
            return [recorded.position, recorded.type, [[_FAILED, {"fails with": reason_of(failed.cause)}]]]


def main() -> None:
    """The body of the process: a line of JSON with what each projection comes to."""
    told = json.load(sys.stdin)
    found = {}
    for source in told["sources"]:
        with contextlib.suppress(LedgerError):
            projection = load(source)
            events = _sample(Datastore(told["url"], told["timeout"]), projection, told["up_to"])
            found[source] = _Trial(projection, events).run(forks=told["forks"])
    print(json.dumps(found))  # noqa: T201


def _sample(datastore: Datastore, projection: AnyProjection, up_to: int) -> list[Recorded]:
    types = sorted(event.type for event in projection.events)
    with contextlib.closing(datastore.connect()) as connection, contextlib.suppress(Damage):
        connection.execute("SET ROLE runfold_projector")
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        return [decode(row) for row in cursor.execute(_QUERY, [types, min(up_to, LOOKED_THROUGH), MOST_EVENTS]).fetchall()]
    return []


if __name__ == "__main__":
    main()
