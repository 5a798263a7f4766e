"""A real browser, and what must never come of a page: a breach of its policy, a request to elsewhere, an error in a script."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from runfold import Ledger
from runfold.access.sessions import BrowserSessions, SignedIn

expect.set_options(timeout=30_000)
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
READ_MODELS = ("threads", "run_summaries", "usage", "approval_queue", "attention")
"""What lists of threads and the first page are answered from."""
_REPORTED = """
window.__broken = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.__broken.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""


def require_chromium() -> None:
    """Skip where there is no browser, except in CI, where there must be one."""
    if os.access(CHROMIUM, os.X_OK):
        return
    reason = f"there is no browser at {CHROMIUM}; install Debian's chromium"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Chromium:
    """A browser that was started once. While it is in use an event loop runs in this thread, which no other test could bear."""

    browser: Browser
    loop: Any

    @contextlib.contextmanager
    def in_use(self) -> Iterator[Browser]:
        """Let playwright's loop run in this thread meanwhile."""
        asyncio._set_running_loop(self.loop)
        try:
            yield self.browser
        finally:
            asyncio._set_running_loop(None)


@dataclass
class Seen:
    """What a context's pages did that none may."""

    address: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Look at all that the pages of a context do."""
        context.add_init_script(_REPORTED)
        context.on("request", lambda request: self._asked(request.url))
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", lambda message: self._said(message.type, message.text))

    def require_nothing(self, page: Page) -> None:
        """Fail where something was."""
        broken = page.evaluate("window.__broken ?? []")
        assert (self.foreign, self.errors, broken) == ([], [], [])

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme in {"http", "https", "ws", "wss"} and not url.startswith(f"{self.address}/"):
            self.foreign.append(url)

    def _said(self, kind: str, text: str) -> None:
        if kind == "error" and "the server responded with a status of" not in text:
            self.errors.append(text)


@dataclass
class Signed:
    """A page of a browser that is signed in, at a served ledger."""

    page: Page
    address: str
    seen: Seen

    def open(self, path: str) -> Page:
        """Go to a page of ours."""
        self.page.goto(f"{self.address}{path}")
        return self.page

    def axe(self) -> list[str]:
        """Return what is wrong for people who see or hear less, or use no mouse."""
        found: Any = Axe().run(self.page).response
        return [f"{each['id']}: {', '.join(node['html'][:120] for node in each['nodes'][:3])}" for each in found["violations"]]


def sign_in(ledger: Ledger, *, scopes: tuple[Any, ...] = ("admin",), owner: str = "human:ada", tenant: str | None = None) -> str:
    """Return the token of a sign-in address, of a new key in a tenant."""
    of = ledger if tenant is None else ledger.on_behalf(ledger.caller._replace(tenant_id=tenant))
    key = of.create_key(owner=owner, scopes=scopes, label="of a test")
    return BrowserSessions(ledger.recorder.store).sign_in_token(SignedIn(of.caller.tenant_id, key.id))


@contextlib.contextmanager
def signed_in(browser: Browser, address: str, token: str, **options: Any) -> Iterator[Signed]:
    """A page of its own context, signed in; at the end nothing may have been loaded from elsewhere, and no policy broken."""
    with contextlib.closing(browser.new_context(**options)) as context:
        context.set_default_timeout(30_000)
        seen = Seen(address)
        seen.watch(context)
        page = context.new_page()
        page.goto(f"{address}/ui/login?token={token}")
        yield Signed(page, address, seen)
        seen.require_nothing(page)
