"""A session comes in a line at a time, in steps, twice, in any order of its files: the ledger holds the same as at once."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.importers.importing import import_paths
from tests.databases import TestDatabase
from tests.importers.claude.told import Lines, Record, call, held, without_ids, without_kinds, written

Tenants = Callable[[str], AbstractContextManager[Ledger]]


@pytest.fixture
def tenant(shared_database: TestDatabase) -> Tenants:
    """An empty ledger of a tenant of its own."""

    @contextmanager
    def opened(name: str) -> Iterator[Ledger]:
        with Ledger.open(settings=shared_database.settings.model_copy(update={"tenant": name})) as ledger:
            yield ledger

    return opened


def a_long_one(session: str = "s-0") -> Lines:
    """A session with all that is common: calls in parallel, an interruption, a rewind, commands, a compaction."""
    told = Lines(session)
    told.add("q", "progress", None)
    told.prompt("u1", "q")
    told.answer("a1", "u1", {"type": "thinking", "thinking": "Hm.", "signature": "s"}, of="a1", request="req_a1")
    told.answer("a1b", "a1", call("Bash:0", command="ls"), of="a1", request="req_a1")
    told.answer("a1c", "a1b", call("Bash:1", command="pwd"), of="a1", request="req_a1")
    told.result("r1", "a1b", "Bash:0")
    told.result("r2", "a1c", "Bash:1")
    told.answer("a2", "r2")
    told.prompt("c1", "a2", "<local-command-caveat>Caveat: generated.</local-command-caveat>", isMeta=True)
    told.prompt("c2", "c1", "<command-name>/status</command-name>")
    told.prompt("u2", "c2")
    told.answer("a3", "u2", call("Bash:0", command="make"))
    told.result("r3", "a3", "Bash:0", "made")
    told.answer("a4", "r3")
    boundary = told.add("b1", "system", None, subtype="compact_boundary")
    boundary |= {"logicalParentUuid": told.records[-2]["uuid"], "compactMetadata": {"trigger": "manual", "preTokens": 9}}
    told.prompt("s1", "b1", "Summary: done.", isCompactSummary=True)
    told.prompt("u3", "s1", "Go left.")
    told.answer("a5", "u3", call("Bash:0", command="sleep"))
    told.prompt("i1", "a5", "[Request interrupted by user]")
    told.prompt("u4", "s1", "Go right.")
    told.answer("a6", "u4")
    told.prompt("u5", "a6", "Wait.")
    return told


def test_line_by_line_is_as_at_once(tenant: Tenants, tmp_path: Path) -> None:
    told = a_long_one()
    with tenant("at-once") as once, tenant("grown") as grown:
        import_paths(once, "claude-code", [told.write(tmp_path / "s.jsonl")])
        for lines in range(1, len(told.records) + 1):
            assert import_paths(grown, "claude-code", [told.write(tmp_path / "s.jsonl", lines)]).problems == []
        expected = held(once)
        assert held(grown) == expected
        assert import_paths(grown, "claude-code", [tmp_path]).events == 0
    statuses = sorted(status for status, _ in expected["ends"].values())
    assert statuses == ["cancelled", "completed", "completed", "completed", "running"]


def copied(records: list[Record], session: str, *, renamed: bool = False, forked: bool = False) -> list[Record]:
    """The same lines in a file of another session, under their own uuids or under new ones."""
    found = []
    for record in records:
        copy = {**record, "sessionId": session}
        if renamed:
            for name in ("uuid", "parentUuid", "logicalParentUuid"):
                if copy.get(name):
                    copy[name] = copy[name][::-1]
        if forked:
            copy["forkedFrom"] = {"sessionId": record["sessionId"], "messageUuid": record["uuid"]}
        found.append(copy)
    return found


def a_family(folder: Path, *, renamed: bool = False, forked: bool = False) -> list[Path]:
    """A session; a copy of its first turns that goes on otherwise; and its sub-agent, which repeats lines of its parent."""
    told = Lines("s-1")
    told.prompt("fu1", None)
    told.answer("fa1", "fu1", call("toolu_1", "Agent", prompt="Look."))
    shared = list(told.records)
    told.result("fr1", "fa1", "toolu_1", "Seen.", toolUseResult={"agentId": "x1", "status": "completed"})
    told.answer("fa2", "fr1")
    first_turn = list(told.records)
    told.prompt("fu2", "fa2")
    told.answer("fa3", "fu2", call("Bash:0"))
    told.result("fr2", "fa3", "Bash:0")
    told.answer("fa4", "fr2")
    fork = Lines("s-2", clock=40)
    fork.prompt("fu3", "fa2", "Instead.")
    fork.answer("fa5", "fu3", call("Bash:0"))
    fork.result("fr3", "fa5", "Bash:0")
    fork.answer("fa6", "fr3")
    if renamed:
        fork.records[0]["parentUuid"] = fork.records[0]["parentUuid"][::-1]
    agent = Lines("s-1", agent="x1", clock=2)
    agent.prompt("fx1", "fa1", "Look.")
    agent.answer("fx2", "fx1")
    copies = copied(first_turn, "s-2", renamed=renamed, forked=forked)
    return [
        told.write(folder / "s-1.jsonl"),
        written(folder / "s-2.jsonl", [*copies, *fork.records]),
        written(folder / "agent-x1.jsonl", [*shared, *agent.records]),
    ]


@pytest.mark.parametrize("kind", ["same", "forked", "renamed"])
def test_files_of_one_conversation_are_one_thread_in_whichever_order(tenant: Tenants, tmp_path: Path, kind: str) -> None:
    files = a_family(tmp_path, renamed=kind == "renamed", forked=kind == "forked")
    with tenant(f"{kind}-once") as once:
        tally = import_paths(once, "claude-code", files)
        expected = without_kinds(held(once))
        assert import_paths(once, "claude-code", reversed(files)).events == 0
    assert (tally.threads, tally.runs, tally.messages, tally.tool_calls, tally.problems) == (1, 4, 14, 3, [])
    assert len(expected["words"]) == 14
    assert len(expected["usage"]) == 7
    assert {status for status, _ in expected["ends"].values()} == {"completed"}
    main, fork, agent = files
    for number, order in enumerate([(main, fork, agent), (main, agent, fork), (fork, main, agent), (fork, agent, main)]):
        with tenant(f"{kind}-{number}") as stepwise:
            for file in order:
                assert import_paths(stepwise, "claude-code", [file]).problems == []
            if kind == "renamed":
                assert without_ids(without_kinds(held(stepwise))) == without_ids(expected), [file.name for file in order]
            else:
                assert without_kinds(held(stepwise)) == expected, [file.name for file in order]
            before = held(stepwise)
            assert import_paths(stepwise, "claude-code", [tmp_path]).problems == []
            assert held(stepwise) == before, "all of it together adds nothing"


@pytest.mark.parametrize("seed", range(4))
def test_steps_at_random_are_as_at_once(tenant: Tenants, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    files = [a_long_one().write(tmp_path / "long.jsonl"), *a_family(tmp_path / "family", forked=seed % 2 == 0)]
    with tenant(f"random-{seed}-once") as once:
        import_paths(once, "claude-code", [tmp_path])
        expected = held(once)
    whole = {file: file.read_text().splitlines(keepends=True) for file in files}
    done = dict.fromkeys(files, 0)
    with tenant(f"random-{seed}") as stepwise:
        while any(done[file] < len(lines) for file, lines in whole.items()):
            for file in chance.sample(files[:-1], 2):
                done[file] = min(len(whole[file]), done[file] + chance.randint(0, 5))
                file.write_text("".join(whole[file][: done[file]]))
            done[files[-1]] = len(whole[files[-1]]) if done[files[1]] > 1 else 0
            files[-1].write_text("".join(whole[files[-1]][: done[files[-1]]]))
            given = [file for file in files if done[file]]
            chance.shuffle(given)
            assert import_paths(stepwise, "claude-code", given).problems == []
        assert without_kinds(held(stepwise)) == without_kinds(expected)
        assert import_paths(stepwise, "claude-code", [tmp_path]).events == 0


def test_a_run_whose_file_stops_is_running_and_turns_up_until_the_file_goes_on_to_its_end(
    tenant: Tenants, tmp_path: Path
) -> None:
    told = Lines("s-stops")
    told.prompt("u1", None)
    told.answer("a1", "u1", call("toolu_1", command="make"))
    told.result("r1", "a1", "toolu_1")
    told.answer("a2", "r1")
    for record in told.records:
        record["timestamp"] = record["timestamp"].replace("2026", "2025")
    with tenant("stops") as ledger:
        for lines, expected in ((1, ["2025-08-01T10:00:01"]), (3, ["2025-08-01T10:00:03"]), (4, [])):
            import_paths(ledger, "claude-code", [told.write(tmp_path / "s.jsonl", lines)])
            ledger.fold("attention", "run_summaries")
            found = ledger.now.attention().items
            assert [f"{row.last_heard_at:%Y-%m-%dT%H:%M:%S}" for row in found] == expected
            assert {(row.status, row.reasons) for row in found} <= {("running", ("silent",))}
            (run,) = ledger.now.runs().items
            assert run.status == ("running" if expected else "completed")
