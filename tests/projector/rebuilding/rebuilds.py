"""Rebuilds in a process of their own, to be killed; what one must leave behind; and projections that change."""

import multiprocessing
import os
from multiprocessing.connection import Connection

import psycopg
from psycopg.rows import tuple_row
from pydantic import field_serializer

from runfold import failpoint
from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ToolCalled
from runfold.errors import LedgerError
from runfold.projections.registry import chosen
from runfold.projector.rebuilding.rebuild import Rebuild
from runfold.projector.tables.generations import schema_of
from runfold.store.datastore import Datastore
from tests.projector.soundness import Books
from tests.projector.toys import Tally, TallyRow, ToolRow, Tools

SPAWNING = multiprocessing.get_context("forkserver")
SPAWNING.set_forkserver_preload(["pytest", "runfold", "runfold.ledger", "runfold.projections.registry"])

BY_THREAD = ("tests.projector.toys:Tally", "tests.projector.toys:OpenCalls")
EVERY_TOY = (*BY_THREAD, "tests.projector.toys:Tools", "tests.projector.toys:Ended")


class PoisonedTally(Tally):
    """The same in another version, which one tool is too much for."""

    version = 2

    def evolve(self, row: TallyRow, recorded: Recorded) -> TallyRow | None:
        if isinstance(recorded.event, ToolCalled) and recorded.event.name == "poison":
            raise ValueError("no such tool")
        return super().evolve(row, recorded)


class ImpossibleTally(Tally):
    """The same in another version, with more calls than a column takes."""

    version = 2

    def evolve(self, row: TallyRow, recorded: Recorded) -> TallyRow | None:
        return row.but(calls=2**63)


class WatchfulRow(TallyRow):
    """It sees, while it is packed to be stored, that no session waits for that inside a transaction."""

    @field_serializer("calls")
    def _watched(self, calls: int) -> int:
        with psycopg.connect(os.environ["RUNFOLD_TEST_WATCHED"], autocommit=True) as admin:
            found = admin.execute(
                "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
            ).fetchall()
        if found:
            raise ValueError(f"the server would end a session that waits for this: {found}")
        return calls


class WatchfulTally(Tally):
    """The same with rows that watch."""

    row = WatchfulRow


class RenamedRow(TallyRow):
    """With another column for the key, and another type for a column."""

    run: str
    """The run."""
    run_id: str = ""
    messages: str = ""  # type: ignore[assignment]
    """Messages added, in words."""


class OtherKeyTally(Tally):
    """The same in another version, under another key."""

    version, row, key = 2, RenamedRow, ("run",)  # type: ignore[assignment]

    def evolve(self, row: RenamedRow, recorded: Recorded) -> RenamedRow:  # type: ignore[override]
        return row.but(seen=(*row.seen, recorded.position))


class OtherTypeRow(TallyRow):
    """With another type for a column."""

    messages: str = ""  # type: ignore[assignment]
    """Messages added, in words."""


class OtherTypeTally(Tally):
    """The same in another version, with another type for a column."""

    version, row = 2, OtherTypeRow  # type: ignore[assignment]

    def evolve(self, row: OtherTypeRow, recorded: Recorded) -> OtherTypeRow:  # type: ignore[override]
        calls = row.calls + isinstance(recorded.event, ToolCalled)
        return row.but(calls=calls, seen=(*row.seen, recorded.position), messages="some")


def dying(url: str, point: str, *sources: str, processes: int = 1) -> tuple[int, str]:
    """Rebuild in a process that dies at a point, or whose children do: its exit code, and what it said."""
    ours, theirs = SPAWNING.Pipe()
    process = SPAWNING.Process(target=_rebuild, args=[url, point, sources, processes, theirs])
    process.start()
    theirs.close()
    process.join(240)
    said = ours.recv() if ours.poll() and not process.exitcode else ""
    ours.close()
    assert process.exitcode is not None, "it ended"
    return process.exitcode, said


def _rebuild(url: str, point: str, sources: tuple[str, ...], processes: int, told: Connection) -> None:
    """In a process of its own. Those that it starts read the point from the environment."""
    os.environ["RUNFOLD_FAILPOINT"] = point
    name, _, times = point.partition(":")
    failpoint._left = {name: int(times or 1)}
    try:
        Rebuild(Datastore(url), chosen(sources), processes).run()
    except LedgerError as error:
        told.send(f"{type(error).__name__}: {error}")
    else:
        told.send("done")


def leftovers(books: Books) -> list[str]:
    """What nobody needs: tables and schemas that no generation has, work that is done, generations that are in the making."""
    models = books.models()
    found = books.connection.execute(
        r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'runfold\_%' AND nspname <> 'runfold_read'"
    ).fetchall()
    schemas = {row["nspname"] for row in found}
    wanted = {schema_of(model) for model in models}
    said = [f"the schema {schema}" for schema in schemas ^ wanted]
    said += [f"{model.name} {model.generation} {model.state}" for model in models if model.state in {"filling", "building"}]
    for table in ("fillings", "filling_lanes"):
        said += [f"{table} {row}" for row in books.connection.execute(f"SELECT * FROM runfold.{table}").fetchall()]
    for name in {model.name for model in models}:
        states = sorted(model.state for model in models if model.name == name)
        if states not in (["live"], ["live", "previous"]):
            said.append(f"{name}: {states}")
    return said


def shards(books: Books) -> dict[int, tuple[bool, int]]:
    """Of the job that is half done: which shards are done, and how often each was tried."""
    cursor = books.connection.cursor(row_factory=tuple_row)
    found = cursor.execute("SELECT lane AS shard, done, attempt FROM runfold.filling_lanes ORDER BY lane").fetchall()
    return {shard: (done, attempt) for shard, done, attempt in found}


class ToolPerDayByThread(Tools):
    """The same, which says wrongly that a row is made from one thread."""

    name, partition = "torn_tools", "thread"


class ToolPerDayByGoal(Tools):
    """The same, which says wrongly that a row is made from one goal."""

    name, partition = "goal_tools", "goal"


class PoisonedTools(Tools):
    """The same in another version, which one tool is too much for."""

    version = 2

    def evolve(self, row: ToolRow, recorded: Recorded) -> ToolRow:
        if row.tool == "poison":
            raise ValueError("no such tool")
        return super().evolve(row, recorded)


class ImpossibleTools(Tools):
    """The same in another version, with more calls than a column takes."""

    version = 2

    def evolve(self, row: ToolRow, recorded: Recorded) -> ToolRow:
        return row.but(calls=2**63)


class CountingTools(Tools):
    """The same in another version, which counts what this process has seen."""

    version = 2
    seen = 0

    def evolve(self, row: ToolRow, recorded: Recorded) -> ToolRow:
        CountingTools.seen += 1
        return row.but(calls=CountingTools.seen)
