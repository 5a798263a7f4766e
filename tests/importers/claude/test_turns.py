"""Lines told apart into turns, read from files without a database: what is one message, one call, one turn, and a branch."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from runfold.importers.claude.index import indexed, threads_of
from runfold.importers.claude.nodes import Node, Nodes
from runfold.importers.claude.reading import ThreadFiles
from runfold.importers.claude.session import Session
from runfold.importers.claude.talk import used_in
from runfold.importers.files import find
from runfold.importers.formats.claude_code import FORMAT
from runfold.importers.tally import Reports
from tests.importers.claude.told import Lines, Record, call, uuid_of, written
from tests.importers.counted import counts_of

Told = tuple[str, str | None, bool, list[str]]


def read(*paths: Path) -> list[Session]:
    """The threads in files."""
    files = find(paths, lambda name: name.endswith(".jsonl"))
    problems: list[Any] = []
    groups = threads_of([indexed(file, number) for number, file in enumerate(files)])
    found = [ThreadFiles(members, {}, problems.append).session() for members in groups]
    assert problems == []
    return [session for session in found if session is not None]


def turns(session: Session, names: list[str]) -> list[Told]:
    """The turns of the main line: their kind, the line they left, whether they ended, and their lines by their names."""
    name_of = {uuid_of(name): name for name in names}
    found: list[Told] = []
    for turn in session.main.turns:
        left = None if turn.left is None else name_of[turn.left.line.uuid]
        found.append((turn.kind, left, turn.is_over, [name_of[node.line.uuid] for node in turn.nodes]))
    return found


def one(told: Lines, folder: Path) -> list[Told]:
    """The turns of one file."""
    (session,) = read(told.write(folder / "one.jsonl"))
    names = {name for letter in "abcdmnpqrsux" for name in (f"{letter}{number}" for number in range(12))}
    return turns(session, sorted(names))


def _caveat(told: Lines, name: str, above: str | None) -> Record:
    return told.prompt(name, above, "<local-command-caveat>Caveat: generated.</local-command-caveat>", isMeta=True)


def test_commands_at_the_start_that_hang_from_one_caveat_are_a_part_of_the_first_turn(tmp_path: Path) -> None:
    told = Lines("s")
    _caveat(told, "c1", None)
    told.prompt("c2", "c1", "<command-name>/doctor</command-name>")
    told.prompt("c3", "c1", "<command-name>/status</command-name>")
    told.prompt("u1", "c1")
    told.answer("a1", "u1")
    assert one(told, tmp_path) == [("continues", None, True, ["c1", "c2", "c3", "u1", "a1"])]


def test_commands_between_turns_that_nothing_hangs_from_make_no_branch(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1")
    _caveat(told, "c1", "a1")
    told.prompt("c2", "c1", "<local-command-stdout>ok</local-command-stdout>")
    _caveat(told, "c3", "a1")
    told.prompt("u2", "a1")
    told.answer("a2", "u2")
    assert [turn[:2] for turn in one(told, tmp_path)] == [("continues", None), ("continues", "a1")]


def test_resumes_to_which_nothing_was_answered_make_no_branch(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1")
    for number in (1, 2):
        told.prompt(f"m{number}", "a1", "Continue from where you left off.", isMeta=True)
        line = told.answer(f"n{number}", f"m{number}", {"type": "text", "text": "No response requested."})
        line["message"] |= {"model": "<synthetic>", "stop_reason": "stop_sequence"}
    told.prompt("u2", "a1")
    told.answer("a2", "u2")
    first, second = one(told, tmp_path)
    assert first[3] == ["u1", "a1"]
    assert second == ("continues", "a1", True, ["m1", "n1", "m2", "n2", "u2", "a2"])


@pytest.mark.parametrize("logical", ["a1", "gone", None])
def test_a_compaction_goes_on_from_what_stood_before_it(tmp_path: Path, logical: str | None) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1", call("toolu_1"))
    told.result("r1", "a1", "toolu_1")
    boundary = told.add("b1", "system", None, subtype="compact_boundary", compactMetadata={"trigger": "auto"})
    if logical is not None:
        boundary["logicalParentUuid"] = uuid_of(logical)
    told.prompt("s1", "b1", "Summary.", isCompactSummary=True)
    told.answer("a2", "s1")
    assert one(told, tmp_path) == [("continues", None, True, ["u1", "a1", "r1", "b1", "s1", "a2"])]


def test_a_rewind_to_the_first_prompt_is_a_branch_that_leaves_before_it(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1")
    told.prompt("u2", None)
    told.answer("a2", "u2")
    assert one(told, tmp_path) == [("continues", None, True, ["u1", "a1"]), ("branches", None, True, ["u2", "a2"])]


def test_a_rewind_into_a_turn_is_a_branch(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1", call("toolu_1"))
    told.result("r1", "a1", "toolu_1")
    told.answer("a2", "r1")
    told.prompt("u2", "r1")
    assert one(told, tmp_path)[1] == ("branches", "r1", False, ["u2"])


def test_three_prompts_on_one_parent_are_two_branches(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1")
    for number in (2, 3, 4):
        told.prompt(f"u{number}", "a1")
    assert [turn[0] for turn in one(told, tmp_path)] == ["continues", "continues", "branches", "branches"]


def test_an_answer_that_was_asked_for_again_goes_on_from_before_the_first(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1", {"type": "text", "text": "Half an"}, of="a1", request="req_1")
    told.answer("a2", "u1", of="a1", request="req_2")
    told.prompt("u2", "a2")
    assert one(told, tmp_path) == [
        ("continues", None, False, ["u1", "a1"]),
        ("continues", "u1", False, ["a2"]),
        ("continues", "a2", False, ["u2"]),
    ]


@pytest.mark.parametrize("has_request", [True, False])
def test_one_message_id_with_results_between_is_several_answers(tmp_path: Path, has_request: bool) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    above = "u1"
    for number in (1, 2, 3, 4):
        parts = [call(f"toolu_{number}")] if number < 4 else []
        line = told.answer(f"a{number}", above, *parts, of="same", request=f"req_{number}")
        line["message"]["usage"] = {"input_tokens": 100 * number, "output_tokens": 10 * number}
        line["message"]["stop_reason"] = "tool_use" if parts else "end_turn"
        if not has_request:
            del line["requestId"]
        if parts:
            told.result(f"r{number}", f"a{number}", f"toolu_{number}")
            above = f"r{number}"
    (session,) = read(told.write(tmp_path / "one.jsonl"))
    tally = counts_of(session)
    assert (tally.messages, tally.input_tokens, tally.output_tokens) == (8, 1_000, 100)
    assert [turn.is_over for turn in session.main.turns] == [True]


def test_an_answer_that_was_written_twice_has_its_words_once_and_its_last_usage(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1", {"type": "thinking", "thinking": "Hm.", "signature": "x"}, of="a")
    told.answer("a2", "a1", {"type": "text", "text": "Yes."}, of="a")
    again = told.answer("a3", "a2", {"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}, of="a")
    again["message"]["usage"]["output_tokens"] = 9
    (session,) = read(told.write(tmp_path / "one.jsonl"))
    (answer,) = [node for node in session.main.nodes if node.kind == "answer"]
    assert [block.type for block, _ in answer.parts] == ["thinking", "text"]
    assert [used.counts.output_tokens for used in used_in(answer)] == [9]


def test_results_go_to_the_nearest_call_above_that_has_the_id(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1", call("Bash:0", command="one"))
    told.result("r1", "a1", "Bash:0", "first")
    told.answer("a2", "r1", call("Bash:0", command="two"))
    told.result("r2", "a2", "Bash:0", "second")
    told.answer("a3", "r2")
    told.prompt("u2", "r1")
    told.answer("a4", "u2", call("Bash:0", command="three"))
    told.result("r3", "a4", "Bash:0", "third")
    (session,) = read(told.write(tmp_path / "one.jsonl"))
    answered = [(made.block.input["command"], made.result and made.result[0].content) for made in session.story.calls]
    assert answered == [("one", "first"), ("two", "second"), ("three", "third")]
    assert len({made.key for made in session.story.calls}) == 3


def test_one_id_twice_in_one_answer_is_two_calls(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1", call("Bash:0", command="one"), call("Bash:0", command="two"))
    told.result("r1", "a1", "Bash:0", "first")
    told.result("r2", "a1", "Bash:0", "second")
    (session,) = read(told.write(tmp_path / "one.jsonl"))
    assert [made.result and made.result[0].content for made in session.story.calls] == ["first", "second"]


def test_agents_of_a_workflow_and_of_agents_are_spawned_by_their_calls(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", None)
    told.answer("a1", "u1", call("toolu_w", "Workflow"))
    told.result("r1", "a1", "toolu_w", toolUseResult={"status": "async_launched", "runId": "wf_1"})
    agent, nested = Lines("s", agent="g1"), Lines("s", agent="g2")
    agent.prompt("x1", None)
    agent.answer("x2", "x1", call("toolu_n", "Agent"))
    agent.result("x3", "x2", "toolu_n", toolUseResult={"agentId": "g2"})
    nested.prompt("x4", None)
    under = tmp_path / "s" / "subagents" / "workflows" / "wf_1"
    files = [told.write(tmp_path / "s.jsonl"), agent.write(under / "agent-g1.jsonl"), nested.write(under / "agent-g2.jsonl")]
    written(under / "journal.jsonl", [{"type": "started", "key": "v2:h", "agentId": "g1"}])
    (session,) = read(*files, under / "journal.jsonl")
    calls = {session.ids.call(made): made.block.id for made in session.story.calls}
    assert {agent: calls[call_id] for agent, call_id in session.started_by.items()} == {"g1": "toolu_w", "g2": "toolu_n"}


def test_files_without_anything_in_common_are_threads_of_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        told = Lines(f"s-{name}")
        told.prompt("u1" if name == "one" else "u2", None, "The same words.")
        told.write(tmp_path / f"{name}.jsonl")
    assert len(read(tmp_path)) == 2


@pytest.mark.parametrize(("second", "problems"), [("foreign", 1), ("copied", 0), ("absent", 0)])
def test_a_session_that_went_on_in_another_which_has_nothing_of_it_is_told(tmp_path: Path, second: str, problems: int) -> None:
    first, two, reports = Lines("s-one"), Lines("s-two"), Reports()
    said = first.prompt("u1", None, "Begin.")
    first.records.append({"type": "continued-in", "sessionId": "s-one", "continuedInSessionId": "s-two"})
    if second == "copied":
        two.records.append({**said, "sessionId": "s-two"})
    two.prompt("u2", "u1" if second == "copied" else None, "Go on.")
    first.write(tmp_path / "one.jsonl")
    if second != "absent":
        two.write(tmp_path / "two.jsonl")
    assert len(list(FORMAT.read(find([tmp_path], FORMAT.wants), reports.take))) == 1 + problems
    assert [problem.reason.partition(",")[0] for problem in reports.problems] == [
        "says that it went on in session s-two"
    ] * problems


@pytest.mark.parametrize(("asked", "linked"), [(["Look."], True), (["Look.", "Look."], False), (["Another."], False)])
def test_a_sub_agent_is_its_calls_that_asks_for_the_same_before_the_result_says_so(
    tmp_path: Path, asked: list[str], linked: bool
) -> None:
    main, agent = Lines("s"), Lines("s", "a1")
    main.prompt("u1", None)
    main.answer("a1", "u1", *(call(f"c{number}", "Task", prompt=words) for number, words in enumerate(asked)))
    agent.prompt("g1", None, "Look.")
    (session,) = read(main.write(tmp_path / "one.jsonl"), agent.write(tmp_path / "agent-a1.jsonl"))
    assert list(session.started_by) == (["a1"] if linked else [])


def test_made_up_uuids_that_several_sessions_have_are_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        told = Lines(f"s-{name}")
        told.prompt("u1", None, f"Words of {name}.")["uuid"] = "u1"
        told.write(tmp_path / f"{name}.jsonl")
    ids = {session.ids.run(session.roots[0].opener) for session in read(tmp_path)}
    assert len(ids) == 2


def test_a_circle_of_parents_and_lines_in_any_order_are_taken(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u1", "a2")
    told.answer("a1", "u1")
    told.prompt("u2", "a1")
    told.answer("a2", "u2")
    (session,) = read(written(tmp_path / "one.jsonl", told.records[::-1]))
    assert counts_of(session).messages == 4


@pytest.mark.timeout(20)
def test_lines_that_hang_from_one_another_in_any_way_are_taken(tmp_path: Path) -> None:
    for seed in range(60):
        chance, told = random.Random(seed), Lines(f"s-{seed}")  # noqa: S311
        names = [f"{seed}-{number}" for number in range(chance.randint(2, 9))]
        for name in names:
            above, kind = chance.choice([None, name, *names]), chance.choice(["prompt", "answer", "system", "progress"])
            if kind == "prompt":
                told.prompt(name, above)
            elif kind == "answer":
                told.answer(name, above or name, of=chance.choice([None, str(seed)]))
            else:
                told.add(name, kind, above, subtype="info")
            if chance.random() < 0.7:  # as early versions wrote them
                told.records[-1].pop("requestId", None)
        said = sum(record["type"] in {"user", "assistant"} for record in told.records)
        held = sum(counts_of(session).messages for session in read(told.write(tmp_path / f"{seed}.jsonl")))
        assert (said > 0, said >= held) == (held > 0, True)


def test_answers_below_many_lines_that_are_no_messages_look_up_each_of_these_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, above, looked_up, named = Lines("s"), "u", Counter[str](), Nodes.named
    told.prompt("u", None)
    for number in range(100):
        told.add(f"p{number}", "progress", above)
        above = f"p{number}"
    for number in range(100):
        told.answer(f"a{number}", above).pop("requestId")

    def counting(nodes: Nodes, uuid: str | None, file: int) -> Node | None:
        looked_up[uuid or ""] += 1
        return named(nodes, uuid, file)

    monkeypatch.setattr(Nodes, "named", counting)
    (session,) = read(told.write(tmp_path / "one.jsonl"))
    assert counts_of(session).messages == 101
    assert max(looked_up[uuid_of(f"p{number}")] for number in range(99)) < 10


def test_a_long_session_is_read_in_linear_time(tmp_path: Path) -> None:
    told = Lines("s")
    told.prompt("u", None)
    above = "u"
    for number in range(1_000):
        told.answer(f"a{number}", above, call("Bash:0"))
        told.result(f"r{number}", f"a{number}", "Bash:0")
        above = f"r{number}"
    (session,) = read(told.write(tmp_path / "one.jsonl"))
    unanswered = sum(made.result is None for made in session.story.calls)
    tool_calls = counts_of(session).tool_calls
    assert (unanswered, tool_calls) == (0, 1_000)
