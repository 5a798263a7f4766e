"""What events hold, told by the service: in OpenAPI and at /schemas, and it is what the package brings."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import httpx2
import pytest
from jsonschema import Draft202012Validator

from runfold import Ledger, Run
from runfold.api.event_schemas import event_schema, versions
from runfold.domain.catalogue import event_types
from runfold.errors import EventTypeNotFound
from runfold.http.app import described

ROOT = Path(__file__).parents[2]


def test_all_types_are_listed_with_their_versions_without_a_key(client: httpx2.Client) -> None:
    items = client.get("/schemas").json()["items"]
    assert {item["type"]: item["version"] for item in items} == {
        name: each.schema_version for name, each in event_types.all().items()
    }
    assert {"type": "usage.recorded", "version": 2, "versions": [1, 2], "path": "/schemas/usage.recorded"}.items() <= next(
        item for item in items if item["type"] == "usage.recorded"
    ).items()
    assert all(item["description"].endswith((".", ":")) for item in items)
    for item in items:
        for version in item["versions"]:
            answer = client.get(item["path"], params={"version": version})
            assert answer.headers["content-type"] == "application/json"
            Draft202012Validator.check_schema(answer.json())
        assert client.get(item["path"]).json() == answer.json(), "the last one is the present one"


@pytest.mark.parametrize(
    "path", ["/schemas/run.dreamt", "/schemas/run.started?version=9", "/schemas/..%2Fopenapi", "/schemas/run.*"]
)
def test_what_there_is_not_is_not_found(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    if "%2F" not in path:
        assert answer.json()["type"] == "urn:runfold:error:EventTypeNotFound"


def test_what_is_shown_of_an_event_fits_its_schema_there_and_in_openapi(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    run.add_message("user", "hello")
    run.request_approval("send", arguments={"to": "ada"}).deny("no", actor="human:ada")
    run.usage(input_tokens=3, model="m")
    run.complete({"done": True})
    document = described()
    for item in client.get("/events").json()["items"]:
        schema = client.get(f"/schemas/{item['type']}", params={"version": item["data_version"]}).json()
        Draft202012Validator(schema).validate(item["data"])
        name = event_types[item["type"]].__name__
        there = {**document["components"]["schemas"][name], "components": document["components"]}
        Draft202012Validator(there).validate(item["data"])
        with pytest.raises(Exception, match="is not of type 'object'"):
            Draft202012Validator(schema).validate([])


def test_openapi_holds_the_payload_of_every_type() -> None:
    document = described()
    of_data = document["components"]["schemas"]["EventView"]["properties"]["data"]["anyOf"]
    named = {reference["$ref"].rpartition("/")[2] for reference in of_data if "$ref" in reference}
    assert named == {each.__name__ for each in event_types.all().values()}
    assert {"type": "object"} in of_data, "what only a newer one knows is shown as it is stored"
    assert named <= document["components"]["schemas"].keys()


def test_the_package_brings_them_as_they_are_written() -> None:
    brought = resources.files("runfold") / "schemas"
    assert json.loads((brought / "openapi.json").read_text(encoding="utf-8"))["openapi"].startswith("3.1")
    written = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "schemas" / "events").glob("*.json")}
    assert {each.name: each.read_text(encoding="utf-8") for each in (brought / "events").iterdir()} == written
    assert {f"{name}.v{version}.json" for name, known in versions().items() for version in known} == written.keys()
    with pytest.raises(EventTypeNotFound, match=r"run\.dreamt"):
        event_schema("run.dreamt")


def test_what_is_built_of_the_package_holds_them(tmp_path: Path) -> None:
    """As setuptools copies it for a wheel, for which nothing has to be installed."""
    setuptools = pytest.importorskip("setuptools", reason="it builds the package")
    assert setuptools
    command = ["from setuptools import setup; setup()", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    done = subprocess.run([sys.executable, "-c", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    built = tmp_path / "lib" / "runfold" / "schemas"
    assert (built / "openapi.json").is_file(), done.stderr
    assert {path.name for path in (built / "events").iterdir()} == {path.name for path in (ROOT / "schemas" / "events").iterdir()}
