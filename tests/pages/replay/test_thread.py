"""The replay: an auditor reads a thread at any moment, on any branch, by mouse, by keys, and without scripts."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from runfold import Ledger
from runfold.demo_story import Cast, tell
from runfold.importers.importing import import_paths
from tests.pages.browser import Signed, sign_in, signed_in
from tests.sent import sent

REWOUND = "claude-code/experiments-ideas/03eb5929-52b3-4b13-ada3-b93ae35806b8.jsonl.gz"
MOST_BYTES = 200_000
HOSTILE = (
    "<script>document.title='taken'</script><img src=x onerror=alert(1)>",
    "\x1b[31mred\x1b[0m \x07",
    "\u202etxt.exe\u202c",
    "javascript:alert(1) https://example.com/",
    "{{ 7*7 }} {% raw %}",
)


REFUSED = [
    ("/ui/threads/thread_of_nobody", 404, "thread_of_nobody"),
    ("/ui/threads/thread_of_another", 404, "thread_of_another"),
    ("/ui/threads/thread_demo7?at=999999999", 400, "is not in the ledger"),
    ("/ui/threads/thread_demo7?at=1970-01-01T00:00:00Z", 404, "was not in the ledger as of position 0"),
    ("/ui/threads/thread_demo7?at=yesterday-ish", 400, "neither a position nor a time"),
    ("/ui/threads/thread_demo7?run=run_of_nobody", 404, "run_of_nobody"),
    ("/ui/threads/thread_demo7?run=run_of_another", 404, "run_of_another"),
    ("/ui/threads/thread_demo7?item=999999999", 400, "holds no event of this thread"),
    ("/ui/threads/thread_demo7?item=x", 400, "item takes a whole number"),
    ("/ui/threads/thread_demo7?first=0", 400, "first takes a whole number from 1"),
    ("/ui/threads/thread_demo7?see=999999999", 400, "holds no event of this thread"),
    ("/ui/diff?a=run_demo7_claim&b=run_of_nobody", 404, "run_of_nobody"),
    ("/ui/diff?a=run_demo7_claim&b=run_of_another", 404, "run_of_another"),
    ("/ui/diff?a=thread_demo7/nowhere", 400, "has no head"),
    ("/ui/diff?a=run_demo7_claim@999999999", 400, "is not in the ledger"),
]


@pytest.fixture(scope="module")
def told(served_ledger: Ledger, trajectories: Path) -> str:
    """The thread of the demo's story, beside a real session that was taken back."""
    tell(served_ledger, Cast.of(7, "default"))
    import_paths(served_ledger, "claude-code", [trajectories / REWOUND])
    return "thread_demo7"


def position_of(ledger: Ledger, types: str, thread_id: str, number: int = 0) -> int:
    """Where the nth event of a type in a thread is."""
    return ledger.events(types=types, thread_id=thread_id)[number].position


def shown_position(page: Page) -> int:
    """The position that the page is as of."""
    return int(page.locator("#at").input_value())


def test_by_keys_one_goes_from_event_to_event_and_from_message_to_message(
    signed: Signed, served_ledger: Ledger, told: str
) -> None:
    positions = [event.position for event in served_ledger.now.thread_events(told)]
    page = signed.open(f"/ui/threads/{told}?at={positions[-1]}")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#at")).to_have_value(str(positions[-2]))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#at")).to_have_value(str(positions[-3]))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#at")).to_have_value(str(positions[-2]))
    page.keyboard.press("Shift+ArrowLeft")
    spoken = [event.position for event in served_ledger.events(types="message.added", thread_id=told)]
    page.wait_for_function("at => Number(document.getElementById('at').value) < at", arg=positions[-2])
    assert shown_position(page) in spoken
    assert f"at={shown_position(page)}" in page.url
    page.go_back()
    expect(page.locator("#at")).to_have_value(str(positions[-2]))


def test_by_keys_one_chooses_an_item_and_reads_what_it_is(signed: Signed, served_ledger: Ledger, told: str) -> None:
    page = signed.open(f"/ui/threads/{told}?run=run_demo7_claim")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#inspector")).to_contain_text("message.added")
    first = served_ledger.events(types="message.added", thread_id=told)[0]
    expect(page.locator("#inspector")).to_contain_text(str(first.event_id))
    assert f"item={first.position}" in page.url
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page.locator("#at")).to_be_focused()


