"""Logs of Inspect (UK AISI): `.eval`, a zip with a member for each sample, and `.json`, the same as one document.

A sample is a thread: its own id names it, in whichever log it stands. It is one run, with runs for the agents that were
handed over to or used as tools, and for attempts that failed and were made again. The words of the task are the data set's.
A score is the outcome of one decision, as with benchmarks' rewards; a limit, an error and a cancellation end the run as the
log says, and a sample of whose end it does not say goes on. `inspect/` reads, `acts/` records.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from runfold.domain.values import digest
from runfold.errors import InvalidEvent, shortened
from runfold.importers.acts.recorder import record, thread_id
from runfold.importers.format import Format, SourceThread
from runfold.importers.inspect.log_file import SampleSource, samples
from runfold.importers.inspect.sample import story_of
from runfold.importers.sources import Report, SourceFile, why
from runfold.importers.tally import Note, Problem


def read(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
    """The samples in logs, one at a time."""
    for file in files:
        try:
            is_empty = True
            for source in samples(file, report):
                is_empty = False
                if (thread := _thread(source, file, report)) is not None:
                    yield thread
            if is_empty:
                report(Note(file.name, None, "logs without samples"))
        except InvalidEvent as error:
            report(Problem(file.name, None, why(error)))


def _thread(source: SampleSource, file: SourceFile, report: Report) -> SourceThread | None:
    if not isinstance(source.value, dict) or not {"id", "uuid"} & source.value.keys():
        report(source.place.problem("is not a sample of Inspect: it is no object with an id; left out"))
        return None
    try:
        story = story_of(source, report)
    except Exception as error:  # whatever one sample holds, the others go in
        report(source.place.problem(f"cannot be read ({shortened(repr(error))}); the sample is left out"))
        return None
    ours = thread_id(story.format, story.key)
    label = story.title or ours
    return SourceThread(ours, label, digest(source.text), story.key, source.size, partial(record, story), files=(file,))


FORMAT = Format(wants=lambda name: name.endswith((".eval", ".json")), read=read)
