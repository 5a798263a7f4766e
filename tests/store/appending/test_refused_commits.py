"""What the server answered, and then could not commit, is not stored, and nobody is told that it is."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from runfold import LedgerUnavailable
from runfold.store.appending.writer import Batch, Writer
from runfold.store.codec import Row
from runfold.store.recorder import Recorder
from tests.databases import TestDatabase

from ..appended import Commands, outcomes

MakeRow = Callable[..., Row]
REFUSING = """
    CREATE FUNCTION public.too_late() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'given up at the commit' USING ERRCODE = 'query_canceled';
    END $$;
    CREATE CONSTRAINT TRIGGER too_late AFTER INSERT ON runfold.log DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.originator_id = 'run_late') EXECUTE FUNCTION public.too_late();
"""


@pytest.fixture(autouse=True)
def _refusing(database: TestDatabase) -> None:
    """As when a statement's time is over, or who administers ends it, between its answer and its commit."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(REFUSING)


def stored(recorder: Recorder) -> list[tuple[str, int]]:
    return recorder.reader.rows("SELECT originator_id, originator_version FROM runfold.log ORDER BY notification_id")


@pytest.mark.fault("C-7")
def test_one_that_is_appended_alone_is_an_error_and_the_connection_goes_on(recorder: Recorder, row: MakeRow) -> None:
    writer: Writer = recorder.writer
    assert writer.append([row("run_a", 1)]).first_position == 1  # type: ignore[union-attr]
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="given up at the commit"):
            writer.append([row("run_late", 1), row("run_b", 1)])
        with pytest.raises(LedgerUnavailable, match="given up at the commit"):
            writer.append_alone(lambda: Batch([row("run_late", 1)]))
    assert writer.append([row("run_b", 1)]).first_position == 2  # type: ignore[union-attr]
    assert stored(recorder) == [("run_a", 1), ("run_b", 1)]


@pytest.mark.fault("C-7")
@pytest.mark.parametrize("late", [1, 2, 3])
def test_one_of_several_on_their_way_fails_with_its_batch_alone(
    recorder: Recorder, row: MakeRow, stalled: Callable, late: int
) -> None:
    """Whether the first, the second or none of what was sent together is refused at its commit: the rest is stored once."""
    connected = Commands(recorder, row)
    recorder.writer.append([row("run_first", 1)])
    names = {number: "run_late" if number == late else f"run_{number}" for number in (1, 2)}

    async def main() -> None:
        with stalled():
            first = connected.put((names[1], 1))
            await asyncio.sleep(0.01)
            second = connected.put((names[2], 1)), connected.put((names[1], 2))
            await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            while len(connected.settled) < 3:
                await asyncio.sleep(0.001)
        wanted = {
            1: ["LedgerUnavailable", "stored", "VersionConflict"],
            2: ["stored", "LedgerUnavailable", "LedgerUnavailable"],
            3: ["stored"] * 3,
        }
        assert outcomes(first, *second) == wanted[late]
        again = connected.put(("run_again", 1))
        async with asyncio.timeout(60):
            while again not in connected.settled:
                await asyncio.sleep(0.001)
        assert outcomes(again) == ["stored"]

    try:
        asyncio.run(main())
    finally:
        connected.appender.close()
    there = {1: ["run_2"], 2: ["run_1"], 3: ["run_1", "run_2", "run_1"]}
    assert [stream for stream, _ in stored(recorder)] == ["run_first", *there[late], "run_again"]
