"""A name in a request, an event or a row of the database is looked up, and never imported."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from starlette.applications import Starlette

from runfold import Ledger
from runfold.http.app import create_app, described
from runfold.projections.problems import Problems
from runfold.projector import filling
from runfold.projector.filling import Job
from runfold.store.datastore import Connection
from tests.http.every_route import AGENTS
from tests.serving import Anybody, serving

TRAP = "runfold_trap:Trap"
NAMES = [TRAP, "runfold_trap", "os:system", "runfold.projections.usage:Usage", "runfold_trap%3ATrap"]


class Renamed(Problems):
    """Problems under another name."""

    name = "renamed"


class Caught:
    """Whether the module of that name was imported, by any process."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "caught"
        (folder / "runfold_trap.py").write_text(f"open({str(self.mark)!r}, 'w').close()\nraise RuntimeError('caught')\n")

    def __bool__(self) -> bool:
        return self.mark.exists() or "runfold_trap" in sys.modules


@pytest.fixture
def caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caught]:
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    made = Caught(folder)
    yield made
    assert not made


@pytest.fixture
def app(ledger: Ledger) -> Starlette:
    """This test's service. It lets everybody in, and has agents."""
    return create_app(ledger, Anybody(), agents=AGENTS)


def filled(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """A value of a JSON Schema whose every text is the trap's name."""
    if "$ref" in schema:
        return filled(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth + 1)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return filled(options[0], schemas, depth + 1)
    if "enum" in schema or "const" in schema:
        return (schema.get("enum") or [schema["const"]])[0]
    kind = schema.get("type", "string")
    if kind == "object":
        properties = schema.get("properties", {}) if depth < 6 else {}
        return {name: filled(inner, schemas, depth + 1) for name, inner in properties.items()} or {"name": TRAP}
    if kind == "array":
        return [filled(schema.get("items", {}), schemas, depth + 1)]
    return {"integer": 1, "number": 1, "boolean": False, "null": None}.get(kind, TRAP)


@pytest.mark.fault("K5")
def test_no_name_in_any_request_is_imported(client: httpx2.Client, ledger: Ledger, caught: Caught) -> None:
    document = described()
    ledger.fold()  # who asks for a list waits for nothing then
    schemas, asked = document["components"]["schemas"], 0
    every = [(verb, path, each) for path, operations in document["paths"].items() for verb, each in operations.items()]
    for verb, template, operation in sorted(every, key=lambda item: item[0] != "get"):
        names = {part: TRAP if part != "{agent}" else "scripted" for part in template.split("/") if part.startswith("{")}
        path = "/".join(names.get(part, part) for part in template.split("/"))
        parameters = operation.get("parameters", [])
        query = {each["name"]: TRAP for each in parameters if each["in"] == "query"}
        headers = {each["name"]: TRAP for each in parameters if each["in"] == "header"}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        json = None if body is None else filled(body, schemas)
        for said in ({"headers": headers, "params": query}, {"json": json}):
            answer = client.request(verb.upper(), path, **said)
            assert answer.status_code != 500, (verb, path, answer.text)
            assert not caught, (verb, path, said)
            asked += 1
    assert asked > 200


@pytest.mark.fault("K5")
@pytest.mark.parametrize("name", NAMES)
def test_a_rebuild_of_what_the_server_was_not_started_with_is_not_found(client: httpx2.Client, caught: Caught, name: str) -> None:
    for what in ("rebuild", "retry"):
        assert client.post(f"/projections/{name}/{what}").status_code == 404


@pytest.mark.fault("K5")
def test_an_agent_that_the_server_was_not_started_with_is_not_found(client: httpx2.Client, caught: Caught) -> None:
    asked = {"threadId": "t", "runId": "r", "messages": []}
    for name in (*NAMES, "tests.agui.scripted:scripted", "https%3A%2F%2Fexample.org"):
        for path in (f"/agents/{name}", f"/agents/{name}/connect"):
            assert client.post(path, json=asked).status_code == 404, path
        said = {**asked, "forwardedProps": {"runfold": {"agent": name}}}
        answer = client.post("/threads/t/runs", json=said, headers={"Accept": "text/event-stream"})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:runfold:error:AgentNotFound"), name
        assert not caught


def test_what_the_server_was_started_with_is_known_by_its_plain_name(ledger: Ledger) -> None:
    with serving(create_app(ledger, Anybody(), projections=[Renamed()])) as address:
        listed = httpx2.get(f"{address}/projections", timeout=30).json()["items"]
        assert ("renamed", "not begun") in {(item["name"], item["state"]) for item in listed}
        with httpx2.stream(
            "POST",
            f"{address}/projections/renamed/rebuild",
            json={"processes": 1},
            timeout=60,
            headers={"Accept": "text/event-stream"},
        ) as answer:
            assert '"switched":true' in "".join(answer.iter_text())


@pytest.mark.fault("K5")
def test_no_name_in_a_row_of_the_database_is_imported(
    ledger: Ledger, database: Any, caught: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.create_thread(agent_id=TRAP, title=TRAP).start_run(goal={"id": TRAP}).call_tool(TRAP, {})
    ledger.fold()
    plan = filling.plan

    def planned(connection: Connection, job: Job, processes: int) -> None:
        plan(connection, job, processes)
        connection.execute(
            "UPDATE runfold.fillings SET targets = jsonb_build_array(jsonb_build_array(%s::text, 'runfold_x'))", [TRAP]
        )

    monkeypatch.setattr(filling, "plan", planned)
    with psycopg.connect(database.projector_url, autocommit=True) as projector:
        projector.execute("UPDATE runfold.read_models SET source = %s", [TRAP])
    ledger.create_thread(agent_id="support")
    ledger.fold()
    assert [each.switched for each in ledger.rebuild("usage", "messages", processes=2)] == [True, True]
    assert {each.source for each in ledger.projections()} > {TRAP}
