"""`/ui/runs`: the runs that filters find, in any order, window by window."""

from collections.abc import Iterable
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runfold.errors import UsageError
from runfold.pages.asking import Past, past
from runfold.pages.drawing import HEADERS, draw
from runfold.pages.filters import Filters, filters_of, is_plain
from runfold.pages.screen import Screen
from runfold.pages.windows import ROW, size_of, window
from runfold.queries.runs.list import RunParameters
from runfold.queries.threads.list import ThreadState

SORTS = {
    "created_at": "Created",
    "last_event_at": "Last event",
    "finished_at": "Ended",
    "duration": "Duration",
    "steps": "Steps",
}
"""What the list can be sorted by, as its columns are called."""
_BESIDE = ("at", ROW)


def filters_in(request: Request, *beside: str) -> Filters:
    """Return the filters of runs as an address fills them in. Raises UsageError."""
    return filters_of(RunParameters, request.query_params.multi_items(), (*_BESIDE, *beside))


async def _page(request: Request) -> Response:
    asked = await past(request)
    try:
        filters = filters_in(request)
        if not is_plain(filters, request.query_params.multi_items()):
            return RedirectResponse(f"{request.url.path}?{filters.address()}", 303, HEADERS)
        values = await asked.ask(lambda: _found(asked, filters, dict(request.query_params)))
    except UsageError as error:
        return await _refused(request, error)
    asked.standing = values["runs"].standing
    return await draw(request, "runs.html", filters=filters, sorts=SORTS, fault=None, **values)


def _found(asked: Past, filters: Filters, given: dict[str, str]) -> dict[str, Any]:
    narrowed, order_by = filters.asked(), given.get("order_by", "created_at")
    paging: dict[str, Any] = {name: given.get(name) for name in ("order_by", "order", "cursor")}
    runs = asked.reading.runs(**narrowed, **paging, limit=size_of(given))
    count = asked.reading.count_runs(**narrowed)
    return {
        "runs": runs,
        "window": window(filters, given, len(runs.items), runs.next_cursor, count.runs),
        "titles": titles_of(asked, [run.thread_id for run in runs.items]),
        "order_by": order_by,
        "columns": {"created_at", order_by, "duration", "steps"},
        "order": given.get("order", "desc"),
    }


def titles_of(asked: Past, thread_ids: Iterable[str]) -> dict[str, str | None]:
    """Return what some threads are called."""
    wanted = list(dict.fromkeys(thread_ids))
    if not wanted:
        return {}
    found = asked.reading.threads(thread_id=wanted, state=get_args(ThreadState), limit=len(wanted))
    return {thread.thread_id: thread.title for thread in found.items}


async def _refused(request: Request, error: UsageError) -> Response:
    """Draw the form again, with what is wrong in it; a word that it does not know is left out."""
    known = [pair for pair in request.query_params.multi_items() if pair[0] != error.facts.get("name")]
    try:
        filters = filters_of(RunParameters, request.query_params.multi_items(), _BESIDE)
    except UsageError:
        filters = filters_of(RunParameters, [pair for pair in known if pair[0] == "at"], _BESIDE)
    return await draw(request, "runs.html", status=400, filters=filters, sorts=SORTS, fault=str(error), runs=None)


SCREENS = (Screen("pages.runs", "/ui/runs", _page),)
