"""Whom this process trusts with TLS: whom its system does, or `SSL_CERT_FILE` and `SSL_CERT_DIR` name.

Reading that takes fifty times as long as a request, so it is kept: for an hour, as somebody may be trusted no more, or until
somebody is not, who may be by the next request.
"""

import re
import ssl
import threading
import time

from runfold.file_errors import why

_KEPT_SECONDS = 3600.0
_FAILED = "CERTIFICATE_VERIFY_FAILED"
_NEXT_STEP = "see whom the system of this process trusts, or SSL_CERT_FILE and SSL_CERT_DIR"


class CertificatesUnreadable(OSError):
    """The certificates that are trusted cannot be read."""


class Trusted:
    """Certificates that are trusted; several threads may ask."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._read: tuple[ssl.SSLContext, float] | None = None
        """What was read, and until when it is kept."""

    def context(self) -> ssl.SSLContext:
        """Return what TLS is verified with. Raises CertificatesUnreadable."""
        import httpcore2  # noqa: PLC0415  few processes ask anybody

        with self._reading:
            if self._read is None or time.monotonic() > self._read[1]:
                try:
                    self._read = httpcore2.default_ssl_context(), time.monotonic() + _KEPT_SECONDS
                except OSError as error:
                    fact = f"the certificates that are trusted cannot be read ({why(error)}); {_NEXT_STEP}"
                    raise CertificatesUnreadable(fact) from None
            return self._read[0]

    def distrusted(self, failed: Exception) -> str | None:
        """Return in words why a certificate was not trusted, if a request failed by that; all is read anew for the next then."""
        if _FAILED not in str(failed):
            return None
        with self._reading:
            self._read = None
        said = re.sub(r"^.*certificate verify failed: | \(_ssl\.c:\d+\)$", "", str(failed))
        return f"is not trusted ({said}); {_NEXT_STEP}"
