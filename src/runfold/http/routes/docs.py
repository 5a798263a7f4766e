"""GET /openapi.json, and GET /docs, a page that shows it. The page loads nothing from anywhere."""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from html import escape
from importlib import resources
from string import Template
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from runfold.http.routing import NamedRoute

_ORIGIN = "{origin}"
_EMPTY: Mapping[str, Any] = {}
_PLAIN = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


def docs_routes(document: Callable[[], dict[str, Any]]) -> list[NamedRoute]:
    """Return the routes of /openapi.json and /docs. They need no key, and each is made when it is first requested."""

    @cache
    def written() -> bytes:
        return orjson.dumps(document())

    @cache
    def page() -> str:
        return rendered(document())

    async def as_json(_: Request) -> Response:
        return Response(await run_in_threadpool(written), media_type="application/json")

    async def as_page(request: Request) -> Response:
        text = (await run_in_threadpool(page)).replace(_ORIGIN, escape(str(request.base_url).rstrip("/")))
        return Response(text, headers=_headers(), media_type="text/html")

    return [NamedRoute("openapi.get", "GET", "/openapi.json", as_json), NamedRoute("docs.get", "GET", "/docs", as_page)]


@cache
def _style() -> str:
    return (resources.files("runfold.http.routes") / "docs.css").read_text(encoding="utf-8")


@cache
def _headers() -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def rendered(document: Mapping[str, Any]) -> str:
    """Render the page. `{origin}` stands where the address of the server goes."""
    frame = Template((resources.files("runfold.http.routes") / "docs.html").read_text(encoding="utf-8"))
    info, tags = document["info"], document["tags"]
    return frame.substitute(
        title=escape(info["title"]),
        about=escape(info["description"]),
        style=_style(),
        parts="".join(f'<a href="#{escape(tag["name"])}">{escape(tag["name"])}</a>' for tag in tags),
        operations="\n".join(_part(document, tag) for tag in tags),
    )


def _part(document: Mapping[str, Any], tag: Mapping[str, str]) -> str:
    name = escape(tag["name"])
    shown = [
        _operation(document, verb, path, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
        if tag["name"] in operation.get("tags", ())
    ]
    about = f'<p class="dim">{escape(tag["description"])}</p>' if "description" in tag else ""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{name}</h2>{about}\n' + "\n".join(shown) + "</section>"


def _operation(document: Mapping[str, Any], verb: str, path: str, operation: Mapping[str, Any]) -> str:
    schema = _body(document, operation)
    scopes = [scope for need in operation.get("security", ()) for scopes in need.values() for scope in scopes]
    need = f"Scope <code>{escape(scopes[0])}</code>" if scopes else "No key needed"
    inside = [
        *(
            ["<p><strong>Deprecated: the next version no longer serves this path.</strong></p>"]
            if operation.get("deprecated")
            else []
        ),
        *(f"<p>{escape(paragraph)}</p>" for paragraph in _more(operation).split("\n\n") if paragraph),
        f'<p class="dim">{need}. Operation <code>{escape(operation["operationId"])}</code>.</p>',
        _table("Parameters", _parameters(document, operation)),
        _table("Body", _fields(document, schema)),
        f"<p>Answers {_answers(document, operation)}.</p>",
        f"<pre><code>{escape(curl(document, verb, path, operation))}</code></pre>",
    ]
    what = f"<code>{verb.upper()}</code><code>{escape(path)}</code> {escape(operation['summary'])}"
    return f'<details id="{escape(operation["operationId"])}"><summary>{what}</summary>{"".join(inside)}</details>'


def _more(operation: Mapping[str, Any]) -> str:
    """Return what an operation's description says beyond its summary."""
    said: str = operation.get("description", "")
    return "" if said.rstrip(".") == operation["summary"] else said


def curl(document: Mapping[str, Any], verb: str, path: str, operation: Mapping[str, Any]) -> str:
    """Return a curl command for an operation, with its required fields only."""
    place = re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), path)
    line = f"curl {'' if verb == 'get' else f'-X {verb.upper()} '}{_ORIGIN}{place}"
    if "text/event-stream" in operation["responses"].get("200", _EMPTY).get("content", ()):
        line += " -N -H 'Accept: text/event-stream'"
    if operation.get("security"):
        line += ' -H "Authorization: Bearer $RUNFOLD_KEY"'
    if "requestBody" in operation:
        schema = _body(document, operation)
        needed = {name: example(document, schema["properties"][name]) for name in schema.get("required", ())}
        line += f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(needed, ensure_ascii=False))}"
    return line


def example(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Return an example of a schema."""
    schema = _resolved(document, schema)
    for kind in ("enum", "examples"):
        if schema.get(kind):
            return schema[kind][0]
    if "const" in schema:
        return schema["const"]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return example(document, schema[union][0])
    if schema.get("type") == "object" and schema.get("required"):
        return {name: example(document, schema["properties"][name]) for name in schema["required"]}
    return _PLAIN.get(schema.get("type", "object"))


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of an operation's body."""
    contents = operation.get("requestBody", _EMPTY).get("content", _EMPTY)
    schema = contents.get("application/json", _EMPTY).get("schema", _EMPTY)
    return _resolved(document, schema["anyOf"][0] if "anyOf" in schema else schema)


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _parameters(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for parameter in operation.get("parameters", ()):
        kind = f"{parameter['in']}, {_kind(document, parameter.get('schema', _EMPTY))}"
        yield parameter["name"], kind, parameter.get("description", "")


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", _EMPTY).items():
        kind = _kind(document, field)
        notes = [note for note, holds in (("required", name in required), ("deprecated", field.get("deprecated"))) if holds]
        yield name, ", ".join([kind, *notes]), field.get("description", "")


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(_resolved(document, schema).get("title", "object"))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if members := [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        kinds = dict.fromkeys(_kind(document, member) for member in members)
        return " | ".join(kind for kind in kinds if kind != "null")
    if schema.get("type") == "array":
        return f"list of {_kind(document, schema.get('items', _EMPTY))}"
    return str(schema.get("format") or schema.get("type", "any JSON"))


def _answers(document: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    said = []
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            contents = response.get("content", _EMPTY)
            kinds = [_kind(document, content.get("schema", _EMPTY)) for content in contents.values()]
            said.append(f"{escape(status)} {escape(', '.join(contents))} ({escape(', '.join(kinds))})")
        else:
            said.append(escape(status))
    return " · ".join(said)


def _table(name: str, rows: Iterable[tuple[str, str, str]]) -> str:
    lines = "".join(
        f"<tr><td><code>{escape(what)}</code></td><td>{escape(kind)}</td><td>{escape(about)}</td></tr>"
        for what, kind, about in rows
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in (name, "Type", "Meaning"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>" if lines else ""
