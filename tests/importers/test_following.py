"""Folders that are followed: whatever comes, in whatever pieces, the ledger ends as if all had been imported at once."""

import errno
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runfold import Ledger
from runfold.errors import LedgerError, UsageError
from runfold.importers.following import Follower, Told
from runfold.importers.importing import import_paths
from runfold.importers.sources import SourceFile
from runfold.importers.tally import Problem
from tests.databases import TestDatabase
from tests.importers.conftest import SessionFile, text
from tests.importers.robustness.samples import BY_LINE, files_of
from tests.importers.robustness.state import differences, state
from tests.waiting import until

Tenants = Callable[[str], Ledger]
GROWING = (*BY_LINE, "ag-ui")


def write(path: Path, raw: bytes) -> None:
    """Make a file hold so much, appending where it holds the beginning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    held = path.read_bytes() if path.exists() else b""
    assert raw.startswith(held)
    with path.open("ab") as file:
        file.write(raw[len(held) :])


def cuts(files: dict[Path, bytes], chance: random.Random, steps: int, *, whole: bool) -> list[dict[Path, bytes]]:
    """What files hold step by step, cut anywhere, within a line too; or turn by turn, each with what was asked and answered."""
    found, reached = [], dict.fromkeys(files, 0)
    turns = sorted({path.name.partition(".")[0] for path in files})
    for step in range(1, steps + 1):
        there = turns[: len(turns) * step // steps]
        for path, raw in files.items():
            if whole:
                reached[path] = len(raw) if path.name.partition(".")[0] in there else 0
            else:
                reached[path] = len(raw) if step == steps else chance.randrange(reached[path], len(raw) + 1)
        found.append({path: files[path][:length] for path, length in reached.items() if length})
    return found


@pytest.mark.parametrize("format", GROWING)
def test_looked_at_piece_by_piece_it_is_as_if_imported_at_once(format: str, tenants: Tenants, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    files = {path.relative_to(tmp_path / "made"): path.read_bytes() for path in files_of(format, tmp_path / "made")}
    with closing(tenants(f"follow-{format}-whole")) as at_once:
        assert import_paths(at_once, format, [tmp_path / "made"]).problems == []
        wanted = state(at_once)
    for seed in range(2):
        chance, folder = random.Random(f"{format} {seed}"), tmp_path / f"seed-{seed}"  # noqa: S311
        folder.mkdir()
        problems: list[Problem] = []
        with closing(tenants(f"follow-{format}-{seed}")) as ledger:
            follower = Follower(ledger, format, [folder], Told(problem=problems.append))
            for step, held in enumerate(cuts(files, chance, 5, whole=format not in BY_LINE)):
                for path, raw in held.items():
                    write(folder / path, raw)
                if step == 3:  # another process, which remembers nothing
                    follower = Follower(ledger, format, [folder], Told(problem=problems.append))
                follower.look()
            position = ledger.position()
            follower.look()
            assert ledger.position() == position
            assert not differences(format, state(ledger), wanted), f"seed {seed}"
            assert problems == []
            assert import_paths(ledger, format, [folder]).events == 0


@pytest.fixture
def follower(ledger: Ledger, tmp_path: Path) -> Any:
    """Makes one of a folder of sessions of Claude Code, and keeps what it is told."""

    def made(**more: Any) -> Follower:
        return Follower(ledger, "claude-code", [tmp_path], Told(**more))

    return made


def session(tmp_path: Path, number: int) -> SessionFile:
    """A session in which something was said."""
    made = SessionFile(tmp_path / f"{number}.jsonl", session_id=f"5e551011-0000-4000-8000-{number:012}")
    made.say("Hello", uuid=f"first-{number}")
    made.reply(f"msg-{number}", text("Good day."), requestId=f"req-{number}")
    made.write()
    return made


def test_only_files_of_threads_that_changed_are_read_again(
    follower: Any, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    opened = SourceFile._opened
    monkeypatch.setattr(SourceFile, "_opened", lambda file: read.append(file.plain_name) or opened(file))
    same, growing = session(tmp_path, 1), session(tmp_path, 2)
    following = follower()
    following.look()
    assert set(read) == {same.path.name, growing.path.name}
    growing.say("And now?")
    growing.write()
    read.clear()
    position = ledger.position()
    following.look()
    following.look()
    assert ledger.position() > position
    assert set(read) == {growing.path.name}
    read.clear()
    same.path.touch()
    following.look()
    assert set(read) == {same.path.name}


def test_a_file_that_is_replaced_with_its_size_and_times_kept_is_read(follower: Any, ledger: Ledger, tmp_path: Path) -> None:
    path = session(tmp_path, 1).path
    following, about = follower(), path.stat()
    following.look()
    other = path.read_bytes().replace(b"Hello", b"Salut").replace(b"first-1", b"first-9")
    path.write_bytes(other)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    following.look()
    assert {item.content[0].text for item in of_kind(ledger, "message.added")} == {"Hello", "Salut", "Good day."}
    (_, latest) = of_kind(ledger, "thread.imported")
    assert latest.source_files[0].digest == f"sha256:{hashlib.sha256(other).hexdigest()}"


def of_kind(ledger: Ledger, kind: str) -> list[Any]:
    """All events of a kind."""
    return [recorded.event for recorded in ledger.events(types=[kind])]


def test_what_is_cut_off_renamed_or_deleted_stays_in_the_ledger(follower: Any, ledger: Ledger, tmp_path: Path) -> None:
    problems: list[Problem] = []
    first, second, third = (session(tmp_path, number) for number in (1, 2, 3))
    following = follower(problem=problems.append)
    following.look()
    before = state(ledger)
    first.write(1)
    second.path.rename(tmp_path / "2.old.jsonl")
    third.path.unlink()
    following.look()
    following.look()
    assert (state(ledger), problems, following.followed.files) == (before, [], 2)
    first.say("On with it")
    first.write()
    following.look()
    assert len(state(ledger)["messages"]) == len(before["messages"]) + 1


@pytest.mark.parametrize("listed", [False, True])
def test_what_may_not_be_looked_at_is_told_and_the_rest_goes_in(
    follower: Any, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    session(tmp_path, 1)
    session(closed, 2)
    with monkeypatch.context() as patched:  # root may look at everything
        if listed:
            patched.setattr(Path, "stat", refusing(Path.stat, lambda path: path.parent == closed))
        else:
            patched.setattr(os, "scandir", refusing(os.scandir, lambda path: Path(path) == closed))
        problems: list[Problem] = []
        following = follower(problem=problems.append)
        for _ in range(3):
            following.look()
        (problem,), (same,) = problems, import_paths(ledger, "claude-code", [tmp_path]).problems
    assert problem == same
    assert problem.file == str(closed / "2.jsonl" if listed else closed)
    assert "Permission denied" in problem.reason
    assert (following.followed.files, len(following.followed.threads)) == (1, 1)
    following.look()
    assert (following.followed.files, len(following.followed.threads)) == (2, 2), "now it may be"


def refusing(call: Callable[..., Any], is_refused: Callable[[Any], bool]) -> Callable[..., Any]:
    """A call that the system refuses for some paths."""

    def asked(path: Any, *rest: Any, **more: Any) -> Any:
        if is_refused(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return call(path, *rest, **more)

    return asked


def test_a_folder_that_goes_and_comes_back_is_waited_for(follower: Any, ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    following = Follower(ledger, "claude-code", [folder])
    session(folder, 1)
    following.look()
    folder.rename(tmp_path / "elsewhere")
    following.look()
    assert following.followed.files == 0
    (tmp_path / "elsewhere").rename(folder)
    session(folder, 2)
    following.look()
    assert (following.followed.files, len(following.followed.threads)) == (2, 2)


def test_a_database_that_goes_for_a_moment_is_waited_for(
    follower: Any, ledger: Ledger, database: TestDatabase, admin_url: str, tmp_path: Path
) -> None:
    gone: list[LedgerError] = []
    stop = threading.Event()
    session(tmp_path, 1)
    following = follower(away=lambda error, _: gone.append(error))
    thread = threading.Thread(target=following.follow, args=(0.02, stop))
    name = psycopg.conninfo.conninfo_to_dict(database.url)["dbname"]
    with psycopg.connect(admin_url, autocommit=True) as admin:
        thread.start()
        try:
            until(lambda: following.followed.events > 0)
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            session(tmp_path, 2)
            until(lambda: gone)
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            until(lambda: len(following.followed.threads) == 2)
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            stop.set()
            thread.join(60)
    assert not thread.is_alive()
    assert len(state(ledger)["messages"]) == 4


def test_what_cannot_be_read_is_told_once_its_file_is_still_and_once_alone(follower: Any, tmp_path: Path) -> None:
    problems: list[Problem] = []
    following, broken = follower(problem=problems.append), session(tmp_path, 1).path
    good = broken.read_text()
    broken.write_text(f"{good}half\n")
    following.look()
    broken.write_text(f"{good}half\nof it\n")
    following.look()
    assert problems == []
    following.look()
    assert [problem.line for problem in problems] == [3, 4]
    broken.write_text(f"{good}half\nof it\nall\n")
    for _ in range(3):
        following.look()
    assert [problem.line for problem in problems] == [3, 4, 5]
    broken.write_text(f"{good}gone before it is told\n")
    following.look()
    broken.unlink()
    following.look()
    assert len(problems) == following.followed.problems == 3


def test_a_problem_is_told_though_a_file_grows_whose_name_its_files_begins_with(follower: Any, tmp_path: Path) -> None:
    problems: list[Problem] = []
    following, growing = follower(problem=problems.append), session(tmp_path, 1)
    growing.path.with_name(f"{growing.path.name}.gz").write_bytes(b"\x1f\x8bbroken")
    for _ in range(2):
        following.look()
        growing.say("More?")
        growing.write()
    assert [Path(problem.file).name for problem in problems] == ["1.jsonl.gz"]


def test_what_cannot_be_followed_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standard input and pipes cannot be followed"):
        Follower(ledger, "claude-code", ["-"])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipes cannot be followed"):
        Follower(ledger, "claude-code", [tmp_path / "pipe"])
    with pytest.raises(UsageError, match="not found"):
        Follower(ledger, "claude-code", [tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="format"):
        Follower(ledger, "no such", [tmp_path])


def started(database: TestDatabase, folder: Path) -> "subprocess.Popen[str]":
    """The command, which looks all the time."""
    command = [sys.executable, "-m", "runfold.cli.main", "import", "claude-code", str(folder), "--follow", "--every", "50ms"]
    environment = {**os.environ, "RUNFOLD_DATABASE_URL": database.url}
    return subprocess.Popen(
        [*command, "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_real_sessions_that_grow_while_they_are_followed_through_a_kill_are_whole(
    ended_by: signal.Signals, database: TestDatabase, ledger: Ledger, tenants: Tenants, trajectories: Path, tmp_path: Path
) -> None:
    source, folder = trajectories / "claude-code", tmp_path / "followed"
    packed = sorted(source.rglob("*.jsonl.gz"), key=lambda path: path.stat().st_size)[3:9]
    files = {path.relative_to(source).with_suffix(""): gzip.decompress(path.read_bytes()) for path in packed}
    for path, raw in files.items():
        write(tmp_path / "whole" / path, raw)
    with closing(tenants(f"follow-real-{ended_by}")) as at_once:
        import_paths(at_once, "claude-code", [tmp_path / "whole"])
        wanted = state(at_once)
    folder.mkdir()
    first = {path: raw[: len(raw) // 2] for path, raw in files.items()}
    second = {path: raw[: random.Random(ended_by).randrange(len(raw) // 2, len(raw))] for path, raw in files.items()}  # noqa: S311
    process = started(database, folder)
    try:
        for path, raw in first.items():
            write(folder / path, raw)
        until(lambda: ledger.position() > 0 or process.poll() is not None)
        process.kill()
        process.communicate()
        process = started(database, folder)
        for held in (second, files):
            for path, raw in held.items():
                write(folder / path, raw)
        until(lambda: not differences("claude-code", state(ledger), wanted), otherwise=lambda: "it never became whole")
        process.send_signal(ended_by)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    lines = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, err
    assert (lines[-1]["files"], lines[-1]["problems"], lines[-1]["as_of"]) == (len(files), 0, ledger.position())
    assert sum(line["change"]["events"] for line in lines[:-1]) == lines[-1]["events"]
    assert import_paths(ledger, "claude-code", [folder]).events == 0
