"""Named points at which a process can be made to die, to show that it may die anywhere.

RUNFOLD_FAILPOINT=name:3 in the environment kills the process, as `kill -9` would, the third time it reaches that point.
Nothing else reads or sets it, and without it reaching a point costs a look into an empty dict.
"""

import os
import signal

POINTS = (
    "claimed",
    "page read",
    "page folded",
    "checkpoint moved",
    "rows written",
    "receipt written",
    "page stored",
    "generation indexed",
    "generation switched",
)
"""Every point of a worker, in the order in which it comes to them."""
REBUILD_POINTS = (
    "job planned",
    "shard taken",
    "shard filled",
    "shard stored",
    "shards filled",
    "indexes made",
    "ready to catch up",
    "compared",
)
"""Those of a rebuild."""
EXPORT_POINTS = (
    "table taken",
    "part written",
    "part in place",
    "part listed",
    "table set aside",
    "table in place",
)
"""Those of an export."""
DELIVERY_POINTS = ("delivery claimed", "delivery sent", "delivery recorded")
"""Those of sending to a webhook."""
IMPORT_POINTS = ("files read", "thread in")
"""Those of a process of an import."""
SEALING_POINTS = ("leaves written", "signed", "sealed", "published")
"""Those of sealing the log."""
MIGRATION_POINTS = ("migration step in its transaction", "migration step done")
"""Those of a migration, at each of its steps."""

_name, _, _times = os.environ.get("RUNFOLD_FAILPOINT", "").partition(":")
_left = {_name: int(_times or 1)} if _name else {}


def reach(point: str) -> None:
    """The process is at a point."""
    if point in _left:
        _left[point] -= 1
        if not _left[point]:
            os.kill(os.getpid(), signal.SIGKILL)
