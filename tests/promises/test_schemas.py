"""schemas/ is what the code says, and its program tells when it is not."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator

from runfold.domain.catalogue import event_types

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "schemas" / "events"


@pytest.fixture(scope="module")
def export() -> ModuleType:
    """The program that writes the schemas."""
    spec = importlib.util.spec_from_file_location("export_schemas", ROOT / "scripts" / "export_schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the schemas, to be spoilt."""
    return shutil.copytree(EVENTS.parent, tmp_path / "schemas") / "events"


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}


def test_the_schemas_are_what_the_code_says(export: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main(["--check"]) == 0, capsys.readouterr().err


def test_every_event_has_a_schema_that_is_one_and_says_what_happened() -> None:
    for name, event_class in event_types.all().items():
        text = (EVENTS / f"{name}.v{event_class.schema_version}.json").read_text(encoding="utf-8")
        schema = json.loads(text)
        Draft202012Validator.check_schema(schema)
        assert schema["description"].split() == (event_class.__doc__ or "").split()
        assert schema["additionalProperties"] is False
        assert text.endswith("}\n")


def test_a_check_names_what_drifted_and_changes_nothing(
    export: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "run.started.v1.json").write_text("{}\n")
    (folder / "run.waiting.v1.json").unlink()
    for stale in ("run.jumped.v1.json", "run.started.v2.json", "notes.txt"):
        (folder / stale).write_text("{}\n")
    (folder.parent / "openapi.json").write_text("{}\n")
    (folder.parent / "asyncapi.json").unlink()
    before = sorted(path.name for path in folder.iterdir())
    assert export.main(["--check", "--folder", str(folder)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[:-1] == [
        "missing: run.waiting.v1.json",
        "changed: run.started.v1.json",
        "stale: notes.txt",
        "stale: run.jumped.v1.json",
        "stale: run.started.v2.json",
        "changed: openapi.json",
        "missing: asyncapi.json",
    ]
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_projection_that_changed_under_its_version_is_named_and_not_written(
    export: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder.parent / "read-models.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    said["goals"]["fingerprint"] = "of another time"
    path.write_text(before := json.dumps(said))
    for arguments in ([], ["--check"]):
        assert export.main([*arguments, "--folder", str(folder)]) == 1
        told = capsys.readouterr().err
        assert told == (
            f"goals changed its columns, key or events, and its version is still {said['goals']['version']}; raise it\n"
        )
    assert path.read_text(encoding="utf-8") == before
    said["goals"]["version"] -= 1
    path.write_text(json.dumps(said))
    assert export.main(["--folder", str(folder)]) == 0
    assert texts(folder.parent) == texts(EVENTS.parent)


def test_writing_mends_what_drifted_once(export: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run.started.v1.json").write_text("{}\n")
    (folder / "run.jumped.v1.json").write_text("{}\n")
    (folder.parent / "openapi.json").unlink()
    (folder.parent / "asyncapi.json").write_text("{}\n")
    assert export.main(["--folder", str(folder)]) == 0
    assert "4 changed" in capsys.readouterr().out
    assert export.main(["--folder", str(folder)]) == 0
    assert "0 changed" in capsys.readouterr().out
    assert texts(folder) == texts(EVENTS)
    assert texts(folder.parent) == texts(EVENTS.parent)


def test_the_schema_of_an_earlier_version_is_kept(export: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_types["run.started"], "schema_version", 2)
    assert export.main(["--folder", str(folder)]) == 0
    assert (folder / "run.started.v1.json").read_text() == (EVENTS / "run.started.v1.json").read_text()
    assert (folder / "run.started.v2.json").exists()
