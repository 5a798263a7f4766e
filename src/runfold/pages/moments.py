"""Preparing a moment of the whole ledger, from the page that could not be answered without it."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runfold.pages.asking import past
from runfold.pages.drawing import HEADERS
from runfold.pages.forms import form, one
from runfold.pages.refusals import own_address
from runfold.pages.screen import Screen
from runfold.pages.server import server_of
from runfold.pages.typed import as_moment


async def _prepare(request: Request) -> Response:
    fields = await form(request)
    asked, server = await past(request, "moments:create"), server_of(request)

    def ask() -> None:
        position = asked.ledger.at(as_moment(one(fields, "at"))).up_to
        moments = server.ledger.moments_of(asked.ledger.caller.tenant_id)
        moments.ask(position, str(asked.ledger.caller.actor))

    await asked.ask(ask)
    if server.preparer is not None:
        server.preparer.wake()
    return RedirectResponse(own_address(one(fields, "next")), 303, HEADERS)


SCREENS = (Screen("pages.prepare_moment", "/ui/moments", _prepare, "POST"),)
