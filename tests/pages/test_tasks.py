"""What an auditor comes for, each task from the first page on, by mouse and by keyboard alone, with its steps counted."""

import json
import zipfile
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from runfold import Ledger
from tests.pages.browser import Signed
from tests.pages.hands import Hand, Keys, Mouse, downloaded
from tests.pages.recorded import PLAN, record

MOST = {
    "the run that failed worst last month": (9, 20),
    "what the agent knew just before a tool": (4, 90),
    "who allowed a plan, and on exactly which text": (3, 40),
    "every run in which a word appears": (4, 5),
    "what changed between two attempts, and what each cost": (3, 40),
    "the same view as it was": (3, 30),
    "a sample, exported": (6, 40),
}
"""Steps of each task by mouse, and by keyboard: as many as it may take."""
Task = Callable[[Hand, Ledger], None]
_TASKS: dict[str, Task] = {}


def task(name: str) -> Callable[[Task], Task]:
    """Name what is to be done."""

    def keep(done: Task) -> Task:
        _TASKS[name] = done
        return done

    return keep


@pytest.fixture(scope="module")
def told(served_ledger: Ledger) -> Ledger:
    """A ledger with what agents did."""
    record(served_ledger)
    return served_ledger


@task("the run that failed worst last month")
def _worst(hand: Hand, _: Ledger) -> None:
    page = hand.page
    hand.go("Runs", "r")
    hand.filter()
    hand.tick(page.get_by_role("checkbox", name="failed", exact=True))
    hand.fill(page.get_by_label("created from"), "2026-10-01")
    hand.fill(page.get_by_label("created to"), "2026-10-31")
    hand.submit(page.get_by_role("button", name="Show"))
    expect(page.locator("tbody tr")).to_have_count(4)
    hand.open(page.locator("tr", has_text="1 critical").get_by_role("link").first)
    expect(page.locator("h1")).to_contain_text("run_wrong_3")
    expect(page.locator("main")).to_contain_text("The parcel was sent to somebody else")


@task("what the agent knew just before a tool")
def _before_the_tool(hand: Hand, ledger: Ledger) -> None:
    page = hand.page
    hand.go("Runs", "r")
    hand.open(page.locator("tr", has_text="run_claim").get_by_role("link").first)
    hand.open(page.locator("tr", has_text="find_order").get_by_role("link", name="as it began"))
    (called,) = ledger.events(types="tool.called", run_id="run_claim")
    expect(page.locator("#at")).to_have_value(str(called.position))
    hand.open(page.get_by_text("What did the model see?"))
    expect(page.locator("#conversation h2")).to_contain_text("What the model saw")
    expect(page.locator("#conversation")).to_contain_text("Please refund my trail shoes")


@task("who allowed a plan, and on exactly which text")
def _who_allowed(hand: Hand, _: Ledger) -> None:
    page = hand.page
    hand.go("Runs", "r")
    hand.open(page.locator("tr", has_text="run_claim").get_by_role("link").first)
    approval = page.locator("article", has_text="granted")
    expect(approval).to_contain_text("by human:grace")
    hand.open(approval.locator("summary", has_text="Exact text"))
    assert json.loads(approval.locator("pre").inner_text()) == PLAN


@task("every run in which a word appears")
def _word(hand: Hand, ledger: Ledger) -> None:
    page = hand.page
    hand.go("Search", "/")
    hand.fill(page.get_by_label("Words to search for"), "courier")
    hand.submit(page.get_by_role("button", name="Search", exact=True))
    expect(page.locator(".hits li").first).to_be_visible()
    assert set(page.locator(".hits mark").all_inner_texts()) == {"courier"}
    runs = set(page.locator(".hits a.id").all_inner_texts())
    assert runs == {run.run_id for run in ledger.now.runs(status="failed").items}


@task("what changed between two attempts, and what each cost")
def _attempts(hand: Hand, _: Ledger) -> None:
    page = hand.page
    hand.go("Runs", "r")
    hand.open(page.locator("tr", has_text="run_again").get_by_role("link").first)
    hand.open(page.get_by_role("link", name="Compare with where it comes from"))
    expect(page.locator("h1")).to_have_text("What differs")
    expect(page.locator("main")).to_contain_text("find_parcel")


@task("the same view as it was")
def _as_it_was(hand: Hand, ledger: Ledger) -> None:
    page = hand.page
    then = ledger.events(types="approval.requested", run_id="run_claim")[0].position
    page.goto(page.url.partition("/ui")[0] + "/ui/runs/run_claim")
    expect(page.locator("main article")).to_contain_text("granted")
    hand.fill(page.get_by_label("See it as of"), str(then))
    hand.submit(page.locator(".to-moment button"))
    expect(page.locator(".as-of")).to_contain_text("As it was")
    expect(page.locator("main article")).to_contain_text("open")
    assert f"at={then}" in page.url


@task("a sample, exported")
def _sample(hand: Hand, ledger: Ledger) -> None:
    page = hand.page
    hand.go("Runs", "r")
    hand.open(page.locator("#take > summary"))
    hand.fill(page.get_by_label("Seed"), "2026-Q3")
    hand.submit(page.get_by_role("button", name="Draw"))
    expect(page.locator("h1")).to_have_text("Sample of runs")
    taken = downloaded(hand, page.get_by_role("link", name="Download their events"))
    with zipfile.ZipFile(taken.path()) as archive:
        said = json.loads(archive.read("sample/manifest.json"))
    assert [run["run_id"] for run in said["runs"]] == [run.run_id for run in ledger.now.sample_runs("2026-Q3", n=25).runs]


@pytest.mark.parametrize("name", _TASKS)
def test_the_task_is_done_by_mouse_and_by_keys_alone(signed: Signed, told: Ledger, name: str) -> None:
    steps = []
    for hand in (Mouse(signed.open("/ui")), Keys(signed.open("/ui"))):
        hand.page.goto(f"{signed.address}/ui")
        _TASKS[name](hand, told)
        steps.append(hand.steps)
    assert all(taken <= most for taken, most in zip(steps, MOST[name], strict=True)), steps
