"""One POST: only to addresses that may be sent to, within a time, with little read of the answer."""

import dataclasses
import itertools
import socket
import ssl
import threading
from ipaddress import ip_network
from pathlib import Path

import httpcore2
import pytest

from runfold.delivery.posting import MOST_ERROR_CHARACTERS, Answer, Poster
from runfold.domain.web_address import AddressRules

from .certificates import certificate
from .receiver import OK, Receiver, Request, receiving, status

LOCAL = AddressRules(schemes=frozenset({"http", "https"}), allowed_networks=(ip_network("127.0.0.0/8"),))
NAMED = dataclasses.replace(LOCAL, ports=frozenset(range(1, 65536)))


def post(receiver: Receiver, timeout: float = 20.0) -> Answer:
    return Poster(LOCAL, timeout).post(receiver.url(), '{"n": 1}', {"content-type": "application/json"})


def test_a_body_arrives_as_it_is_and_only_2xx_says_that_it_did() -> None:
    with receiving() as receiver:
        assert post(receiver) == Answer(204)
    (request,) = receiver.requests
    assert (request.path, request.body, request.headers["content-type"]) == ("/hook", '{"n": 1}', "application/json")
    for code in (200, 201, 299):
        with receiving(lambda request, connection, code=code: status(code)) as receiver:
            assert post(receiver).is_accepted
    for code in (100 + 99, 304, 400, 404, 410, 500):
        with receiving(lambda request, connection, code=code: status(code, body="no\0 such\n thing")) as receiver:
            answer = post(receiver)
        assert not answer.is_accepted


@pytest.mark.fault("G8")
def test_a_redirect_is_not_followed() -> None:
    with receiving() as other:
        for code in (301, 302, 303, 307, 308):
            answered = status(code, f"Location: {other.url()}")
            with receiving(lambda request, connection, answered=answered: answered) as receiver:
                assert post(receiver) == Answer(code, f"answered {code}; redirects are not followed")
    assert other.requests == []


def test_what_a_receiver_says_of_an_error_is_kept_in_short_with_when_to_come_again() -> None:
    answered = status(503, "Retry-After: 7", body="x" * 100_000)
    with receiving(lambda request, connection: answered) as receiver:
        answer = post(receiver)
    assert (answer.status_code, answer.retry_after) == (503, "7")
    assert answer.error is not None
    assert len(answer.error) == MOST_ERROR_CHARACTERS


@pytest.mark.fault("G8")
def test_a_receiver_that_hangs_trickles_or_never_stops_is_left_after_the_time_for_the_whole() -> None:
    over = threading.Event()

    def hang(request: Request, connection: socket.socket) -> bytes:
        over.wait(60)
        return b""

    def trickle(request: Request, connection: socket.socket) -> bytes:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in itertools.count():
            connection.sendall(b"x-%d: y\r\n" % number)
            if over.wait(0.05):
                return b""
        return b""

    def flood(request: Request, connection: socket.socket) -> bytes:
        connection.sendall(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"1000\r\n" + b"z" * 4096 + b"\r\n")
        return b""

    try:
        for answering in (hang, trickle):
            with receiving(answering) as receiver:
                assert post(receiver, 0.5) == Answer(None, "no answer within 0.5 s")
        with receiving(flood) as receiver:
            assert post(receiver).status_code == 500
    finally:
        over.set()


