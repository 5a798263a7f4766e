"""What a client takes, as its headers `Accept` and `Accept-Encoding` say it: names with their weights (RFC 9110, 12.5)."""

import re
from collections.abc import Mapping

from starlette.requests import Request

_PARTS, _PARAMETERS = (re.compile(rf'(?:[^{end}"]|"(?:[^"\\]|\\.)*"?)+') for end in ",;")
"""What stands between commas, or semicolons; those in quotes part nothing."""
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_JSON = "application/json"


def weights(request: Request, header: str) -> Mapping[str, float]:
    """Return what a header names, in small letters, each with its weight; 0 is what is not to be sent."""
    found: dict[str, float] = {}
    for part in _PARTS.findall(",".join(request.headers.getlist(header))):
        name, *parameters = [each.strip().lower() for each in _PARAMETERS.findall(part)] or [""]
        if name:
            found[name] = _weight(parameters)
    return found


def takes(request: Request, media_type: str) -> bool:
    """Return whether a client names a media type among what it takes."""
    return weights(request, "accept").get(media_type, 0.0) > 0


def prefers(request: Request, media_type: str, otherwise: str = _JSON) -> bool:
    """Return whether a client would rather have a media type than the one that it gets where it says nothing.

    Of two that it likes equally it is given the one that it names: what is named is there for the sake of who names it.
    """
    given = weights(request, "accept")
    wanted, other = _of(given, media_type), _of(given, otherwise)
    return wanted > other or (wanted == other > 0 and media_type in given)


def _weight(parameters: list[str]) -> float:
    """Return the weight among the parameters of a name: 1 where there is none that can be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q" and _WEIGHT.fullmatch(value.strip()):
            return float(value)
    return 1.0


def _of(given: Mapping[str, float], media_type: str) -> float:
    """Return the weight of a media type: that of the narrowest range that holds it."""
    ranges = media_type, f"{media_type.partition('/')[0]}/*", "*/*"
    return next((given[each] for each in ranges if each in given), 0.0 if given else 1.0)
