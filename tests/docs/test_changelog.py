"""What CHANGELOG.md says that a user must rename is so: the new names are there, and the former ones are not."""

import importlib.util
import re

from runfold.queries.reading import Reading
from tests.docs.pages import ROOT, spelt_out

TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RENAMED = TEXT[TEXT.index("### What a user of 0.1 must rename") : TEXT.index("### What is new")]


def modules() -> list[tuple[str, str]]:
    """Each module of before, and what it is now."""
    found = []
    for before, now in re.findall(r"^\| (`runfold\.[^|]*) \| (`runfold[^|]*) \|$", RENAMED, re.MULTILINE):
        olds = [name for word in re.findall(r"`([^`]+)`", before) for name in spelt_out(word)]
        news = [name for word in re.findall(r"`([^`]+)`", now) for name in spelt_out(word)]
        if len(news) == 1 and news[0].endswith("…"):
            news = [news[0].removesuffix("…") + old.rpartition(".")[2] for old in olds]
        found += zip(olds, news, strict=True)
    return [(old, new) for old, new in found if "…" not in old]


def is_there(module: str) -> bool:
    """Whether there is such a module."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def is_room(module: str) -> bool:
    """Whether a name of before is the name of a room now."""
    found = importlib.util.find_spec(module)
    return found is not None and found.submodule_search_locations is not None


def test_modules_are_where_it_says_and_no_longer_where_they_were() -> None:
    pairs = modules()
    assert len(pairs) > 30
    assert [new for _, new in pairs if not is_there(new)] == []
    assert [old for old, _ in pairs if is_there(old) and not is_room(old)] == []


def test_questions_have_the_names_that_it_gives_them() -> None:
    rows = re.findall(r"^\| (`[a-z_]+\(.*?) \| (`[a-z_]+\(.*?) \|$", RENAMED, re.MULTILINE)
    before, now = ({name for row in rows for name in re.findall(r"`([a-z_]+)\(", row[side])} for side in (0, 1))
    assert now == {"threads", "tool_calls", "messages", "diff"}
    assert all(hasattr(Reading, name) for name in now)
    assert not any(hasattr(Reading, name) for name in before - now)


def test_classes_have_the_names_that_it_gives_them() -> None:
    rooms = [ROOT / "src" / "runfold" / name for name in ("commands", "handles", "remote")]
    source = "\n".join(path.read_text(encoding="utf-8") for room in rooms for path in room.rglob("*.py"))
    pairs = re.findall(r"`([A-Z]\w+)` is\s+`([A-Z]\w+)`", RENAMED)
    assert len(pairs) == 6
    assert [now for _, now in pairs if f"\nclass {now}" not in source] == []
    assert [before for before, _ in pairs if re.search(rf"\bclass {before}\b", source)] == []


def test_nothing_stands_in_it_twice() -> None:
    first_lines = re.findall(r"^- .*$", TEXT, re.MULTILINE)
    assert len(first_lines) > 60
    assert sorted(line for line in set(first_lines) if first_lines.count(line) > 1) == []
