"""An event that was damaged where it stands: each page that comes to it is drawn, and says which one it is, and what to do."""

import html
import re
from collections.abc import Iterator

import httpx2
import pytest

from runfold import Ledger
from runfold.http.app import create_app
from runfold.pages.routes import screens
from tests.damaged import DAMAGES, IDS, POSITION, damage, names_the_event, record
from tests.databases import TestDatabase
from tests.pages.browser import sign_in
from tests.serving import serving

ASKED = {
    "/ui/diff": "a=run_1&b=run_2",
    "/ui/search": "text=hello",
    "/ui/runs/sample": "seed=x",
    "/ui/runs/sample/export": "seed=x",
}
"""What pages are asked that need to be asked something."""


@pytest.fixture
def client(ledger: Ledger) -> Iterator[httpx2.Client]:
    """A browser that is signed in, as far as cookies go, where an event will be damaged."""
    record(ledger)
    with serving(create_app(ledger)) as address, httpx2.Client(base_url=address, timeout=60, follow_redirects=True) as client:
        client.get(f"/ui/login?token={sign_in(ledger)}")
        yield client


def pages() -> list[str]:
    """Every page, as it is now and as of the event; and where pages have filters, those that lead to it."""
    paths = {
        screen.path
        for screen in screens()
        if screen.verb == "GET" and screen.path.startswith("/ui") and "login" not in screen.path
    }
    filled = sorted(
        path.format(**{**IDS, "position": POSITION, "name": "pages.css", "rest": "x"}) for path in paths if ":path" not in path
    )
    now = [f"{path}?{ASKED.get(path, '')}" for path in filled]
    return [*now, *(f"{path}&at={POSITION}" for path in now), "/ui/events?thread_id=thread_1", "/ui/events?order=asc"]


@pytest.mark.parametrize("what", DAMAGES)
def test_every_page_that_comes_to_an_event_that_cannot_be_read_is_drawn_and_names_it_and_what_to_do(
    client: httpx2.Client, database: TestDatabase, what: str
) -> None:
    damage(database, POSITION, what)
    told = set[str]()
    for page in pages():
        answer = client.get(page)
        said = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())
        if answer.status_code >= 500 or "cannot be read" in said:
            assert answer.headers["content-type"].startswith("text/html"), (page, said)
            assert names_the_event(said, POSITION), (page, said)
            told.add(page.partition("?")[0])
    if "context" not in what:  # which few pages show
        assert {"/ui/events", "/ui/events/4", "/ui/threads/thread_1", "/ui/diff"} <= told, told
