"""What pages load: one style sheet and a few scripts, all ours."""

from functools import cache
from importlib import resources
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from runfold.pages.drawing import HEADERS, etag
from runfold.pages.refusals import nothing_found
from runfold.pages.screen import Screen

_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


class _File(NamedTuple):
    content: bytes
    kind: str
    tag: str


@cache
def files() -> dict[str, _File]:
    """Return all of them by name, read once."""
    found = {}
    for each in (resources.files("runfold.pages") / "static").iterdir():
        kind = _KINDS.get(f".{each.name.rpartition('.')[2]}")
        if kind is not None:
            content = each.read_bytes()
            found[each.name] = _File(content, kind, etag(content))
    return found


async def _one(request: Request) -> Response:
    found = files().get(request.path_params["name"])
    if found is None:
        return await nothing_found(request)
    headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": found.tag}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.content, 200, headers, found.kind)


SCREENS = (Screen("pages.static", "/ui/static/{name}", _one, is_open=True),)
