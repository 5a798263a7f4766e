"""D1 and D4: replies that never arrive, and connections that are cut."""

import contextlib
from collections import Counter

import psycopg

from faults.proxy import Losing, address_of, lose, url_through
from faults.row import row
from faults.stage import Stage

_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user"
    " AND pid <> pg_backend_pid() AND application_name = 'runfold' AND query LIKE ANY(%s)"
)


@row("D1", "COMMIT reply lost", share=0.05, short=True)
def reply_lost(stage: Stage) -> None:
    """A proxy cuts the connection instead of passing on the reply to an append, or in the middle of it, or drops the
    request. The writer looks its events up by id: the caller is told of success, never of a conflict with itself."""
    host, port = address_of(stage.server.url)
    proxy = Losing(
        "proxy",
        stage.tag,
        stage.seed,
        str(stage.folder),
        0,
        url=stage.server.url,
        host=host,
        port=port,
        one_in=12 if stage.short else 25,
    )
    stage.crew.start(lose, proxy)
    url, wanted = url_through(stage.server.url, proxy), 10 if stage.short else 150
    stage.start_writers(3, url=url, connect_timeout=15.0)
    stage.start_reader()
    lost: Counter[str] = Counter()
    while not stage.enough(lost.total(), wanted):
        stage.pause(0.1, 0.2)
        lost = Counter(proxy.losses.read_text().split() if proxy.losses.exists() else ())
    stage.finish()
    stage.figures.measured |= {f"{what} lost": number for what, number in sorted(lost.items())}
    stage.expect("VersionConflict" not in stage.figures.errors, "a caller was told of a conflict with itself")


@row("D4", "LISTEN connections killed", share=0.07, short=True)
def listeners_killed(stage: Stage) -> None:
    """Terminate the connections on which readers listen and writers notify, again and again. A hint is lost, never an
    event: readers poll, listen again, and are given everything once, in order."""
    stage.start_writers(3)
    stage.start_reader()
    stage.start_reader()
    cut, wanted = 0, 4 if stage.short else 60
    with psycopg.connect(stage.server.url, autocommit=True) as connection:
        while not stage.enough(cut, wanted):
            stage.pause(0.05, 0.4)
            which = ["LISTEN%"] if stage.rng.random() < 0.7 else ["NOTIFY%", "SELECT % FROM runfold.head%"]
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                cut += len(connection.execute(_CUT, (which,)).fetchall())
    stage.figures.measured["connections cut"] = cut
    stage.finish()
    stage.expect(cut > 0, "no connection was found to cut")
