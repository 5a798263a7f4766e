"""A file is there whole or as it was before, and nothing else is left beside it."""

import errno
import stat
from pathlib import Path

import pytest

from runfold.durable_files import write_whole
from tests.rooms import full_disk


@pytest.mark.parametrize("over", [True, False])
def test_a_file_is_private_and_replaced_only_where_that_is_wanted(tmp_path: Path, over: bool) -> None:
    file = tmp_path / "kept"
    assert write_whole(file, b"first", over=over)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert write_whole(file, b"second", over=over, mode=0o644) is over
    assert file.read_bytes() == (b"second" if over else b"first")
    assert stat.S_IMODE(file.stat().st_mode) == (0o644 if over else 0o600)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("over", [True, False])
def test_what_cannot_be_written_leaves_all_as_it_was_and_the_error_names_the_file(tmp_path: Path, over: bool) -> None:
    file = tmp_path / "kept"
    write_whole(file, b"first")
    with full_disk(), pytest.raises(OSError, match="File too large") as told:
        write_whole(file, b"second", over=over)
    assert (told.value.errno, told.value.filename) == (errno.EFBIG, str(file))
    assert file.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [file]
    file.unlink()
    file.mkdir()
    (file / "inside").touch()
    if over:
        with pytest.raises(IsADirectoryError) as told:
            write_whole(file, b"second")
        assert told.value.filename == str(file)
    assert list(tmp_path.iterdir()) == [file]


def test_a_name_as_long_as_they_may_be_is_written(tmp_path: Path) -> None:
    file = tmp_path / ("n" * 255)
    write_whole(file, b"first")
    assert file.read_bytes() == b"first"
