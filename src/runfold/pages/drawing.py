"""Drawing a page: a template and what it shows, with the headers that let the browser load nothing but ours."""

import hashlib
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from runfold.domain.security import Scope
from runfold.pages.asking import ledger_of, past_of
from runfold.pages.screen import READS
from runfold.pages.server import server_of
from runfold.pages.session import COOKIE, FORM_COOKIE, cookie, form_token, signed_in
from runfold.pages.words import FILTERS, Given, shown

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types runfold"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MEDIA_TYPE = "text/html; charset=utf-8"


async def draw(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Draw a page. All text is escaped, and what nobody would see of it is made visible."""
    found = environment().get_template(template)
    # Many lines take their time, in which others are answered.
    text = await server_of(request).pools.questions.run(found.render, frame=Frame(request), **values)
    return Response(text, status, HEADERS, MEDIA_TYPE)


class Frame:
    """What stands around each page."""

    def __init__(self, request: Request) -> None:
        self.request = request
        # Who sent a form is shown what came of it; the address of that is no page, and has no moment to link to.
        self.past = past_of(request) if request.method in READS else None
        self._ledger = ledger_of(request)
        self.is_signed_in = signed_in(request) is not None
        self.path = request.url.path
        secret = cookie(request, COOKIE) if self.is_signed_in else cookie(request, FORM_COOKIE)
        self.form_token = form_token(secret) if secret else ""

    def here(self, **changed: Any) -> str:
        """Return the address of the page with other parameters; None takes one away."""
        return self.address(self.path, **{**_single(self.request), **changed})

    def address(self, path: str, **parameters: Any) -> str:
        """Return an address with parameters, of which those that are None are left out."""
        said = [(name, value) for name, value in parameters.items() if value is not None]
        query = urlencode(said, doseq=True)
        return f"{path}?{query}" if query else path

    def to(self, path: str, **parameters: Any) -> str:
        """Return the address of another page as of the same moment."""
        at = self.past.at if self.past is not None else None
        return self.address(path, at=at, **parameters)

    @property
    def position(self) -> int | None:
        """Return the position that the page is as of: that of the read models which answered, where these did."""
        if self.past is None:
            return None
        of_read_models = self.past.standing is not None and not self.past.is_past
        return self.past.standing.position if of_read_models and self.past.standing else self.past.position

    @property
    def pinned(self) -> str:
        """Return the whole address that shows the same for ever."""
        return f"{str(self.request.base_url).rstrip('/')}{self.here(at=self.position, **self.past.pinned if self.past else {})}"

    @property
    def live(self) -> str | None:
        """Return the stream of what comes after the page: of its thread or run, else of the ledger, to who may follow that."""
        if self.past is None or self.past.is_past:
            return None
        _, _, noun, *rest = [*self.path.split("/"), ""]
        is_of_one = noun in {"threads", "runs"} and len(rest) == 2 and rest[0] not in {"", "sample"}
        if not is_of_one and not self.may("events:read"):
            return None
        path = f"/ui/live/{noun}/{quote(rest[0], safe='')}/events" if is_of_one else "/ui/live/events"
        return self.address(path, after=self.past.position, named="false")

    @property
    def who(self) -> str:
        """Return who is signed in."""
        return "" if self._ledger is None else str(self._ledger.caller.actor)

    @property
    def tenant(self) -> str:
        """Return whose ledger it is."""
        return "" if self._ledger is None else self._ledger.caller.tenant_id

    def may(self, scope: Scope) -> bool:
        """Return whether who is signed in may do what a scope is for: what is not allowed is not drawn."""
        return self._ledger is not None and self._ledger.caller.may(scope)


def _single(request: Request) -> dict[str, Any]:
    return {name: request.query_params.getlist(name) for name in request.query_params}


@cache
def environment() -> Environment:
    """Return what makes pages of templates: a name that a template does not know is an error, and nothing is marked safe."""
    made = Environment(
        loader=PackageLoader("runfold.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(FILTERS)
    return made


def _finalized(value: Any) -> Any:
    """Make all text harmless that any template writes, so that none can forget it; None is nothing."""
    if value is None:
        return ""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup | Given) else value


def etag(content: bytes) -> str:
    """Return the tag of what is loaded beside pages."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
