"""Files read and stored in several processes: each takes the files of one thread after the other, until there are no more.

A file's lines keep one processor busy, so a large folder goes in faster where there are several. What a process did with a
group of files it tells line by line as JSON. A process that dies leaves whole threads or none, as an import always does.
"""

import contextlib
import gc
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from runfold.child import run_module, usable_processors
from runfold.errors import LedgerError, LedgerUnavailable
from runfold.failpoint import reach
from runfold.importers.files import Part, TextFile
from runfold.importers.format import Format, SourceThread
from runfold.importers.formats import named
from runfold.importers.source_import import Outcome
from runfold.importers.sources import SourceFile
from runfold.importers.storing import store_all
from runfold.importers.tally import Note, Problem, Reports
from runfold.ledger import Ledger
from runfold.settings import Settings, environment

MOST = 4
"""Processes, where nobody says how many: one server stores what all of them decide."""
WORTHWHILE = 20_000_000
"""Bytes of sources from which on it pays to start processes: each takes half a second to begin."""
NEXT_STEP = "import the same again: it continues where it stopped"

Group = Sequence[SourceFile]


def processes_for(size: int) -> int:
    """How many processes are of use for so many bytes of sources: one for each processor that this process may use."""
    return min(MOST, usable_processors()) if size >= WORTHWHILE else 1


def store_groups(
    ledger: Ledger,
    format: str,
    groups: Callable[[], Iterable[Group]],
    processes: int,
    done: Callable[[Outcome], None],
    reports: Reports,
    name: str,
) -> None:
    """Read and store groups of files; `done` is told of each thread when it is in, and `reports` of what reading found.

    `groups` are looked for while the processes start; the largest go in first, so that none is left over at the end. `name` is
    the import's. Raises LedgerUnavailable where a process dies, and what a process raises.
    """
    told: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    started = [_Process.started(ledger, format, name) for _ in range(processes)]
    talking: list[threading.Thread] = []
    try:
        found = sorted(groups(), key=_size, reverse=True)  # held until all is read: texts that were unpacked for it are, too
        waiting, turn = iter(found), threading.Lock()
        talking += [threading.Thread(target=process.talk, args=(waiting, turn, told.put)) for process in started]
        for thread in talking:
            thread.start()
        for _ in talking:
            for message in iter(told.get, None):
                _take(message, done, reports)
        for process in started:
            process.require_done()
    finally:
        for process in started:
            process.end()
        for thread in talking:
            if thread.ident is not None:
                thread.join()
        for process in started:
            process.close()


def _size(group: Group) -> int:
    return sum(file.share for file in group)


def _take(message: dict[str, Any], done: Callable[[Outcome], None], reports: Reports) -> None:
    match message:
        case {"outcome": told}:
            done(Outcome(**{**told, "counts": tuple(told["counts"]), "reports": _reports(told["reports"])}))
        case {"read": told}:
            _reports(told).tell(reports.take)
        case {"unavailable": fact}:
            raise LedgerUnavailable(fact, NEXT_STEP)
        case {"error": fact}:
            raise LedgerError(fact)


def _handed_over(file: SourceFile) -> dict[str, Any]:
    """What a process needs to read a file."""
    told = {"name": file.name, "path": str(file.path), "size": file.size, "most": file.most}
    if (part := file.part) is None:
        return told
    about = {"first_line": part.first_line, "start": part.start, "end": part.end, "skipped": part.skipped}
    return {**told, "part": about, "text": None if part.text is None else part.text.path}


def _taken_over(told: dict[str, Any]) -> SourceFile:
    about, text, part = told.pop("part", None), told.pop("text", None), None
    if about is not None:
        part = Part(**about, text=None if text is None else TextFile(text))
    return SourceFile(**{**told, "path": Path(told["path"]), "part": part})


def _told(reports: Reports) -> dict[str, Any]:
    return {"problems": [asdict(each) for each in reports.problems], "notes": [asdict(each) for each in reports.by_kind.values()]}


