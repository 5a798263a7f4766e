"""B9-1 and B9-2: sealers that are killed, with the server under them, and a disk that is full: one tree, without a gap."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psycopg
from pydantic import SecretStr

from faults.row import row
from faults.stage import Stage
from faults.storage import small_disk
from runfold import Ledger, Settings
from runfold.evidence.sealer import Sealer
from runfold.evidence.verifying.verify import LedgerVerification
from runfold.settings import environment

Process = subprocess.Popen[bytes]


@row("B9-1", "sealers and the server killed", share=0.02)
def sealers_killed(stage: Stage) -> None:
    """Two sealers, one of which is killed again and again, and processes of the server under them, beside writers. The log is
    sealed as one tree at the end, and each checkpoint that was published is of it."""
    own, settings = stage.own, _settings(stage)
    stage.start_writers(1 if stage.short else 3)
    sealers = [_sealer(stage, settings), _sealer(stage, settings)]
    kills, wanted = {"sealers": 0, "servers": 0}, 1 if stage.short else 12
    while not stage.enough(min(kills.values()), wanted):
        stage.pause(0.1, 0.2 if stage.short else 1.5)
        if kills["sealers"] <= kills["servers"]:
            victim = stage.rng.randrange(2)
            sealers[victim].kill()
            sealers[victim].wait()
            if not stage.short:  # else the other takes over, and is enough
                sealers[victim] = _sealer(stage, settings)
            kills["sealers"] += 1
        else:
            with contextlib.suppress(ProcessLookupError, psycopg.Error):
                for process in sorted(own.backends())[:1]:
                    os.kill(process, signal.SIGKILL)
                    kills["servers"] += 1
    stage.figures.measured |= {f"{name} killed": count for name, count in kills.items()}
    stage.finish()
    _one_tree(stage, settings)


@row("B9-2", "disk full while the log is sealed", share=0.02)
def disk_full_of_seals(stage: Stage) -> None:
    """The server's volume fills up under writers and a sealer. Once there is room again, it goes on by itself."""
    disk, ballast = small_disk(stage)
    settings = _settings(stage)
    stage.start_writers(3, home=str(disk.folder), connect_timeout=2.0)
    _sealer(stage, settings)
    until = time.monotonic() + 120
    while not stage.crew.errors() and time.monotonic() < until:
        time.sleep(0.1)
    stage.expect(bool(stage.crew.errors()), "the disk was not full after 120 s")
    time.sleep(3)
    ballast.unlink()
    while not stage.enough(1, 1):
        time.sleep(0.1)
    stage.finish()
    _one_tree(stage, settings)


def _settings(stage: Stage) -> Settings:
    """The server's roles, and a home where keys and checkpoints are."""
    url = {name: SecretStr(stage.own.embedded.url(f"runfold_{name}")) for name in ("app", "projector", "sealer")}
    return Settings(
        database_url=url["app"],
        projector_url=url["projector"],
        sealer_url=url["sealer"],
        home=stage.folder / "sealing",
        seal_every=0.1,
        log_level="error",
    )


def _sealer(stage: Stage, settings: Settings) -> Process:
    words = [sys.executable, "-P", "-m", "runfold.cli.main", "work", "--until-input-ends", "--react", "sealer"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(settings))
    stage.cleanup(lambda: _end(process))
    return process


def _end(process: Process) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _one_tree(stage: Stage, settings: Settings) -> None:
    """Seal what is left, and hold every event against its leaf, and the tree against what was published."""
    with Ledger.open(settings=settings) as ledger:
        stage.figures.measured["sealed at the end"] = Sealer(ledger).seal_all()
        verification = LedgerVerification(ledger, full=True)
        found = [finding.fact for finding in verification.findings()]
        stage.expect(not found, f"the sealed log is not whole: {'; '.join(found[:3])}")
        read = verification.read
        stage.expect(read is not None and read.unsealed == 0, "not all was sealed")
        stage.figures.measured["leaves"] = sum(tree.size for tree in read.verified.values()) if read else 0
