"""A server's data folder, copied as a tool for backups would."""

import subprocess
from pathlib import Path

from runfold import Settings
from runfold.embedded.server import EmbeddedServer


def settings_of(home: Path) -> Settings:
    return Settings(home=home, mark_file=home / "marks.json")


def stopped(home: Path) -> Path:
    """The server's data folder, once it has stopped."""
    server = EmbeddedServer.start(home)
    server.stop_now()
    return server.data_folder


def copied(data: Path, to: Path) -> None:
    """With owners and modes, as a tool for backups would."""
    subprocess.run(["cp", "-a", str(data), str(to)], check=True)
