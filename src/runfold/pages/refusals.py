"""What is refused on pages: each with its status, what the fact is, and how to go on."""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from runfold.domain.event import refusal
from runfold.errors import KeyRefused, LedgerError, MomentNotPrepared, ReadModelBehind
from runfold.pages import session
from runfold.pages.asking import ledger_of
from runfold.pages.drawing import Frame, draw
from runfold.pages.screen import READS, Answer, Screen
from runfold.pages.server import server_of

_log = structlog.get_logger("runfold.pages")


class Way(NamedTuple):
    """A way on from a page that says no."""

    address: str
    words: str


def served(screen: Screen) -> Answer:
    """Return what answers at a screen's address: it knows who asks, and draws what is refused."""

    async def answer(request: Request) -> Response:
        try:
            if fault := server_of(request).host_fault(request):
                return await refused(request, 421, "This server is not called that", fault)
            if not screen.is_open:
                await session.enter(request)
            return await screen.answer(request)
        except ValidationError as error:
            return await of_error(request, refusal(error))
        except LedgerError as error:
            return await of_error(request, error)

    return answer


async def of_error(request: Request, error: LedgerError) -> Response:
    """Draw an error of the ledger: some have a page of their own, which leads on."""
    match error:
        case KeyRefused():
            was_sent = "" if request.method in READS else " Nothing was done: sign in, and send it again."
            return await sign_in(request, f"{error.fact[:1].upper()}{error.fact[1:]}.{was_sent}")
        case ReadModelBehind():
            return await not_folded(request, error)
        case MomentNotPrepared():
            return await not_prepared(request, error)
    told = server_of(request).disclosed(error)
    if error.http_status >= 500:
        _log.warning("page failed", path=request.url.path, error=type(error).__name__, detail=str(error))
    ways = []
    if "at" in request.query_params:
        ways = [Way(Frame(request).here(at=None), "The same page as it is now")]
    return await refused(request, error.http_status, _title(type(error).__name__), str(told), ways)


async def not_folded(request: Request, error: ReadModelBehind) -> Response:
    """Draw that a read model has yet to be folded, as after the first start, and load the page again until it is.

    Where nobody folds it, or it cannot be, say that, and how to go on.
    """
    values = {"detail": str(error), "name": error.name, "is_folded": error.is_folded}
    response = await draw(request, "behind.html", status=error.http_status, **values)
    response.headers["Retry-After"] = "1"
    return response


async def not_prepared(request: Request, error: MomentNotPrepared) -> Response:
    """Offer to prepare the moment that a list of the whole ledger is asked as of; while it is made, show how far that is."""
    server, ledger = server_of(request), ledger_of(request)
    view = None
    if error.moment_id is not None and ledger is not None:
        moments = server.ledger.moments_of(ledger.caller.tenant_id)
        view = await server.pools.questions.run(moments.one, error.moment_id)
    here = str(request.url.replace(scheme="", netloc=""))
    values = {"position": error.position, "moment": view, "here": here, "without": Frame(request).here(at=None)}
    return await draw(request, "prepare.html", status=error.http_status, **values)


async def refused(request: Request, status: int, title: str, detail: str, ways: Sequence[Way] = ()) -> Response:
    """Draw a page that says no."""
    return await draw(request, "refused.html", status=status, title=title, detail=detail, status_code=status, ways=ways)


async def sign_in(request: Request, detail: str = "", *, status: int = 401, next: str | None = None) -> Response:
    """Draw the page that takes a key, and leads to `next`, else back to the page that somebody wanted to see."""
    here = str(request.url.replace(scheme="", netloc="")) if request.method in READS else ""  # a form's address shows nothing
    wanted = next or request.query_params.get("next") or here
    secret = session.cookie(request, session.FORM_COOKIE) or secrets.token_urlsafe(32)
    values = {"detail": detail, "next": own_address(wanted), "form_token": session.form_token(secret)}
    response = await draw(request, "login.html", status=status, **values)
    session.set_cookie(request, response, session.FORM_COOKIE, secret)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="runfold"'
    return response


def own_address(address: str) -> str:
    """Return an address if it is one of a page of ours, else that of the first page."""
    is_ours = address == "/ui" or address.startswith(("/ui/", "/ui?"))
    leads_elsewhere = address.startswith("/ui/login") or any(ord(letter) < 33 or letter == "\\" for letter in address)
    return address if is_ours and not leads_elsewhere else "/ui"


async def nothing_found(request: Request) -> Response:
    """Draw that nothing is at an address."""
    return await refused(request, 404, "Nothing is at this address", f"no page is called {request.url.path}")


def nothing_here(known: Sequence[Screen]) -> Answer:
    """Return what answers wherever no screen does."""
    patterns = [(compile_path(screen.path)[0], screen.verb) for screen in known]

    async def answer(request: Request) -> Response:
        verbs = sorted({verb for pattern, verb in patterns if pattern.match(request.url.path)})
        if not verbs:
            return await nothing_found(request)
        response = await refused(request, 405, "Not in this way", f"this address takes {' and '.join(verbs)} only")
        response.headers["Allow"] = ", ".join(sorted({*verbs, *(READS if "GET" in verbs else ())}))
        return response

    return answer


_TITLES = {
    "UsageError": "This cannot be asked",
    "InvalidEvent": "This cannot be read",
    "AccessDenied": "Not allowed",
    "ScopeMissing": "Not allowed with this key",
    "ReadModelBehind": "Not there yet",
    "LedgerUnavailable": "The ledger cannot be reached",
    "TooBusy": "Too many questions at once",
    "TooManyRequests": "Too many questions at once",
}


def _title(name: str) -> str:
    """Return the name of an error in words."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip().capitalize()
    return _TITLES.get(name, words)
