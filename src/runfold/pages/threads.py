"""Threads, listed: by whom, in which state, those that were active last first."""

from starlette.requests import Request
from starlette.responses import Response

from runfold.pages.asking import past
from runfold.pages.drawing import draw
from runfold.pages.screen import Screen

WINDOW = 50


async def _page(request: Request) -> Response:
    asked = await past(request)
    found = await asked.ask(lambda: asked.reading.threads(limit=WINDOW))
    asked.standing = found.standing
    return await draw(request, "threads.html", threads=found)


SCREENS = (Screen("pages.threads", "/ui/threads", _page),)
