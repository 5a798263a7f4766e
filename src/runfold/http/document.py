"""The OpenAPI 3.1 document: what FastAPI reads off the routes, with our errors, our headers and our keys."""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from runfold.api.table import API_VERSION
from runfold.http import problems
from runfold.http.server_state import MOST_KEY_CHARACTERS

TITLE = "Runfold"
DESCRIPTION = "The ledger of record for AI-agent runs: record, ask, approve, follow, and look at any moment of the past."

_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key made by `runfold keys create`. Beside each operation stands the scope that it must have.",
}
_FAILURES = {
    "400": "The question cannot be asked so.",
    "401": "There is no key, or it is not good.",
    "403": "The key is not for this.",
    "404": "There is nothing of that id in this tenant.",
    "409": "The rules or somebody else were in the way; of a question: its moment is not prepared, or its history changed.",
    "412": "The stream is not at the version of `If-Match`.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "What was sent can never be recorded; `path` points at the field.",
    "429": "Too many requests.",
    "503": "The database, or a read model, is not there yet; try again.",
}
_OF_BODIES = frozenset({"412", "413", "415"})
_HEADERS = {
    "Runfold-Position": {
        "description": "The position that the answer is true as of; as `min_position` of a later question, it asks for no less.",
        "schema": {"type": "integer"},
    },
    "ETag": {"description": "The version of the stream, for `If-Match`.", "schema": {"type": "string"}},
}
_OF_HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {"minLength": 1, "maxLength": MOST_KEY_CHARACTERS, "pattern": "^[ -~]+$"},
    "If-Match": {"pattern": '^(W/)?"?[0-9]{1,18}"?$'},
}
_DONE = {"200": "The answer.", "201": "Recorded."}
_TAGS = {
    "threads": "Conversations: trees of runs, with named heads.",
    "runs": "What one agent did: its life, messages, decisions, tool calls, usage, problems and state.",
    "approvals": "What waits for people, and what they decided.",
    "moments": "The whole ledger as of a moment, prepared for questions with `as_of`, and dropped when unused.",
    "events": "The log itself: in pages, or followed as it grows.",
    "keys": "Who may ask, and for what.",
    "health": "How the service is.",
}


def openapi(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document of some routes."""
    document = get_openapi(title=TITLE, description=DESCRIPTION, version=API_VERSION, routes=routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = dict(problems.SCHEMA)
    failed = {"content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    components["responses"] = {status: {"description": meaning, **failed} for status, meaning in _FAILURES.items()}
    components["headers"] = _HEADERS
    components["securitySchemes"] = {"key": _KEY}
    used: dict[str, None] = {}
    for verb, operation in operations(document):
        _complete(verb, operation)
        used.update(dict.fromkeys(operation.get("tags", ())))
    _correct(document)
    document["tags"] = [{"name": tag, **({"description": _TAGS[tag]} if tag in _TAGS else {})} for tag in used]
    return document


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without null: what is not there is left out, of a query, of the headers, and as a body."""
    kinds: list[dict[str, Any]] = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    (kind,) = kinds
    return {name: value for name, value in schema.items() if name != "anyOf"} | kind


def _correct(schema: Any) -> None:
    """Take `"default": null` away, which says that null may be sent, and the fractions that whole numbers' limits were given."""
    if isinstance(schema, dict):
        if schema.get("default", ...) is None:
            del schema["default"]
        if schema.get("type") == "integer":
            if (beyond := schema.pop("exclusiveMaximum", None)) is not None:
                schema["maximum"] = int(beyond) - 1
            schema.update({name: int(schema[name]) for name in ("minimum", "maximum") if name in schema})
        for member in schema.values():
            _correct(member)
    elif isinstance(schema, list):
        for member in schema:
            _correct(member)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation, with its verb."""
    for path in document["paths"].values():
        yield from path.items()


def _complete(verb: str, operation: dict[str, Any]) -> None:
    """Say how an operation is asked for, and how it ends, well or not."""
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = {**_not_null(parameter["schema"]), **_OF_HEADERS.get(parameter["name"], {})}
    if (body := operation.get("requestBody")) is not None:
        media = body["content"]["application/json"]
        media["schema"] = _not_null(media["schema"])
    responses = operation["responses"]
    responses.pop("422", None)
    for status, response in responses.items():
        response["description"] = _DONE.get(status, response["description"])
        if operation.get("security") and "application/json" in response.get("content", {}):
            names = ["Runfold-Position"] if verb == "get" else list(_HEADERS)
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    wanted = [status for status in _FAILURES if verb != "get" or status not in _OF_BODIES]
    for status in wanted if operation.get("security") else ["503"]:
        responses[status] = {"$ref": f"#/components/responses/{status}"}
