"""The OpenAPI 3.1 document of the operations; pydantic makes the schemas of bodies, query strings and answers."""

import inspect
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from runfold.api.table import API_VERSION
from runfold.http import problems
from runfold.http.routing import Operation
from runfold.http.server_state import MOST_KEY_CHARACTERS

TITLE = "Runfold"
DESCRIPTION = "The ledger of record for AI-agent runs: record, ask, approve, follow, and look at any moment of the past."

_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key made by `runfold keys create`. Each operation names the scope that the key must have.",
}
_FAILURES = {
    "400": "The request is not valid.",
    "401": "The API key is missing or invalid.",
    "403": "The API key lacks the scope.",
    "404": "There is nothing with that id in this tenant.",
    "409": "The command was refused, or conflicts with another; or the moment is not prepared, or the history changed.",
    "412": "The stream is not at the version that `If-Match` expects.",
    "413": "The body is too large.",
    "415": "The body is not JSON, or its encoding is not known.",
    "422": "What was sent can never be recorded; `path` points at the field.",
    "429": "Too many requests.",
    "503": "The database or a read model is not available yet; retry.",
}
_OF_BODIES = frozenset({"412", "413", "415"})
_HEADERS = {
    "Runfold-Position": {
        "description": "The position that the answer is as of; as `min_position` of a later question, it asks for no older one.",
        "schema": {"type": "integer"},
    },
    "ETag": {"description": "The version of the stream, for `If-Match`.", "schema": {"type": "string"}},
}
_OF_HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {"minLength": 1, "maxLength": MOST_KEY_CHARACTERS, "pattern": "^[ -~]+$"},
    "If-Match": {"pattern": '^(W/)?"?[0-9]{1,18}"?$'},
}
_DONE = {"200": "The answer.", "201": "Recorded.", "202": "Accepted; the work goes on."}
_TAGS = {
    "threads": "Conversations: trees of runs, with named heads.",
    "runs": "What an agent did: lifecycle, messages, decisions, tool calls, usage, problems and state.",
    "approvals": "Requests that wait for a person's decision, and the decisions.",
    "moments": "The whole ledger as of a position, prepared for questions with `at`, and dropped when unused.",
    "events": "The log itself, in pages or as a stream.",
    "keys": "API keys and their scopes.",
    "webhooks": "Addresses to which events are sent as they are recorded.",
    "schemas": "What events hold: the JSON Schemas of all types.",
    "health": "Liveness, readiness and metrics.",
}


Schema = dict[str, Any]
_Key = tuple[str, Literal["body", "query", "answer", "event"]]
_REFERENCE = "#/components/schemas/{model}"