def test_what_is_no_answer_is_an_error_in_words() -> None:
    for said in (b"", b"SSH-2.0-nonsense\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000):
        with receiving(lambda request, connection, said=said: said) as receiver:
            answer = post(receiver)
        assert answer.status_code is None
        assert answer.error
    assert "cannot connect" in str(post(receiver).error), "nobody listens any more"


@pytest.mark.parametrize("key", ["hush\n", "hush\r\nx-other: 1", "hush\0", "hush\x7f", "hushé", "hush€", "hush "])
def test_a_key_that_no_header_takes_is_not_sent_and_not_said(key: str) -> None:
    with receiving() as receiver:
        answer = Poster(LOCAL, 5).post(receiver.url(), "{}", {"authorization": f"Bearer {key}"})
    assert answer.status_code is None
    assert "authorization" in str(answer.error)
    assert "hush" not in str(answer.error)
    assert receiver.requests == []


@pytest.mark.fault("I11")
@pytest.mark.parametrize(
    "leads_to", ["127.0.0.1", "169.254.169.254", "10.0.0.7", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1%1"]
)
def test_a_name_that_leads_to_a_private_address_is_not_connected_to(leads_to: str) -> None:
    with receiving() as receiver:
        rules = AddressRules(schemes=frozenset({"http"}), ports=frozenset({receiver.port}))
        for found in ([leads_to], ["8.8.8.8", leads_to]):
            answer = Poster(rules, 5, lambda host, port, found=found: found).post(receiver.url(host="hooks.example"), "{}", {})
            assert answer.status_code is None
            assert "no public address" in str(answer.error) or "no IP address" in str(answer.error)
    assert receiver.requests == []


@pytest.mark.fault("I11")
def test_the_address_that_was_judged_is_the_one_that_is_connected_to_whatever_the_name_leads_to_next() -> None:
    asked: list[str] = []

    def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) % 2 else ["169.254.169.254"]

    with receiving() as receiver:
        poster = Poster(NAMED, 5, changing)
        assert poster.post(receiver.url(host="hooks.example"), "{}", {}) == Answer(204)
        assert asked == ["hooks.example"], "it was looked up once"
        assert "link-local" in str(poster.post(receiver.url(host="hooks.example"), "{}", {}).error), "and the next time anew"
        assert len(receiver.requests) == 1
        assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server whose certificate is for hooks.example, and of a client that trusts it."""
    server, text = certificate(tmp_path / "both.pem")
    return server, ssl.create_default_context(cadata=text)


@pytest.mark.fault("I11")
def test_tls_is_verified_for_the_name_though_an_address_is_connected_to(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = certificates
    with receiving(lambda request, connection: OK, server) as receiver:
        poster = Poster(NAMED, 5, lambda host, port: ["127.0.0.1"], client)
        assert poster.post(receiver.url(host="hooks.example"), "{}", {}) == Answer(204)
        assert "CERTIFICATE" in str(poster.post(receiver.url(host="other.example"), "{}", {}).error).upper()
        distrusting = Poster(NAMED, 5, lambda host, port: ["127.0.0.1"])
        assert "CERTIFICATE" in str(distrusting.post(receiver.url(host="hooks.example"), "{}", {}).error).upper()
    assert len(receiver.requests) == 1


def test_who_is_trusted_is_read_anew_when_a_receiver_is_not_verified_and_it_is_said_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = tmp_path / "trusted.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setattr(httpcore2, "default_ssl_context", httpcore2.default_ssl_context.__wrapped__)  # which tests read once
    poster = Poster(NAMED, 5, lambda host, port: ["127.0.0.1"])
    (first, text), (second, other) = (certificate(tmp_path / name) for name in ("first.pem", "second.pem"))
    expired, ended = certificate(tmp_path / "expired.pem", ends_in=-1)
    with receiving(lambda request, connection: OK, first) as receiver:

        def posted() -> Answer:
            return poster.post(receiver.url(host="hooks.example"), "{}", {})

        assert "cannot be read" in str(posted().error)
        assert "SSL_CERT_FILE" in str(posted().error)
        trusted.write_text(text)
        assert [posted(), posted()] == [Answer(204)] * 2
        receiver.tls = second
        assert str(posted().error).startswith("the certificate of hooks.example is not trusted (self")
        trusted.write_text(text + other)
        assert [posted(), posted()] == [Answer(204)] * 2
        receiver.tls = expired
        trusted.write_text(text + other + ended)
        assert "not trusted" in str(posted().error)
        assert "is not trusted (certificate has expired)" in str(posted().error)
        receiver.tls = first
        assert posted() == Answer(204)
