"""What a format module offers: which files it wants, and the threads they hold."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Protocol, TypeVar

from runfold.importers.recording import Recording
from runfold.importers.sources import Report, SourceFile
from runfold.importers.tally import Problem


@dataclass(frozen=True)
class SourceThread:
    """A thread as a source holds it, ready to be recorded."""

    thread_id: str
    label: str
    """For the progress bar."""
    digest: str
    """Of all that the thread is made from: `sha256:…`."""
    source_ids: tuple[str, ...]
    size: int
    """Its share of the bytes that are imported, for the progress bar."""
    record: Callable[[Recording], None]
    _: KW_ONLY
    files: tuple[SourceFile, ...]
    """The files that hold it."""
    claims: tuple[str, ...] = ()
    """Keys by which other sources of the same conversation find its thread, also in later imports."""
    joins: tuple[str, ...] = ()
    """Keys of threads that it goes into, where there is one."""
    known_as: tuple[str, ...] = ()
    """Keys of threads that it goes into, where it has none under its own id."""
    replaces: tuple[str, ...] = ()
    """The threads that earlier versions of the importer made of this source, in whole or in part."""


class Read(Protocol):
    """Files → the threads they hold, one by one. What cannot be read is reported."""

    def __call__(self, files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]: ...


class Together(Protocol):
    """Files → those of them that must be read together, none in two. What cannot be read is reported, and in none."""

    def __call__(self, files: Sequence[SourceFile], report: Report, /) -> Iterable[Sequence[SourceFile]]: ...


@dataclass(frozen=True)
class Parts:
    """How the files of one thread are found among others, and read without them, by any process."""

    together: Together
    thread: Callable[[Sequence[SourceFile], Report], SourceThread | None]
    """The thread of some files that belong together; None where there is none in them."""

    def read(self, files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
        """Read the threads in files, one by one."""
        found = (self.thread(group, report) for group in self.together(files, report))
        return (source for source in found if source is not None)


@dataclass(frozen=True)
class Format:
    """A format: which files of a folder are its, by their names without `.gz`, and how they are read."""

    wants: Callable[[str], bool]
    read: Read
    version: int = 1
    """Raised when the same source is read otherwise than before. The ids of what it makes contain it, from 2 on."""
    parts: Parts | None = None
    """With them, many files are read in several processes; else one reads them all."""

    @classmethod
    def of_parts(cls, wants: Callable[[str], bool], parts: Parts, version: int = 1) -> "Format":
        """Return a format that reads the files of one thread after those of another."""
        return cls(wants, parts.read, version, parts)


class _Head(Protocol):
    @property
    def file(self) -> SourceFile: ...


H = TypeVar("H", bound=_Head)
OF_A_FILE = "file "
"""How the name of a group begins that is a file which names no session."""


def still_one(groups: Iterable[tuple[str, Sequence[H]]], report: Report) -> tuple[str, Sequence[H]]:
    """Return the group that files were found to be, where they are read anew.

    A file that was moved or written anew since then no longer belongs to it, which is told.
    """
    found = sorted(groups, key=lambda group: (group[0].startswith(OF_A_FILE), -len(group[1])))
    for _, members in found[1:]:
        for head in members:
            report(Problem(head.file.name, None, "is no longer what it was when the import began; import it again"))
    return found[0]
