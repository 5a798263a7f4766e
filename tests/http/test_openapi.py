"""What the service says of itself, to machines and to people."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from runfold import Ledger
from runfold.api.table import COMMANDS, DEPRECATED_QUESTIONS, QUESTIONS
from runfold.http.app import create_app, described
from runfold.http.document import operations
from runfold.http.routes.docs import curl, rendered
from runfold.http.routing import NamedRoute
from tests.http.every_route import AGENT_ROUTES, EVERY_ROUTE
from tests.serving import Anybody

WRITTEN = Path(__file__).parents[2] / "schemas" / "openapi.json"
NAME = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
"""A noun and a verb."""
PAGES = "pages."
"""Names of what people see in a browser, which is no part of what programs ask."""
FOR_EVERYBODY = {"health.check", "readiness.check", "schemas.list", "schemas.get"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document, made without a database."""
    return described()


def test_the_document_is_openapi_3_1_as_its_metaschema_has_it(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_schema_in_it_is_one_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in set(re.findall(r"'\$ref': '([^']+)'", str(document))):
        part: Any = document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


def test_a_tool_that_tests_services_can_load_all_of_it(document: dict[str, Any]) -> None:
    loaded = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in loaded.get_all_operations()]
    assert len(found) == len(list(operations(document)))


def test_the_service_says_what_is_written_in_the_repository(client: httpx2.Client, document: dict[str, Any]) -> None:
    answer = client.get("/openapi.json")
    assert answer.json() == document
    assert WRITTEN.exists()


def test_every_route_is_in_it_but_the_document_and_the_page(document: dict[str, Any]) -> None:
    written = {(verb.upper(), path) for path, verbs in document["paths"].items() for verb in verbs}
    assert {(route.verb, route.path) for route in EVERY_ROUTE} <= written
    assert not {"/openapi.json", "/docs"} & document["paths"].keys()


def test_every_route_of_the_application_has_a_name_and_all_but_two_are_documented_under_it(
    ledger: Ledger, document: dict[str, Any]
) -> None:
    routes = create_app(ledger, Anybody()).routes
    named = [route for route in routes if isinstance(route, NamedRoute)]
    assert len(named) == len(routes)
    served = [route.name for route in named if not route.name.startswith(PAGES)]
    documented = [operation["operationId"] for _, operation in operations(document)]
    assert len(served) == len(set(served)) < len(named)
    assert sorted(served) == sorted([*documented, "openapi.get", "docs.get"])
    assert [name for name in served if not NAME.fullmatch(name)] == []
    assert {route.name for route in (*COMMANDS, *QUESTIONS, *DEPRECATED_QUESTIONS)} <= {*documented}


def test_every_operation_is_counted_under_its_name(client: httpx2.Client, document: dict[str, Any]) -> None:
    for path, verbs in document["paths"].items():
        for verb in verbs:
            client.request(verb, path.replace("{", "").replace("}", ""))
    client.get("/docs")
    client.get("/openapi.json")
    scraped = text_string_to_metric_families(client.get("/metrics").text)
    counted = {sample.labels["operation"] for family in scraped for sample in family.samples if "operation" in sample.labels}
    documented = {operation["operationId"] for _, operation in operations(document)}
    assert counted == documented | {"openapi.get", "docs.get"}


def test_what_the_next_version_no_longer_takes_is_marked(document: dict[str, Any]) -> None:
    marked = {operation["operationId"] for _, operation in operations(document) if operation.get("deprecated")}
    assert marked == {route.name for route in DEPRECATED_QUESTIONS}
    item = document["components"]["schemas"]["Item"]["properties"]
    assert {name for name, field in item.items() if field.get("deprecated")} == {"path", "verb"}


def test_every_operation_says_what_it_does_who_may_and_how_it_fails(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    for _, operation in operations(document):
        assert operation["summary"].strip()
        assert set(operation["tags"]) <= tags
        assert "503" in operation["responses"]
        if operation["operationId"] in FOR_EVERYBODY:
            assert operation["security"] == []
        else:
            assert list(operation["security"][0]) == ["key"]
            assert {"401", "403"} <= operation["responses"].keys()


def test_the_routes_of_agents_say_that_they_answer_with_a_stream(document: dict[str, Any]) -> None:
    for route in AGENT_ROUTES:
        if route.name != "agents.run_in_thread" and route.verb == "POST":
            operation = document["paths"][route.path][route.verb.lower()]
            assert "text/event-stream" in operation["responses"]["200"]["content"], route
            assert "requestBody" in operation, route


class Page(HTMLParser):
    """What a page leads to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "action", "data", "poster", "srcset"}]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_for_people_asks_nobody_for_anything(client: httpx2.Client) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    page = Page(answer.text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    outside = [link for link in page.links if not link.startswith("#")]
    assert outside == ["openapi.json"]
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert not re.search(r"url\(|@import", answer.text)


def test_the_page_lists_every_operation_with_a_line_to_try_it(client: httpx2.Client, document: dict[str, Any]) -> None:
    page = Page(client.get("/docs").text)
    assert {operation["operationId"] for _, operation in operations(document)} <= set(page.ids)
    address = str(client.base_url).rstrip("/")
    assert page.text.count(f"{address}/") >= len(list(operations(document)))
    wanted = f'curl -X POST {address}/runs/RUN_ID/messages -H "Authorization: Bearer $RUNFOLD_KEY"'
    assert wanted in page.text


def test_what_comes_from_elsewhere_is_text_on_the_page(document: dict[str, Any], client: httpx2.Client) -> None:
    operation = document["paths"]["/threads"]["get"]
    spoilt = {**document, "paths": {"/threads": {"get": {**operation, "summary": "<script>alert(1)</script>"}}}}
    assert "<script" not in rendered(spoilt)
    hostile = client.get("/docs", headers={"Host": 'x"><script>alert(1)</script>'})
    assert "<script" not in hostile.text


def test_a_line_to_try_says_what_must_be_said_and_no_more(document: dict[str, Any]) -> None:
    operation = document["paths"]["/runs/{run_id}/messages"]["post"]
    line = curl(document, "post", "/runs/{run_id}/messages", operation)
    assert line.startswith("curl -X POST {origin}/runs/RUN_ID/messages ")
    assert '-d \'{"role": "' in line
    assert curl(document, "get", "/healthz", document["paths"]["/healthz"]["get"]) == "curl {origin}/healthz"
