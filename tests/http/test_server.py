"""The socket that a server listens at, and connections after an error that nobody foresaw."""

import socket

import httpx2
import pytest
from structlog.testing import capture_logs

from runfold import Ledger, Settings
from runfold.api.route import Scope
from runfold.commands.caller import Caller
from runfold.http.app import create_app
from runfold.http.clients import Asked
from runfold.http.server import listening
from tests.serving import Anybody, serving


class Mistaken(Anybody):
    """Has a mistake in it, as what an application brings along may."""

    async def caller(self, asking: Asked, scope: Scope) -> Caller:
        if "x-mistake" in asking.headers:
            raise ZeroDivisionError
        return await super().caller(asking, scope)


def test_what_is_accepted_sends_at_once_whichever_loop_accepts_it() -> None:
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_connection_that_ends_with_an_unforeseen_error_says_so(ledger: Ledger) -> None:
    """Else the client sends its next request over it, and is told of a reset."""
    with serving(create_app(ledger, Mistaken())) as address, httpx2.Client(base_url=address, timeout=20) as client:
        for _ in range(20):
            failed = client.post("/threads", json={}, headers={"x-mistake": "yes"})
            assert failed.status_code == 500
            assert failed.json()["title"] == "Unexpected"
            assert failed.headers["connection"] == "close"
            assert client.post("/threads", json={}).status_code == 201


@pytest.mark.shares
def test_a_page_of_another_origin_that_may_ask_reads_an_unforeseen_error_too(settings: Settings) -> None:
    asked = {"x-mistake": "yes", "Origin": "https://app.example"}
    told = settings.model_copy(update={"cors_origins": "https://app.example"})
    with Ledger.open(settings=told) as ledger, serving(create_app(ledger, Mistaken())) as address, capture_logs() as logs:
        failed = httpx2.post(f"{address}/threads", json={}, headers=asked, timeout=20)
    assert (failed.status_code, failed.json()["title"]) == (500, "Unexpected")
    assert failed.headers.get("access-control-allow-origin") == "https://app.example"
    assert [entry["event"] for entry in logs].count("request failed") == 1
