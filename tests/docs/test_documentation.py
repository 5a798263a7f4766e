"""What can be used is written where people look: each name stands in the documents."""

import importlib.util
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import typer

from runfold import Ledger
from runfold.domain.catalogue import event_types
from runfold.http.app import create_app
from runfold.projections.registry import known
from runfold.settings import Settings
from tests.docs.pages import DOCS, PAGES, README, ROOT
from tests.serving import Anybody, serving

if TYPE_CHECKING:
    from types import ModuleType


def _command() -> typer.main.TyperGroup:
    from runfold.cli.app import program  # noqa: PLC0415  where there is no command line, only these tests fail

    command = program()
    assert isinstance(command, typer.main.TyperGroup)
    return command


def _commands(group: Any, path: str = "runfold") -> dict[str, Any]:
    """Every command by the words that it is called with, those of groups too."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        found[f"{path} {name}"] = command
        if hasattr(command, "commands"):
            found |= _commands(command, f"{path} {name}")
    return found


@pytest.fixture(scope="module")
def written() -> str:
    """The README and all documents."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def _guides() -> str:
    """What is written by hand: the README and the guides."""
    return "\n".join(page.read_text(encoding="utf-8") for page in [README, *sorted((DOCS / "guide").glob("*.md"))])


def _script(name: str) -> "ModuleType":
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_is_written_down(written: str) -> None:
    commands = _commands(_command())
    assert {f"runfold {name}" for name in ("demo", "import", "thread", "events", "check", "keys create")} <= set(commands)
    assert {name for name in commands if not re.search(rf"{name}\b", written)} == set()


def test_every_command_stands_in_a_guide_or_its_reference_says_what_it_does() -> None:
    unmentioned = {name for name in _commands(_command()) if not re.search(rf"\b{name.split()[-1]}\b", _guides())}
    assert unmentioned == set()


def test_every_option_is_written_down(written: str) -> None:
    for name, command in _commands(_command()).items():
        shown = [parameter for parameter in command.get_params(typer.Context(command)) if not getattr(parameter, "hidden", False)]
        options = {option for parameter in shown for option in parameter.opts if option.startswith("--")}
        assert {option for option in options if f"{option}" not in written} == set(), name


def test_every_command_says_what_it_does() -> None:
    assert {name for name, command in _commands(_command()).items() if not (command.help or "").strip()} == set()


def test_every_setting_is_written_down_and_says_what_it_does() -> None:
    names = {f"RUNFOLD_{name.upper()}": field.description for name, field in Settings.model_fields.items()}
    operate = (DOCS / "guide" / "operate.md").read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in operate} == set()
    assert {name for name, description in names.items() if not description} == set()


def test_no_setting_is_written_down_that_there_is_not(written: str) -> None:
    said = set(re.findall(r"RUNFOLD_[A-Z_]+[A-Z]\b", written))
    assert said - {f"RUNFOLD_{name.upper()}" for name in Settings.model_fields} == {"RUNFOLD_TEST_ADMIN_URL"} & said


def test_every_event_is_written_down(written: str) -> None:
    types = set(event_types.all())
    assert {name for name in types if f"\n## {name}\n" not in written} == set()
    described = {path.name.rsplit(".v", 1)[0] for path in (ROOT / "schemas" / "events").glob("*.json")}
    assert types - described == set()


def test_every_projection_is_written_down() -> None:
    guide = (DOCS / "guide" / "read-models.md").read_text(encoding="utf-8")
    assert {name for name in known() if f"`{name}`" not in guide} == set()


def test_every_route_is_written_down_with_its_name(written: str) -> None:
    document = json.loads((ROOT / "schemas" / "openapi.json").read_text(encoding="utf-8"))
    routes = {
        (operation["operationId"], f"{verb.upper()} {path}")
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    }
    assert len(routes) > 90
    assert {(name, route) for name, route in routes if f"| `{name}`" not in written or f"`{route}`" not in written} == set()


def test_every_metric_is_written_down(ledger: Ledger) -> None:
    operate = (DOCS / "guide" / "operate.md").read_text(encoding="utf-8")
    with serving(create_app(ledger, Anybody())) as address:
        httpx2.get(f"{address}/threads", timeout=60)
        answer = httpx2.get(f"{address}/metrics", timeout=60).text
    names = {
        name
        for name in re.findall(r"^# TYPE (\w+)", answer, re.MULTILINE)
        if name.startswith("runfold_") and not name.endswith("_created")
    }
    assert len(names) > 12
    assert {name for name in names if f"`{name}`" not in operate} == set()


def test_every_importer_and_exit_code_is_written_down() -> None:
    for word in (
        "claude-code",
        "tau2",
        "tau-bench",
        "ag-ui",
        "inspect",
        "otlp",
        "2 usage",
        "3 not found",
        "4 conflict",
        "5 damage",
    ):
        assert word in _guides()


def test_the_reference_is_as_the_code_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = _script("write_reference")
    assert script.main(["--check"]) == 0, capsys.readouterr().err
    assert script.main(["--check", "--folder", str(tmp_path)]) == 1
    assert script.main(["--folder", str(tmp_path)]) == 0
    (tmp_path / "routes.md").write_text("something else")
    (tmp_path / "former.md").write_text("of a page that there is no more")
    assert script.main(["--check", "--folder", str(tmp_path)]) == 1
    assert "changed: former.md\nchanged: routes.md\n" in capsys.readouterr().err
    assert script.main(["--folder", str(tmp_path)]) == 0
    assert script.main(["--check", "--folder", str(tmp_path)]) == 0


def test_the_readme_is_one_screen_and_a_map() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    guides = {path.name for path in (DOCS / "guide").glob("*.md")}
    assert {name for name in guides if f"docs/guide/{name}" not in text} == set()
