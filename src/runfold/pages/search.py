"""`/ui/search?q=`: words in messages, tool calls, decisions and problems, each place marked, with the way to its moment."""

from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runfold.errors import UsageError
from runfold.pages.asking import Past, past
from runfold.pages.drawing import HEADERS, draw
from runfold.pages.filters import Filters, filters_of, is_plain
from runfold.pages.marked import Piece, pieces_of
from runfold.pages.runs.listing import titles_of
from runfold.pages.screen import Screen
from runfold.pages.windows import ROW, size_of, window
from runfold.queries.search.list import Hit, SearchParameters

WORDS = "q"
_BESIDE = ("at", ROW, WORDS)
_WINDOW = 20


class Found(NamedTuple):
    """A hit, and its excerpt in pieces."""

    hit: Hit
    pieces: list[Piece]


async def _page(request: Request) -> Response:
    asked, given = await past(request), request.query_params.multi_items()
    words = request.query_params.get(WORDS, "").strip()
    try:
        filters = filters_of(SearchParameters, given, _BESIDE)
        if not is_plain(filters, given):
            return RedirectResponse(f"{request.url.path}?{filters.address()}", 303, HEADERS)
        values = await asked.ask(lambda: _found(asked, words, filters, dict(request.query_params))) if words else {"found": None}
    except UsageError as error:
        known = [(name, text) for name, text in given if name in {"at", WORDS}]
        filters = filters_of(SearchParameters, known, _BESIDE)
        return await draw(request, "search.html", status=400, words=words, filters=filters, fault=str(error), found=None)
    asked.standing = values.get("standing")
    return await draw(request, "search.html", words=words, filters=filters, fault=None, **values)


def _found(asked: Past, words: str, filters: Filters, given: dict[str, str]) -> dict[str, Any]:
    page = asked.reading.search(words, **filters.asked(), cursor=given.get("cursor"), limit=size_of(given, _WINDOW))
    return {
        "found": [Found(hit, pieces_of(hit.excerpt.text, hit.excerpt.marks)) for hit in page.items],
        "window": window(filters, given, len(page.items), page.next_cursor),
        "titles": titles_of(asked, [hit.thread_id for hit in page.items]),
        "standing": page.standing,
    }


SCREENS = (Screen("pages.search", "/ui/search", _page),)