def test_back_and_forward_show_what_their_addresses_say_the_inspector_too(signed: Signed, told: str) -> None:
    page = signed.open(f"/ui/threads/{told}?run=run_demo7_claim")
    inspector, chosen = page.locator("#inspector"), page.locator(".item .meta a")
    for number in (1, 3):
        chosen.nth(number).click()
        expect(chosen.nth(number)).to_have_attribute("aria-current", "true")
    last = inspector.inner_text()
    page.go_back()
    expect(chosen.nth(1)).to_have_attribute("aria-current", "true")
    assert inspector.inner_text() != last
    page.go_back()
    expect(inspector).to_contain_text("Nothing selected")
    page.go_forward()
    page.go_forward()
    expect(chosen.nth(3)).to_have_attribute("aria-current", "true")
    assert inspector.inner_text() == last


def test_a_text_begins_on_the_side_where_its_own_script_begins(signed: Signed, served_ledger: Ledger) -> None:
    run = served_ledger.create_thread(thread_id="thread_scripts", agent_id="a").start_run()
    for text in ("The refund is on its way!", "ההחזר בדרך!", "المبلغ في الطريق!"):
        run.add_message("assistant", text)
    page = signed.open("/ui/threads/thread_scripts")
    sides = page.locator(".item .text").evaluate_all(
        """texts => texts.map(text => {
            const range = document.createRange();
            range.selectNodeContents(text);
            const said = range.getBoundingClientRect(), box = text.getBoundingClientRect();
            return said.left - box.left < box.right - said.right ? "left" : "right";
        })"""
    )
    assert sides == ["left", "right", "right"]


def test_another_window_of_items_is_read_from_its_beginning_with_nothing_chosen(signed: Signed, served_ledger: Ledger) -> None:
    run = served_ledger.create_thread(thread_id="thread_windows", agent_id="a").start_run()
    for number in range(150):
        run.add_message("user", f"message {number}")
    page = signed.open("/ui/threads/thread_windows?first=1")
    page.locator(".item .meta a").nth(1).click()
    expect(page.locator("#inspector")).to_contain_text("message.added")
    page.locator("#conversation > p a[rel=next]").click()
    expect(page.locator(".item").first).to_contain_text("message 99")
    expect(page.locator("#inspector")).to_contain_text("Nothing selected")
    expect(page.locator(".item").first).to_be_in_viewport()


def test_a_place_of_the_same_page_is_gone_to_without_asking_for_the_page_again(
    signed: Signed, served_ledger: Ledger, told: str
) -> None:
    assert told
    served_ledger.fold()
    page = signed.open("/ui/runs/run_demo7_claim")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.locator("svg.bars a").nth(1).click()
    page.go_back()
    page.go_forward()
    page.get_by_role("link", name="Replay", exact=True).click()
    page.wait_for_url("**/ui/threads/**")
    assert "/ui/runs/run_demo7_claim" not in asked


