"""What the documents are made of: their code blocks, links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
RUN = ("python", "console", "sql")
"""The languages of blocks that are run. `text` is what a block before it prints, or a picture."""

_WHY_NOT = re.compile(r"\(Not run by the tests(?: of this page)?: (.+?)\.\)$", re.DOTALL)
_FILE = re.compile(r"# ([\w/]+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and why it is not run, where the text before it says so."""

    page: Path
    line: int
    language: str
    text: str
    why_not: str | None

    @property
    def is_file(self) -> str | None:
        """The file that it is the text of, which its first line names."""
        found = _FILE.match(self.text) if self.language == "python" else None
        return found[1] if found else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def tokens(page: Path) -> list[Token]:
    """A page as it is parsed."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path) -> list[Block]:
    """Its fenced blocks, in order."""
    found, before = [], ""
    for token in tokens(page):
        if token.type == "fence":
            assert token.map is not None
            why_not = _WHY_NOT.search(before)
            reason = " ".join(why_not[1].split()) if why_not else None
            found.append(Block(page, token.map[0] + 1, token.info.strip(), token.content, reason))
        if token.type in {"fence", "heading_open"}:
            before = ""
        if token.type == "inline":
            before = token.content
    return found


def block_with(page: str, words: str, language: str = "python") -> str:
    """The one block of a page under `docs/` that holds these words."""
    (found,) = [block.text for block in blocks(DOCS / page) if block.language == language and words in block.text]
    return found


def inline(page: Path) -> Iterator[Token]:
    """Its running text, piece by piece."""
    for token in tokens(page):
        yield from token.children or ()


def links(page: Path) -> list[str]:
    """Where its links lead to."""
    return [str(token.attrs["href"]) for token in inline(page) if token.type == "link_open"]


def code_words(page: Path) -> list[str]:
    """What stands between backquotes in its running text."""
    return [token.content for token in inline(page) if token.type == "code_inline"]


def anchors(page: Path) -> set[str]:
    """The names of its headings, as GitHub makes them."""
    found = [
        following.content
        for token, following in zip(tokens(page), tokens(page)[1:], strict=False)
        if token.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def spelt_out(name: str) -> list[str]:
    """`a/{b,c}.py` → both."""
    if (found := re.search(r"\{([^}]*)\}", name)) is None:
        return [name.rstrip("/")]
    return [each for part in found[1].split(",") for each in spelt_out(name[: found.start()] + part + name[found.end() :])]
