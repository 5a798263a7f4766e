"""Parts of many streams are read as each would be by itself."""

import random
from collections.abc import Iterator

import pytest

from runfold import Ledger, Run
from runfold.domain.recorded import Recorded
from runfold.store.reading.filter import PAGE_BYTES
from runfold.store.reading.reader import LATEST
from runfold.store.reading.stream_parts import FEW, StreamPart
from runfold.store.reading.tenant_reader import TenantReader
from tests.sent import sent

LENGTHS = (1, 2, 7, FEW - 3, FEW - 2, FEW - 1, 3 * FEW)
"""Of messages; two events begin each run."""


def _runs(ledger: Ledger) -> list[Run]:
    thread = ledger.create_thread(agent_id="a")
    runs = []
    for number, length in enumerate(LENGTHS * 2):
        with ledger.batch() as batch:
            run = batch.run(thread.start_run(run_id=f"run_{number}", parent=None).id)
            for said in range(length):
                run.add_message("user", f"{said}") if said % 3 else run.set_state({"said": said})
        runs.append(run)
    return runs


def _each(reader: TenantReader, parts: list[StreamPart], types: tuple[str, ...]) -> Iterator[Recorded]:
    for stream, after_version, up_to_version, up_to in parts:
        yield from reader.stream(stream, after_version=after_version, up_to_version=up_to_version, up_to=up_to, types=types)


def test_any_parts_of_any_streams_come_in_order_and_whole(ledger: Ledger) -> None:
    ids, last = [run.id for run in _runs(ledger)], ledger.position()
    reader, chance = TenantReader.of(ledger.recorder.reader, ledger.caller.tenant_id), random.Random(7)  # noqa: S311  the same each time
    for _ in range(60):
        parts = [
            StreamPart(
                chance.choice([*ids, "run_nobody_has"]),
                chance.choice((0, 0, 1, FEW, 5)),
                chance.choice((LATEST, LATEST, 2, FEW, FEW + 1)),
                chance.choice((LATEST, last, last // 2)),
            )
            for _ in range(chance.randrange(60))
        ]
        types = chance.choice(((), ("message.*",), ("state.*", "run.created")))
        assert list(reader.streams(parts, types)) == list(_each(reader, parts, types))


def test_what_is_together_more_than_memory_should_hold_comes_in_pages(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    thread, size = ledger.create_thread(agent_id="a"), 690_000
    for number in range(PAGE_BYTES // size + 6):
        run = thread.start_run(run_id=f"run_{number}", parent=None)
        for _ in range(2 - number % 2):
            run.add_message("user", "x" * size)
    reader = TenantReader.of(ledger.recorder.reader, ledger.caller.tenant_id)
    parts = [StreamPart(f"run_{number}", 0, LATEST, LATEST) for number in range(PAGE_BYTES // size + 6)]
    with sent(monkeypatch) as queries:
        found = list(reader.streams(parts))
    assert found == list(_each(reader, parts, ()))
    assert len(queries) < len(parts) / 2
