"""C-1, C-2, C-4, C-5, K4: many writers, slow and rolled-back transactions, and a reader that must see everything."""

import json
import os
import signal
import subprocess
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg

from faults.clients import Work, acks_of, note, open_ledger
from faults.crew import barrier, times
from faults.journal import Journal
from faults.raw import Held
from faults.row import row
from faults.stage import Stage
from runfold import LedgerUnavailable, VersionConflict


@row("C-1", "50 writers, one stream", share=0.0, short=True)
def one_stream(stage: Stage) -> None:
    """Fifty processes give a command on one run at the same moment, all expecting the same version. Exactly one wins
    each round; the others get a conflict that names the version the run is at."""
    writers, rounds = _possible(stage, 12 if stage.short else 50), 5 if stage.short else 30
    with open_ledger(stage.work("first", 0)) as ledger:
        thread = ledger.create_thread(thread_id=f"thread_{stage.tag}")
        thread.create_run(run_id=f"run_{stage.tag}", agent_id="faults", parent=None)
    start = barrier(writers)
    for index in range(writers):
        stage.crew.start(compete, stage.work(f"w{index}", rounds, connect_timeout=60.0), start)
    stage.finish()
    errors = stage.figures.errors
    stage.expect(stage.figures.acknowledged == rounds, f"{stage.figures.acknowledged} won {rounds} rounds")
    stage.expect(errors == {"VersionConflict": rounds * (writers - 1)}, f"the others got {errors}")
    stage.figures.measured |= {"writers": writers, "rounds": rounds}


