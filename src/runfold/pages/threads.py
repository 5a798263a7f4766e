"""`/ui/threads`: threads that filters find, the last active first unless it says otherwise, window by window."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runfold.errors import UsageError
from runfold.pages.asking import Past, past
from runfold.pages.drawing import HEADERS, draw
from runfold.pages.filters import Filters, filters_of, is_plain
from runfold.pages.screen import Screen
from runfold.pages.thread_lines import lines_of
from runfold.pages.windows import ROW, size_of, window
from runfold.queries.threads.list import ThreadParameters

SORTS = {"last_activity_at": "Last active", "created_position": "Recorded"}
_BESIDE = ("at", ROW)
_UNSEEN = ("content",)
"""A table has no room for metadata."""


async def _page(request: Request) -> Response:
    asked = await past(request)
    given = request.query_params.multi_items()
    try:
        filters = _filters(given)
        if not is_plain(filters, given):
            return RedirectResponse(f"{request.url.path}?{filters.address()}", 303, HEADERS)
        values = await asked.ask(lambda: _found(asked, filters, dict(request.query_params)))
    except UsageError as error:
        known = [(word, text) for word, text in given if word == "at"]
        return await draw(request, "threads.html", status=400, filters=_filters(known), fault=str(error), threads=None)
    asked.standing = values["threads"].standing
    return await draw(request, "threads.html", filters=filters, fault=None, sorts=SORTS, **values)


def _filters(given: list[tuple[str, str]]) -> Filters:
    found = filters_of(ThreadParameters, given, _BESIDE)
    return found._replace(fields=tuple(each for each in found.fields if each.name not in _UNSEEN))


def _found(asked: Past, filters: Filters, given: dict[str, str]) -> dict[str, Any]:
    paging: dict[str, Any] = {name: given.get(name) for name in ("order_by", "order", "cursor")}
    threads = asked.reading.threads(**filters.asked(), **paging, limit=size_of(given))
    return {
        "threads": threads,
        "lines": lines_of(asked, threads.items),
        "window": window(filters, given, len(threads.items), threads.next_cursor),
        "order_by": given.get("order_by", "last_activity_at"),
        "order": given.get("order", "desc"),
    }


SCREENS = (Screen("pages.threads", "/ui/threads", _page),)
