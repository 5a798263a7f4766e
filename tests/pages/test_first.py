"""The first page: how to begin, what needs a person, what happened last."""

import pytest
from playwright.sync_api import Browser

from runfold import Ledger
from runfold.http.app import create_app
from tests.pages.browser import READ_MODELS, Signed, sign_in, signed_in
from tests.serving import serving

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe \x1b[31m"


def test_from_an_empty_ledger_to_a_thread_by_one_button(browser: Browser, ledger: Ledger) -> None:
    ledger.fold(*READ_MODELS)
    with serving(create_app(ledger)) as address, signed_in(browser, address, sign_in(ledger)) as signed:
        page = signed.page
        assert page.locator("h1").text_content() == "Nothing is recorded yet"
        assert page.locator("pre").count() == 3
        assert signed.axe() == []
        page.get_by_role("button", name="Load the demo story").click()
        page.wait_for_load_state()
        assert page.url == f"{address}/ui", page.content()
        ledger.fold(*READ_MODELS)
        page = signed.open("/ui")
        assert page.locator("main td a").first.text_content() == "Refund for order 95319"
        before = ledger.position()
        page.evaluate(
            "document.body.insertAdjacentElement('beforeend', Object.assign(document.createElement('form'), {id: 'again'}))"
        )
        again = page.request.post(
            f"{address}/ui/demo", form={"form_token": page.locator("[name=form_token]").first.input_value()}
        )
        assert (again.status, "holds threads of its own" in again.text(), ledger.position()) == (400, True, before)


def test_what_needs_a_person_is_on_top_and_text_of_agents_is_text(signed: Signed, served_ledger: Ledger) -> None:
    run = served_ledger.create_thread(agent_id="support", title=HOSTILE).start_run()
    run.request_approval(HOSTILE, expires_in="1h")
    failed = served_ledger.create_thread(agent_id="support").start_run()
    failed.fail(HOSTILE, code="no_such_order")
    served_ledger.fold(*READ_MODELS)
    page = signed.open("/ui")
    needs = page.locator(".needs").text_content() or ""
    assert "<img src=x onerror=alert(1)>⟨U+202E⟩gnp.exe ␛[31m" in needs
    assert failed.id in needs
    assert page.locator("main img").count() == 0
    assert signed.axe() == []
    for key in "jj":
        page.keyboard.press(key)
    focused = page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{focused}")


@pytest.mark.parametrize("scopes", [("runs:read",), ("runs:read", "moments:create")])
def test_a_list_of_the_past_offers_to_prepare_the_moment_to_who_may(
    browser: Browser, served: str, served_ledger: Ledger, scopes: tuple[str, ...]
) -> None:
    thread = served_ledger.create_thread(agent_id="support", title=f"Before {len(scopes)}")
    position = thread.receipt.position
    served_ledger.create_thread(agent_id="support", title=f"After {len(scopes)}")
    with signed_in(browser, served, sign_in(served_ledger, scopes=scopes), java_script_enabled=False) as signed:
        page = signed.open(f"/ui/threads?at={position}")
        assert f"as of position {position}" in (page.locator("h1").text_content() or "")
        button = page.get_by_role("button", name="Prepare this moment")
        if "moments:create" not in scopes:
            assert (button.count(), "moments:create" in page.content()) == (0, True)
            return
        button.click()
        page.wait_for_selector("table.list", timeout=60_000)
        titles = page.locator("table.list td.named a").all_text_contents()
        assert (titles[0], "After 2" in titles) == ("Before 2", False)
        assert "As it was" in (page.locator(".as-of").text_content() or "")
