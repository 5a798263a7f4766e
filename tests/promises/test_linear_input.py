"""Checks of input take no more than its size: of every body, event, format and parameter there is, whatever its shape."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from runfold.commands.json_schema import mismatch
from runfold.domain.catalogue import event_types
from runfold.domain.durations import duration
from runfold.domain.event import refusal
from runfold.domain.json_text import canonical, json_text, parse_json
from runfold.domain.step import apply_patch
from runfold.domain.values import Actor, same
from runfold.errors import InvalidEvent
from runfold.handles.calling.arguments import content_parts
from runfold.http import bodies
from runfold.http.app import operations
from runfold.http.routes.commands import envelope
from runfold.http.routing import asked
from runfold.importers.formats import named, names
from runfold.importers.sources import SourceFile
from runfold.queries.lists.paging import read_cursor_parts
from runfold.queries.lists.where import texts
from runfold.queries.reading import parse_moment
from runfold.store.codec import Limits, encode

from .growth import TIMES, growth
from .shapes import SHAPES, Shape

MOST_CALLS = TIMES * 1.5
MOST_SECONDS = TIMES * 3.5
"""In proportion it is 8 times, by the square 64 times as much."""
MOST_BYTES = 400
"""Of memory for each byte of input: an empty object is 3 bytes of JSON, and 64 with what holds it."""
MOST_SAID = 2200
SMALL = 400
MIB16 = 16 * 2**20

Work = Callable[[Any], object]


def require_linear(work: Work, shape: Shape, small: int = SMALL, *, weighed: bool = False) -> None:
    """Eight times the input is eight times the work, and what is said of it is no longer."""
    found = growth(work, shape, small, weighed=weighed)
    assert found.calls < MOST_CALLS, found
    assert found.seconds < MOST_SECONDS, found
    assert found.bytes_each < MOST_BYTES, found
    assert found.message < MOST_SAID, found


def a_request(query: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> Request:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": headers or []}
    return Request(scope)


BODIES = {operation.name: operation.body for operation in operations() if operation.body is not None}
QUERIES = {operation.name: operation.query for operation in operations() if operation.query is not None}


def kinds_of(models: dict[str, type[BaseModel]]) -> list[Any]:
    """One field of each kind there is, with its model."""
    seen, found = set(), []
    for name, model in models.items():
        for key, field in model.model_fields.items():
            kind = f"{field.annotation} {field.metadata}"
            if kind not in seen:
                seen.add(kind)
                found.append(pytest.param(model, field.alias or key, id=f"{name}.{key}"))
    return found


def test_routes_that_take_bodies_are_found() -> None:
    assert len(BODIES) > 50
    assert {"runs.execute_commands", "approvals.vote_many", "keys.create"} <= BODIES.keys()
    assert "events.list" in QUERIES


def loaded(raw: bytes) -> Any:
    """JSON as it is, whether it could be kept or not."""
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError("too deep") from None


# JSON text


@pytest.mark.fault("K1", "F6", "F9")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "work",
    [
        parse_json,
        lambda raw: json_text(loaded(raw)),
        lambda raw: canonical({"a": loaded(raw)}),
        lambda raw: same(loaded(raw), loaded(raw)),
    ],
    ids=["parse_json", "json_text", "canonical", "same"],
)
def test_json_is_checked_in_proportion_to_its_size(work: Work, shape: str) -> None:
    require_linear(work, SHAPES[shape], 10_000, weighed=True)


@pytest.mark.fault("K1", "F9")
@pytest.mark.parametrize("shape", ["last key twice", "one string", "deep"])
def test_two_mebibytes_of_json_and_with_long_sixteen_take_in_proportion_to_a_quarter(
    shape: str, pytestconfig: pytest.Config
) -> None:
    size = MIB16 if pytestconfig.getoption("--long") else MIB16 // 8
    require_linear(parse_json, SHAPES[shape], size // TIMES, weighed=True)


# Bodies, found by their routes


@pytest.mark.fault("K1")
@pytest.mark.parametrize(("model", "field"), kinds_of(BODIES))
def test_a_body_is_checked_in_proportion_to_its_size(model: type[BaseModel], field: str) -> None:
    work = partial(lambda raw: bodies.parsed(a_request(), raw, model))
    for shape in SHAPES.values():
        require_linear(work, lambda n, shape=shape: b'{"%b":%b}' % (field.encode(), shape(n)))  # type: ignore[misc]


@pytest.mark.long
@pytest.mark.fault("K1", "F9")
@pytest.mark.parametrize(("model", "field"), kinds_of(BODIES))
def test_a_body_of_sixteen_mebibytes_takes_in_proportion_to_an_eighth_of_it(model: type[BaseModel], field: str) -> None:
    work = partial(lambda raw: bodies.parsed(a_request(), raw, model))
    for shape in SHAPES.values():
        require_linear(
            work,
            lambda n, shape=shape: b'{"%b":%b}' % (field.encode(), shape(n)),
            MIB16 // TIMES,  # type: ignore[misc]
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_body_that_is_no_object_is_refused_in_proportion_to_its_size(shape: str) -> None:
    for model in (BODIES["runs.execute_commands"], BODIES["approvals.vote_many"], BODIES["keys.create"]):
        require_linear(lambda raw, model=model: bodies.parsed(a_request(), raw, model), SHAPES[shape])  # type: ignore[misc]


@pytest.mark.sampled
@pytest.mark.parametrize(("model", "field"), kinds_of(QUERIES))
def test_a_query_string_is_checked_in_proportion_to_its_size(model: type[BaseModel], field: str) -> None:
    for text in (f"{field}=1&", f"{field}=**a&", "zzz=1&", "&", "%2a"):
        work = partial(lambda query: asked(a_request(query), model))
        require_linear(work, lambda n, text=text: (f"{field}=1&" + text * (n // len(text))).encode())  # type: ignore[misc]


# Events, found by their registry


def recorded(model: type[BaseModel], field: str, raw: bytes) -> None:
    """An event with one field of the wildest kind, as far as it gets."""
    try:
        event = model.model_validate({field: loaded(raw)})
    except ValidationError as error:
        raise refusal(error) from None
    encode(cast("Any", event), Limits(1000, 2**30))


@pytest.mark.sampled
@pytest.mark.fault("K1")
@pytest.mark.parametrize(("model", "field"), kinds_of(dict(event_types.all())))
def test_an_event_is_checked_in_proportion_to_its_size(model: type[BaseModel], field: str) -> None:
    for shape in SHAPES.values():
        require_linear(partial(recorded, model, field), shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_messages_parts_are_checked_in_proportion_to_their_size(shape: str) -> None:
    require_linear(lambda raw: content_parts(loaded(raw)), SHAPES[shape])


@pytest.mark.parametrize("shape", ["operations", "operations that copy", "many parts"])
def test_a_patch_is_applied_in_proportion_to_its_size(shape: str) -> None:
    def work(raw: bytes) -> None:
        try:
            apply_patch([0] * len(raw), json.loads(raw))
        except Exception as error:
            raise ValueError(str(error)) from None

    require_linear(work, SHAPES[shape], 3_000)


# Formats to import, found by their registry

DEEPER_THAN_THE_PARSER = 6_000
"""Bytes of objects in each other that are beyond Python's recursion: such a text is read in another way than a shorter one."""


