"""The first page: what needs a person, and what the agents did last."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runfold.pages.asking import past
from runfold.pages.drawing import HEADERS, draw
from runfold.pages.screen import Screen

FEW = 10


async def _page(request: Request) -> Response:
    asked = await past(request)
    threads = await asked.ask(lambda: asked.reading.threads(limit=FEW))
    asked.standing = threads.standing
    return await draw(request, "first.html", threads=threads)


async def _root(request: Request) -> Response:
    """A browser is led to the pages; a program is told that nothing is here, as before."""
    if "text/html" not in request.headers.get("accept", ""):
        raise HTTPException(404)
    return RedirectResponse("/ui", 303, HEADERS)


SCREENS = (Screen("pages.first", "/ui", _page), Screen("pages.root", "/", _root, is_open=True))
