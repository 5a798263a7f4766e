"""How many sessions a server has besides the one that asks: what the watchdog runs before it stops a server.

A process of its own, for the watchdog itself gets by without a database driver.
"""

import sys

from runfold.sessions import connect_pinned

_KINDS = ["client backend", "walsender"]
_COUNT = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = ANY(%b) AND pid <> pg_backend_pid()"


def count(url: str) -> int:
    """Return how many there are, whoever has them: a notebook, `psql`, a replica. Raises psycopg.OperationalError."""
    with connect_pinned(url, connect_timeout=10, application_name="runfold watchdog") as connection:
        (number,) = connection.execute(_COUNT, [_KINDS]).fetchone() or (0,)
    return int(number)


if __name__ == "__main__":
    sys.stdout.write(str(count(sys.argv[1])))
