"""A5, G5: a rebuild that is killed on its way and at the switch, while writers append and readers read.

No reader sees a half-built table or goes back in position, and what the last rebuild leaves equals the fold of the log.
"""

import os
import signal
import subprocess
import sys
import threading
import time

from faults.row import row
from faults.servers import OwnServer
from faults.stage import Stage
from faults.workers import finish, start_worker
from runfold import Ledger, LedgerError

NAMES = ("run_summaries", "usage", "tool_calls")
SHARES = (0.1, 0.5, 0.9)
TRIES = 5
"""One that comes through before it is looked at is given again."""
AT_THE_SWITCH = ("shards filled", "indexes made", "ready to catch up", "generation switched")


@row("A5", "rebuilds killed", share=0.05, short=True)
def rebuilds_killed(stage: Stage) -> None:
    """Rebuilds are killed at 10, 50 and 90 % and around the switch while writers append, a worker folds and readers read,
    and given again until one comes through. A reader's rows are always those of its position, which never goes back."""
    stage.own  # noqa: B018  # skips where it may not kill
    stage.use(OwnServer.start())
    stage.fill(4, min(stage.events, 1_000 if stage.short else 60_000))
    stage.next_act()
    start_worker(stage)
    stage.start_writers(3, modes=("single",), pause=0.2 if stage.short else 0.002)
    _wait_until_folded(stage)
    done = threading.Event()
    stage.cleanup(done.set)
    reader = threading.Thread(target=_read, args=(stage, done))
    reader.start()
    kills = 0
    for share in SHARES[1:2] if stage.short else SHARES * 3:
        kills += any(_kill_at(stage, share) for _ in range(TRIES))
    for point in AT_THE_SWITCH[::2] if stage.short else AT_THE_SWITCH:
        kills += _die_at(stage, point)
    last = _rebuild(stage)
    stage.expect(
        last.wait(300) == 0, "the last rebuild did not come through: " + (stage.folder / "rebuild.err").read_text()[-800:]
    )
    time.sleep(1.0)
    done.set()
    reader.join()
    stage.crew.tell_to_stop()
    stage.figures.measured["rebuilds killed"] = kills
    finish(stage)


def _rebuild(stage: Stage, **more: str) -> subprocess.Popen[bytes]:
    own = stage.own
    told = {
        "RUNFOLD_DATABASE_URL": own.url,
        "RUNFOLD_PROJECTOR_URL": own.embedded.url("runfold_projector"),
        "RUNFOLD_LOG_LEVEL": "error",
        **more,
    }
    command = [sys.executable, "-m", "runfold.cli.main", "rebuild", *NAMES]
    said = stage.entered((stage.folder / "rebuild.err").open("ab"))
    process = subprocess.Popen(command, env={**os.environ, **told}, cwd=stage.folder, stdout=subprocess.DEVNULL, stderr=said)
    stage.cleanup(process.kill)
    return process


def _kill_at(stage: Stage, share: float) -> int:
    """Kill it when so much of the log is in; 1 if it was."""
    process = _rebuild(stage)
    with stage.server.admin() as connection:
        while process.poll() is None:
            row = connection.execute("SELECT count(*) FILTER (WHERE done), count(*) FROM runfold.filling_lanes").fetchone()
            done, shards = (int(str(value)) for value in row or (0, 0))
            if shards and done >= share * shards:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.003)
    return int(process.wait(300) == -signal.SIGKILL)


def _die_at(stage: Stage, point: str) -> int:
    process = _rebuild(stage, RUNFOLD_FAILPOINT=point)
    ended = process.wait(300)
    # The switch may fall to the worker that runs beside it, which then makes it instead.
    stage.expect(ended in {-signal.SIGKILL, 0} and (ended != 0 or point == "generation switched"), f"it did not die at {point!r}")
    return int(ended == -signal.SIGKILL)


def _wait_until_folded(stage: Stage) -> None:
    until = time.monotonic() + 120
    with stage.server.admin() as connection:
        while time.monotonic() < until:
            row = connection.execute(
                "SELECT count(*) FROM runfold.read_positions AS p, runfold.head AS h WHERE p.position > 0.9 * h.position"
            ).fetchone()
            if row and int(str(row[0])) >= len(NAMES):
                return
            time.sleep(0.1)
    stage.expect(False, "the worker did not catch up within 120 s")


def _read(stage: Stage, done: threading.Event) -> None:
    """Read on and on. Every run that was created by the position of the answer is in it, and no other."""
    reads, last = 0, 0
    with Ledger.open(stage.server.url, connect_timeout=60.0) as ledger:
        while not done.is_set():
            try:
                with ledger.now.read_models.reading("run_summaries") as snapshot:
                    position = snapshot.standing.position
                    ((rows,),) = snapshot.query("SELECT count(*) FROM {run_summaries}")
                    query = "SELECT count(*) FROM runfold.log WHERE topic = 'run.created' AND notification_id <= %b"
                    ((created,),) = snapshot.query(query, [position])
            except LedgerError as error:
                stage.figures.errors[type(error).__name__] = stage.figures.errors.get(type(error).__name__, 0) + 1
                stage.figures.first_errors.setdefault(type(error).__name__, str(error))
                continue
            reads += 1
            if rows != created:
                stage.figures.add("lost", f"a reader at position {position} saw {rows} runs of {created}")
            if position < last:
                stage.figures.add("inverted", f"a reader at position {last} went back to {position}")
            last = max(last, position)
    stage.expect(not stage.figures.errors, f"readers saw errors: {stage.figures.first_errors}")
    stage.figures.measured["reads"] = reads
