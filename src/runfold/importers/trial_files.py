"""Files of trials: their records, one by one, and which of them stand in more than one place."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from runfold.importers.format import Read, SourceThread
from runfold.importers.sources import OF_A_RECORD, Piece, Report, SourceFile, why
from runfold.importers.tally import Problem
from runfold.importers.trials import Trial

T = TypeVar("T")

TWICE = "trials that stand in the sources more than once, and are in once"


def reader(trials_of: Callable[[SourceFile, Report], Iterator[Trial]]) -> Read:
    """A format's `read`, from a function that finds the trials of one file."""

    def read(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
        known: set[str] = set()
        for file in files:
            try:
                for trial in trials_of(file, report):
                    if trial.thread_id in known:
                        report(trial.piece.note(TWICE))
                    known.add(trial.thread_id)
                    yield _thread(trial, file)
            except OF_A_RECORD as error:
                report(Problem(file.name, None, why(error)))

    return read


def _thread(trial: Trial, file: SourceFile) -> SourceThread:
    piece = trial.piece
    share = file.size * (piece.end - piece.start) // max(1, len(piece.text))
    replaced = (trial.first_version_thread_id,)
    source_ids = (trial.id,)
    return SourceThread(
        trial.thread_id, trial.title, piece.digest, source_ids, share, trial.record, replaces=replaced, files=(file,)
    )


def ends(whole: Piece, messages: Piece | None) -> bool:
    """Return whether a trial's record is whole: where its messages break off, they reach to the end of the text."""
    return messages is None or messages.end < whole.end


def each(array: Piece, report: Report, read_one: Callable[[Piece], T]) -> Iterator[T]:
    """Yield what can be read of an array's elements. One that cannot is a problem; where the array breaks off, the rest is."""
    try:
        for piece in array.elements():
            try:
                yield read_one(piece)
            except OF_A_RECORD as error:
                report(piece.problem(why(error)))
    except OF_A_RECORD as error:
        report(array.problem(f"{why(error)}; what stands before it goes in"))
