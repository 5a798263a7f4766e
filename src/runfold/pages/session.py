"""Who is asking: the session cookie of a browser, and what stands for it while a request is answered."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from runfold.access.sessions import BrowserSessions, SignedIn
from runfold.errors import KeyRefused
from runfold.pages.server import server_of

P = ParamSpec("P")
T = TypeVar("T")

COOKIE, FORM_COOKIE = "runfold_session", "runfold_form"
"""The beginnings of their names; the port follows, for browsers keep cookies by host alone."""
_SIGNED_IN = "runfold.signed_in"
LONGEST_TEXT = 100
"""Characters of what a cookie may hold."""


def signed_in(request: Request) -> SignedIn | None:
    """Return the session of a request that a screen answers; None for all that is no screen's."""
    found: SignedIn | None = request.scope.get(_SIGNED_IN)
    return found


async def enter(request: Request) -> None:
    """Know from here on who asks. Raises KeyRefused where nobody is signed in, or no longer."""
    text = cookie(request, COOKIE)
    found = await _ask(request, BrowserSessions.find, text) if text else None
    if found is None:
        raise KeyRefused("this session has ended" if text else "nobody is signed in")
    request.scope[_SIGNED_IN] = found


async def begin(request: Request, response: Response, key: SignedIn) -> None:
    """Begin a session, and let the browser keep it. Raises LedgerUnavailable."""
    set_cookie(request, response, COOKIE, await _ask(request, BrowserSessions.begin, key))


async def end(request: Request, response: Response) -> None:
    """Sign out."""
    if text := cookie(request, COOKIE):
        await _ask(request, BrowserSessions.end, text)
    response.delete_cookie(cookie_name(request, COOKIE), path="/", httponly=True, samesite="strict")


async def redeem(request: Request, token: str) -> SignedIn | None:
    """Take the token of a sign-in address, which is good once."""
    return await _ask(request, BrowserSessions.redeem, token)


def cookie_name(request: Request, kind: str) -> str:
    """Return the name of a cookie of this server: another one on another port of the same host has its own."""
    port = request.url.port or (443 if request.url.scheme == "https" else 80)
    return f"{kind}_{port}"


def cookie(request: Request, kind: str) -> str | None:
    """Return what a cookie holds; None where there is none, or what can be none of ours."""
    text = request.cookies.get(cookie_name(request, kind))
    return text if text and len(text) <= LONGEST_TEXT else None


def set_cookie(request: Request, response: Response, kind: str, text: str) -> None:
    """Let the browser keep a text that only we are shown, and no script."""
    secure = request.url.scheme == "https"
    response.set_cookie(cookie_name(request, kind), text, path="/", httponly=True, samesite="strict", secure=secure)


def form_token(secret: str) -> str:
    """Return what each form carries: who does not know the cookie cannot know it."""
    return hmac.digest(secret.encode(), b"runfold form", hashlib.sha256).hex()


async def _ask(request: Request, question: Callable[Concatenate[BrowserSessions, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    server = server_of(request)
    sessions = BrowserSessions(server.ledger.recorder.store)
    return await server.pools.keys.run(question, sessions, *args, **kwargs)
