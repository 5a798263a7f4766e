"""What stands around every page: who is signed in, as of when, where else to go, the keys, and how it fits and prints."""

import re

import pytest
from playwright.sync_api import Browser, expect

from runfold import Ledger
from tests.pages.browser import READ_MODELS, Signed, sign_in, signed_in

ONE_LINE = "x" * 1_000_000


@pytest.fixture(scope="module", autouse=True)
def recorded(served_ledger: Ledger) -> None:
    """Some threads, one with a title that nobody wants to see whole in one line."""
    with served_ledger.batch() as batch:
        for number in range(60):
            thread = batch.create_thread(agent_id=f"agent-{number % 2}", title=f"Order {number}", user_id="customer-7")
            if number % 10 == 0:
                run = thread.start_run()
                run.usage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=10)
                run.complete()
    served_ledger.fold(*READ_MODELS)


def test_threads_are_narrowed_paged_and_pinned_by_keys_alone(signed: Signed, served_ledger: Ledger) -> None:
    page = signed.open("/ui")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/ui/threads")
    assert page.title() == "Threads · Runfold"
    assert page.locator("main td.named a").first.text_content() == "Order 59"
    assert signed.axe() == []
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Next").first.press("Enter")
    page.wait_for_url("**cursor=*")
    assert "Threads 51 to 60" in (page.locator("nav.pages").first.text_content() or "")
    assert page.locator("tbody tr").count() == 10
    summary = page.locator("details.filters summary")
    summary.press("Enter")
    page.get_by_label("agent", exact=True).fill("agent-0")
    page.get_by_label("agent", exact=True).press("Enter")
    page.wait_for_url("**agent_id=agent-0*")
    assert page.locator(".chips").text_content() is not None
    row = page.locator("tbody tr", has_text="Order 50")
    assert re.sub(r"\s+", " ", row.text_content() or "").endswith("1 1,010 0.0026 USD ")
    pinned = page.locator(".pin").get_attribute("href") or ""
    assert f"at={served_ledger.now.threads(limit=1).standing.position}" in pinned
    page.get_by_role("link", name="Remove agent agent-0").press("Enter")
    page.wait_for_url(lambda url: "agent_id" not in url)
    for path in ("/ui/threads?agent=x", "/ui/threads?nothing=x", "/ui/threads?limit=9999", "/ui/threads?cursor=zzz"):
        answer = page.request.get(f"{signed.address}{path}")
        assert (answer.status in {200, 400}, "<h1>Threads</h1>" in answer.text()) == (True, True), path


def test_more_that_is_recorded_is_told_and_moves_nothing(signed: Signed, served_ledger: Ledger) -> None:
    page = signed.open("/ui/threads")
    served_ledger.create_thread(agent_id="agent-9", title="Later")
    more = page.locator("[data-newer] a")
    more.wait_for()
    assert page.locator("td.named a", has_text="Later").count() == 0
    served_ledger.fold("threads")
    more.click()
    expect(page.locator("td.named a").first).to_have_text("Later")


def test_it_fits_where_there_is_little_room_works_without_scripts_and_prints_its_address(
    browser: Browser, served: str, served_ledger: Ledger
) -> None:
    hostile = served_ledger.create_thread(agent_id="agent-9", title=ONE_LINE[:200], user_id="u" * 200)
    served_ledger.fold(*READ_MODELS)
    narrow = {"width": 320, "height": 640}  # of 1280 at 400 %
    with signed_in(
        browser, served, sign_in(served_ledger, owner="human:root"), viewport=narrow, java_script_enabled=False
    ) as signed:
        for path in ("/ui", "/ui/threads", "/ui/login", "/ui/nowhere", "/ui/threads?at=3"):
            page = signed.open(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
            names = page.locator("nav[aria-label=Pages] a").all()
            assert [name.bounding_box()["height"] < 30 for name in names] == [True] * len(names), path  # type: ignore[index]
        page = signed.open("/ui/threads")
        assert page.locator("td.named a").first.get_attribute("href") == f"/ui/threads/{hostile.id}"
        page.emulate_media(media="print", color_scheme="dark")
        assert page.locator("nav[aria-label=Pages]").is_visible() is False
        foot = page.locator(".foot")
        assert foot.is_visible()
        assert "/ui/threads?at=" in (foot.text_content() or "")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert page.pdf().startswith(b"%PDF")
