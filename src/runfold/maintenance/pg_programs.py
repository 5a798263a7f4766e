"""pg_dump and pg_restore: found where the embedded server's programs are, and run without a password in sight."""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psycopg

from runfold.embedded.binaries import clean_environment, program_folders
from runfold.errors import BackupRefused


class Program(NamedTuple):
    """A program of PostgreSQL, and its version."""

    path: Path
    major: int


def find_program(name: str, pg_bin: Path | None, server: int) -> Program:
    """A program that understands a server of this major version: of the same version, else the next newer one.

    Raises BackupRefused.
    """
    found = []
    for folder in program_folders(pg_bin):
        major = _major(folder / name)
        if major == server:
            return Program(folder / name, major)
        if major is not None:
            found.append(Program(folder / name, major))
    newer = sorted((each for each in found if each.major > server), key=lambda each: each.major)
    if newer:
        return newer[0]
    there = f"only of version {', '.join(str(each.major) for each in found)}" if found else "not here"
    raise BackupRefused(
        f"{name} of PostgreSQL {server} or newer is needed, and it is {there}",
        f"install PostgreSQL {server}'s client programs, or set RUNFOLD_PG_BIN to the folder that holds {name}",
    )


def _major(path: Path) -> int | None:
    try:
        said = subprocess.run(  # noqa: S603
            [str(path), "--version"], env=clean_environment(), capture_output=True, text=True, check=False, cwd="/"
        ).stdout
    except OSError:
        return None
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else None


@contextlib.contextmanager
def running(
    program: Program, arguments: Sequence[str], url: str, stdout: int = subprocess.DEVNULL, keeps: Sequence[int] = ()
) -> Iterator[subprocess.Popen[str]]:
    """The program at work on a database; it is ended with the block. Locks of files that it `keeps` last as long as it lives."""
    with subprocess.Popen(  # noqa: S603  our own words, a database's address and a file
        [str(program.path), "--no-password", *arguments],
        env=clean_environment() | environment_of(url),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=keeps,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def environment_of(url: str) -> dict[str, str]:
    """A database's address in the environment, where other users of this machine cannot read the password."""
    known = {option.keyword.decode(): option for option in psycopg.pq.Conninfo.parse(url.encode())}
    said = {name: option.val.decode() for name, option in known.items() if option.val is not None}
    return {known[name].envvar.decode(): value for name, value in said.items() if known[name].envvar} | {"PGAPPNAME": "runfold"}  # type: ignore[union-attr]


def complaint(said: str) -> str:
    """Return what a program said is wrong, in one line."""
    lines = [line.partition("error: ")[2] or line for line in said.splitlines() if line.strip()]
    return (lines[0] if lines else os.strerror(5)).strip()
