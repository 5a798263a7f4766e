"""Prompts that leave one message in several files: which goes on with the conversation, and which are branches."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.importers.importing import import_paths
from tests.databases import TestDatabase, fresh_database
from tests.importers.claude.told import Lines, call, held, without_kinds, written

FIELD = Path(__file__).parents[1] / "field" / "forked-copy"


@pytest.fixture(scope="module")
def database(admin_url: str, template: str) -> Iterator[TestDatabase]:
    """One for all."""
    with fresh_database(admin_url, template, "forks") as made:
        yield made


def going_on(session: str, prompt: str | None, clock: int) -> Lines:
    """A session of the same first turn, which goes on with a prompt."""
    told = Lines(session)
    told.prompt("u1", None)
    told.answer("a1", "u1")
    if prompt is not None:
        told.clock = clock
        told.prompt(prompt, "a1")
        told.answer(f"{prompt}a", prompt)
    return told


def family(folder: Path, kind: str) -> list[Path]:
    """Files of one conversation in sessions of their own, the original first."""
    if kind == "forked-copy":
        return sorted(FIELD.glob("*.jsonl"))
    files = {
        "two that go on": [("s-z", "early", 10), ("s-a", "late", 30)],
        "the original stops, two copies go on": [("s-m", None, 0), ("s-a", "early", 10), ("s-z", "late", 30)],
        "three that go on": [("s-b", "middle", 20), ("s-c", "early", 10), ("s-a", "late", 30)],
    }[kind]
    return [going_on(*each).write(folder / f"{each[0]}.jsonl") for each in files]


RIGHT = {
    "forked-copy": {"Second question.": "branches"},
    "two that go on": {"Prompt early.": "continues", "Prompt late.": "branches"},
    "the original stops, two copies go on": {"Prompt early.": "branches", "Prompt late.": "branches"},
    "three that go on": {"Prompt early.": "continues", "Prompt middle.": "branches", "Prompt late.": "branches"},
}


def kinds(ledger: Ledger) -> dict[str, str]:
    """How each run leaves another, by what was asked last in it."""
    runs = held(ledger)["runs"]
    return {ledger.run(run).messages()[-2].text: parent[1] for run, (parent, _) in runs.items() if parent is not None}


@pytest.mark.parametrize("kind", RIGHT)
def test_of_prompts_on_one_message_the_earliest_goes_on_and_a_copy_is_a_branch(
    database: TestDatabase, tmp_path: Path, kind: str
) -> None:
    files, found = family(tmp_path, kind), []
    name, going = f"forks-{len(kind)}", int("continues" in RIGHT[kind].values())
    for number, order in enumerate(itertools.permutations(files)):
        together, apart = (database.settings.model_copy(update={"tenant": f"{name}-{number}-{way}"}) for way in ("once", "apart"))
        with Ledger.open(settings=together) as ledger:
            assert import_paths(ledger, "claude-code", order).problems == []
            assert kinds(ledger) == RIGHT[kind]
            found.append(without_kinds(held(ledger)))
        with Ledger.open(settings=apart) as ledger:
            for file in order:
                assert import_paths(ledger, "claude-code", [file]).problems == []
            found.append(without_kinds(held(ledger)))
            count = list(kinds(ledger).values()).count("continues")
            assert count == going if order == tuple(files) else count <= 1
            (main,) = held(ledger)["main"].values()
            last = "Second answer." if kind == "forked-copy" else "Answer latea."
            assert main[-1] == last
    assert all(each == found[0] for each in found)


def test_the_head_is_where_something_happened_last(database: TestDatabase, tmp_path: Path) -> None:
    long, short = going_on("s-1", None, 0), going_on("s-2", "late", 20)
    long.prompt("early", "a1")
    long.answer("calls", "early", call("toolu_1"))
    long.clock = 90
    long.result("result", "calls", "toolu_1")
    long.answer("more", "result")
    files = [long.write(tmp_path / "s-1.jsonl"), short.write(tmp_path / "s-2.jsonl")]
    for number, order in enumerate(itertools.permutations(files)):
        with Ledger.open(settings=database.settings.model_copy(update={"tenant": f"head-{number}"})) as ledger:
            for file in order:
                import_paths(ledger, "claude-code", [file])
            (main,) = held(ledger)["main"].values()
            assert main[-1] == "Answer more."


def test_a_session_that_goes_on_without_a_copy_and_one_in_pieces_are_no_branches(database: TestDatabase, tmp_path: Path) -> None:
    whole = going_on("s-1", "next", 10)
    resumed = [{**record, "sessionId": "s-2"} for record in whole.records[2:]]
    first = written(tmp_path / "first.jsonl", whole.records[:2])
    for number, second in enumerate((whole.records, whole.records[2:], resumed)):
        files = [first, written(tmp_path / f"second-{number}.jsonl", second)]
        for steps in ([files], [[file] for file in files])[: 1 if second is resumed else 2]:
            tenant = f"pieces-{number}-{len(steps)}"
            with Ledger.open(settings=database.settings.model_copy(update={"tenant": tenant})) as ledger:
                for step in steps:
                    import_paths(ledger, "claude-code", step)
                assert kinds(ledger) == {"Prompt next.": "continues"}
