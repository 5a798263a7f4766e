"""Has an authority stamp a checkpoint with the time, as RFC 3161 has it."""

from runfold.domain.web_address import read_url
from runfold.errors import SealingRefused, UsageError
from runfold.evidence.publishing.asking import NoAnswer, post
from runfold.proofs.timestamp import MOST_BYTES

_SECONDS = 15.0
_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"


def timestamp(message: bytes, url: str) -> bytes:
    """Return the answer of a time stamp authority for a message. Raises SealingRefused where there is none, UsageError."""
    try:
        from rfc3161_client import (  # noqa: PLC0415  few checkpoints are stamped
            TimestampRequestBuilder,
            decode_timestamp_response,
        )
    except ImportError:
        raise UsageError("time stamps need the extra `evidence`; run `pip install 'runfold[evidence]'`") from None
    try:
        host = read_url(url, may_name_user=True).host
    except ValueError as error:
        step = "write RUNFOLD_SEAL_TIMESTAMP_URL or --timestamp-url as https://stamps.example"
        raise UsageError(f"the address of a time stamp authority {error}; {step}") from None
    asked = TimestampRequestBuilder().data(message).nonce(nonce=True).cert_request(cert_request=True).build()
    try:
        status, kind, token = post(url, asked.as_bytes(), seconds=_SECONDS, most_bytes=MOST_BYTES, media_type=_QUERY)
    except NoAnswer as error:
        raise _refused(host, str(error)) from None
    if status != 200 or kind != _REPLY:
        raise _refused(host, f"it answers {status}, {kind or 'without a type'}")
    try:
        said = decode_timestamp_response(token)
    except ValueError:
        raise _refused(host, "what it answers cannot be read") from None
    if said.status not in {0, 1}:
        raise _refused(host, f"it refuses, with status {said.status} ({' '.join(said.status_string)[:200]})")
    about = said.tst_info
    if about.nonce != asked.nonce or about.message_imprint.message != asked.message_imprint.message:
        raise _refused(host, "what it answers is the stamp of something else")
    return token


def _refused(host: str | None, fact: str) -> SealingRefused:
    return SealingRefused(
        f"the time stamp authority at {host} has not stamped the checkpoint: {fact}", "try it again, or another authority"
    )
