"""A8 and A10: the power is cut; and settings under which that loses what was acknowledged."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from psycopg.conninfo import make_conninfo

from faults.checks import Findings
from faults.disks import Image, need_mount
from faults.row import row
from faults.servers import OwnServer
from faults.stage import Skipped, Stage
from runfold import Ledger
from runfold.errors import UnsafeDurability


@row("A8", "power cut", share=0.05)
def power_cut(stage: Stage) -> None:
    """The server's data lie on an ext4 image. Its processes stand still while the image is copied; the copy holds what had
    been flushed and nothing else, as after a power cut. A server on each copy has everything acknowledged until then."""
    stage.own  # noqa: B018  it raises where the server is not ours
    image = _server_on_image(stage)
    stage.start_endless_writers(4)
    cuts = 1 if stage.short else 5
    for cut in range(cuts):
        stage.pause(1.0, 3.0)
        found = _cut(stage, image, cut)
        stage.add(found)
        stage.figures.measured[f"acknowledged at cut {cut + 1}"] = f"{found.acknowledged:,}"
        stage.figures.acknowledged = stage.figures.stored = stage.figures.unacknowledged = 0  # `finish` counts them once
    while not stage.enough(cuts, cuts):
        time.sleep(0.1)
    stage.finish()


def _server_on_image(stage: Stage) -> Image:
    need_mount()
    folder = Path(tempfile.mkdtemp(prefix="runfold-faults-disk-"))
    folder.chmod(0o711)
    stage.cleanup(folder.rmdir)
    image = Image(folder / "disk", folder / "image", megabytes=2000)
    stage.entered(image)
    server = OwnServer(image.folder, delete_home=False)
    stage.use(server)
    return image


def _cut(stage: Stage, image: Image, number: int) -> Findings:
    """What a server finds on the disk after a cut, compared with what was promised until then."""
    with ExitStack() as stack:
        with stage.own.stopped():
            time.sleep(0.2)  # what is on its way to clients arrives, and they write it down
            sizes = {work.journal: work.journal.stat().st_size for work in stage.crew.works() if work.journal.exists()}
            copy = image.copy(image.folder.with_name(f"copy{number}"), image.file.with_name(f"copy{number}.image"))
        stack.enter_context(copy)
        server = OwnServer(copy.folder, delete_home=False)
        stack.callback(server.close)
        return stage.compare(server, sizes=sizes)


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
    until = time.monotonic() + 5
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
        connection.execute("SELECT pg_reload_conf()")
    stage.start_endless_writers(3, unsafe=True)
    stage.pause(2.0, 3.0)
    found = _cut(stage, image, 0)
    stage.crew.tell_to_stop()
    stage.crew.wait_for_writers(30)
    stage.expect(found.lost > 0, "nothing was lost, so the power cut has no teeth")
    return f"{found.lost:,} of {found.acknowledged:,}"