def openapi(operations: Sequence[Operation], events: Mapping[str, type[BaseModel]] | None = None) -> dict[str, Any]:
    """Make the document of some operations, in their order, and of what some events hold, by their types."""
    events = events or {}
    found, schemas = _schemas(operations, events)
    if events and "EventView" in schemas:
        schemas["EventView"]["properties"]["data"] |= {"anyOf": [*(found[name, "event"] for name in events), {"type": "object"}]}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.verb.lower()] = _described(operation, found, schemas)
    for operation in operations:  # the fields of a query string are parameters
        schemas.pop(_name(found.get((operation.name, "query"), {})), None)
    schemas["Problem"] = dict(problems.SCHEMA)
    failed = {"content": {problems.MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "description": DESCRIPTION, "version": API_VERSION},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {status: {"description": meaning, **failed} for status, meaning in _FAILURES.items()},
            "headers": _HEADERS,
            "securitySchemes": {"key": _KEY},
        },
    }
    _correct(document)
    tags = dict.fromkeys(operation.tag for operation in operations)
    document["tags"] = [{"name": tag, **({"description": _TAGS[tag]} if tag in _TAGS else {})} for tag in tags]
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation of a document, with its verb."""
    for path in document["paths"].values():
        yield from path.items()


def _schemas(
    operations: Sequence[Operation], events: Mapping[str, type[BaseModel]]
) -> tuple[Mapping[_Key, Schema], dict[str, Schema]]:
    """Return the schemas of bodies, queries, answers and events, and those that they refer to, by name."""
    inputs: list[tuple[Hashable, Literal["validation", "serialization"], TypeAdapter[Any]]] = []
    for operation in operations:
        inputs.append(((operation.name, "answer"), "serialization", TypeAdapter(operation.answer)))
        if operation.body is not None:
            inputs.append(((operation.name, "body"), "validation", TypeAdapter(operation.body)))
        if operation.query is not None:
            inputs.append(((operation.name, "query"), "validation", TypeAdapter(operation.query)))
    inputs += [((name, "event"), "serialization", TypeAdapter(event)) for name, event in events.items()]
    found, rest = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
    return {key: schema for (key, _), schema in found.items()}, rest.get("$defs", {})  # type: ignore[misc]  # the keys above


def _name(schema: Schema) -> str:
    """Return the name of the schema that one refers to."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _described(operation: Operation, found: Mapping[_Key, Schema], schemas: Mapping[str, Schema]) -> dict[str, Any]:
    first, _, rest = operation.summary.partition("\n")
    described: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": first.split(". ")[0].rstrip("."),
        "description": inspect.cleandoc(first + "\n" + rest),
        "operationId": operation.name,
    }
    if operation.is_deprecated:
        described["deprecated"] = True
    query = schemas.get(_name(found.get((operation.name, "query"), {})), {})
    if parameters := list(_parameters(operation, query)):
        described["parameters"] = parameters
    if operation.body is not None:
        content = {"content": {"application/json": {"schema": found[operation.name, "body"]}}}
        is_needed = any(field.is_required() for field in operation.body.model_fields.values())
        described["requestBody"] = {"required": True, **content} if is_needed else content
    described["responses"] = _responses(operation, found[operation.name, "answer"])
    described["security"] = [{"key": [operation.scope]}] if operation.scope else []
    return described


def _parameters(operation: Operation, query: Schema) -> Iterator[dict[str, Any]]:
    """Yield the parameters in the path, in the query string and in headers."""
    for part in operation.path.split("/"):
        if part.startswith("{"):
            name = part[1:-1]
            title = name.replace("_", " ").title()
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "title": title}}
    for name, schema in query.get("properties", {}).items():
        yield _parameter(name, "query", name in query.get("required", ()), _not_null(schema))
    for name, meaning in operation.headers.items():
        schema = {"description": meaning, "title": name.title(), "type": "string", **_OF_HEADERS.get(name, {})}
        yield _parameter(name, "header", False, schema)


def _parameter(name: str, place: str, is_needed: bool, schema: Schema) -> dict[str, Any]:
    described = {"description": schema["description"]} if "description" in schema else {}
    return {"name": name, "in": place, "required": is_needed, "schema": schema, **described}


def _responses(operation: Operation, schema: Schema) -> dict[str, Any]:
    """Return the responses of an operation, errors too."""
    is_question = operation.verb == "GET"
    status = str(operation.status)
    done: dict[str, Any] = {"description": _DONE[status], "content": {"application/json": {"schema": schema}}}
    for media_type, other in operation.media_types.items():
        done["content"][media_type] = {"schema": dict(other)}
    if operation.scope is None:
        failures = ["404", "422", "503"] if operation.query is not None else ["503"]
        return {status: done, **{failure: {"$ref": f"#/components/responses/{failure}"} for failure in failures}}
    names = ["Runfold-Position"] if is_question else list(_HEADERS)
    done["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    failures = [failure for failure in _FAILURES if not is_question or failure not in _OF_BODIES]
    return {status: done, **{failure: {"$ref": f"#/components/responses/{failure}"} for failure in failures}}


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without null, which a query string cannot hold."""
    kinds: list[dict[str, Any]] = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    (kind,) = kinds
    return {name: value for name, value in schema.items() if name != "anyOf"} | kind


def _correct(schema: Any) -> None:
    """Remove nulls (`"default": null` would say that null may be sent), and make the limits of integers integers."""
    if isinstance(schema, dict):
        for name in [name for name, value in schema.items() if value is None]:
            del schema[name]
        if schema.get("type") == "integer":
            if (beyond := schema.pop("exclusiveMaximum", None)) is not None:
                schema["maximum"] = int(beyond) - 1
            schema.update({name: int(schema[name]) for name in ("minimum", "maximum") if name in schema})
        for member in schema.values():
            _correct(member)
    elif isinstance(schema, list):
        for member in schema:
            _correct(member)
