"""Files that are written whole or not at all, and stay once they are."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path


def write_whole(file: Path, content: bytes, *, over: bool = True, mode: int = 0o600) -> bool:
    """Write a file, and force it and its name to disk; unless `over`, one that is there by then stays. Return whether it is ours.

    Raises OSError, which names the file, and leaves nothing half written.
    """
    is_ours = True
    try:
        descriptor, passing = tempfile.mkstemp(prefix=f".{file.name[:100]}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "wb") as made:
                os.fchmod(descriptor, mode)
                made.write(content)
                made.flush()
                os.fsync(descriptor)
            if over:
                os.replace(passing, file)  # noqa: PTH105  beside os.link
            else:
                try:
                    os.link(passing, file)
                except FileExistsError:
                    is_ours = False
            force(file.parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(passing)  # noqa: PTH108
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error
    return is_ours


def force(path: Path) -> None:
    """Force a file, or the names in a folder, to disk. Raises OSError."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:  # some file systems force the names in a folder by themselves, and take no request for it
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(number)
