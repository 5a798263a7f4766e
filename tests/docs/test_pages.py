"""What the documents show is what happens: every block of code is run, or its page says why not."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo

from tests.docs.loaded import loaded_program
from tests.docs.pages import DOCS, PAGES, README, ROOT, RUN, Block, blocks
from tests.docs.reader import Reader, shows, steps
from tests.extras import require_analytics

if TYPE_CHECKING:
    from tests.databases import TestDatabase


LONG = ("walks.md",)
"""Pages whose every step stands in another page too."""


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def to_run(page: Path) -> list[tuple[Block, str | None]]:
    """The blocks of a page that are run, and what it shows after one."""
    all_of_them = blocks(page)
    following: list[Block | None] = [*all_of_them[1:], None]
    return [
        (block, after.text if after is not None and after.language == "text" else None)
        for block, after in zip(all_of_them, following, strict=False)
        if block.language in RUN and block.why_not is None
    ]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the shell finds `runfold` once all is activated."""
    with loaded_program(tmp_path_factory.mktemp("programs")) as folder:
        yield folder


@pytest.fixture
def reader(database: "TestDatabase", tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> "Reader":
    """Somebody with a ledger of their own, in an empty folder."""
    urls = {
        "DATABASE": database.url,
        "ADMIN": database.admin_url,
        "PROJECTOR": database.projector_url,
        "SEALER": database.sealer_url,
    }
    for name, url in urls.items():
        monkeypatch.setenv(f"RUNFOLD_{name}_URL", url)
    monkeypatch.setenv("RUNFOLD_READER_URL", make_conninfo(database.url, user="runfold_reader"))
    monkeypatch.setenv("RUNFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "30")
    monkeypatch.setenv("RUNFOLD_TRY_FOLDS", "0")  # which takes seconds, and changes nothing of what is printed
    monkeypatch.setenv("RUNFOLD_KEY", "")
    monkeypatch.delenv("RUNFOLD_KEY")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.syspath_prepend(tmp_path)
    return Reader(database, tmp_path, programs)


def _param(page: Path) -> Any:
    marks = [pytest.mark.long] if page.name in LONG else []
    return pytest.param(page, id=_name(page), marks=marks)


@pytest.mark.parametrize("page", [_param(page) for page in PAGES if to_run(page)])
def test_what_a_page_shows_is_what_happens(page: Path, reader: Reader, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        if os.environ.get("CI"):
            pytest.fail("curl is not here, and CI must have it")
        pytest.skip("curl is not here")
    if any("to_pandas" in block.text for block, _ in to_run(page)):
        require_analytics()
    try:
        for block, shown in to_run(page):
            reader.follow(block, shown)
    finally:
        reader.close()
        for name, module in list(sys.modules.items()):  # another page has other modules of the same names
            if str(getattr(module, "__file__", None) or "").startswith(f"{tmp_path}/"):
                del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_block_is_of_a_kind_that_is_run_or_says_why_not(page: Path) -> None:
    kinds = {*RUN, "text", "json", "sh"} | ({"diff"} if page.name == "CONTRIBUTING.md" else set())
    assert [str(block) for block in blocks(page) if block.language not in kinds] == []
    silent = [
        str(block) for block in blocks(page) if block.language not in {*RUN, "text", "json", "diff"} and block.why_not is None
    ]
    assert silent == []


def test_most_blocks_are_run() -> None:
    told = [block for page in PAGES for block in blocks(page) if block.language in RUN]
    left_out = [block for block in told if block.why_not is not None]
    assert len(told) > 60
    assert len(left_out) <= len(told) // 8, [str(block) for block in left_out]


def test_the_commands_of_the_readme_are_what_ci_runs() -> None:
    said = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (two,) = [block for block in blocks(README) if block.text.startswith("make ")]
    commands = [line.split("#")[0].strip() for line in two.text.splitlines()]
    assert commands == ["make demo", "make test"]
    assert all(f"\n{command}\n" in said for command in commands)


def test_a_page_that_shows_something_else_is_noticed() -> None:
    assert shows("a … c", "a b c\n")
    assert shows("at 2026-01-01T00:00:00Z, 7@01234567", "at 2027-02-02T01:01:01.5+00:00, 7@89abcdef")
    assert not shows("a b", "a b c")
    assert not shows("", "something")
    assert steps("$ a \\\n  b\nc\n$ d\n") == [("a \\\n  b", "c\n"), ("d", "")]


ACTIVATE = "source .venv/bin/activate"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.language == "console" for block in blocks(page))], ids=_name
)
def test_a_page_whose_commands_are_run_begins_with_what_lets_the_shell_find_them(page: Path) -> None:
    first, *others = [command for block in blocks(page) if block.language == "console" for command, _ in steps(block.text)]
    assert first == ACTIVATE
    assert ACTIVATE not in others


def test_no_page_leads_to_the_programs_of_a_clone_in_another_way() -> None:
    ways = {word for page in PAGES for word in re.findall(r"\S*\.venv/\S+", page.read_text(encoding="utf-8"))}
    assert {word.strip("`").rstrip(":,.`") for word in ways} == {".venv/bin/activate"}


def test_every_guide_runs_something() -> None:
    assert [_name(page) for page in sorted((DOCS / "guide").glob("*.md")) if not to_run(page)] == []
