"""Files and folders may be called anything: what they hold goes in, once."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.importers.formats import names
from runfold.importers.importing import NO_FILES, import_paths
from tests.importers.robustness.samples import files_of

ODD = {"no UTF-8": b"a\xff", "a line": b"x\ny", "a control character": b"e\x1b[31m", "a long one": b"u" * 150, "a form": b"%s{0}"}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("format", names())
def test_a_file_of_any_name_in_a_folder_of_any_name_goes_in(
    format: str, name: str, tenants: Callable[[str], Ledger], tmp_path: Path
) -> None:
    folder = os.fsencode(tmp_path) + b"/" + ODD[name]
    os.mkdir(folder)  # noqa: PTH102  whose name is bytes
    for file in files_of(format, Path(os.fsdecode(folder))):
        place, _, own = os.fsencode(file).rpartition(b"/")
        os.rename(os.fsencode(file), place + b"/" + ODD[name] + own)  # noqa: PTH104
    ledger = tenants(f"{format} {name}")
    tally = import_paths(ledger, format, [Path(os.fsdecode(folder))])
    assert (tally.problems, tally.threads > 0) == ([], True)
    assert import_paths(ledger, format, [Path(os.fsdecode(folder))]).events == 0


@pytest.mark.parametrize("format", names())
def test_a_folder_without_a_file_of_the_format_is_noted(format: str, tenants: Callable[[str], Ledger], tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Nothing.")
    tally = import_paths(tenants(f"{format} nothing"), format, [tmp_path])
    assert [(note.file, note.kind) for note in tally.notes] == [(str(tmp_path), NO_FILES)]
