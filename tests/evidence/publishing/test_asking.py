"""Witnesses and authorities are asked with TLS."""

from pathlib import Path

import httpcore2
import pytest

from runfold.delivery.trusted import Trusted
from runfold.evidence.publishing.asking import NoAnswer, post
from tests.delivery.certificates import certificate
from tests.delivery.receiver import OK, receiving


def test_whose_certificate_is_not_trusted_is_named_with_why_and_asked_again_once_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = tmp_path / "trusted.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setattr(httpcore2, "default_ssl_context", httpcore2.default_ssl_context.__wrapped__)  # which tests read once
    kept = Trusted()
    (first, text), (second, other) = (certificate(tmp_path / name) for name in ("first.pem", "second.pem"))
    with receiving(lambda request, connection: OK, first) as receiver:

        def asked() -> int:
            return post(receiver.url(), b"{}", seconds=5, most_bytes=100, trusted=kept).status

        with pytest.raises(NoAnswer, match=r"the certificates that are trusted cannot be read .*; see .* SSL_CERT_FILE"):
            asked()
        trusted.write_text(text)
        assert [asked(), asked()] == [204, 204]
        receiver.tls = second
        with pytest.raises(NoAnswer, match=r"its certificate is not trusted \(self.signed certificate\); see .* SSL_CERT_FILE"):
            asked()
        trusted.write_text(text + other)
        assert [asked(), asked()] == [204, 204]
