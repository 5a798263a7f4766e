"""The real AG-UI files, imported one by one as they were written: the ledger is the same as at once, for each tenant."""

from collections.abc import Callable
from pathlib import Path

from runfold import Ledger
from runfold.importers.importing import import_paths
from tests.importers.robustness.state import state


def test_one_file_after_another_is_as_if_imported_at_once(trajectories: Path, tenants: Callable[[str], Ledger]) -> None:
    folder = trajectories / "ag-ui-streams"
    at_once, one_by_one = tenants("ag-ui-at-once"), tenants("ag-ui-one-by-one")
    import_paths(at_once, "ag-ui", [folder])
    for path in sorted(folder.rglob("*.gz")):
        assert import_paths(one_by_one, "ag-ui", [path]).problems == []
    assert state(one_by_one) == state(at_once)
    for ledger in (at_once, one_by_one):
        import_paths(ledger, "ag-ui", [folder])
        assert import_paths(ledger, "ag-ui", [folder]).events == 0
    assert state(one_by_one) == state(at_once)
