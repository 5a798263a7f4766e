"""GET /schemas and GET /schemas/{type}: what events hold, for programs that check them. They need no key, as /openapi.json."""

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from runfold.api.event_schemas import event_schema, versions
from runfold.api.route import Field
from runfold.domain.catalogue import event_types
from runfold.http.routing import Handler, NamedRoute, Operation, answer, asked, model_of, route_of


class EventTypeView(BaseModel):
    """An event type, and the versions of its shape."""

    type: str
    description: str
    """What happened."""
    version: int
    """The present version: that of events which this server records, and of the `data` that it shows."""
    versions: list[int]
    """All versions that may be stored."""
    path: str
    """Where its JSON Schema is; `?version=` asks for another version."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class EventTypes(BaseModel):
    """All event types, by name."""

    items: list[EventTypeView]


_QUERY = model_of(
    "schemas.query", {"version": Field(int | None, None, "The version of the shape; the present one if not given.")}
)
LIST = Operation("schemas.list", "GET", "/schemas", "Every event type, and where its JSON Schema is.", EventTypes, None)
GET = Operation(
    "schemas.get",
    "GET",
    "/schemas/{type}",
    "The JSON Schema of an event type: of what is stored, and of the `data` of events in pages and streams.",
    dict[str, Any],
    None,
    query=_QUERY,
)
OPERATIONS = (LIST, GET)


def schema_routes() -> list[NamedRoute]:
    """Return the routes of schemas."""
    return [route_of(LIST, _listing()), route_of(GET, _one)]


def _listing() -> Handler:
    adapter = TypeAdapter(EventTypes)

    async def handle(_: Request) -> Response:
        return answer(adapter, EventTypes(items=[_view(name, known) for name, known in versions().items()]), {})

    return handle


def _view(name: str, known: tuple[int, ...]) -> EventTypeView:
    about = (event_types[name].__doc__ or "").partition("\n")[0]
    return EventTypeView(type=name, description=about, version=known[-1], versions=list(known), path=f"/schemas/{name}")


async def _one(request: Request) -> Response:
    query = asked(request, _QUERY)
    text = event_schema(request.path_params["type"], cast("int | None", query.model_dump()["version"]))
    return Response(text, media_type="application/json")
