"""Where an import reads from: files, folders, packed ones, standard input; and what it says of what cannot be read."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from runfold import Ledger, Settings
from runfold.errors import InvalidEvent, UsageError
from runfold.importers.formats import names
from runfold.importers.importing import import_paths
from runfold.importers.sources import Piece
from runfold.importers.tally import Tally
from tests.importers.conftest import SessionFile, text

Importing = Callable[..., Tally]


@pytest.fixture
def hello(session: SessionFile) -> SessionFile:
    """A session of two messages."""
    session.say("Hello.")
    session.reply("msg-1", text("Hello."))
    session.write()
    return session


def _pack(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


def test_a_packed_file_is_the_same_source(ledger: Ledger, importing: Importing, hello: SessionFile) -> None:
    assert importing("claude-code", _pack(hello.path)).messages == 2
    assert importing("claude-code", hello.path).skipped == 1


def test_a_folder_is_read_with_all_that_is_in_it(importing: Importing, hello: SessionFile, tmp_path: Path) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    hello.path.rename(tmp_path / "deep" / "down" / "session.jsonl")
    (tmp_path / "README.md").write_text("not a session")
    tally = importing("claude-code", tmp_path)
    assert (tally.messages, tally.problems) == (2, [])


def test_a_file_that_is_named_twice_is_read_once(importing: Importing, hello: SessionFile, tmp_path: Path) -> None:
    assert importing("claude-code", hello.path, tmp_path, hello.path).messages == 2


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_read(importing: Importing, hello: SessionFile, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    raw = hello.path.read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(raw) if packed else raw)))
    assert importing("claude-code", "-").messages == 2


def test_a_problem_of_standard_input_names_it(importing: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[1, 2")))
    (problem,) = importing("tau2", "-").problems
    assert str(problem).startswith("stdin: ")


def test_an_empty_file_holds_nothing(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "blank.jsonl").write_bytes(b"\n \n")
    assert importing("claude-code", tmp_path).as_json() | {"seconds": 0} == Tally().as_json() | {"seconds": 0}


def test_a_byte_order_mark_is_let_by(importing: Importing, hello: SessionFile) -> None:
    hello.path.write_bytes(b"\xef\xbb\xbf" + hello.path.read_bytes())
    assert importing("claude-code", hello.path).problems == []


def test_a_line_that_is_not_utf8_is_named(importing: Importing, hello: SessionFile) -> None:
    hello.path.write_bytes(hello.path.read_bytes() + b'{"type": "\xff"}\n')
    tally = importing("claude-code", hello.path)
    assert tally.messages == 2
    assert [(problem.line, problem.reason) for problem in tally.problems] == [(3, "is not UTF-8 (byte 10 of the line)")]


def test_line_ends_inside_a_text_are_no_new_line(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("one\u2028two\x0bthree")
    session.path.write_text(json.dumps(session.records[0], ensure_ascii=False) + "\r\n", newline="")
    assert importing("claude-code", session.path).problems == []
    ledger.fold("threads")
    (row,) = ledger.now.threads().items
    assert [message.text for message in ledger.thread(row.thread_id).messages()] == ["one\u2028two\x0bthree"]


def test_a_packed_file_that_breaks_off_is_one_problem_and_the_others_go_in(
    importing: Importing, hello: SessionFile, tmp_path: Path
) -> None:
    whole = gzip.compress(hello.path.read_bytes())
    (tmp_path / "broken.jsonl.gz").write_bytes(whole[:-20])
    tally = importing("claude-code", tmp_path)
    assert tally.messages == 2
    (problem,) = tally.problems
    assert "not a whole gzip file" in problem.reason


@pytest.mark.fault("F10")
def test_a_file_that_grows_too_large_is_one_problem_by_its_name_and_the_others_go_in(
    settings: Settings, hello: SessionFile, tmp_path: Path
) -> None:
    bomb = gzip.compress(b" " * 2**20) * 300
    (tmp_path / "bomb.jsonl.gz").write_bytes(bomb)
    (tmp_path / "large.jsonl").write_bytes(b" " * (2**20 + 1))
    with Ledger.open(settings=settings.model_copy(update={"max_import_bytes": 2**20})) as ledger:
        tracemalloc.start()
        tally = import_paths(ledger, "claude-code", [tmp_path])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert tally.messages == 2
    assert {Path(problem.file).name for problem in tally.problems} == {"bomb.jsonl.gz", "large.jsonl"}
    assert all("RUNFOLD_MAX_IMPORT_BYTES" in problem.reason for problem in tally.problems)
    assert peak < 32 * 2**20


def test_a_packed_file_of_several_members_goes_in_whole(importing: Importing, hello: SessionFile, tmp_path: Path) -> None:
    raw = hello.path.read_bytes()
    hello.path.unlink()
    (tmp_path / "hello.jsonl.gz").write_bytes(gzip.compress(raw[:40]) + gzip.compress(raw[40:90]) + gzip.compress(raw[90:]))
    tally = importing("claude-code", tmp_path)
    assert (tally.messages, tally.problems) == (2, [])


def test_a_path_that_is_not_there_is_refused_before_anything_is_read(
    ledger: Ledger, importing: Importing, hello: SessionFile, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"file or folder .* not found"):
        importing("claude-code", hello.path, tmp_path / "nowhere")
    assert ledger.position() == 0


def test_an_unknown_format_is_refused_with_those_there_are(importing: Importing, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=", ".join(names())):
        importing("wishes", tmp_path)


def test_progress_counts_the_bytes_up_to_all_of_them(ledger: Ledger, hello: SessionFile, tmp_path: Path) -> None:
    second = SessionFile(tmp_path / "second.jsonl", session_id="another")
    second.say("Hello.")
    second.write()
    told: list[tuple[int, int, str]] = []
    import_paths(ledger, "claude-code", [tmp_path], lambda *step: told.append(step))
    total = hello.path.stat().st_size + second.path.stat().st_size
    assert {step[1] for step in told} == {total}
    assert [step[0] for step in told] == [second.path.stat().st_size, total, total]


def test_a_string_that_is_too_long_is_named_with_its_message(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("x" * (2 * 1024 * 1024 + 1))
    session.reply("msg-1", text("Long."))
    tally = importing("claude-code", session.write())
    (problem,) = tally.problems
    assert problem.line == 1
    assert "a string takes 2097152" in problem.reason


def test_a_piece_knows_its_line_and_its_place() -> None:
    document = '{"a": [1,\n 2,\n {"b": "c"}]}'
    whole = Piece("f", document, 0, len(document))
    *_, third = whole.members()["a"].elements()
    assert (third.path, third.line, third.value()) == ("a.2", 3, {"b": "c"})
    assert third.members()["b"].source == '"c"'


@pytest.mark.parametrize("broken", ['{"a" 1}', "{1: 2}", '{"a": 1', '{"a": 1 "b": 2}', '{"a": 1, "a": 2}', "[]", ""])
def test_a_broken_object_is_refused(broken: str) -> None:
    with pytest.raises(InvalidEvent):
        Piece("f", broken, 0, len(broken)).members()
