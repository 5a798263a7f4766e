"""The recipes of CONTRIBUTING.md, done as they are written there: new files, and changes of files that are there."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

from markdown_it.token import Token

from tests.docs.pages import DOCS, ROOT, Block, blocks, tokens

CONTRIBUTING = DOCS / "CONTRIBUTING.md"
RECIPES = ("Add an event", "Add a command", "Add a projection", "Add a list", "Add an importer")


def blocks_of(recipe: str) -> list[Block]:
    """The new files and the changes of one recipe, in order."""
    heads = [
        ((token.map or [0])[0], following.content) for token, following in pairwise(tokens(CONTRIBUTING)) if _is_heading(token)
    ]
    begins = next(line for line, title in heads if title == recipe)
    ends = min((line for line, _ in heads if line > begins), default=10**9)
    return [block for block in blocks(CONTRIBUTING) if begins < block.line <= ends]


def _is_heading(token: Token) -> bool:
    return token.type == "heading_open"


def copied(folder: Path) -> Path:
    """A copy of the project to be changed, without what is built or kept elsewhere."""
    for name in ("src", "tests", "scripts", "docs", "schemas"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def follow(recipe: str, project: Path) -> list[str]:
    """Do in a copy of the project what a recipe says; the files that it touches."""
    touched = []
    for block in blocks_of(recipe):
        name, _, text = block.text.partition("\n")
        name = name.removeprefix("# ")
        path = project / name
        if block.language == "diff":
            path.write_text(changed(path.read_text(encoding="utf-8"), text), encoding="utf-8")
        elif block.language == "python":
            assert not path.exists(), f"{name} is there"
            path.write_text(text, encoding="utf-8")
        touched.append(name)
    return sorted(set(touched))


def changed(text: str, diff: str) -> str:
    """A file's text after the changes of a diff. Each stands where its unchanged and removed lines are, which is one place."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE)[1:]:
        lines = hunk.splitlines(keepends=True)
        assert all(line[0] in " +-\n" for line in lines), hunk
        before = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
        after = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
        found = len(re.findall(rf"^{re.escape(before)}", text, re.MULTILINE))
        assert found == 1, f"these lines are there {found} times:\n{before}"
        text = re.sub(rf"^{re.escape(before)}", lambda _, after=after: after, text, flags=re.MULTILINE)
    return text