def test_by_mouse_the_slider_and_the_tree_lead_through_moments_and_branches(signed: Signed, told: str) -> None:
    page = signed.open(f"/ui/threads/{told}")
    page.locator("#runs a", has_text="policy-reader").click()
    expect(page.locator("#runs [aria-current]")).to_have_text("policy-reader")
    assert "run=run_demo7_policy" in page.url
    expect(page.locator(".conversation article").first).to_contain_text("policy-reader")
    page.locator("#runs a").first.click()
    expect(page.locator("#runs [aria-current]")).to_have_text("support")
    box = page.locator("#slider").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    page.wait_for_url("**at=*")
    stops = [int(stop) for stop in (page.locator("#slider").get_attribute("data-stops") or "").split()]
    assert shown_position(page) in stops[: len(stops) // 2]
    expect(page.locator(".as-of")).to_contain_text("As it was")


def test_a_link_pins_the_position_and_shows_the_same_later(signed: Signed, served_ledger: Ledger) -> None:
    run = served_ledger.create_thread(thread_id="thread_grows", agent_id="a").start_run()
    run.add_message("user", "before")
    page = signed.open("/ui/threads/thread_grows")
    pinned = page.locator("[data-copy]").get_attribute("href") or ""
    assert f"at={served_ledger.position()}&to={served_ledger.position()}" in pinned
    before = page.locator("#conversation").inner_text()
    run.add_message("user", "after")
    assert "after" in signed.open("/ui/threads/thread_grows").locator("#conversation").inner_text()
    assert signed.open(pinned).locator("#conversation").inner_text() == before
    assert "1 message" in signed.page.locator("#time").inner_text()


def test_what_is_recorded_meanwhile_is_shown_when_it_comes(signed: Signed, served_ledger: Ledger) -> None:
    run = served_ledger.create_thread(thread_id="thread_live", agent_id="a").start_run()
    page = signed.open("/ui/threads/thread_live")
    run.add_message("user", "Are you there?")
    expect(page.locator("#conversation")).to_contain_text("Are you there?")
    expect(page.locator("#said")).to_contain_text("More was recorded")


def test_before_a_run_began_what_it_goes_on_from_is_shown(signed: Signed, served_ledger: Ledger, told: str) -> None:
    asked = position_of(served_ledger, "approval.requested", told)
    page = signed.open(f"/ui/threads/{told}?run=run_demo7_voucher&at={asked}")
    expect(page.locator(".notice")).to_contain_text("run_demo7_voucher began later")
    expect(page.locator("#runs [aria-current]")).to_have_attribute("title", "run_demo7_claim")


def test_a_time_that_was_told_leads_to_the_position_of_then(signed: Signed, served_ledger: Ledger, told: str) -> None:
    rewound = next(event.thread_id for event in served_ledger.events(types="thread.head_moved"))
    spoken = served_ledger.events(types="message.added", thread_id=rewound)[4]
    page = signed.open(f"/ui/threads/{rewound}")
    page.locator("#when").fill(spoken.happened_at.isoformat())
    page.locator("#when").press("Enter")
    page.wait_for_url("**at=*")
    (stood,) = served_ledger.events(after=shown_position(page) - 1, limit=1)
    assert stood.happened_at == spoken.happened_at
    answer = page.goto(f"{signed.address}/ui/threads/{rewound}?when=2001-01-01")
    assert answer
    assert answer.status == 400
    assert "it began" in page.locator("main").inner_text()


def test_without_scripts_everything_is_read_by_links_and_forms(
    browser: Browser, served: str, served_ledger: Ledger, told: str
) -> None:
    asked = position_of(served_ledger, "approval.requested", told)
    with signed_in(browser, served, sign_in(served_ledger), java_script_enabled=False) as reader:
        page = reader.open(f"/ui/threads/{told}?run=run_demo7_claim")
        assert not page.locator("#slider").is_visible()
        page.locator(f"#i{asked} .meta a").click()
        assert "approval.requested" in page.locator("#inspector").inner_text()
        page.locator("#inspector .chain a").last.click()
        assert "approval.consumed" in page.locator("#inspector").inner_text()
        page.locator("#step-previous-event").click()
        assert "As it was" in page.locator(".as-of").inner_text()
        page.locator("#at").fill(str(asked))
        page.locator("#at").press("Enter")
        assert page.locator(f"#i{asked}").is_visible()
        assert "open" in page.locator(f"#i{asked} > header").inner_text()
        page.locator("#compare").click()
        page.locator("#b").fill("run_demo7_exchange")
        page.locator("#b").press("Enter")
        assert page.locator("h1").inner_text() == "What differs"


def test_who_uses_no_mouse_goes_on_where_they_were(signed: Signed, told: str) -> None:
    page = signed.open(f"/ui/threads/{told}?run=run_demo7_claim")
    item = "document.activeElement.closest('[data-item]')?.id"
    for _ in range(3):
        page.keyboard.press("j")
    here = page.evaluate(item)
    page.keyboard.press("Enter")
    page.wait_for_url("**item=*")
    expect(page.locator("#inspector")).to_contain_text(f"Position {here.removeprefix('i')}")
    assert page.evaluate(item) == here
    page.keyboard.press("k")
    page.keyboard.press("j")
    assert page.evaluate(item) == here
    page.locator("#inspector .chain a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#inspector")).not_to_contain_text(f"Position {here.removeprefix('i')}")
    assert page.evaluate("document.activeElement.closest('#inspector')?.id") == "inspector"
    run = page.locator("#runs a[href]").nth(1)
    run.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#runs a[href]").nth(1)).to_have_attribute("aria-current", "true")
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"


