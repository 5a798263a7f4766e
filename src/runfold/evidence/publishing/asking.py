"""One request to a witness or an authority: within a time for the whole of it, and with little read of the answer."""

import base64
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from runfold.delivery.trusted import CertificatesUnreadable, Trusted
from runfold.file_errors import why

_TRUSTED = Trusted()
_MOST_SAID = 300


class NoAnswer(Exception):
    """There is no answer, or none that is short enough; it says why."""


class Answered(NamedTuple):
    """What came of it."""

    status: int
    media_type: str
    """Without its parameters."""
    body: bytes


def post(
    url: str, body: bytes, *, seconds: float, most_bytes: int, media_type: str = "", trusted: Trusted = _TRUSTED
) -> Answered:
    """Send a body, follow no redirect, use no proxy. Raises NoAnswer."""
    import httpcore2  # noqa: PLC0415  few processes ask anybody
    import httpx2  # noqa: PLC0415

    from runfold.delivery.timed import Deadline, TimedConnections  # noqa: PLC0415

    headers = [("accept-encoding", "identity"), ("connection", "close")]
    headers += [("content-type", media_type)] if media_type else []
    try:
        parsed = httpx2.URL(url)
        if parsed.userinfo:
            headers.append(("authorization", f"Basic {base64.b64encode(unquote_to_bytes(parsed.userinfo)).decode()}"))
        address = httpcore2.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
        tls = trusted.context() if parsed.scheme == "https" else None
        pool = httpcore2.ConnectionPool(ssl_context=tls, network_backend=TimedConnections(Deadline(seconds)), retries=0)
        times = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        with pool, pool.stream("POST", address, headers=headers, content=body, extensions={"timeout": times}) as answer:
            raw = b""
            for piece in answer.iter_stream():
                raw += piece
                if len(raw) > most_bytes:
                    raise NoAnswer(f"it answers more than {most_bytes:,} bytes")
            said = {name.lower(): value for name, value in answer.headers}
            kind = said.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
            return Answered(answer.status, kind, raw)
    except (httpx2.InvalidURL, httpcore2.UnsupportedProtocol, ValueError) as error:
        raise NoAnswer(f"its address is none ({type(error).__name__})") from None
    except CertificatesUnreadable as error:
        raise NoAnswer(str(error)) from None
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
        if distrusted := trusted.distrusted(error):
            raise NoAnswer(f"its certificate {distrusted}") from None
        reason = " ".join(f"{type(error).__name__}: {why(error)}".split()).removesuffix(":")
        raise NoAnswer(f"it does not answer ({reason[:_MOST_SAID]})") from None
