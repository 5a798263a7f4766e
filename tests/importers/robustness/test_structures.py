"""Sources take time in proportion to their size, however their records hang together. Of texts, `tests/promises` says it."""

import contextlib
from collections.abc import Callable

import pytest

from runfold import Ledger
from runfold.importers.formats import named, names
from runfold.importers.recording import Recording
from runfold.importers.sources import SourceFile
from tests.promises.growth import TIMES, growth, seconds_of

from .structures import STRUCTURES

CASES = [pytest.param(each, name, id=f"{each} {name}") for each, of in STRUCTURES.items() for name in of]
SMALL = 40


class _ReadOnly(Exception):
    """Leaves a batch without storing it."""


def recorded(ledger: Ledger, format: str) -> Callable[[list[SourceFile]], None]:
    """Read files and give the commands for them, and store nothing."""

    def work(files: list[SourceFile]) -> None:
        for source in named(format).read(files, lambda _: None):
            with contextlib.suppress(_ReadOnly), ledger.batch(new_thread=source.thread_id) as batch:
                source.record(Recording(ledger, batch, source.thread_id, lambda _: None, is_trial=True, is_new=True))
                raise _ReadOnly

    return work


def test_every_format_has_structures() -> None:
    assert set(STRUCTURES) == set(names())


@pytest.mark.fault("K1")
@pytest.mark.parametrize(("format", "name"), CASES)
def test_a_source_takes_in_proportion_to_its_size_however_its_records_hang_together(
    ledger: Ledger, format: str, name: str
) -> None:
    def made(count: int) -> list[SourceFile]:
        return [SourceFile(file, None, len(raw), raw) for file, raw in STRUCTURES[format][name](count).items()]

    work = recorded(ledger, format)
    assert growth(work, made, SMALL).calls < 1.5 * TIMES
    little, much = made(SMALL), made(SMALL * TIMES)  # what is done in C is no more than one call
    assert min(seconds_of(work, much) for _ in range(2)) < 2.5 * TIMES * min(seconds_of(work, little) for _ in range(3))