def test_a_run_that_several_heads_point_at_is_a_link_that_is_told_from_them(signed: Signed, served_ledger: Ledger) -> None:
    thread = served_ledger.create_thread(agent_id="ada")
    run = thread.start_run()
    run.complete()
    thread.start_run()  # which is the chosen one, and bold
    for name in ("the one to keep", "the one that was shown to the customer"):
        thread.name_head(name, run)
    page = signed.open(f"/ui/threads/{thread.id}")
    assert "customer the one to keep" in " ".join(page.locator("#runs li").first.inner_text().split())
    assert signed.axe() == []


def test_who_allowed_what_is_read_with_the_words_that_changed(signed: Signed, served_ledger: Ledger, told: str) -> None:
    asked = position_of(served_ledger, "approval.requested", told)
    page = signed.open(f"/ui/threads/{told}?run=run_demo7_claim&item={asked}")
    item = page.locator(f"#i{asked}")
    expect(item).to_contain_text("human:ada")
    assert item.locator("del").all_inner_texts() == ["51.90"]
    assert item.locator("ins").all_inner_texts() == ["46.00"]
    assert signed.axe() == []


def test_what_a_model_saw_is_what_was_there_before_its_call(signed: Signed, served_ledger: Ledger, told: str) -> None:
    call = position_of(served_ledger, "tool.called", told, 1)
    page = signed.open(f"/ui/threads/{told}?run=run_demo7_claim&item={call}")
    page.get_by_text("What did the model see?").click()
    expect(page.locator("#conversation h2")).to_contain_text("What the model saw")
    seen = page.locator("#conversation article")
    assert seen.count() == 2
    expect(seen.first).to_contain_text("two cups are cracked")
    assert signed.axe() == []


def test_each_revision_can_be_opened_with_its_words_compared(signed: Signed, served_ledger: Ledger) -> None:
    run = served_ledger.create_thread(thread_id="thread_revised", agent_id="a").start_run()
    message = run.add_message("user", "Send it to the old address, please.")
    message.revise("Send it to the new address, please.")
    page = signed.open("/ui/threads/thread_revised")
    page.get_by_text("1 earlier wording").click()
    expect(page.locator(".wordings del")).to_have_text("old")
    expect(page.locator(".wordings ins")).to_have_text("new")


def test_hostile_text_stays_text_and_long_text_says_how_long_it_is(signed: Signed, served_ledger: Ledger) -> None:
    thread = served_ledger.create_thread(thread_id="thread_hostile", agent_id="a<b>", title=HOSTILE[0])
    run = thread.start_run(run_id="run_hostile", input={HOSTILE[0]: HOSTILE[1]})
    for text in HOSTILE:
        run.add_message("user", text)
        run.call_tool(text[:100].replace("\x1b", "").replace("\x07", "") or "x", {"a": text}).fail(text)
        run.report_problem("minor", text)
    long = run.add_message("assistant", "w" * 1_000_000)
    run.decide(intent=HOSTILE[0], options=[{"id": "a", "description": HOSTILE[2]}], chosen="a", reasoning=HOSTILE[3])
    last = served_ledger.position()
    page = signed.open("/ui/threads/thread_hostile")
    assert page.title().startswith("<script>")
    text = page.locator("#conversation").inner_text()
    assert HOSTILE[0] in text
    assert "␛[31mred" in text
    assert "⟨U+202E⟩txt.exe" in text
    assert "all 1,000,000 characters" in text
    assert page.locator("#conversation img, #conversation script").count() == 0
    assert page.locator("#conversation a[href^='https:'], #conversation a[href^='javascript:']").count() == 0
    assert len(page.content().encode()) < MOST_BYTES
    assert signed.axe() == []
    page.get_by_text("all 1,000,000 characters").click()
    page.wait_for_function("document.getElementById('conversation').textContent.length > 1000000")
    assert f"item={position_of(served_ledger, 'message.added', 'thread_hostile', 5)}" in page.url
    assert long.id
    for position in range(position_of(served_ledger, "thread.created", "thread_hostile"), last + 1, 5):
        answer = page.goto(f"{signed.address}/ui/threads/thread_hostile?item={position}&at={last}")
        assert answer
        assert answer.status == 200


