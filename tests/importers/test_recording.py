"""What of a source goes into which run."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from runfold import Ledger
from runfold.domain.values import digest
from runfold.ids import stable_id
from runfold.importers.format import Format, SourceThread
from runfold.importers.importing import import_as
from runfold.importers.recording import Recording
from runfold.importers.sources import Report, SourceFile, document

THREAD, RUN = stable_id("thread", "late"), stable_id("run", "late")
MODEL_CALL = stable_id("mcall", "late")


def read(files: Sequence[SourceFile], _: Report) -> Iterator[SourceThread]:
    for file in files:
        whole = document(file)
        lines = json.loads(whole.source)
        yield SourceThread(THREAD, "late", digest(whole.source), ("late",), file.size, partial(record, lines), files=(file,))


def record(lines: list[str], recording: Recording) -> None:
    """The lines of a source, each a word for what happens next."""
    recording.begin(agent_id="chat")
    run = recording.source_run(RUN, parent=None)
    for number, line in enumerate(lines):
        item = stable_id("item", line, str(number))
        match line:
            case "say":
                run.add_message("assistant", "words", message_id=item)
            case "call":
                run.run(MODEL_CALL).start_model_call(provider="openai", model_call_id=MODEL_CALL)
            case "use":
                run.use(item, input_tokens=10)
            case "use of call":
                run.use(item, input_tokens=10, model_call_id=MODEL_CALL)
            case "pay":
                run.bill(item).report_cost("0.1", source="local", cost_id=item)
            case "end":
                if ended := run.end():
                    ended.complete()


FORMAT = Format(wants=lambda name: name.endswith(".late.json"), read=read)


def imported(ledger: Ledger, path: Path, *lines: str) -> dict[str, list[str]]:
    """What each run of the thread has after an import, oldest first; importing again adds nothing."""
    path.write_text(json.dumps(lines))
    import_as(ledger, "chat", FORMAT, [path])
    assert import_as(ledger, "chat", FORMAT, [path]).events == 0
    found: dict[str, list[str]] = {}
    for recorded in ledger.thread(THREAD).events():
        found.setdefault(recorded.stream, []).append(recorded.type)
    assert found.pop(THREAD)[0] == "thread.created"
    return found


def test_use_and_cost_that_come_after_the_end_are_of_the_run_that_ended(ledger: Ledger, tmp_path: Path) -> None:
    found = imported(ledger, tmp_path / "a.late.json", "say", "end", "use", "pay")
    assert list(found) == [RUN]
    assert found[RUN][-3:] == ["run.completed", "usage.recorded", "usage.cost_reported"]


def test_what_is_new_after_the_end_goes_into_a_run_that_continues_it_and_figures_stay(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "a.late.json"
    before = ("call", "say", "end", "use", "pay")
    imported(ledger, path, *before)
    found = imported(ledger, path, *before, "say", "use of call", "use", "pay")
    first, second = found.values()
    assert first[-4:] == ["run.completed", "usage.recorded", "usage.cost_reported", "usage.recorded"]
    assert second[2:] == ["message.added", "usage.recorded", "usage.cost_reported"]
