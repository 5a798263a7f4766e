"""The mark outside the database: how far each history was seen, in a file that does not go back when the database does.

One file for all ledgers of a machine, by their epochs. It is replaced whole, so that it is whole whenever one looks.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, NoReturn
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from runfold.durable_files import write_whole
from runfold.errors import UsageError

MOST_HISTORIES = 200
"""Those that were noted longest ago are forgotten."""


class Seen(NamedTuple):
    """The last event that was seen of a history."""

    position: int
    event_id: UUID
    recorded_at: datetime


class _Mark(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    position: int
    event_id: UUID
    recorded_at: AwareDatetime


class _Marks(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = "How far Runfold saw each history, to notice a database that was put back to an older copy. Keep it."
    histories: dict[UUID, _Mark] = {}


class MarkFile:
    """Reads and writes the marks. Processes may share the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, epoch: UUID) -> Seen | None:
        """The last event that was noted of a history. Raises UsageError where the file cannot be read."""
        found = self._read().histories.get(epoch)
        return Seen(found.position, found.event_id, found.recorded_at) if found else None

    def note(self, epoch: UUID, seen: Seen) -> None:
        """Note an event, unless a later one is noted. Raises UsageError where the file cannot be written."""
        try:
            with self._locked():
                marks = self._read().histories
                known = marks.pop(epoch, None)
                if known is None or known.position < seen.position:
                    known = _Mark(position=seen.position, event_id=seen.event_id, recorded_at=seen.recorded_at)
                kept = dict(list(marks.items())[-(MOST_HISTORIES - 1) :])
                self._write(_Marks(histories={**kept, epoch: known}))
        except OSError as error:
            self._refuse(f"cannot be written ({error.strerror or error})", error)

    def _read(self) -> _Marks:
        try:
            return _Marks.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return _Marks()
        except OSError as error:
            self._refuse(f"cannot be read ({error.strerror or error})", error)
        except ValidationError as error:
            self._refuse("is not what Runfold writes there", error)

    def _write(self, marks: _Marks) -> None:
        write_whole(self.path, marks.model_dump_json(indent=1).encode() + b"\n")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time reads and replaces it."""
        # Root's folder lets the server's user pass through it, as the embedded server needs.
        self.path.parent.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _refuse(self, fact: str, cause: Exception) -> NoReturn:
        step = "make it this user's, or name another with RUNFOLD_MARK_FILE; remove it only where no database was put back"
        raise UsageError(f"the mark file {self.path} {fact}; {step}", path=str(self.path)) from cause
