"""One browser for all tests of a process, and a served ledger of its own for each module."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from runfold import Ledger, Settings
from runfold.http.app import create_app
from tests.pages.browser import CHROMIUM, FLAGS, Chromium, Signed, require_chromium, sign_in, signed_in
from tests.serving import serving


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """Debian's chromium, started once. Skips where it is not, except in CI."""
    require_chromium()
    playwright = sync_playwright().start()
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
    started = Chromium(browser, asyncio._get_running_loop())
    asyncio._set_running_loop(None)
    yield started
    with started.in_use():
        browser.close()
        playwright.stop()


@pytest.fixture
def browser(chromium: Chromium) -> Iterator[Browser]:
    """The browser, for one test."""
    with chromium.in_use() as browser:
        yield browser


@pytest.fixture(scope="module")
def served_ledger(shared_settings: Settings) -> Iterator[Ledger]:
    """A ledger that all tests of a module write to."""
    with Ledger.open(settings=shared_settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def served(served_ledger: Ledger) -> Iterator[str]:
    """Where it is served, with its pages."""
    with serving(create_app(served_ledger)) as address:
        yield address


@pytest.fixture
def signed(browser: Browser, served: str, served_ledger: Ledger) -> Iterator[Signed]:
    """A browser of a person who may do everything. Fails where a page loads from elsewhere or breaks its policy."""
    with signed_in(browser, served, sign_in(served_ledger)) as page:
        yield page
