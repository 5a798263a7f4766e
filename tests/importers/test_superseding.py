"""A newer importer reads a source otherwise: the new thread stands for the old, which stays where it reads the same."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, Settings
from runfold.domain.thread import ThreadImported, ThreadSuperseded
from runfold.domain.values import digest
from runfold.ids import stable_id
from runfold.importers.format import Format, SourceThread
from runfold.importers.importing import import_as
from runfold.importers.reading_digest import reading_digest
from runfold.importers.recording import Recording
from runfold.importers.sources import Report, SourceFile, document
from runfold.importers.tally import Tally


def chat_format(version: int, *, splits: bool = False, actor: str = "human:ada") -> Format:
    """Chats, read by one version: `actor` says the words; `splits` makes a thread of each turn."""

    def read(files: Sequence[SourceFile], _: Report) -> Iterator[SourceThread]:
        for file in files:
            whole = document(file)
            chat = json.loads(whole.source)
            turns = chat["turns"]
            for number, part in enumerate([[turn] for turn in turns] if splits else [turns]):
                name = (chat["id"], *([str(number)] if splits else []), *([f"v{version}"] if version > 1 else []))
                yield SourceThread(
                    stable_id("thread", *name),
                    chat["id"],
                    digest(whole.source),
                    (chat["id"],),
                    file.size,
                    partial(record, name, part, actor),
                    replaces=(stable_id("thread", chat["id"]),) if version > 1 else (),
                    files=(file,),
                )

    return Format(wants=lambda name: name.endswith(".chat.json"), read=read, version=version)


def record(name: Sequence[str], turns: list[str], actor: str, recording: Recording) -> None:
    recording.begin(agent_id="chat")
    run = recording.source_run(stable_id("run", *name), parent=None, metadata={"version": name[-1]})
    for number, text in enumerate(turns):
        run.add_message("user", text, message_id=stable_id("msg", *name, str(number)), actor=actor)
        run.run(f"{name}{number}").usage(usage_id=stable_id("usage", *name, str(number)), input_tokens=10)
    if ended := run.end():
        ended.complete()


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "a.chat.json"
    path.write_text(json.dumps({"id": "chat-1", "turns": ["one", "two"]}))
    return path


OLD = stable_id("thread", "chat-1")
NEW = stable_id("thread", "chat-1", "v2")


def superseded_by(ledger: Ledger, thread_id: str = OLD) -> list[tuple[str, ...]]:
    events = ledger.events(thread_id=thread_id, types=("thread.superseded",))
    return [recorded.event.by_thread_ids for recorded in events if isinstance(recorded.event, ThreadSuperseded)]


def importing(ledger: Ledger, path: Path, version: int, **how: Any) -> Tally:
    return import_as(ledger, "chat", chat_format(version, **how), [path])


def test_an_import_says_which_version_read_the_source_and_by_whose_clock(ledger: Ledger, chat: Path) -> None:
    importing(ledger, chat, 3)
    (recorded,) = ledger.events(types=("thread.imported",))
    assert isinstance(recorded.event, ThreadImported)
    assert (recorded.event.importer_version, recorded.event.times_judged_by) == (3, "producer")


def test_under_the_same_version_or_an_older_one_nothing_is_appended(ledger: Ledger, chat: Path) -> None:
    importing(ledger, chat, 2, actor="service:robot")
    again = importing(ledger, chat, 2, actor="service:robot")
    assert (again.events, again.skipped) == (0, 1)


def test_what_a_newer_version_reads_otherwise_supersedes_the_old_in_one_transaction(ledger: Ledger, chat: Path) -> None:
    importing(ledger, chat, 1)
    before = ledger.position()
    tally = importing(ledger, chat, 2, actor="service:robot")
    assert tally.events == ledger.position() - before
    assert superseded_by(ledger) == [(NEW,)]
    times = {recorded.recorded_at for recorded in ledger.events(after=before)}
    assert len(times) == 1, "one transaction"
    assert importing(ledger, chat, 2, actor="service:robot").events == 0
    assert importing(ledger, chat, 1).events == 0, "the old version finds its own thread"


def test_what_reads_the_same_is_left_and_nothing_is_made(ledger: Ledger, chat: Path) -> None:
    importing(ledger, chat, 1)
    before = ledger.position()
    for _ in range(2):
        tally = importing(ledger, chat, 2)
        assert (tally.events, tally.skipped, tally.messages) == (0, 1, 2)
    assert ledger.position() == before


def test_a_source_that_grew_since_is_read_otherwise(ledger: Ledger, chat: Path) -> None:
    importing(ledger, chat, 1)
    chat.write_text(json.dumps({"id": "chat-1", "turns": ["one", "two", "three"]}))
    importing(ledger, chat, 2)
    assert superseded_by(ledger) == [(NEW,)]
    assert len(ledger.thread(NEW).messages()) == 3


def test_one_thread_that_became_several_names_them_all(ledger: Ledger, chat: Path) -> None:
    importing(ledger, chat, 1)
    importing(ledger, chat, 2, splits=True)
    made = tuple(stable_id("thread", "chat-1", str(number), "v2") for number in range(2))
    assert sorted(superseded_by(ledger)) == sorted([made[:1], made[1:]])
    assert importing(ledger, chat, 2, splits=True).events == 0


def test_an_old_thread_that_turns_up_later_is_superseded_too(ledger: Ledger, chat: Path) -> None:
    importing(ledger, chat, 2, actor="service:robot")
    importing(ledger, chat, 1)
    tally = importing(ledger, chat, 2, actor="service:robot")
    assert (tally.events, superseded_by(ledger)) == (1, [(NEW,)])


def test_an_import_that_broke_off_before_the_end_is_mended_by_the_next(
    ledger: Ledger, chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing(ledger, chat, 1)
    monkeypatch.setattr("runfold.importers.recording.STORE_AFTER", 0)
    version_2 = chat_format(2, actor="service:robot")

    def breaking_off(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
        for source in version_2.read(files, report):

            def record_half(recording: Recording, source: SourceThread = source) -> None:
                source.record(recording)
                recording.batch.store()
                raise KeyboardInterrupt

            yield SourceThread(**{**source.__dict__, "record": record_half})

    with pytest.raises(KeyboardInterrupt):
        import_as(ledger, "chat", Format(version_2.wants, breaking_off, 2), [chat])
    assert superseded_by(ledger) == [], "what was compared was stored nowhere"
    importing(ledger, chat, 2, actor="service:robot")
    assert superseded_by(ledger) == [(NEW,)]
    assert len(ledger.thread(NEW).messages()) == 2


def test_what_somebody_deleted_is_not_made_again_by_a_newer_version(ledger: Ledger, chat: Path) -> None:
    importing(ledger, chat, 1)
    ledger.thread(OLD).delete("asked to")
    before = ledger.position()
    tally = importing(ledger, chat, 2, actor="service:robot")
    assert ledger.position() == before
    assert [note.kind for note in tally.reports.by_kind.values()] == [
        "threads that were deleted, which a newer version of the importer makes no others of"
    ]


def test_another_tenant_has_its_own_threads_and_supersedes_nobody_elses(ledger: Ledger, settings: Settings, chat: Path) -> None:
    importing(ledger, chat, 1)
    with Ledger.open(settings=settings.model_copy(update={"tenant": "acme"})) as acme:
        assert importing(acme, chat, 1).events > 0
        importing(acme, chat, 2, actor="service:robot")
        assert superseded_by(acme) == [(NEW,)]
    assert superseded_by(ledger) == []


READINGS = {
    "other words": lambda run: run.add_message("user", "other", message_id="msg_1", actor="human:ada"),
    "another speaker": lambda run: run.add_message("user", "one", message_id="msg_1", actor="service:robot"),
    "another call": lambda run: run.call_tool("search", {"q": 2}, call_id="call_1"),
    "other tokens": lambda run: run.usage(usage_id="usage_1", input_tokens=11),
    "another end": lambda run: run.fail("it broke"),
    "a cut memory": lambda run: run.compact_context("auto"),
}


def told(ledger: Ledger, name: str, act: Any = None) -> str:
    run = ledger.create_thread(thread_id=f"thread_{name}", agent_id="chat").start_run(run_id=f"run_{name}", metadata={"of": name})
    run.add_message("user", "zero", message_id=f"msg_{name}", occurred_at=datetime(2026, 3, 1, tzinfo=UTC))
    if act is not None:
        act(run)
    return reading_digest(ledger.thread(f"thread_{name}").events())


def test_what_is_told_is_what_is_read_and_ids_are_not(ledger: Ledger) -> None:
    first = told(ledger, "a")
    assert first == told(ledger, "b")
    others = {name: told(ledger, f"other_{number}", act) for number, (name, act) in enumerate(READINGS.items())}
    assert [name for name, digest in others.items() if digest == first] == []
    assert len({*others.values()}) == len(READINGS)
