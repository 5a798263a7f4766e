"""Links between documents lead somewhere, and files that the documents name are there."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, code_words, links, spelt_out

NAMED = re.compile(r"(?:src|tests|docs|scripts|schemas|\.ci)/[\w./{},-]*|[\w/]+\.(?:py|sql|md|toml|css|html)|Makefile")
"""What looks like a file or a folder of the project."""
ROOTS = (ROOT, ROOT / "src" / "runfold", DOCS, ROOT / "tests")
NOT_OURS = {"tool_uses.py", "toy.py"}
"""Files that a page has its reader write."""


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def leads_nowhere(page: Path, link: str) -> bool:
    """Whether nothing is where a link leads to; what is not ours is not followed."""
    if re.match(r"https?:|mailto:", link):
        return False
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return True
    return bool(anchor) and (target.suffix != ".md" or anchor not in anchors(target))


def is_there(page: Path, name: str) -> bool:
    """Whether a page names something that there is: from the root, from the package, or beside the page."""
    folders = (*ROOTS, page.parent)
    return all(any(list(folder.glob(each)) for folder in folders) for each in spelt_out(name))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if leads_nowhere(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = {word for word in code_words(page) if NAMED.fullmatch(word) and word not in NOT_OURS}
    assert {word for word in named if not is_there(page, word)} == set()


def test_every_page_is_reached_from_the_readme() -> None:
    reached, to_read = set(), [PAGES[0]]
    while to_read:
        page = to_read.pop()
        if page not in reached:
            reached.add(page)
            found = [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if not re.match(r"https?:", link)]
            to_read += [path for path in found if path in PAGES]
    assert [_name(page) for page in PAGES if page not in reached] == []


def test_a_link_that_leads_nowhere_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n[a](page.md#one) [b](page.md#two) [c](other.md)\n\n`src/runfold/nowhere.py` `ledger.py` `domain/{run,no}.py`\n"
    )
    assert [link for link in links(page) if leads_nowhere(page, link)] == ["page.md#two", "other.md"]
    assert [word for word in code_words(page) if not is_there(page, word)] == ["src/runfold/nowhere.py", "domain/{run,no}.py"]
    assert NAMED.fullmatch("src/runfold/nowhere.py")