@pytest.mark.sampled
@pytest.mark.fault("K1")
@pytest.mark.parametrize("format", names())
@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_to_import_is_read_in_proportion_to_its_size(format: str, shape: str) -> None:
    def work(raw: bytes) -> None:
        said: list[object] = []
        for thread in named(format).read([SourceFile("a.json", None, len(raw), raw)], said.append):
            assert thread.digest
        assert sum(len(str(problem)) for problem in said) < MOST_SAID * max(1, len(said))

    require_linear(work, SHAPES[shape], DEEPER_THAN_THE_PARSER if shape == "deep objects" else 3_000)


# What stands in paths, parameters and headers


@pytest.mark.parametrize(
    "work",
    [
        read_cursor_parts,
        parse_moment,
        lambda text: duration("expires_in", text),
        Actor.parse,
        lambda text: texts("name", [text]),
        lambda text: event_types.require([text]),
        lambda text: event_types.require(text.split("*")),
        lambda text: envelope(a_request(headers=[(b"if-match", text.encode("latin-1", "replace"))]), {}),
    ],
)
@pytest.mark.parametrize("unit", ["*a", "a", "1", "run_", ".", "a.", "=", "é", "\ud800", "9:", "-"])
def test_a_parameter_is_read_in_proportion_to_its_size(work: Work, unit: str) -> None:
    require_linear(work, lambda n: unit * (n // len(unit)), 2_000)  # type: ignore[arg-type,return-value]  # text, not bytes


# JSON Schemas


def doubling(levels: int) -> dict[str, Any]:
    """A small schema that asks for the same two to the power of its levels times."""
    twice = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**twice, f"a{levels}": {"type": "string"}}}


@pytest.mark.fault("K1")
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubling(40), 5),
        ({"anyOf": [{"items": {"$ref": "#"}}] * 3, "not": {"const": 1}}, json.loads("[" * 30 + "]" * 30)),
        ({"$ref": "#"}, 1),
        ({"items": {"enum": [{"a": n} for n in range(3000)]}}, [{"a": -1}] * 3000),
        ({"uniqueItems": True}, [{"a": n} for n in range(20_000)]),
        ({"pattern": "(?=(a+)+b)a"}, "a" * 100_000),
        ({"pattern": "(a{100}){100}"}, "a" * 100_000),
        ({"allOf": [{"type": "object"}] * 20_000}, {}),
    ],
    ids=["references", "recursion", "itself", "enum", "unique", "look-around", "repetition", "large"],
)
def test_a_schema_that_asks_for_more_work_than_it_is_worth_is_refused(schema: dict[str, Any], value: Any) -> None:
    with pytest.raises(InvalidEvent, match=r"more than [0-9,]+ (steps|parts)"):
        mismatch("output", value, schema)


def test_a_schema_of_a_usual_kind_is_held_to() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "name": {"type": "string", "pattern": "^[a-z]+$"}}}
    value: dict[str, Any] = {"name": "leaf"}
    for _ in range(10):
        value = {"left": value, "right": value, "name": "node"}
    assert mismatch("output", value, tree) is None
    value["right"] = {"name": "NO"}
    found = mismatch("output", value, tree)
    assert found is not None
    assert found.path == "output.right.name"
