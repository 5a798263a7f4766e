"""What a form says, of a page of ours: whoever sends one from another page is refused."""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from runfold.errors import AccessDenied, InvalidEvent
from runfold.pages import session
from runfold.pages.server import server_of

_MEDIA_TYPE = "application/x-www-form-urlencoded"
TOKEN = "form_token"  # noqa: S105  the name of a field
MOST_FIELDS = 1000


async def form(request: Request, *, cookie: str = session.COOKIE) -> Mapping[str, list[str]]:
    """Return the fields of a form. Raises AccessDenied for one of another page, InvalidEvent, TooLarge, TooSlow."""
    require_own_page(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise InvalidEvent("body", f"is no form; send {_MEDIA_TYPE}")
    raw = await server_of(request).form(request)
    fields: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"):
            fields.setdefault(name, []).append(value)
    except ValueError:
        raise InvalidEvent("body", "is no form in UTF-8") from None
    secret = session.cookie(request, cookie)
    shown = "".join(fields.pop(TOKEN, [])).encode()
    if secret is None or not hmac.compare_digest(shown, session.form_token(secret).encode()):
        raise AccessDenied("this form is not of a page that this server drew for you; go back, load the page again, and repeat")
    return fields


def one(fields: Mapping[str, list[str]], name: str, otherwise: str = "") -> str:
    """Return the last value of a field."""
    return fields.get(name, [otherwise])[-1]


def require_own_page(request: Request) -> None:
    """Raise AccessDenied for what a page of somebody else's sends.

    Our pages have no referrer, so browsers say `null` for their origin; then `Sec-Fetch-Site`, which no page can set, tells.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    is_foreign = origin not in {None, "null", own} or site not in {None, "same-origin"}
    if is_foreign:
        raise AccessDenied("this form was sent by a page of another site, and nothing was done; open the page here instead")
