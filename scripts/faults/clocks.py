"""E1: clocks that jump, of the server and of clients."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faults.clients import Work, acks_of, open_ledger
from faults.crew import plain_command
from faults.journal import Journal
from faults.row import row
from faults.servers import OwnServer
from faults.stage import Stage, stored_events

JUMPS = (timedelta(hours=-1), timedelta(days=365), timedelta(0), timedelta(minutes=-10), timedelta(days=-400))


@row("E1", "clocks jump", share=0.03)
def clocks_jump(stage: Stage) -> None:
    """The clocks of clients and of the server jump an hour back and a year ahead while both work. Positions alone give
    the order; recorded_at never goes back; no id is given twice; what a client says of its clock is kept as it is."""
    stage.crew.start(record_with_a_jumping_clock, stage.work("client", 200))
    stage.finish()
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if not isinstance(stage.server, OwnServer):
        stage.figures.measured["the server's clock"] = "left alone: it is yours"
    elif library is not None:
        stage.next_act()
        _with_faketime(stage, library)
    else:
        stage.next_act()
        _with_a_head_in_the_future(stage)


def record_with_a_jumping_clock(work: Work) -> None:
    """The body of a client whose own clock jumps between commands."""
    journal = Journal(work.journal)
    with open_ledger(work) as ledger:
        thread = ledger.create_thread(thread_id=f"thread_{work.tag}_{work.name}")
        run = thread.start_run(run_id=f"run_{work.tag}_{work.name}", agent_id="faults", parent=None)
        for number in range(work.commands):
            told = datetime.now(UTC) + JUMPS[number % len(JUMPS)]
            ledger.command_executor.clock = lambda told=told: told  # type: ignore[misc]  # a lambda's default has no type
            command = f"{work.tag}.{work.name}.{number}"
            if number % 4:
                said = run.add_message("assistant", f"{number}", occurred_at=told, correlation_id=command)
                journal.write(acks_of(command, said.receipt))
            else:
                asked = run.request_approval("pay", expires_in="1h", occurred_at=told, correlation_id=command)
                assert ledger.now.approval(asked.id).expires_at == told + timedelta(hours=1), "what a client's clock says is kept"
                asked.grant(actor="human:ada", occurred_at=told)
    journal.close()


@contextmanager
def _environment(told: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(told)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _with_faketime(stage: Stage, library: Path) -> None:
    """Server and clients each under a clock of their own, which jumps while they work."""
    clocks = {name: stage.folder / f"clock-{name}" for name in ("server", "client")}
    stage.folder.chmod(0o755)
    for clock in clocks.values():
        clock.write_text("+0")
    told = {
        name: {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        for name, clock in clocks.items()
    }
    with _environment(told["server"]):
        stage.use(OwnServer.start())
    works = [stage.work(f"w{index}", 10**9) for index in range(2)]
    stage.start_reader()
    ended = threading.Event()
    clients = [subprocess.Popen(plain_command(work), env={**os.environ, **told["client"]}) for work in works]
    try:
        stage.crew.watch(works)
        jumps = 0
        while not (jumps >= (3 if stage.short else 12) and stage.server.head() >= stage.events):
            stage.pause(0.3, 0.8)
            name = stage.rng.choice(sorted(clocks))
            jump = stage.rng.choice(JUMPS).total_seconds()
            clocks[name].write_text(f"{jump:+.0f}")
            jumps += 1
        (stage.folder / "stop").touch()
        for client in clients:
            stage.expect(client.wait(60) == 0, f"a client ended with {client.returncode}")
    finally:
        ended.set()
        for client in clients:
            client.kill()
            client.wait()
    stage.figures.measured |= {"jumps": jumps, "by": "faketime"}
    stage.finish()
    log = stored_events(stage.server.url, 0, stage.server.head())
    span = log[-1].recorded_at - log[0].recorded_at
    stage.figures.measured["recorded_at spans days"] = round(span.total_seconds() / 86400)


def _with_a_head_in_the_future(stage: Stage) -> None:
    """Without faketime: the head says that the last event was recorded in an hour, which is how a clock that went back looks."""
    stage.use(OwnServer.start())
    stage.start_writers(2)
    stage.start_reader()
    jumps = 0
    while not stage.enough(jumps, 5):
        stage.pause(0.2, 0.5)
        with stage.server.admin() as connection:
            connection.execute("UPDATE runfold.head SET recorded_at = greatest(recorded_at, now()) + interval '1 hour'")
        jumps += 1
    stage.figures.measured |= {"jumps": jumps, "by": "the head's time"}
    stage.finish()
