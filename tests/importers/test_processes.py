"""Several processes read and store the files of a folder, and it is as if one had."""

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from runfold import Ledger
from runfold.errors import LedgerUnavailable
from runfold.failpoint import IMPORT_POINTS
from runfold.importers.formats import named, names
from runfold.importers.importing import import_paths
from runfold.importers.sources import find
from runfold.importers.tally import COUNTS, Reports, Tally
from tests.importers.conftest import SessionFile, text, tool_use
from tests.importers.robustness.samples import files_of
from tests.importers.robustness.state import state

SESSIONS = 12
IN_PARTS = [name for name in names() if named(name).parts is not None]


def _read(format: str, *groups: list[Path]) -> tuple[dict[str, tuple[object, ...]], list[str]]:
    reports, found = Reports(), {}
    for paths in groups:
        for source in named(format).read(find(paths, named(format).wants), reports.take):
            assert source.thread_id not in found, "a thread's files are in one group"
            found[source.thread_id] = (source.digest, source.source_ids, source.size, source.claims, source.replaces)
    return found, sorted(map(str, reports.problems))


def _in_groups(format: str, folder: Path) -> list[list[Path]]:
    files, reports, parts = find([folder], named(format).wants), Reports(), named(format).parts
    assert parts is not None
    groups = [[file.path for file in group if file.path is not None] for group in parts.together(files, reports.take)]
    grouped = [path for group in groups for path in group]
    assert len(grouped) == len(set(grouped)), "no file is in two groups"
    assert not reports.problems
    return groups


def test_formats_whose_files_grow_by_sessions_are_read_in_parts() -> None:
    assert IN_PARTS == ["claude-code", "codex", "copilot"]


@pytest.mark.parametrize("format", IN_PARTS)
def test_read_group_by_group_a_folder_holds_the_same_threads(format: str, tmp_path: Path) -> None:
    files_of(format, tmp_path)
    assert _read(format, [tmp_path]) == _read(format, *_in_groups(format, tmp_path))


def test_real_sessions_read_group_by_group_are_the_same_threads(trajectories: Path) -> None:
    folder = trajectories / "claude-code"
    groups = _in_groups("claude-code", folder)
    assert len(groups) > 10
    assert _read("claude-code", [folder]) == _read("claude-code", *groups)


def _sessions(folder: Path) -> Path:
    """Sessions that have nothing in common, one of which cannot be read, and one with a line that is none."""
    for number in range(SESSIONS):
        session = SessionFile(folder / f"session-{number:02}.jsonl", session_id=f"5e551011-0000-4000-8000-0000000000{number:02}")
        session.say(f"Question {number}")
        session.reply(f"msg-{number}", text("I look."), tool_use(f"toolu_{number}", "Bash", command="pytest"))
        session.result(f"toolu_{number}", "1 failed", is_error=True)
        for record in session.records:
            record["uuid"] = f"{number}-{record['uuid']}"
            record["parentUuid"] = record["parentUuid"] and f"{number}-{record['parentUuid']}"
        session.write()
    with (folder / "session-03.jsonl").open("a") as opened:
        opened.write("no JSON\n")
    (folder / "broken.jsonl.gz").write_bytes(b"\x1f\x8bno gzip")
    (folder / "nothing.jsonl").write_text('{"type": "summary", "summary": "…"}\n')
    return folder


def _said(tally: Tally) -> tuple[object, ...]:
    told = sorted(map(str, tally.problems)), sorted(map(str, tally.notes))
    return tally.counted(), tally.events, tally.skipped, *told


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    folder = tmp_path / "sessions"
    folder.mkdir()
    return _sessions(folder)


def test_several_processes_import_what_one_does(tenants: Callable[[str], Ledger], sessions: Path) -> None:
    one, several = tenants("one-process"), tenants("several-processes")
    shown: list[int] = []
    wanted = import_paths(one, "claude-code", [sessions], processes=1)
    found = import_paths(several, "claude-code", [sessions], lambda done, *_: shown.append(done), processes=2)
    assert _said(found) == _said(wanted)
    assert dict(zip(COUNTS, found.counted(), strict=True))["threads"] == SESSIONS
    assert len(found.problems) == 2
    assert shown == sorted(shown)
    assert state(several) == state(one)
    again = import_paths(several, "claude-code", [sessions], processes=1)
    assert (again.events, again.skipped) == (0, SESSIONS)


@pytest.mark.fault("A1")
@pytest.mark.parametrize("point", IMPORT_POINTS)
def test_where_processes_die_it_is_said_and_importing_again_goes_on(
    point: str, tenants: Callable[[str], Ledger], sessions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, killed = (tenants(f"{kind} {point}".replace(" ", "-")) for kind in ("whole", "killed"))
    wanted = import_paths(one, "claude-code", [sessions], processes=1)
    with monkeypatch.context() as patch:
        patch.setenv("RUNFOLD_FAILPOINT", f"{point}:2")
        with pytest.raises(LedgerUnavailable, match="exited with -9 before it was done; import the same again"):
            import_paths(killed, "claude-code", [sessions], processes=2)
    rest = import_paths(killed, "claude-code", [sessions], processes=1)
    assert 0 < rest.events <= wanted.events
    assert rest.counted() == wanted.counted()
    assert state(killed) == state(one)


def test_what_a_process_raises_is_raised(
    tenants: Callable[[str], Ledger], sessions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tenants("without-database")
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "settings", ledger.settings.model_copy(update={"connect_timeout": 0.2}))
        patch.setattr(ledger.database, "url", make_conninfo(ledger.database.url, dbname="not_there"))
        with pytest.raises(LedgerUnavailable, match='database "not_there" does not exist'):
            import_paths(ledger, "claude-code", [sessions], processes=2)
    assert import_paths(ledger, "claude-code", [sessions], processes=1).skipped == 0


def test_who_interrupts_leaves_no_process_behind(tenants: Callable[[str], Ledger], sessions: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    ledger = tenants("interrupted")
    with pytest.raises(KeyboardInterrupt):
        import_paths(ledger, "claude-code", [sessions], interrupt, processes=2)
    assert import_paths(ledger, "claude-code", [sessions], processes=1).threads == SESSIONS
