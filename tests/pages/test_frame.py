"""What stands around every page: who is signed in, as of when, where else to go, the keys."""

from runfold import Ledger
from tests.pages.browser import READ_MODELS, Signed


def test_a_signed_in_person_sees_threads_and_the_position(signed: Signed, served_ledger: Ledger) -> None:
    served_ledger.create_thread(agent_id="support", title="Refund for order 7")
    served_ledger.fold(*READ_MODELS)
    page = signed.open("/ui/threads")
    assert page.title() == "Threads · Runfold"
    assert page.locator("main td a").first.text_content() == "Refund for order 7"
    assert "As of position" in (page.locator(".as-of").text_content() or "")
    assert signed.axe() == []
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
