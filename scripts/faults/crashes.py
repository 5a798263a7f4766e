"""A1 to A3: processes that are killed while they write, wait and read."""

import contextlib
import os
import signal
import time

from faults.row import row
from faults.stage import Stage


@row("A1", "clients killed", share=0.17, short=True)
def clients_killed(stage: Stage) -> None:
    """SIGKILL writers and a reader at random moments, and start them again. A writer repeats what was in flight under
    the same ids: what was acknowledged is stored, nothing twice, and the reader resumes without a gap."""
    stage.start_writers(4 if stage.short else 6)
    stage.start_reader()
    stage.start_reader()
    wanted = 4 if stage.short else 40
    while not stage.enough(stage.crew.kills, wanted):
        stage.pause(0.1, 0.6)
        names = stage.crew.alive(readers=stage.rng.random() < 0.2)
        if names and not (stage.short and stage.crew.kills >= wanted):  # they may be slow to start, and must come to something
            stage.crew.kill_and_restart(stage.rng.choice(names))
    stage.finish()


@row("A2", "backends killed", share=0.12, short=True)
def backends_killed(stage: Stage) -> None:
    """SIGKILL one process of the server, mostly a backend that appends, so that PostgreSQL throws everybody out and
    recovers. Writers and readers go on by themselves; an append whose reply was lost is found by its ids."""
    own = stage.own
    stage.start_writers(4)
    stage.start_reader()
    kills, longest = 0, 0.0
    while not stage.enough(kills, 2 if stage.short else 15):
        stage.pause(0.2, 1.0)
        before = stage.server.head()
        victims = own.backends() if stage.rng.random() < 0.8 else own.processes()[1:]
        if not victims:
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim := stage.rng.choice(sorted(victims)), signal.SIGKILL)
            kills += 1
            while True:  # until the server has seen it, and is down: what is recorded before that is not resumed
                os.kill(victim, 0)
                time.sleep(0.005)
        longest = max(longest, _resumed(stage, before))
    stage.figures.measured |= {"kills": kills, "longest pause s": round(longest, 2)}
    stage.finish()


def _resumed(stage: Stage, before: int) -> float:
    """The seconds until appends went on; C7."""
    began = time.monotonic()
    while stage.crew.alive():
        waited = stage.server.wait_for_progress(before, 0.5)
        if waited is not None:
            return time.monotonic() - began
        if time.monotonic() - began > 60:
            stage.expect(False, "appends had not resumed after 60 s")
            return 60.0
    return 0.0


@row("A3", "server killed", share=0.17, short=True)
def server_killed(stage: Stage) -> None:
    """SIGKILL the postmaster and all its children at once. First under clients of the embedded server, who start it
    again by themselves; then under clients of a URL, beside a supervisor that starts it after a moment."""
    own, events = stage.own, stage.events // 2
    for supervised in (False, True):
        where = {"url": stage.server.url} if supervised else {"home": str(own.home)}
        stage.start_writers(3, **where)
        stage.start_reader(**where)
        kills, longest = 0, 0.0
        while not stage.enough(kills, 1 if stage.short else 6, events):
            stage.pause(0.3, 1.5)
            before = stage.server.head()
            own.kill()
            kills += 1
            if supervised:
                stage.pause(0.0, 1.0)
                own.embedded.ensure_running()
            longest = max(longest, _resumed(stage, before))
        own.embedded.ensure_running()
        who = "supervised" if supervised else "embedded"
        stage.figures.measured |= {f"kills {who}": kills, f"longest pause s {who}": round(longest, 2)}
        stage.finish()
        if not supervised:
            stage.next_act()