def _possible(stage: Stage, wanted: int) -> int:
    """How many clients of three connections each the server takes."""
    with psycopg.connect(stage.server.url, autocommit=True) as connection:
        (free,) = connection.execute(
            "SELECT current_setting('max_connections')::int - count(*) - 10 FROM pg_stat_activity"
        ).fetchone() or (0,)
    return max(2, min(wanted, int(free) // 3))


def compete(work: Work, start: Barrier) -> None:
    """The body of a competitor: every round, one command that only one of all can win."""
    journal = Journal(work.journal)
    with open_ledger(work) as ledger:
        run = ledger.run(f"run_{work.tag}")
        for number in range(1, work.commands + 1):
            start.wait(120)
            command = f"{work.tag}.{work.name}.{number}"
            try:
                won = run.add_message("user", work.name, expected_version=number, correlation_id=command)
            except VersionConflict as error:
                note(work, error if error.actual > number else AssertionError(f"{error} names no later version"))
            else:
                journal.write(acks_of(command, won.receipt))
    journal.close()


@row("C-2", "8 writers, conflicts, tail readers", share=0.25, short=True)
def tail(stage: Stage) -> None:
    """Eight writers, two more that fight over the same runs, transactions that roll back, stall and idle, and one that
    keeps an old snapshot. Two readers at the tail, one of them slow, are given every event once, in order."""
    stage.start_writers(4 if stage.short else 8)
    stage.start_reader()
    stage.start_reader(slow=0.00002)
    rivals, holders = ["rival1", "rival2"], ["hold0"] if stage.short else ["hold0", "hold1", "hold2"]
    for name in rivals:
        stage.crew.start(quarrel, stage.work(name, max(40, stage.events // 400)))
    for name in holders:
        stage.crew.start(disturb, stage.work(name, 40 if stage.short else max(40, stage.events // 600)))
    if not stage.short:
        stage.crew.start(keep_snapshot, stage.work("snapshot", 5))
    while not stage.enough(stage.ended(*rivals, *holders), len(rivals + holders)):
        stage.pause(0.1, 0.2)
    stage.finish()
    stage.expect("VersionConflict" in stage.figures.errors, "there was no conflict at all")
    stage.figures.measured["events/s"] = round(stage.figures.stored / stage.figures.seconds)


def quarrel(work: Work) -> None:
    """The body of a rival: it and another write the same few runs, and say which version they expect."""
    journal = Journal(work.journal)
    with open_ledger(work) as ledger:
        thread = ledger.create_thread(thread_id=f"thread_{work.tag}_shared")
        runs = [thread.create_run(run_id=f"run_{work.tag}_shared{n}", agent_id="faults", parent=None) for n in range(3)]
        at = {run.id: 1 for run in runs}
        for number in range(work.commands):
            run, command = runs[number % len(runs)], f"{work.tag}.{work.name}.{number}"
            while True:
                try:
                    said = run.add_message(
                        "user",
                        f"{number}",
                        message_id=f"msg_{work.name}_{number}",
                        correlation_id=command,
                        expected_version=at[run.id],
                    )
                except VersionConflict as error:
                    note(work, error)
                    at[run.id] = error.actual
                except LedgerUnavailable as error:
                    note(work, error)
                else:
                    break
            assert said.receipt is not None, "a new message has a receipt"
            at[run.id] = said.receipt.version
            journal.write(acks_of(command, said.receipt))
    journal.close()


def disturb(work: Work) -> None:
    """The body of a disturber: it appends in transactions that it keeps open, and mostly rolls back."""
    journal = Journal(work.journal)
    with Held(work) as held:
        for number in range(work.commands):
            kind = held.rng.random()
            try:
                acks = held.append(f"thread_{work.tag}_{work.name}_{number}", f"{work.tag}.{work.name}.{number}")
                time.sleep(held.rng.choice((0.0, 0.0, 0.005, 0.02, 0.08)) if kind < 0.98 else 0.4)
                if kind < 0.7:
                    held.roll_back()
                else:
                    held.commit()
                    journal.write(acks)
            except (LedgerUnavailable, psycopg.Error) as error:
                note(work, error)
                held.reset()
            time.sleep(held.rng.random() * 0.02)
    journal.close()


def keep_snapshot(work: Work) -> None:
    """The body of a reader that keeps one old snapshot for seconds, as a careless report does."""
    assert work.url is not None, "it connects by itself"
    for _ in range(work.commands):
        with psycopg.connect(work.url, options="-c runfold.tenant=*") as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT max(notification_id) FROM runfold.log")
            time.sleep(3)


@row("C-5", "rolled-back transactions", share=0.04)
def rolled_back(stage: Stage) -> None:
    """Transactions take positions and roll back, hundreds of times, beside writers. They give the positions back: the
    log has no hole, and a reader is given every event."""
    stage.start_writers(3)
    stage.start_reader()
    holders = [f"hold{index}" for index in range(4)]
    for name in holders:
        stage.crew.start(disturb, stage.work(name, 30 if stage.short else 150))
    while not stage.enough(stage.ended(*holders), len(holders)):
        stage.pause(0.1, 0.2)
    stage.finish()


@row("C-4", "a session holds the lock and stalls", share=0.005)
def stalled_holder(stage: Stage) -> None:
    """A session takes the head row in a transaction and idles. Others fail with an error that may be retried: the first
    within lock_timeout (5 s), nobody after more than twice that. The server ends the session after 10 s, and all go on."""
    stage.start_writers(3, modes=("single",), pause=0.02)
    stage.start_reader()
    stage.pause(0.5, 1.0)
    stage.crew.start(hold, stage.work("holder", 1))
    while not stage.enough(stage.ended("holder"), 1):
        stage.pause(0.1, 0.2)
    stage.finish()
    held = float((stage.folder / "held").read_text())
    taken = [(seconds, mode) for work in stage.crew.works() for _, seconds, mode, _ in times(work)]
    slowest, waits = max(seconds for seconds, _ in taken), [seconds for seconds, mode in taken if mode == "failed"]
    stage.figures.measured |= {"held s": round(held, 1), "refused after s": [round(wait, 1) for wait in sorted(waits)]}
    stage.figures.measured["slowest command with retries s"] = round(slowest, 1)
    stage.expect(min(waits, default=99) < 6, "nobody was refused within lock_timeout")
    # A waiter waits for its place in the line and then for the lock, and lock_timeout counts for each.
    stage.expect(max(waits, default=0) < 11, "an error came later than twice lock_timeout")
    stage.expect(8 < held < 15, f"the stalled session was ended after {held:.1f} s and not after 10")


@row("K4", "a process freezes while it holds up all others", share=0.005, short=True)
def frozen_holder(stage: Stage) -> None:
    """A process makes all others' appends wait, as for a command that lost race after race, and is stopped meanwhile, again
    and again. The server ends its session after 3 s: the others go on, and none of them is refused. Thawed, the process is
    told that it may try again, and that nothing of its was stored."""
    times_frozen = 1 if stage.short else 5
    stage.start_writers(3, modes=("single",), pause=0.02)
    stage.start_reader()
    stage.pause(0.5, 1.0)
    stage.crew.start(freeze, stage.work("frozen", times_frozen))
    noted = stage.folder / "frozen"
    while not stage.enough(len(noted.read_text().splitlines()) if noted.exists() else 0, times_frozen):
        stage.pause(0.2, 0.4)
    stage.finish()
    held = [json.loads(line) for line in noted.read_text().splitlines()]
    stage.figures.measured["frozen"] = len(held)
    stage.expect(len(held) == times_frozen, f"it was frozen {len(held)} times, not {times_frozen}")
    for began, thawed, said in held:
        stage.expect(said == "retry", f"thawed, the holder was told {said}")
        waited = [
            (at, seconds, mode)
            for work in stage.crew.works()
            for at, seconds, mode, _ in times(work)
            if began <= at + seconds and at < thawed
        ]
        went_on = [at + seconds - began for at, seconds, mode in waited if mode != "failed" and at + seconds < thawed]
        stage.figures.measured["went on after s"] = round(min(went_on, default=99), 1)
        stage.expect(min(went_on, default=99) < 5, "the others did not go on while the holder was frozen")
        stage.expect("failed" not in {mode for *_, mode in waited}, "somebody was refused")


def freeze(work: Work) -> None:
    """The body of a process that is stopped while it holds, for longer than the server lets it."""
    with open_ledger(work) as ledger, (Path(work.folder) / "frozen").open("w") as told:
        for _ in range(work.commands):
            began = time.time()
            try:
                ledger.recorder.writer.append_alone(_stop)
                said = "nothing"
            except LedgerUnavailable as error:
                said = "retry" if error.retriable else str(error)
            told.write(f"{json.dumps([began, time.time(), said])}\n")


def _stop() -> None:
    subprocess.Popen(["sh", "-c", f"sleep 8; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)


def hold(work: Work) -> None:
    """The body of a session that takes the lock and stalls, until the server ends it."""
    with Held(work) as held:
        held.append(f"thread_{work.tag}_{work.name}", f"{work.tag}.{work.name}.0")
        began = time.monotonic()
        while held.is_open() and time.monotonic() - began < 30:
            time.sleep(0.1)
        (Path(work.folder) / "held").write_text(str(time.monotonic() - began))
