"""Disks of our own: an ext4 image whose power can be cut, and a small one in memory. They need root, and Linux."""

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

from faults.stage import Skipped

_SHUTDOWN, _WITHOUT_FLUSHING = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN, which the kernel's own tests cut power with


def run(*command: str | Path) -> None:
    """Run a program of the system; skip the row with what it said where it is not permitted."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise Skipped(f"`{' '.join(map(str, command))}` is not permitted here: {said.strip()}") from error


def need_mount() -> None:
    """Skip without the right to mount."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Skipped("it mounts file systems, which takes Linux and root")


class Disk:
    """A mounted file system; closing unmounts it and removes what held it."""

    def __init__(self, folder: Path, *mount: str | Path) -> None:
        self.folder = folder
        folder.mkdir()
        run("mount", *mount, folder)
        folder.chmod(0o711)

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=False)
        self.folder.rmdir()


class Image(Disk):
    """An ext4 file system in a file, whose power can be cut: what was not flushed to the file is gone.

    Copying the file while it is mounted would be no such cut: the kernel moves its journal on meanwhile, and the copy is
    of no single moment.
    """

    def __init__(self, folder: Path, file: Path, megabytes: int) -> None:
        need_mount()
        self.file = file
        with file.open("wb") as made:
            made.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", file)
        super().__init__(folder, "-o", "loop", file)

    def cut(self) -> None:
        """From now on nothing reaches the file, neither data nor the file system's own journal."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING))
        except OSError as error:
            raise Skipped(f"this kernel does not cut off ext4: {error}") from error
        finally:
            os.close(folder)

    def power_on(self) -> None:
        """Mount it again, as it was left. Nobody may have it open any more."""
        until = time.monotonic() + 60
        while subprocess.run(["umount", self.folder], check=False, capture_output=True).returncode:
            if time.monotonic() > until:
                raise Skipped(f"{self.folder} is still in use after its power was cut")
            time.sleep(0.05)
        run("mount", "-o", "loop", self.file, self.folder)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.file.unlink(missing_ok=True)


class Memory(Disk):
    """A small file system in memory."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        need_mount()
        super().__init__(folder, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs")

    def leave(self, megabytes: int) -> Path:
        """Fill it with a file until that much is free."""
        ballast = self.folder / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.folder).free - (megabytes << 20))
        return ballast
