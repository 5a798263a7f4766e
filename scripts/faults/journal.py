"""What clients were promised: one fsynced line for each acknowledged event, written only after the acknowledgement.

A line is `stream version position command`. An empty line ends a group: whatever was acknowledged in one group was
acknowledged before the first command of the next group was given.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Ack(NamedTuple):
    """One acknowledged event, and the command that it came from."""

    stream: str
    version: int
    position: int
    command: str


class Journal:
    """A client's own file. Opened again after a kill, it goes on behind the last whole line."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        whole = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(self._file, whole)

    def write(self, acks: Iterable[Ack]) -> None:
        """Add a group, and return when it is on disk."""
        lines = "".join(f"{ack.stream} {ack.version} {ack.position} {ack.command}\n" for ack in acks)
        os.write(self._file, f"{lines}\n".encode())
        os.fsync(self._file)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def groups(path: Path, size: int | None = None) -> Iterator[list[Ack]]:
    """The groups of a journal, or of its first `size` bytes. A line that was cut off was never promised."""
    if not path.exists():
        return
    text = path.read_bytes()[:size]
    text = text[: text.rfind(b"\n") + 1]
    group: list[Ack] = []
    for line in text.decode().splitlines():
        if line:
            stream, version, position, command = line.split(" ")
            group.append(Ack(stream, int(version), int(position), command))
        elif group:
            yield group
            group = []
    if group:
        yield group
