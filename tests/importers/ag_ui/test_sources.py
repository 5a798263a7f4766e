"""Which files of AG-UI belong together: told by the ids in them, and without any by where they lie."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.ids import stable_id
from runfold.importers.sources import SourceFile
from runfold.importers.tally import Tally
from tests.importers.ag_ui.chats import Event, finished, requested, said, started, user, write

Importing = Callable[..., Tally]

REQUEST, RESPONSE = "logs/chat__Turn_1_request.json", "logs/chat__Turn_1_response.json"


def talk(folder: Path, thread_id: str, run_id: str = "r1", words: str = "Hello") -> None:
    """One turn, in two files whose names are the same in each folder."""
    write(folder / REQUEST, requested(run_id, user("Hi"), thread_id=thread_id))
    write(folder / RESPONSE, [started(run_id, thread_id), *said("m", words), finished(run_id, thread_id)])


def threads(ledger: Ledger) -> int:
    """How many threads there are."""
    return len(ledger.events(types=["thread.created"]))


def test_two_conversations_in_files_of_one_name_are_two_threads(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    talk(tmp_path / "alice", "t-alice")
    talk(tmp_path / "bob", "t-bob")
    tally = importing("ag-ui", tmp_path)
    assert (tally.threads, tally.runs, tally.messages, threads(ledger)) == (2, 2, 4, 2)
    assert [importing("ag-ui", tmp_path / name).events for name in ("alice", "bob")] == [0, 0]


@pytest.mark.parametrize("thread_id", ["", "thread_Id_1"])
def test_without_ids_of_their_own_they_are_told_by_their_whole_path(
    ledger: Ledger, importing: Importing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thread_id: str
) -> None:
    run_id = thread_id and "run_Id_1"
    talk(tmp_path / "alice", thread_id, run_id)
    talk(tmp_path / "bob", thread_id, run_id)
    assert importing("ag-ui", tmp_path / "alice", tmp_path / "bob").threads == 2
    monkeypatch.chdir(tmp_path / "alice")
    assert importing("ag-ui", "logs").events == 0
    assert importing("ag-ui", os.path.relpath(tmp_path / "bob" / "logs")).events == 0


def test_a_file_of_many_runs_is_not_read_again_for_each_of_them(
    importing: Importing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, whole = list[str](), SourceFile.read

    def counting(file: SourceFile) -> bytes:
        read.append(file.name)
        return whole(file)

    monkeypatch.setattr(SourceFile, "read", counting)
    logged = list[Event]()
    for number in range(20):
        thread_id, run_id = f"t{number % 4}", f"r{number}"
        logged += [started(run_id, thread_id), *said(f"m{number}", "Hello"), finished(run_id, thread_id)]
    tally = importing("ag-ui", write(tmp_path / "log.json", logged[:50]))
    assert (tally.threads, tally.runs) == (4, 10)
    read.clear()
    tally = importing("ag-ui", write(tmp_path / "log.json", logged))
    assert (tally.threads, tally.runs, tally.messages, len(read)) == (4, 20, 20, 2)


def test_a_folder_that_has_moved_is_the_same_conversation(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    talk(tmp_path / "here", "t")
    importing("ag-ui", tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert importing("ag-ui", tmp_path / "there").events == 0
    assert threads(ledger) == 1


def test_one_thread_in_two_folders_is_one_conversation_and_the_same_run_is_in_once(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    talk(tmp_path / "monday", "t", "r1")
    talk(tmp_path / "copy", "t", "r1")
    talk(tmp_path / "tuesday", "t", "r2", "Hello again")
    tally = importing("ag-ui", tmp_path)
    assert (tally.threads, tally.runs) == (1, 2)
    assert len(ledger.events(types=["run.created"])) == 2


def test_other_words_under_the_same_run_id_are_another_run_and_nothing_is_lost(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    talk(tmp_path / "a", "t", "r1", "One")
    talk(tmp_path / "b", "t", "r1", "Two")
    importing("ag-ui", tmp_path)
    texts = [item.as_json()["data"]["content"][0]["text"] for item in ledger.events(types=["message.added"])]
    assert sorted(texts) == ["Hi", "One", "Two"]


def test_a_file_may_hold_several_runs(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    used = [{"inputTokens": 3, "outputTokens": 4}]
    runs = [[started(run), *said("m", run), finished(run, usage=used)] for run in ("r1", "r2", "r3")]
    tally = importing("ag-ui", write(tmp_path / "all.json", [event for run in runs for event in run]))
    assert (tally.runs, tally.messages, tally.input_tokens) == (3, 3, 9)
    assert len(ledger.events(types=["run.completed"])) == len(ledger.events(types=["usage.recorded"])) == 3


def test_what_the_client_sent_may_stand_in_the_event_that_starts_the_run(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    events = [started("r1", input=requested("r1", user("Hi"))), *said("m", "Hello"), finished("r1")]
    assert importing("ag-ui", write(tmp_path / "events.json", events)).messages == 2
    write(tmp_path / "request.json", requested("r1", user("Hi")))
    importing("ag-ui", tmp_path)
    assert len(ledger.events(types=["message.added"])) == 2


def test_other_json_is_named_and_makes_no_thread(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    write(tmp_path / "package.json", {"name": "x"})
    write(tmp_path / "list.json", [1, {"a": 2}])
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "cut.json").write_text('{"threadId": "t", "messages": [')
    tally = importing("ag-ui", tmp_path)
    assert sorted(Path(problem.file).name for problem in tally.problems) == [
        "cut.json",
        "empty.json",
        "list.json",
        "package.json",
    ]
    assert threads(ledger) == 0


def test_what_the_first_version_made_is_superseded_where_it_reads_otherwise(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    former = stable_id("thread", "ag-ui", "logs/chat")
    ledger.create_thread(thread_id=former, agent_id="ag-ui", title="chat").start_run()
    talk(tmp_path / "alice", "t-alice")
    importing("ag-ui", tmp_path)
    (superseded,) = ledger.events(types=["thread.superseded"])
    assert superseded.stream == former
    assert importing("ag-ui", tmp_path).events == 0
