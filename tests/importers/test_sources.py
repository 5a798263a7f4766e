"""Where an import reads from: files, folders, packed ones, standard input; and what it says of what cannot be read."""

import gzip
import io
import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, Settings
from runfold.errors import InvalidEvent, UsageError
from runfold.importers.cleaning import ESCAPED
from runfold.importers.following import Follower
from runfold.importers.formats import named, names
from runfold.importers.importing import import_paths
from runfold.importers.sources import BROKEN_OFF, NULS, SEVERAL, Piece, SourceFile, lines
from runfold.importers.tally import Reports, Tally
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


@pytest.mark.parametrize("format", ["claude-code", "otlp"])
def test_a_pipe_is_read_once_for_all(importing: Importing, hello: SessionFile, tmp_path: Path, format: str) -> None:
    span = {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "attributes": [{"key": "gen_ai.request.model", "value": {"stringValue": "m"}}],
    }
    traces = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=[traces if format == "otlp" else hello.path.read_bytes()])
    writing.start()
    tally = importing(format, pipe)
    writing.join()
    assert (tally.threads, tally.problems, tally.notes) == (1, [], [])


def test_a_problem_of_standard_input_names_it(importing: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[1, 2")))
    (problem,) = importing("tau2", "-").problems
    assert str(problem).startswith("stdin: ")


@pytest.mark.parametrize("path", ["", "round", "nowhere", "file.jsonl/x"])
def test_a_path_that_leads_nowhere_is_refused(
    ledger: Ledger, importing: Importing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "file.jsonl").write_text("")
    with pytest.raises(UsageError, match=f"'{path}' not found"):
        importing("claude-code", path)
    with pytest.raises(UsageError, match=f"'{path}' not found"):
        Follower(ledger, "claude-code", [path])


def test_an_empty_file_holds_nothing(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "blank.jsonl").write_bytes(b"\n \n")
    tally = importing("claude-code", tmp_path)
    assert tally.counted() == Tally().counted()
    assert len(tally.problems) + len(tally.notes) > 0, "and that is said"


def test_a_byte_order_mark_is_let_by(importing: Importing, hello: SessionFile) -> None:
    hello.path.write_bytes(b"\xef\xbb\xbf" + hello.path.read_bytes())
    assert importing("claude-code", hello.path).problems == []


def test_a_byte_that_is_not_utf8_stands_escaped(ledger: Ledger, importing: Importing, hello: SessionFile) -> None:
    hello.path.write_bytes(hello.path.read_bytes().replace(b"Hello.", b"Hel\xfflo.", 1))
    tally = importing("claude-code", hello.path)
    assert (tally.messages, tally.problems) == (2, [])
    assert [(note.kind, note.line) for note in tally.notes] == [(ESCAPED, 1)]
    ledger.fold("threads")
    (row,) = ledger.now.threads().items
    assert ledger.thread(row.thread_id).messages()[0].text == "Hel\\xfflo."


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
    second.say("Hello.", uuid="another-line")
    second.write()
    told: list[tuple[int, int, str]] = []
    import_paths(ledger, "claude-code", [tmp_path], lambda *step: told.append(step))
    total = hello.path.stat().st_size + second.path.stat().st_size
    assert {step[1] for step in told} == {total}
    assert [step[0] for step in told] == [second.path.stat().st_size, total, total]


def test_a_piece_knows_its_line_and_its_place() -> None:
    document = '{"a": [1,\n 2,\n {"b": "c"}]}'
    whole = Piece("f", document, 0, len(document))
    *_, third = whole.members()["a"].elements()
    assert (third.path, third.line, third.value()) == ("a.2", 3, {"b": "c"})
    assert third.members()["b"].source == '"c"'


class _Counted(str):
    """A text that notes how much of it was looked through for line ends."""

    looked_at = 0

    def count(self, what: str, start: int = 0, end: int | None = None, /) -> int:  # type: ignore[override]
        end = len(self) if end is None else min(end, len(self))
        _Counted.looked_at += end - start
        return super().count(what, start, end)


def test_the_lines_of_many_pieces_are_found_without_counting_all_before_each() -> None:
    text = _Counted("[" + ",\n".join(f'{{"number": {number},\n"x": "{"x" * 90}"}}' for number in range(5_000)) + "]")
    pieces = list(Piece("f", text, 0, len(text)).elements())
    assert [piece.line for piece in pieces] == [1 + 2 * number for number in range(5_000)]
    forward = _Counted.looked_at
    assert [piece.members()["x"].line for piece in reversed(pieces)] == [2 + 2 * number for number in reversed(range(5_000))]
    assert forward < 5_000 * 2**16 + len(text), "a step for each at most, and the whole once"
    assert forward < sum(piece.start for piece in pieces) / 4


@pytest.mark.parametrize("broken", ['{"a" 1}', "{1: 2}", '{"a": 1', '{"a": 1 "b": 2}', '{"a": 1, "a": 2}', "[]", ""])
def test_a_broken_object_is_refused(broken: str) -> None:
    with pytest.raises(InvalidEvent):
        Piece("f", broken, 0, len(broken)).members()


def _read(raw: bytes) -> tuple[list[tuple[int, Any]], Reports]:
    reports = Reports()
    file = SourceFile("f.jsonl", None, len(raw), raw)
    return [(piece.line, piece.value()) for piece in lines(file, reports.take)], reports


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("raw", "found", "kinds"),
    [
        (b'{"a":1}\n{"a":2}\n', [(1, {"a": 1}), (2, {"a": 2})], {}),
        (b'{"a":1}\r\n\r\n \t\n{"a":2}', [(1, {"a": 1}), (4, {"a": 2})], {}),
        (b'\xef\xbb\xbf{"a":1}\n', [(1, {"a": 1})], {}),
        ('{"a":"ä"}\n{"a":"€"}\n'.encode("utf-16"), [(1, {"a": "ä"}), (2, {"a": "€"})], {}),
        ('{"a":"ä"}\n'.encode("utf-16-be"), [(1, {"a": "ä"})], {}),
        (b'{"a":1}{"a":"}{"}  {"a":3}\n', [(1, {"a": 1}), (1, {"a": "}{"}), (1, {"a": 3})], {SEVERAL: 1}),
        (b'{"a":"} {"}\n', [(1, {"a": "} {"})], {}),
        (b'{"a":1}\n{"a":2, "b":"}', [(1, {"a": 1})], {BROKEN_OFF: 1}),
        (b'{"a":1}\n{"a":2}{"a"', [(1, {"a": 1}), (2, {"a": 2})], {BROKEN_OFF: 1}),
        (b'{"a":1}\n' + b"\0" * 40, [(1, {"a": 1})], {NULS: 1}),
        (b"\0" * 9 + b'{"a":1}\n', [(1, {"a": 1})], {}),
        (b'{"a":"\xff"}\n', [(1, {"a": "\\xff"})], {ESCAPED: 1}),
        (b"", [], {}),
    ],
)
def test_lines_are_taken_however_they_stand_there(
    raw: bytes, found: list[tuple[int, Any]], kinds: dict[str, int], packed: bool
) -> None:
    read, reports = _read(gzip.compress(raw) if packed else raw)
    assert read == found
    assert {note.kind: note.count for note in reports.by_kind.values()} == kinds
    assert reports.problems == []


@pytest.mark.parametrize("raw", [b'{"a":1}{"a" 2}\n', b'{"a":1}}{\n', b"broken", b'{"a":1}\n{broken}'])
def test_what_is_broken_is_not_taken_for_what_breaks_off(raw: bytes) -> None:
    with pytest.raises(InvalidEvent, match="is not JSON"):
        _read(raw)


def test_lines_are_read_without_holding_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text":"' + b"x" * 1000 + b'"}\n') * 9000)
    file = SourceFile(str(path), path, path.stat().st_size)
    tracemalloc.start()
    count = sum(1 for _ in lines(file, Reports().take))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 9000
    assert peak < 4 * 2**20, "a file of nine million bytes"


@pytest.mark.parametrize("format", ["claude-code", "codex", "copilot"])
@pytest.mark.parametrize(("lines", "rest"), [(2, ""), (51, "; the rest of the file is not read")])
def test_a_file_of_another_kind_is_told_once_and_a_large_one_is_not_read_to_its_end(
    format: str, lines: int, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.importers.tally.MOST_STRANGE", 50)
    raw, reports = b"12:00 this is a log of another program\n" * lines, Reports()
    assert list(named(format).read([SourceFile("rollout-log.jsonl", None, len(raw), raw)], reports.take)) == []
    (problem,) = reports.problems
    assert problem.line == 1
    assert problem.reason.startswith("no line is ")
    assert problem.reason.endswith(f"Extra data: line 1 column 3 (char 2){rest}")


def test_what_stands_before_a_break_in_a_packed_file_is_read() -> None:
    raw = gzip.compress(b'{"a":1}\n{"a":2}\n')[:-4]
    read, reports = _read(raw)
    assert read == [(1, {"a": 1}), (2, {"a": 2})]
    assert [str(problem) for problem in reports.problems] == [
        "f.jsonl:3: is not a whole gzip file: it ends in the middle of its gzip stream; what stands before goes in"
    ]


def test_what_stands_behind_a_packed_file_loses_nothing_of_it() -> None:
    raw = gzip.compress(b'{"a":1}\n{"a":2}\n')
    padded, reports = _read(raw + b"\0" * 512)
    assert (padded, reports.problems) == ([(1, {"a": 1}), (2, {"a": 2})], [])
    followed, reports = _read(raw + b"what is this?")
    assert followed == padded
    (problem,) = reports.problems
    assert problem.reason.endswith("what stands before goes in")


def test_a_deep_part_of_a_document_does_not_hide_its_neighbours() -> None:
    text = '{"a": [1, ' + "[" * 5000 + "]" * 5000 + ', "after"], "b": 2}'
    whole = Piece("f", text, 0, len(text), report=Reports().take)
    members = whole.members()
    assert [piece.value() for piece in members["a"].elements()][::2] == [1, "after"]
    assert members["b"].value() == 2
