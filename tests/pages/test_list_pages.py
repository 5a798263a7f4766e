"""Lists in a browser: for people who see less, on a narrow screen, without scripts, on paper, and while more is recorded."""

import contextlib

import pytest
from playwright.sync_api import Browser, expect

from runfold import Ledger
from runfold.http.app import create_app
from tests.pages.browser import Signed, sign_in, signed_in
from tests.pages.recorded import MODELS, record
from tests.serving import serving

PAGES = (
    "/ui/runs?status=failed&duration_ns=1000&limit=2",
    "/ui/runs/sample?n=3&seed=x",
    "/ui/runs/run_strange",
    "/ui/events?type=tool.*",
    "/ui/events/12",
    "/ui/search?q=courier&agent_id=support",
)
LOOKED_AT = (
    "/ui/runs?status=failed&limit=2",
    "/ui/runs/run_claim",
    "/ui/events?type=tool.*",
    "/ui/events/12",
    "/ui/search?q=courier",
)


@pytest.fixture(scope="module")
def told(served_ledger: Ledger) -> Ledger:
    """A ledger with what agents did."""
    record(served_ledger)
    return served_ledger


def test_nothing_is_wrong_for_people_who_see_less_or_use_no_mouse(signed: Signed, told: Ledger) -> None:
    for path in LOOKED_AT:
        page = signed.open(path)
        for fields in page.locator("main details").all():
            fields.evaluate("each => each.open = true")
        assert (path, signed.axe()) == (path, [])
    signed.page.emulate_media(color_scheme="dark")
    signed.open("/ui/runs/run_claim")
    assert signed.axe() == []


def test_on_a_narrow_screen_nothing_is_wider_than_it(signed: Signed, told: Ledger) -> None:
    signed.page.set_viewport_size({"width": 320, "height": 700})
    for path in PAGES:
        page = signed.open(path)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert (path, wide) == (path, 0)


def test_a_word_without_end_pushes_no_column_out_of_sight(signed: Signed, told: Ledger) -> None:
    word = "PostRun_WithFrontendToolCall_" * 8
    thread = told.create_thread(agent_id=word, title=word, user_id=word, thread_id=f"thread_{word[:120]}")
    thread.start_run(run_id=f"run_{word[:120]}").add_message("user", word, actor=f"human:{word[:150]}")
    told.fold(*MODELS)
    for width, columns in ((1440, 9), (360, 2)):
        signed.page.set_viewport_size({"width": width, "height": 900})
        for path in ("/ui/threads", "/ui/runs", "/ui/events?type=message.*"):
            heads = signed.open(path).locator("main thead").first.locator("th").all()
            seen = [box for box in (head.bounding_box() for head in heads) if box and box["x"] + min(box["width"], 40) <= width]
            assert len(seen) >= min(columns, len(heads)), (path, width)


def test_what_is_recorded_meanwhile_comes_by_itself(signed: Signed, told: Ledger) -> None:
    run = told.create_thread(agent_id="live").start_run(run_id="run_live")
    page = signed.open("/ui/events?run_id=run_live")
    expect(page.locator("tbody tr")).to_have_count(2)
    for number in (3, 4):
        run.add_message("user", f"something new, {number}")
        expect(page.locator("tbody tr").first).to_contain_text(f"something new, {number}")
        expect(page.locator("tbody tr")).to_have_count(number)


def test_what_is_recorded_while_the_server_is_started_again_comes_by_itself_too(browser: Browser, told: Ledger) -> None:
    run = told.create_thread(agent_id="live").start_run(run_id="run_restart")
    with contextlib.ExitStack() as first:
        address = first.enter_context(serving(create_app(told)))
        with signed_in(browser, address, sign_in(told)) as reader:
            page = reader.open("/ui/events?run_id=run_restart")
            run.add_message("user", "before")
            expect(page.locator("tbody tr").first).to_contain_text("before")
            first.close()
            run.add_message("user", "while nobody answered")
            with serving(create_app(told), int(address.rpartition(":")[2])):
                expect(page.locator("tbody tr").first).to_contain_text("while nobody answered")
                run.add_message("user", "after")
                expect(page.locator("tbody tr").first).to_contain_text("after")
            reader.seen.errors = [each for each in reader.seen.errors if "ERR_CONNECTION_REFUSED" not in each]


def test_without_scripts_the_lists_are_narrowed_walked_and_opened(browser: Browser, served: str, told: Ledger) -> None:
    with signed_in(browser, served, sign_in(told), java_script_enabled=False) as reader:
        page = reader.open("/ui/runs")
        page.locator("#filters > summary").click()
        page.get_by_role("checkbox", name="failed", exact=True).check()
        page.get_by_label("duration", exact=True).fill("2m")
        page.get_by_role("button", name="Show").click()
        assert page.url.endswith("/ui/runs?status=failed&duration_ns=120000000000&duration_operator=gt")
        assert page.locator("tbody tr").count() == 2
        page.get_by_role("link", name="Remove duration > 2m").click()
        assert page.locator("tbody tr").count() == 4
        page.get_by_role("link", name="Duration", exact=True).click()
        assert "run_wrong_3" in page.locator("tbody tr").first.inner_text()
        page.goto(f"{served}/ui/events")
        page.get_by_label("Jump to").fill("7")
        page.get_by_role("button", name="Go").last.click()
        assert page.url.endswith("/ui/events/7")
        page.get_by_role("link", name="8 →").click()
        assert page.url.endswith("/ui/events/8")
        page.goto(f"{served}/ui/search?q=trail+shoes")
        assert page.locator("mark").all_inner_texts() == ["trail", "shoes"]


def test_a_bar_leads_to_its_line_and_the_line_to_the_moment(signed: Signed, told: Ledger) -> None:
    page = signed.open("/ui/runs/run_claim")
    page.locator("rect.wait").click()
    number = page.url.partition("#bar-")[2]
    line = page.locator(f"#bar-{number}")
    expect(line).to_contain_text("waits for approval")
    expect(line).to_contain_text("2 h 59 m")
    line.get_by_role("link", name="as it ended").click()
    expect(page.locator(".as-of")).to_contain_text("As it was")
