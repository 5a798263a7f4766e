"""The first page: what needs a person, what the agents did last, and how to begin where nothing was recorded yet."""

import contextlib
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runfold.access.accept import prefers
from runfold.demo_story import AGENT, Cast, tell
from runfold.domain.values import Actor
from runfold.errors import ReadModelBehind, UsageError
from runfold.pages.asking import Past, past
from runfold.pages.drawing import HEADERS, draw
from runfold.pages.forms import form
from runfold.pages.runs.listing import titles_of
from runfold.pages.screen import Screen
from runfold.pages.server import server_of
from runfold.pages.thread_lines import lines_of

FEW, FEWER = 10, 5
_SEED = 7
"""The story is that of `runfold demo`, under the same ids."""


async def _page(request: Request) -> Response:
    asked = await past(request)
    if await asked.ask(lambda: _is_empty(asked)):
        return await draw(request, "begin.html", address=str(request.base_url).rstrip("/"))
    values = await asked.ask(lambda: _found(asked))
    asked.standing = values["threads"].standing
    return await draw(request, "first.html", **values)


def _is_empty(asked: Past) -> bool:
    """Whether nothing was recorded but keys, as far as the first events tell."""
    first = asked.ledger.events(types=["thread.*"], limit=1, up_to=asked.position)
    return not first


def _found(asked: Past) -> dict[str, Any]:
    reading = asked.reading
    approvals = reading.approvals(status=["open"], limit=FEWER)
    attention, threads = reading.attention(limit=FEWER), reading.threads(limit=FEW)
    return {
        "approvals": approvals,
        "attention": attention,
        "threads": threads,
        "lines": lines_of(asked, threads.items),
        "titles": titles_of(
            asked, [*(each.thread_id for each in approvals.items), *(each.thread_id for each in attention.items)]
        ),
    }


async def _demo(request: Request) -> Response:
    """Record the demo's story in a ledger in which nothing is recorded yet: a story has no place among what happened."""
    await form(request)
    asked = await past(request, "admin")

    def record() -> None:
        if not _is_empty(asked):
            raise UsageError("this ledger holds threads of its own, among which a story has no place; use an empty one")
        caller = asked.ledger.caller
        agent = server_of(request).ledger.on_behalf(caller._replace(actor=Actor.parse(AGENT)))
        tell(agent, Cast.of(_SEED, caller.tenant_id))
        _until_folded(asked)

    await asked.ask(record)
    return RedirectResponse("/ui", 303, HEADERS)


def _until_folded(asked: Past) -> None:
    """Wait a moment for the read models of the first page, so that it shows the story; where nobody folds, no longer."""
    now, position = asked.ledger.now, asked.ledger.position()
    with contextlib.suppress(ReadModelBehind):
        for question in (now.threads, now.runs, now.approvals, now.attention):
            question(limit=1, min_position=position, wait_seconds=1)


async def _root(request: Request) -> Response:
    """A browser is led to the pages; a program is told that nothing is here, as before."""
    if not prefers(request, "text/html"):
        raise HTTPException(404)
    return RedirectResponse("/ui", 303, HEADERS)


SCREENS = (
    Screen("pages.first", "/ui", _page),
    Screen("pages.demo", "/ui/demo", _demo, "POST"),
    Screen("pages.root", "/", _root, is_open=True),
)
