"""The command `runfold`: called in this process, or as a real process where that is what is tested."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runfold import Ledger, Settings
from runfold.cli.main import main
from runfold.demo_story import AGENT, Cast, tell
from tests.databases import fresh_database, go_on_in

if TYPE_CHECKING:
    from tests.databases import TestDatabase


@dataclass(frozen=True)
class Answer:
    """What a call printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The objects on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> Any:
        """The one object on stderr."""
        return json.loads(self.err)


Command = Callable[..., Answer]
Process = Callable[[Sequence[str]], "subprocess.Popen[str]"]


def calling(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return what calls the command in this process, and answers with what was printed."""

    def call(*arguments: str) -> Answer:
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return call


@pytest.fixture
def offline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Calls the command in this process, for what needs no database."""
    _plain(monkeypatch)
    return calling(capsys)


def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def environment(database: "TestDatabase", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a person who uses this test's database."""
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", database.url)
    monkeypatch.setenv("RUNFOLD_ADMIN_URL", database.admin_url)
    monkeypatch.setenv("RUNFOLD_PROJECTOR_URL", database.projector_url)
    monkeypatch.setenv("RUNFOLD_SEALER_URL", database.sealer_url)
    monkeypatch.setenv("RUNFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "30")  # a machine that others use as well may take its time
    monkeypatch.setenv("RUNFOLD_TRY_FOLDS", "0")  # which takes seconds, and is tested by itself
    _plain(monkeypatch)


@pytest.fixture
def left_to_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads folds nothing, however little it is."""
    monkeypatch.setenv("RUNFOLD_FOLD_ON_READ", "0")


@pytest.fixture
def runfold(environment: None, capsys: pytest.CaptureFixture[str]) -> Command:
    """Calls the command in this process: `runfold("threads", "--json")`."""

    return calling(capsys)


@pytest.fixture
def started(environment: None) -> Process:
    """Starts the command as a process of its own."""

    def start(arguments: Sequence[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "runfold.cli.main", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )

    return start


@pytest.fixture(scope="session")
def of_the_story(admin_url: str, template: str) -> Iterator[str]:
    """A database with the demo's story, to be copied: that takes a fifth of the time of telling it."""
    with fresh_database(admin_url, template, "story") as made:
        with Ledger.open(settings=Settings(database_url=made.url, actor=AGENT)) as ledger:
            tell(ledger, Cast.of(7, "default"))
        yield made.name


@pytest.fixture(scope="session")
def of_the_folded_story(admin_url: str, of_the_story: str) -> Iterator[str]:
    """The same, with all read models of it."""
    with fresh_database(admin_url, of_the_story, "folded") as made:
        go_on_in(made)
        with Ledger.open(settings=made.settings) as ledger:
            ledger.fold()
        yield made.name


@pytest.fixture(scope="module")
def shared_story(admin_url: str, of_the_story: str) -> Iterator["TestDatabase"]:
    """A copy of that for the tests of a module that share one."""
    with fresh_database(admin_url, of_the_story, "shared") as made:
        go_on_in(made)
        yield made


@pytest.fixture
def database(request: pytest.FixtureRequest, shares: bool) -> "TestDatabase":
    """This test's own, with the demo's story in it for who asks for that, and its read models for who asks for those."""
    if shares:
        return request.getfixturevalue("shared_story" if "story" in request.fixturenames else "shared_database")
    for asked in ("folded_story", "story"):
        if asked in request.fixturenames:
            return request.getfixturevalue("copy_of")(request.getfixturevalue(f"of_the_{asked}"))
    return request.getfixturevalue("new_database")()


@pytest.fixture
def folded_story(database: "TestDatabase") -> Cast:
    """The demo's story, recorded and folded in this test's database."""
    return Cast.of(7, "default")


@pytest.fixture
def story(database: "TestDatabase") -> Cast:
    """The demo's story, recorded in this test's database."""
    return Cast.of(7, "default")