def test_what_is_not_there_is_said_with_a_way_on(signed: Signed, served_ledger: Ledger, told: str) -> None:
    other = served_ledger.on_behalf(served_ledger.caller._replace(tenant_id="other"))
    other.create_thread(thread_id="thread_of_another", agent_id="a").start_run(run_id="run_of_another")
    for path, status, words in REFUSED:
        answer = signed.page.goto(f"{signed.address}{path}")
        assert answer
        assert (path, answer.status) == (path, status)
        assert words in signed.page.locator("main").inner_text()
        assert signed.page.locator("main .ways a").count() >= 1


def test_a_thread_of_ten_thousand_events_opens_as_a_short_one(
    signed: Signed, served_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(thread_id: str, times: int) -> int:
        run = served_ledger.create_thread(thread_id=thread_id, agent_id="a").start_run()
        for start in range(0, times, 1000):
            with served_ledger.batch() as batch:
                for number in range(start, min(start + 1000, times)):
                    batch.run(run.id).add_message("user", f"Number {number} & <more>")
                    batch.run(run.id).usage(model="gpt-4o", input_tokens=10, output_tokens=5)
        with sent(monkeypatch) as queries:
            answer = signed.page.request.get(f"{signed.address}/ui/threads/{thread_id}")
        assert answer.ok
        assert len(answer.body()) < MOST_BYTES
        return sum(thread_id in parameters or run.id in parameters for _, parameters in queries)  # and not of other pages

    few = opened("thread_short", 150)
    assert few > 10
    assert opened("thread_long", 5_000) == few
    page = signed.open("/ui/threads/thread_long")
    assert "items 4,902 to 5,001 of 5,001" in page.locator(".window").inner_text()
    page.locator("#first").fill("1201")
    page.locator("#first").press("Enter")
    expect(page.locator(".window")).to_contain_text("items 1,201 to 1,300 of 5,001")
    assert "first=1201" in page.url


def test_attempts_are_compared_word_by_word_with_what_each_cost(signed: Signed, served_ledger: Ledger, told: str) -> None:
    page = signed.open("/ui/diff?a=run_demo7_claim&b=run_demo7_exchange")
    totals = page.locator(".totals").inner_text()
    assert "0.0048 USD" in totals
    assert "0.0007 USD" in totals
    expect(page.locator(".pair").first).to_contain_text("revision")
    assert signed.axe() == []
    rewound = next(event.thread_id for event in served_ledger.events(types="thread.head_moved"))
    tree = served_ledger.now.tree(rewound)
    (a, b), *_ = [
        (node.run_id, other.run_id)
        for node in tree.nodes.values()
        for other in tree.nodes.values()
        if node.parent and other.parent and node.run_id < other.run_id and node.parent.run_id == other.parent.run_id
    ]
    page = signed.open(f"/ui/diff?a={a}&b={b}")
    expect(page.locator("h1")).to_have_text("What differs")
    assert len(page.content().encode()) < MOST_BYTES


def test_a_run_is_compared_with_what_it_was(signed: Signed, served_ledger: Ledger, told: str) -> None:
    asked = position_of(served_ledger, "approval.requested", told)
    page = signed.open(f"/ui/diff?a=run_demo7_claim@{asked}&b=run_demo7_claim")
    assert page.locator(".pair.only_b").count() >= 2
    assert page.locator(".pair.only_a").count() == 0
    page = signed.open(f"/ui/threads/{told}?run=run_demo7_claim")
    page.keyboard.press("c")
    page.wait_for_url("**/ui/diff?a=run_demo7_claim*")
    assert signed.axe() == []
    page.get_by_role("link", name="run_demo7_exchange", exact=True).click()
    expect(page.locator("h1")).to_have_text("What differs")
