"""A8 and A10: the power is cut; and settings under which that loses what was acknowledged."""

import tempfile
import time
from pathlib import Path

from psycopg.conninfo import make_conninfo

from faults.checks import Findings
from faults.disks import Image, need_mount
from faults.journal import groups
from faults.row import row
from faults.servers import OwnServer, kill
from faults.stage import Skipped, Stage
from runfold import Ledger
from runfold.errors import UnsafeDurability


@row("A8", "power cut", share=0.05)
def power_cut(stage: Stage) -> None:
    """The server's data lie on an ext4 image of their own, which is cut off under load: nothing that was not flushed
    survives. Then every process of the server is killed, the image mounted again and the server started on it. All that
    was acknowledged before is there, and clients and readers go on."""
    image = _server_on_image(stage)
    stage.start_writers(4)
    stage.start_reader()
    cuts, promised = 0, []
    while not stage.enough(cuts, 2 if stage.short else 6):
        stage.pause(1.0, 3.0)
        found = _cut(stage, image)
        promised.append(f"{found.acknowledged:,}")
        stage.expect(not found.wrong, f"after cut {cuts + 1}: {found.examples[:2]}")
        cuts += 1
    stage.figures.measured |= {"cuts": cuts, "acknowledged before each": ", ".join(promised)}
    stage.finish()


def _server_on_image(stage: Stage) -> Image:
    stage.own  # noqa: B018  it raises where the server is not ours
    need_mount()
    folder = Path(tempfile.mkdtemp(prefix="runfold-faults-disk-"))
    folder.chmod(0o711)
    stage.cleanup(folder.rmdir)
    image = Image(folder / "disk", folder / "image", megabytes=3000)
    stage.entered(image)
    stage.use(OwnServer.start())
    stage.own.move_data(image.folder / "data")
    return image


def _cut(stage: Stage, image: Image) -> Findings:
    """What the server finds on the disk after a cut, compared with what was promised until then."""
    running = stage.own.processes()
    image.cut()
    kill(running)
    time.sleep(0.2)  # what is on its way to clients arrives, and they write it down
    sizes = {work.journal: work.journal.stat().st_size for work in stage.crew.works() if work.journal.exists()}
    image.power_on()
    stage.own.embedded.ensure_running()
    return stage.compare(stage.server, sizes=sizes)


@row("A10", "unsafe settings", share=0.0)
def unsafe_settings(stage: Stage) -> None:
    """With fsync, full_page_writes or synchronous_commit off, a ledger is not opened unless told that its data may be lost.
    And rightly so: a power cut with synchronous_commit off loses acknowledged events (which also shows that A8 bites)."""
    url = make_conninfo(stage.server.url, options="-c synchronous_commit=off")
    stage.expect(_refused(url) == ["synchronous_commit"], f"synchronous_commit=off: {_refused(url)}")
    Ledger.open(url, unsafe_durability=True).close()
    own = stage.own
    for name in ("fsync", "full_page_writes"):
        _set(own, name, "off")
        stage.expect(_refused(own.url) == [name], f"{name}=off: {_refused(own.url)}")
        _set(own, name, "on")
    stage.expect(not _refused(own.url), "refused with safe settings")
    try:
        stage.figures.measured["lost by a cut with synchronous_commit=off"] = _lost_when_unsafe(stage)
    except Skipped as reason:
        stage.figures.measured["power not cut"] = str(reason)


def _set(own: OwnServer, name: str, value: str) -> None:
    with own.admin() as connection:
        connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        connection.execute("SELECT pg_reload_conf()")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with own.admin() as connection:
            if connection.execute("SELECT current_setting(%s)", (name,)).fetchone() == (value,):
                return
        time.sleep(0.05)


def _refused(url: str) -> list[str]:
    """The settings for which a ledger is not opened."""
    try:
        Ledger.open(url).close()
    except UnsafeDurability as error:
        return sorted(error.settings)
    return []


def _lost_when_unsafe(stage: Stage) -> str:
    image = _server_on_image(stage)
    with stage.own.admin() as connection:
        connection.execute("ALTER ROLE runfold_app SET synchronous_commit = off")
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("ALTER SYSTEM SET wal_writer_flush_after = '1GB'")  # else it is all there each few hundred events
        connection.execute("SELECT pg_reload_conf()")
    works = stage.start_writers(3, unsafe=True)
    while stage.crew.alive() and not any(any(groups(work.journal)) for work in works):
        time.sleep(0.05)
    stage.pause(1.0, 2.0)
    found = _cut(stage, image)
    stage.crew.end()
    stage.expect(found.lost > 0, "nothing was lost, so the power cut has no teeth")
    return f"{found.lost:,} of {found.acknowledged:,}"
