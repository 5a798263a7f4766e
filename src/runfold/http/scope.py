"""What the scope of a request tells of the connection that it came on. On another server than ours it tells nothing."""

from typing import Any

from runfold.http.connections import EXTENSION, Connection


def connection_of(scope: Any) -> Connection | None:
    """The connection of a request; None on another server."""
    found = _known(scope).get("connection")
    return found if isinstance(found, Connection) else None


def rest_of_body(scope: Any) -> bytes | None:
    """What has come of a request's body and nobody has read, if that is all the rest; None where it was cut off."""
    found = _known(scope).get("request")
    return None if found is None or found.more_body else bytes(found.body)


def answered_early(scope: Any) -> bool:
    """Whether an answer is given before all of the body is here; the connection then ends with it."""
    found = _known(scope).get("request")
    if found is None or not found.more_body:
        return False
    found.keep_alive = False
    return True


def _known(scope: Any) -> dict[str, Any]:
    known: dict[str, Any] = (scope.get("extensions") or {}).get(EXTENSION, {})
    return known
