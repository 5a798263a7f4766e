"""Time stamps of a checkpoint by an authority of the policy, as RFC 3161 has them: the checkpoint was there at that time.

They are verified by the library `rfc3161-client`, where it is installed beside `cryptography`. A policy that names no authority
needs neither of it.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from cryptography import x509

MOST_BYTES = 256 * 1024
"""A longer answer of an authority is none."""


class TimestampRefused(ValueError):
    """A time stamp that is missing, wrong, or of nobody whom the policy names."""


class Stamped(NamedTuple):
    """When an authority saw something."""

    at: datetime
    authority: str


def read_certificate(text: str) -> bytes:
    """A certificate in base64 → its bytes. Raises TimestampRefused."""
    try:
        raw = base64.b64decode(text, validate=True)
        x509.load_der_x509_certificate(raw)
    except ValueError:
        raise TimestampRefused(f"{text[:40]!r} is no certificate in base64 of its DER form") from None
    return raw


def stamped(token: bytes, message: bytes, authorities: Mapping[str, bytes]) -> Stamped:
    """Return when one of some authorities, given by their certificates, stamped a message. Raises TimestampRefused."""
    try:
        from rfc3161_client import (  # noqa: PLC0415  only a policy that names authorities needs it
            VerificationError,
            VerifierBuilder,
            decode_timestamp_response,
        )
    except ImportError:
        raise TimestampRefused("it cannot be verified here; pip install rfc3161-client") from None
    try:
        answer = decode_timestamp_response(token)
    except ValueError:
        raise TimestampRefused("it is no answer of a time stamp authority") from None
    why = ""
    for name, certificate in authorities.items():
        verifier = VerifierBuilder().add_root_certificate(x509.load_der_x509_certificate(certificate)).build()
        try:
            verifier.verify_message(answer, message)
        except (VerificationError, ValueError) as error:
            why = str(error)
        else:
            return Stamped(answer.tst_info.gen_time, name)
    raise TimestampRefused(f"no authority of the policy has made it for this checkpoint ({' '.join(why.split())[:200]})")
