"""A person at a page, by mouse or by keyboard alone, whose steps are counted."""

from typing import Protocol

from playwright.sync_api import Download, Locator, Page

FARTHEST = 200
"""So many times Tab is pressed to reach something."""


class Hand(Protocol):
    """What a person does, whatever with."""

    page: Page
    steps: int

    def go(self, name: str, key: str) -> None:
        """Go to one of the pages that the frame names."""

    def filter(self) -> None:
        """Open the fields of a list's filter."""

    def open(self, target: Locator) -> None:
        """Follow a link, or press a button."""

    def fill(self, target: Locator, text: str) -> None:
        """Write into a field."""

    def submit(self, button: Locator) -> None:
        """Send the form whose field was written into last."""

    def tick(self, target: Locator) -> None:
        """Tick a box."""


class Mouse:
    """A click is a step, and so is what is written."""

    def __init__(self, page: Page) -> None:
        self.page, self.steps = page, 0

    def go(self, name: str, key: str) -> None:
        with self.page.expect_navigation():
            self.open(self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name))

    def filter(self) -> None:
        self.open(self.page.locator("#filters > summary"))

    def open(self, target: Locator) -> None:
        target.click()
        self.steps += 1

    def fill(self, target: Locator, text: str) -> None:
        target.click()
        self.page.keyboard.type(text)
        self.steps += 2

    def submit(self, button: Locator) -> None:
        self.open(button)

    def tick(self, target: Locator) -> None:
        self.open(target)


class Keys:
    """Each key that is pressed is a step, and what is written is one."""

    def __init__(self, page: Page) -> None:
        self.page, self.steps = page, 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.steps += 1

    def go(self, name: str, key: str) -> None:
        with self.page.expect_navigation():
            self.press(*(("/",) if key == "/" else ("g", key)))

    def filter(self) -> None:
        self.press("f")

    def reach(self, target: Locator) -> None:
        """Go from item to item, where it is in a list; then press Tab until the focus is there."""
        target.wait_for(state="attached")
        item = target.locator("xpath=ancestor::*[@data-item]")
        while item.count() and "at" not in (item.get_attribute("class") or "").split():
            self.press("j")
        for _ in range(FARTHEST):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.press("Tab")
        raise AssertionError(f"{target} is not reached by {FARTHEST} Tabs")

    def open(self, target: Locator) -> None:
        self.reach(target)
        self.press("Enter")

    def fill(self, target: Locator, text: str) -> None:
        self.reach(target)
        self.page.keyboard.type(text)
        self.steps += 1

    def submit(self, button: Locator) -> None:
        self.press("Enter")

    def tick(self, target: Locator) -> None:
        self.reach(target)
        self.press("Space")


def downloaded(hand: Hand, target: Locator) -> Download:
    """What comes of following a link to a file."""
    with hand.page.expect_download() as found:
        hand.open(target)
    return found.value
