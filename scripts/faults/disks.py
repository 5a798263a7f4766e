"""Disks of our own: an ext4 image whose power can be cut, and a small one in memory. They need root, and Linux."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from faults.stage import Skipped


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
    """An ext4 file system in a file. What was not flushed to it is not in a copy of the file, as after a power cut."""

    def __init__(self, folder: Path, file: Path, megabytes: int | None = None) -> None:
        need_mount()
        self.file = file
        if megabytes is not None:
            with file.open("wb") as made:
                made.truncate(megabytes << 20)
            run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", file)
        super().__init__(folder, "-o", "loop", file)

    def copy(self, folder: Path, file: Path) -> "Image":
        """What a machine would find after its power was cut now, mounted at another folder."""
        run("cp", "--sparse=always", self.file, file)
        return Image(folder, file)

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
