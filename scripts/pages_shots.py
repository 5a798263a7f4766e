"""Take pictures of the pages in a real browser: of each screen light, dark, narrow and as it is printed, to be looked at.

    python scripts/pages_shots.py build/shots [SOURCE …]     # what `make pages-shots` does
    python scripts/pages_shots.py --readme docs/pages.png    # the picture of the README

They show the demo's story and what is imported from each SOURCE, written as FORMAT=PATH.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, ViewportSize, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
STORY = "thread_demo7"
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 800}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "narrow": {"viewport": NARROW, "color_scheme": "light"},
}
README_SIZE: ViewportSize = {"width": 1360, "height": 800}
PATIENCE_SECONDS = 300


def runfold(*arguments: str) -> str:
    """Call the command line, and return what it prints."""
    done = subprocess.run([sys.executable, "-m", "runfold.cli.main", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


@contextmanager
def served() -> Iterator[tuple[str, str]]:
    """A served ledger: its address, and the one that signs a person in."""
    command = [sys.executable, "-m", "runfold.cli.main", "serve", "--port", "0", "--json", "--owner", "human:ada"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        _until_folded(said["address"])
        yield said["address"], said["sign_in"]
    finally:
        process.terminate()
        process.communicate()


def _until_folded(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while httpx2.get(f"{address}/readyz").status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.5)
    runfold("projections", "--json")


def addresses() -> dict[str, str]:
    """The pages to look at, by the names of their pictures."""
    threads = json.loads(runfold("threads", "--json", "--limit", "20"))["items"]
    others = [each["thread_id"] for each in threads if each["thread_id"] != STORY]
    head = json.loads(runfold("demo", "--json"))["as_of"]
    found = {
        "first": "/ui",
        "threads": "/ui/threads",
        "threads-filtered": "/ui/threads?agent_id=support&state=open",
        "replay": f"/ui/threads/{STORY}",
        "replay-past": f"/ui/threads/{STORY}?at=26",
        "diff": "/ui/diff?a=run_demo7_claim&b=run_demo7_exchange",
        "runs": "/ui/runs",
        "run": "/ui/runs/run_demo7_claim",
        "events": "/ui/events",
        "event": "/ui/events/26",
        "search": "/ui/search?q=refund",
        "prepare": f"/ui/threads?at={head - 1}",
        "nowhere": "/ui/nowhere",
    }
    return found | {f"replay-{number}": f"/ui/threads/{thread}" for number, thread in enumerate(others[:4], 1)}


def take(browser: Browser, folder: Path, address: str, sign_in: str) -> None:
    """Take each page in each look. Only one session is signed in by the address: the others have its cookie."""
    folder.mkdir(parents=True, exist_ok=True)
    first = browser.new_context()
    first.new_page().goto(sign_in)
    state = first.storage_state()
    for look, options in LOOKS.items():
        context = browser.new_context(**options, storage_state=state)
        page = context.new_page()
        for name, path in addresses().items():
            page.goto(f"{address}{path}")
            page.screenshot(path=folder / f"{name}-{look}.png", full_page=look != "narrow")
            if look == "light":
                page.pdf(path=folder / f"{name}.pdf")
            print(f"{name}-{look}", flush=True)
        context.close()
    page = browser.new_context(**LOOKS["light"]).new_page()
    page.goto(f"{address}/ui/login")
    page.screenshot(path=folder / "login-light.png")


def picture(browser: Browser, file: Path, address: str, sign_in: str) -> None:
    """Take the picture of the README: the story when a person was asked, with a tool call that is looked at."""
    page = browser.new_context(viewport=README_SIZE, color_scheme="light").new_page()
    page.goto(sign_in)
    page.goto(f"{address}/ui/threads/{STORY}?at=26&run=run_demo7_claim&item=10")
    page.screenshot(path=file)
    print(f"{file}: {file.stat().st_size:,} bytes")


def main() -> None:
    """Record, serve, and take pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the pictures go; with --readme, the picture itself")
    parser.add_argument("sources", nargs="*", metavar="FORMAT=PATH", help="what is imported beside the demo's story")
    parser.add_argument("--readme", action="store_true", help="take the one picture of the README")
    given = parser.parse_args()
    target = given.folder.absolute()
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o711)
        os.environ |= {"RUNFOLD_HOME": home, "RUNFOLD_LOG_LEVEL": "warning"}
        runfold("demo")
        for source in given.sources:
            kind, _, path = source.partition("=")
            runfold("import", kind, path)
        with served() as (address, sign_in), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            (picture if given.readme else take)(browser, target, address, sign_in)
            browser.close()


if __name__ == "__main__":
    main()
