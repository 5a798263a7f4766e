"""HEAD: what GET answers, without a body. Who watches a service, and who looks whether a page is there, asks so."""

import httpx2
import pytest

from runfold import Ledger
from runfold.http.app import create_app
from runfold.http.routing import NamedRoute
from tests.http.every_route import AGENTS, IDS
from tests.pages.browser import sign_in
from tests.serving import Anybody, serving

OF_ITS_MOMENT = {"/metrics", "/readyz", "/ui/login"}
"""What is as long as it is by the moment, or has something new in it each time."""


@pytest.fixture
def asked(ledger: Ledger) -> list[str]:
    """Every address that takes GET."""
    ledger.create_thread(thread_id="thread_1", agent_id="support").start_run(run_id="run_1").complete()
    ledger.fold()
    routes = [route for route in create_app(ledger, Anybody(), agents=AGENTS).routes if isinstance(route, NamedRoute)]
    return [
        route.path.replace(":path}", "}").format(**{name: IDS.get(name, "x") for name in route.param_convertors})
        for route in routes
        if "GET" in route.methods
    ]


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_head_answers_what_get_does_without_a_body(ledger: Ledger, asked: list[str], accept: str) -> None:
    given = {"headers": {"Accept": accept}, "timeout": 30}
    with serving(create_app(ledger, Anybody(), agents=AGENTS)) as address, httpx2.Client(base_url=address) as client:
        assert len(asked) > 70
        for path in asked:
            with client.stream("GET", path, **given) as answer:
                status, kind, size = (answer.status_code, *(answer.headers.get(f"content-{each}") for each in ("type", "length")))
            head = client.head(path, **given)
            assert (head.status_code, head.headers.get("content-type"), head.content) == (status, kind, b""), path
            assert path in OF_ITS_MOMENT or head.headers.get("content-length") == size, path
        assert "runfold_feed_subscribers 0.0" in client.get("/metrics").text


def test_to_ask_for_the_head_of_a_sign_in_address_does_not_use_it_up(ledger: Ledger) -> None:
    with serving(create_app(ledger)) as address, httpx2.Client(base_url=address) as client:
        of_login = {"token": sign_in(ledger)}
        assert [client.head("/ui/login", params=of_login).status_code for _ in range(2)] == [200, 200]
        assert client.get("/ui/login", params=of_login).status_code == 303
