"""Standard streams as they may be: closed, full, read by nobody, without letters; for `runfold` and `runfold-verify` alike."""

import os
import subprocess
import sys
from typing import NamedTuple

import pytest


class Program(NamedTuple):
    module: str
    says: list[str]
    """Arguments of a call that writes to standard output and needs nothing."""
    wrong: list[str]
    refused: int
    """The exit code where standard output cannot be written."""


RUNFOLD = Program("runfold.cli.main", ["version"], ["--nonsense"], 1)
PROGRAMS = [RUNFOLD, Program("runfold.proofs.verify", ["--help"], ["nothing", "--policy", "nothing"], 2)]


def called(program: Program, words: list[str], redirected: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it by a shell, with its streams redirected."""
    code = f"import sys; from {program.module} import main; sys.exit(main())"
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirected}', "bash", sys.executable, "-c", code, *words],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_full_disk_is_named_and_is_no_success_and_no_trace(program: Program) -> None:
    done = called(program, program.says, ">/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (program.refused, 1)
    assert "standard output cannot be written" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("nobody", [">/dev/full 2>/dev/full", "2>&-", "2>/dev/full"])
def test_the_exit_code_of_an_error_is_told_where_its_words_cannot_be(program: Program, nobody: str) -> None:
    assert called(program, program.wrong, nobody).returncode == 2


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_not_needed(program: Program, closed: str) -> None:
    done = called(program, program.says, closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert (done.stdout == "") == (">&-" in closed.split())


@pytest.mark.parametrize("program", PROGRAMS)
def test_who_no_longer_reads_ends_it_as_shells_expect(program: Program) -> None:
    done = called(program, program.says, "> >(exec true); exit ${PIPESTATUS[0]}")
    assert done.returncode in {0, 141}  # it may have written all before
    assert done.stderr == ""
    piped = called(program, program.says, "| (exec <&-; sleep 1); exit ${PIPESTATUS[0]}")
    assert (piped.returncode, piped.stderr) == (141, "")


@pytest.mark.parametrize("unread", ["2>&1 |", "2> >(exec <&-; sleep 1) |"])
def test_who_no_longer_reads_notes_ends_it_so_too(unread: str) -> None:
    words = ["keys", "revoke", "key_1", "--reason", "lost", "--database-url", "postgresql://nowhere.invalid/x"]
    done = called(RUNFOLD, words, f"{unread} (exec <&-; sleep 1); exit ${{PIPESTATUS[0]}}")  # the note is of --reason
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("coding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_letter_that_a_terminal_does_not_have_is_an_escape(coding: str) -> None:
    done = called(RUNFOLD, ["runs", "--zone", "→"], "", PYTHONIOENCODING=coding)
    assert "unexpected" not in done.stderr
    assert ("→" if coding == "utf-8" else "\\u2192") in done.stderr


@pytest.mark.parametrize("words", ["run", "runs --user", "runs --at", "rows"])
def test_an_argument_that_is_not_utf_8_is_named(words: str) -> None:
    done = called(RUNFOLD, [*words.split(), "\udcff"], "")
    assert (done.returncode, "'\\udcff' is not UTF-8" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [(">/dev/full", 1, "faults: standard output cannot be written"), ("| (exec <&-; sleep 1); exit ${PIPESTATUS[0]}", 141, "")],
)
def test_the_list_of_faults_ends_without_a_trace_where_nobody_takes_it(
    pytestconfig: pytest.Config, output: str, code: int, said: str
) -> None:
    script = str(pytestconfig.rootpath / "scripts" / "faults" / "run.py")
    words = ["bash", "-c", f'"$@" {output}', "bash", sys.executable, script, "--list"]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr.strip().partition(" (")[0]) == (code, said)
