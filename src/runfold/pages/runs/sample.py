"""`/ui/runs/sample`: a sample for an audit, which anybody can draw again."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from runfold.pages.asking import Past, past
from runfold.pages.drawing import draw
from runfold.pages.filters import Filters, filters_of
from runfold.pages.runs.listing import titles_of
from runfold.pages.screen import Screen
from runfold.pages.windows import whole
from runfold.queries.runs.list import RunFilters
from runfold.queries.runs.sample import DEFAULT_SIZE, MOST_DRAWN, RunSample

MOST_SHOWN = 200
BESIDE = ("at", "n", "seed")


def filters_in(request: Request) -> Filters:
    """Return the filters of a sample's population as an address fills them in. Raises UsageError."""
    return filters_of(RunFilters, request.query_params.multi_items(), BESIDE)


def drawn(asked: Past, filters: Filters, request: Request) -> RunSample:
    """Draw the sample that an address asks for. Raises UsageError, ReadModelBehind, MomentNotPrepared."""
    n = whole(dict(request.query_params), "n", DEFAULT_SIZE, 1, MOST_DRAWN)
    return asked.reading.sample_runs(request.query_params.get("seed", ""), n=n, **filters.asked())


async def _page(request: Request) -> Response:
    asked, filters = await past(request), filters_in(request)
    values = await asked.ask(lambda: _found(asked, filters, request))
    asked.standing = values["sample"].standing
    return await draw(request, "sample.html", filters=filters, most=MOST_SHOWN, **values)


def _found(asked: Past, filters: Filters, request: Request) -> dict[str, Any]:
    sample = drawn(asked, filters, request)
    return {
        "sample": sample,
        "drawn": len(sample.runs),
        "titles": titles_of(asked, [run.thread_id for run in sample.runs[:MOST_SHOWN]]),
    }


SCREENS = (Screen("pages.runs.sample", "/ui/runs/sample", _page),)
