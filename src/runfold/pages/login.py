"""Signing in, by the address that `runfold serve` prints or with a key, and signing out."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runfold.access.sessions import SignedIn
from runfold.errors import KeyRefused
from runfold.pages import session
from runfold.pages.drawing import HEADERS
from runfold.pages.forms import form, one
from runfold.pages.refusals import own_address, sign_in
from runfold.pages.screen import Screen
from runfold.pages.server import server_of

_USED = (
    "This sign-in address was used already, or is older than ten minutes. Sign in with a key, or start `runfold serve` again"
    " for another address."
)


async def _page(request: Request) -> Response:
    """A sign-in address is good once, and for ten minutes; without a token it is the page that takes a key."""
    token = request.query_params.get("token")
    if token is None or request.method == "HEAD":  # to ask for a head uses nothing up
        return await sign_in(request, status=200)
    key = await session.redeem(request, token[: session.LONGEST_TEXT])
    if key is None:
        return await sign_in(request, _USED)
    return await _signed_in(request, key, "/ui")


async def _with_key(request: Request) -> Response:
    fields = await form(request, cookie=session.FORM_COOKIE)
    try:
        caller = await server_of(request).caller_of_key(request, one(fields, "key").strip())
    except KeyRefused:
        said = "This is no key that is good here: it may be mistyped, revoked or expired."
        return await sign_in(request, said, next=one(fields, "next"))
    return await _signed_in(request, SignedIn(caller.tenant_id, caller.api_key or ""), own_address(one(fields, "next")))


async def _signed_in(request: Request, key: SignedIn, address: str) -> Response:
    response = RedirectResponse(address, 303, HEADERS)
    await session.begin(request, response, key)
    return response


async def _out(request: Request) -> Response:
    await form(request)
    response = RedirectResponse("/ui/login", 303, HEADERS)
    await session.end(request, response)
    return response


SCREENS = (
    Screen("pages.login", "/ui/login", _page, is_open=True),
    Screen("pages.sign_in", "/ui/login", _with_key, "POST", is_open=True),
    Screen("pages.sign_out", "/ui/logout", _out, "POST"),
)
