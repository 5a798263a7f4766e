"""What each format says of its version, and whose the threads are that it makes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.domain.thread import ThreadImported
from runfold.importers.formats import named, names
from runfold.importers.importing import import_paths
from runfold.importers.sources import find
from tests.importers.conftest import everything
from tests.importers.robustness.samples import SAMPLES


@pytest.mark.parametrize("format", names())
def test_another_tenant_that_imports_the_same_has_its_own_threads(
    format: str, tenants: Callable[[str], Ledger], tmp_path: Path
) -> None:
    SAMPLES[format](tmp_path)
    one, other = tenants(f"{format}-one"), tenants(f"{format}-other")
    first = import_paths(one, format, [tmp_path])
    before = everything(one)
    second = import_paths(other, format, [tmp_path])
    assert first.events == second.events > 0
    assert second.skipped == 0, "nothing of another tenant's is found"
    found = everything(other)
    assert found == everything(one) == before
    events = [recorded.event for recorded in other.events(types=("thread.imported",))]
    said = {(event.importer_version, event.times_judged_by) for event in events if isinstance(event, ThreadImported)}
    assert said == {(named(format).version, "producer")}


@pytest.mark.parametrize("format", [name for name in names() if named(name).version > 1])
def test_a_later_version_gives_other_ids_and_knows_the_former_ones(format: str, tmp_path: Path) -> None:
    SAMPLES[format](tmp_path)
    importer = named(format)
    files = find([tmp_path], importer.wants, 2**30)
    threads = list(importer.read(files, lambda _: None))
    assert threads
    for thread in threads:
        assert thread.replaces, "a thread that an earlier version made could not be found"
        assert thread.thread_id not in thread.replaces
