"""Where a file or a folder is that a person names, and what helps where the system refuses it."""

import errno
import os
from pathlib import Path

_SPACE, _DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}, {errno.EIO, errno.EROFS, errno.ESTALE}
_RIGHTS = {errno.EACCES, errno.EPERM}


def at_home(path: Path) -> Path:
    """Return a path with the folder that a `~` in it stands for. Raises FileNotFoundError where nobody knows that folder."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "no home folder of that user is known", str(path)) from None


def as_text(path: str | Path) -> str:
    """Return a path as text, in which what is no UTF-8 stands as an escape."""
    return os.fsencode(path).decode(errors="backslashreplace")


def why(error: Exception) -> str:
    """Return what went wrong, of what the system refuses in its words alone, without the file's name, which stands beside it."""
    return getattr(error, "strerror", None) or str(error)


def is_of_a_disk(error: OSError) -> bool:
    """Return whether it is full, or fails, whichever file it was about."""
    return error.errno in _SPACE | _DISK


def what_helps(error: OSError, otherwise: str = "choose another place") -> str:
    """Return the next step, which ends with another way out."""
    if error.errno in _SPACE:
        return f"free space, or {otherwise}"
    if error.errno in _RIGHTS:
        return f"give this user ({os.geteuid()}) the rights, or {otherwise}"
    return otherwise
