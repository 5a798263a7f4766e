"""B1 and B4: a disk that is full, and a disk that fails to flush."""

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from faults.disks import Memory, need_mount
from faults.row import row
from faults.servers import OwnServer
from faults.stage import Skipped, Stage


@row("B1", "disk full", share=0.03)
def disk_full(stage: Stage) -> None:
    """The server's volume fills up under writers. They get errors that may be retried, and the server may go down; once
    there is room again everything goes on, and what was acknowledged before is there."""
    disk, ballast = small_disk(stage)
    stage.start_writers(3, home=str(disk.folder), connect_timeout=2.0)
    stage.start_reader(home=str(disk.folder), connect_timeout=2.0)
    began = time.monotonic()
    while not stage.crew.errors() and time.monotonic() - began < 120:
        time.sleep(0.1)
    stage.expect(bool(stage.crew.errors()), "the disk was not full after 120 s")
    time.sleep(3)
    stage.figures.measured |= {"full after s": round(time.monotonic() - began - 3, 1), "free MB": _free(disk)}
    stage.figures.measured["server while full"] = "up" if stage.own.processes() else "down"
    stored = _acknowledged(stage)
    ballast.unlink()
    again = time.monotonic()
    while _acknowledged(stage) == stored and time.monotonic() - again < 60:
        time.sleep(0.05)
    stage.figures.measured["resumed after s"] = round(time.monotonic() - again, 1)
    while not stage.enough(1, 1):
        time.sleep(0.1)
    stage.finish()


def small_disk(stage: Stage) -> tuple[Memory, Path]:
    """Go on against a server whose volume has little room; removing the file makes more."""
    stage.own  # noqa: B018  it raises where the server is not ours
    need_mount()
    folder = Path(tempfile.mkdtemp(prefix="runfold-faults-disk-"))
    folder.chmod(0o711)
    stage.cleanup(folder.rmdir)
    disk = Memory(folder / "disk", 600)
    stage.entered(disk)
    stage.use(OwnServer(disk.folder, delete_home=False))
    return disk, disk.leave(24)


def _free(disk: Memory) -> int:
    return shutil.disk_usage(disk.folder).free >> 20


def _acknowledged(stage: Stage) -> int:
    return sum(work.journal.stat().st_size for work in stage.crew.works() if work.journal.exists())


@row("B4", "fsync fails", share=0.02)
def fsync_fails(stage: Stage) -> None:
    """A flush of the log returns EIO to a backend while it commits. PostgreSQL panics and recovers; that commit was not
    acknowledged and may yet be there: its writer looks before it repeats."""
    own = stage.own
    if shutil.which("strace") is None:
        raise Skipped("strace is not installed")
    stage.start_writers(3)
    stage.start_reader()
    failed, wanted = 0, 1 if stage.short else 4
    while not stage.enough(failed, wanted):
        stage.pause(0.2, 0.6)
        if failed < wanted:
            failed += _fail_one_flush(stage, own)
    stage.figures.measured["failed flushes"] = failed
    stage.finish()


def _fail_one_flush(stage: Stage, own: OwnServer) -> bool:
    """Let a flush of one of the backends fail; whether one did."""
    attach = [word for pid in own.backends() for word in ("-p", str(pid))]
    if not attach:
        return False
    said = stage.folder / "strace"
    said.unlink(missing_ok=True)
    which = f"inject=fdatasync:error=EIO:when={stage.rng.randint(3, 12)}"
    tracer = subprocess.Popen(
        ["strace", "-o", said, "-e", "trace=fdatasync", "-e", which, *attach], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 20
    try:
        while time.monotonic() < until and tracer.poll() is None:
            if said.exists() and "(INJECTED)" in said.read_text():
                return True
            time.sleep(0.02)
        if tracer.poll() not in {None, 0} and not said.exists():
            raise Skipped(f"strace may not attach here: {(tracer.stderr.read() if tracer.stderr else '').strip()}")
        return said.exists() and "(INJECTED)" in said.read_text()
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
        tracer.wait()