def _reports(told: dict[str, Any]) -> Reports:
    reports = Reports()
    for problem in told["problems"]:
        reports.take(Problem(**problem))
    for note in told["notes"]:
        reports.take(Note(**note))
    return reports


@dataclass
class _Process:
    """A process as seen by who started it."""

    process: "subprocess.Popen[str]"
    is_done: bool = False

    @classmethod
    def started(cls, ledger: Ledger, format: str, name: str) -> "_Process":
        """Start one, which ends when its standard input does."""
        settings = ledger.settings.model_copy(update={"database_url": SecretStr(ledger.database.url)})
        settled = {f"RUNFOLD_{name.upper()}" for name in Settings.model_fields}
        given = {name: value for name, value in os.environ.items() if name not in settled} | environment(settings)
        process = cls(run_module("runfold.importers.processes", given, stdout=subprocess.PIPE, start_new_session=True))
        process._say(json.dumps({"format": format, "name": name}))
        return process

    def talk(self, waiting: Iterator[Group], turn: threading.Lock, tell: Callable[[dict[str, Any] | None], None]) -> None:
        """Give it one group after the other, and pass on what it tells; None where it says no more."""
        assert self.process.stdout is not None, "it was asked for"  # noqa: S101
        try:
            self._give(waiting, turn)
            for line in self.process.stdout:
                message = json.loads(line)
                if message == {"done": True}:
                    self.is_done = True
                    continue
                if "read" in message:
                    self._give(waiting, turn)
                tell(message)
        finally:
            tell(None)

    def _give(self, waiting: Iterator[Group], turn: threading.Lock) -> None:
        with turn:
            group = next(waiting, None)
        if group is None:
            self._hang_up()
        else:
            self._say(json.dumps({"files": [_handed_over(file) for file in group]}))

    def _say(self, message: str) -> None:
        assert self.process.stdin is not None, "it was asked for"  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # it died, which `require_done` says
            self.process.stdin.write(f"{message}\n")
            self.process.stdin.flush()

    def _hang_up(self) -> None:
        assert self.process.stdin is not None, "it was asked for"  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def require_done(self) -> None:
        """Raise LedgerUnavailable unless it said that all of its work is done."""
        code = self.process.wait()
        if not self.is_done:
            raise LedgerUnavailable(f"a process of the import exited with {code} before it was done", NEXT_STEP)

    def end(self) -> None:
        """Stop it, whatever it does."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Give back what it was talked with through, once nobody talks with it."""
        self._hang_up()
        assert self.process.stdout is not None, "it was asked for"  # noqa: S101
        self.process.stdout.close()


# In a process of its own


def main() -> None:
    """The body of a process: what to do comes line by line on standard input, what was done goes to standard output."""
    try:
        told = json.loads(sys.stdin.readline())
        importer, reports = named(told["format"]), Reports()
        with Ledger.open(settings=Settings()) as ledger:
            gc.freeze()  # what is there now stays, and need not be looked through for cycles
            store_all(ledger, told["format"], importer.version, _threads(importer, reports), _stored, told["name"])
        _tell({"done": True})
    except LedgerUnavailable as error:
        _tell({"unavailable": error.fact})
    except LedgerError as error:
        _tell({"error": str(error)})


def _threads(importer: Format, reports: Reports) -> Iterator[SourceThread]:
    assert importer.parts is not None, "its files come in groups"  # noqa: S101
    for group in _groups(reports):
        source = importer.parts.thread(group, reports.take)
        if source is not None:
            yield source


def _groups(reports: Reports) -> Iterable[Group]:
    """The groups as they come; when the next one is asked for, what was found in the one before is told."""
    for line in sys.stdin:
        files = json.loads(line)["files"]
        yield [_taken_over(file) for file in files]
        reach("files read")
        _tell({"read": _told(reports)})
        reports.problems.clear()
        reports.by_kind.clear()


def _stored(outcome: Outcome) -> None:
    reach("thread in")
    _tell({"outcome": {**vars(outcome), "reports": _told(outcome.reports)}})


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(message)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
