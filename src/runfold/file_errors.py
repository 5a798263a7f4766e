"""What helps where the system refuses a file or a folder."""

import errno
import os

_SPACE, _RIGHTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}, {errno.EACCES, errno.EPERM}


def what_helps(error: OSError, otherwise: str = "choose another place") -> str:
    """Return the next step, which ends with another way out."""
    if error.errno in _SPACE:
        return f"free space, or {otherwise}"
    if error.errno in _RIGHTS:
        return f"give this user ({os.geteuid()}) the rights, or {otherwise}"
    return otherwise
