"""Two runs side by side: what they have in common, where they part, and what happened differently after that."""

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold import Ledger, Run, RunNotFound, Thread
from runfold.demo_story import Cast, tell
from runfold.history.alignment import Pair, aligned, shared_beginning
from runfold.history.outline import Step
from runfold.importers.importing import import_paths
from runfold.queries.runs.difference import RunDiff
from tests.queries.decided import choose

REWOUND = "claude-code/experiments-ideas/03eb5929-52b3-4b13-ada3-b93ae35806b8.jsonl.gz"
ATTEMPTS = [f"tau2-retail-gpt4o/tudor/eval_tudor_gpt5mini-refined_gpt-4o_test_{number}trial.json.gz" for number in (3, 2)]


def say(run: Run, *words: str) -> Run:
    for number, word in enumerate(words):
        run.add_message("assistant" if number % 2 else "user", word)
    return run


def branched(run: Run) -> Run:
    branch = run.branch()
    branch.start()
    return branch


def told(pairs: "tuple[Pair, ...] | list[Pair]") -> list[tuple[str, str | None, str | None]]:
    """How each pair stands, and the words, tools or kinds of both."""

    def word(step: object) -> str | None:
        if step is None:
            return None
        facts = step.facts  # type: ignore[attr-defined]
        return facts.get("text") or facts.get("tool") or facts.get("choice") or step.kind  # type: ignore[attr-defined,no-any-return]

    return [(pair.how, word(pair.a), word(pair.b)) for pair in pairs]


def test_a_branch_parts_from_its_run_where_it_left_it(ledger: Ledger, thread: Thread) -> None:
    run = say(thread.start_run(), "one", "two", "three")
    branch = say(run.branch(at_version=4), "drei")
    found = ledger.now.diff(run.id, branch.id)
    assert found.common
    assert (found.common.run_id, found.common.version, found.common.path) == (run.id, 4, (run.id,))
    left = next(recorded for recorded in ledger.now.run_events(run.id, 4) if recorded.version == 4)
    assert (found.common.position, found.common.messages) == (left.position, 2)
    assert told(found.pairs) == [("changed", "three", "drei")]
    assert found.divergence
    assert (found.divergence.number, found.divergence.differs) == (1, ("text",))
    assert (found.a.after.runs, found.b.after.runs) == ((run.id,), (branch.id,))


@pytest.mark.row("RV-04")
def test_siblings_part_at_the_earlier_of_their_leavings(ledger: Ledger, thread: Thread) -> None:
    root = say(thread.start_run(), "one", "two", "three")
    early, late = say(root.branch(at_version=3), "two", "drei"), say(root.branch(at_version=5), "four")
    grandchild = say(thread.start_run(parent=late), "five")
    found = ledger.now.diff(early.id, grandchild.id)
    assert found.common
    assert (found.common.run_id, found.common.version) == (root.id, 3)
    assert (found.a.after.runs, found.b.after.runs) == ((early.id,), (root.id, late.id, grandchild.id))
    assert [pair.b.facts["text"] for pair in found.pairs if pair.b] == ["two", "three", "four", "five"]
    nephews = ledger.now.diff(late.id, grandchild.id)
    assert nephews.common
    assert (nephews.common.path, nephews.a.after.runs) == ((root.id, late.id), ())
    assert told(nephews.pairs) == [("only_b", None, "five")]


def test_what_is_the_same_stands_beside_each_other_whatever_came_between(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    a = say(branched(root), "hello", "which order?", "7", "thanks")
    b = say(branched(root), "hello", "which order?", "the last one", "do you mean 7?", "7", "thanks")
    found = ledger.now.diff(a.id, b.id)
    assert told(found.pairs) == [
        ("same", "hello", "hello"),
        ("same", "which order?", "which order?"),
        ("only_b", None, "the last one"),
        ("only_b", None, "do you mean 7?"),
        ("same", "7", "7"),
        ("same", "thanks", "thanks"),
    ]
    assert found.divergence
    assert found.divergence.number == 3
    for side, run in (("a", a), ("b", b)):
        steps = [getattr(pair, side) for pair in found.pairs if getattr(pair, side)]
        assert [step.facts["text"] for step in steps] == [message.text for message in run.messages()]


def test_runs_that_did_the_same_do_not_part(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    one, other = branched(root), branched(root)
    for run in (one, other):
        say(run, "hello").call_tool("find", {"order": 7}).succeed({"found": True})
        run.complete({"done": True})
    found = ledger.now.diff(one.id, other.id)
    assert (found.divergence, [pair.how for pair in found.pairs]) == (None, ["same"] * 3)


@pytest.mark.parametrize(
    ("one", "other", "kind", "differs"),
    [
        ({"order": 7}, {"order": 8}, "tool_call", ("arguments",)),
        ({"order": 7}, {"order": 7.0}, "tool_call", ("arguments",)),
        ({"order": 1}, {"order": True}, "tool_call", ("arguments",)),
    ],
)
def test_calls_with_other_arguments_differ_there(
    ledger: Ledger, thread: Thread, one: object, other: object, kind: str, differs: tuple[str, ...]
) -> None:
    root = thread.start_run()
    a, b = branched(root), branched(root)
    a.call_tool("find", one)
    b.call_tool("find", other)
    found = ledger.now.diff(a.id, b.id).divergence
    assert found
    assert found.a
    assert (found.a.kind, found.differs) == (kind, differs)


def test_equal_calls_differ_in_what_came_of_them(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    call = root.call_tool("charge", {"amount": "5"})
    a, b = branched(root), branched(root)
    root.tool_call(call.id).succeed("paid")
    a.call_tool("find").succeed({"n": 1})
    b.call_tool("find").fail("gone", code="missing")
    parted = ledger.now.diff(a.id, b.id).divergence
    assert parted
    assert set(parted.differs) == {"status", "result", "error", "error_code"}
    (answer,) = ledger.now.diff(root.id, b.id).pairs
    assert answer.a
    assert answer.b
    assert (answer.a.kind, answer.a.facts["result"]) == ("tool_result", "paid")
    assert (answer.b.kind, answer.differs) == ("tool_call", ("kind",))


def test_a_message_of_the_past_that_one_branch_rewords_is_a_revision(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    question = root.add_message("user", "Where is it?")
    branch = branched(root)
    branch.message(question.id).revise("Where is order 8?")
    branch.message(question.id).revise("Where is order 7?")
    (pair,) = ledger.now.diff(root.id, branch.id).pairs
    assert pair.b
    assert (pair.how, pair.b.kind, pair.b.facts["text"]) == ("only_b", "revision", "Where is order 7?")


def test_what_was_redacted_is_not_shown_by_a_comparison(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    branch = branched(root)
    secret = root.add_message("user", "my PIN is 1234")
    say(branch, "my PIN is 4321")
    secret.redact(legal_basis="asked to")
    (pair,) = ledger.now.diff(root.id, branch.id).pairs
    assert pair.a
    assert (pair.how, pair.a.facts["text"]) == ("changed", "[redacted]")


def test_an_approval_is_told_by_its_verdict_as_each_path_knows_it(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    approval = root.request_approval("refund", arguments={"amount": "9"})
    branch = branched(root)
    approval.grant(actor="human:ada", arguments={"amount": "5"})
    (verdict,) = ledger.now.diff(root.id, branch.id).pairs_of("verdict")
    assert verdict.a
    assert (verdict.a.facts["status"], verdict.a.facts["allowed"]) == ("granted", '{"amount":"5"}')
    denied = branch.request_approval("refund", arguments={"amount": "9"})
    denied.deny("no", actor="human:ada")
    (asked,) = ledger.now.diff(root.id, branch.id).pairs_of("approval")
    assert asked.b
    assert asked.b.facts["status"] == "denied"


@pytest.mark.row("HV-66")
def test_two_runs_part_at_the_first_other_choice_as_the_read_models_say(ledger: Ledger, thread: Thread) -> None:
    a, b = thread.start_run(parent=None), thread.start_run(parent=None)
    for run, third in ((a, "search"), (b, "ask")):
        choose(run, node_id="plan").outcome(success=True)
        choose(run, node_id="act").outcome(success=run is a)
        choose(run, chosen=third, node_id="check" if run is a else "act")
    choose(b, chosen="ask", node_id="ship")
    a.complete()
    b.fail("no")
    found = ledger.now.diff(a.id, b.id)
    assert found.own_divergence
    assert found.decision_divergence
    assert found.decision_divergence.ordinal == found.own_divergence.ordinal == 3
    assert (found.a.status, found.a.decisions, found.a.success_rate) == ("completed", 3, 2 / 3)
    assert (found.b.status, found.b.decisions, found.b.success_rate) == ("failed", 4, 1 / 4)
    assert (found.nodes_only_in_a, found.nodes_only_in_b) == (("check",), ("ship",))
    assert found.divergence
    assert found.divergence.a
    assert (found.divergence.a.kind, found.divergence.differs) == ("outcome", ("success",)), "which came before that choice"
    assert found.common is None


def test_the_first_other_choice_is_counted_along_the_whole_path(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    choose(root)
    branch = branched(root)
    choose(root, chosen="ask")
    choose(branch)
    found = ledger.now.diff(root.id, branch.id)
    assert found.common
    assert found.decision_divergence
    assert (found.common.decisions, found.decision_divergence.ordinal) == (1, 2)


def test_usage_and_cost_are_of_what_comes_after_the_common_part(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    before = root.usage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=0)
    branch = branched(root)
    root.usage(input_tokens=7, output_tokens=2)
    before.correct(reason="counted twice", input_tokens=500, output_tokens=0)
    branch.usage(provider="openai", model="gpt-4o", input_tokens=100, output_tokens=10)
    branch.report_cost("0.10", "EUR")
    branch.report_cost("0.20", "EUR")
    found = ledger.now.diff(root.id, branch.id)
    a, b = found.a.after.usage, found.b.after.usage
    assert (a.calls, a.input_tokens, a.output_tokens, a.cost, a.calls_without_cost) == (1, 7, 2, None, 1)
    assert (b.calls, b.input_tokens, b.total_tokens, b.cost) == (1, 100, None, None), "of two currencies there is no sum"
    assert {currency: cost.total for currency, cost in b.costs.items()} == {"EUR": Decimal("0.30"), "USD": Decimal("0.00035")}
    assert "day" not in found.model_dump(mode="json")["a"]["after"]["usage"]


def test_the_past_is_compared_as_it_stood(ledger: Ledger, thread: Thread) -> None:
    root = say(thread.start_run(), "one")
    branch = say(branched(root), "two")
    then = ledger.position()
    say(root, "three")
    say(branch, "four").complete()
    found = ledger.at(then).diff(root.id, branch.id)
    assert (found.as_of, found.b.status, told(found.pairs)) == (then, "running", [("only_b", None, "two")])
    assert len(ledger.now.diff(root.id, branch.id).pairs) == 3
    with pytest.raises(RunNotFound):
        ledger.at(then - 3).diff(root.id, branch.id)


def test_runs_of_two_threads_are_compared_from_their_beginnings(ledger: Ledger, thread: Thread) -> None:
    here, there = thread.start_run(), ledger.create_thread(agent_id="support").start_run()
    for run, words in ((here, "no"), (there, "yes")):
        say(run, "May I?", words)
    found = ledger.now.diff(here.id, there.id)
    assert (found.common, found.divergence.number if found.divergence else None) == (None, 2)
    assert (found.a.thread_id, found.b.thread_id) == (here.view().thread_id, there.view().thread_id)
    with pytest.raises(RunNotFound):
        ledger.now.diff(here.id, "run_none")


def test_a_run_that_was_retried_shares_with_its_retry_what_both_inherit(ledger: Ledger, thread: Thread) -> None:
    root = say(thread.start_run(), "Where is it?")
    failed = say(thread.start_run(), "half an ans")
    failed.fail("the model hung up")
    retried = say(thread.start_run(parent=failed, kind="retries"), "half an answer")
    retried.complete()
    found = ledger.now.diff(failed.id, retried.id)
    assert found.common
    assert (found.common.run_id, found.b.parent_kind) == (root.id, "retries")
    assert told(found.pairs) == [("changed", "half an ans", "half an answer"), ("changed", "ending", "ending")]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_side_by_side_nothing_is_lost_doubled_or_out_of_order(one: list[int], other: list[int]) -> None:
    a, b = (
        [
            Step(kind="tool_call", id=f"call_{at}", run_id="run_x", position=at, facts={"tool": "ab"[n % 2], "n": n})
            for at, n in each
        ]
        for each in (enumerate(one), enumerate(other, 100))
    )
    pairs = aligned(a, b)
    assert [pair.a for pair in pairs if pair.a] == a
    assert [pair.b for pair in pairs if pair.b] == b
    for pair in pairs:
        facts = [step and step.facts for step in (pair.a, pair.b)]
        assert (pair.how == "same") == (facts[0] == facts[1])
    start = shared_beginning(a, b)
    assert [pair.how for pair in pairs[:start]] == ["same"] * start
    assert start == len(pairs) or pairs[start].how != "same"


def test_a_run_beside_itself_differs_in_nothing(ledger: Ledger, thread: Thread) -> None:
    run = say(thread.start_run(), "one")
    run.complete()
    found = ledger.now.diff(run.id, run.id)
    assert found.common
    assert (found.common.version, found.divergence, found.pairs) == (run.view().version, None, ())


def test_every_run_of_the_story_can_be_compared_with_every_other(ledger: Ledger) -> None:
    cast = Cast.of(7, "default")
    tell(ledger, cast)
    runs = list(ledger.now.tree(cast.thread_id).nodes)
    for a in runs:
        for b in runs:
            found, mirrored = ledger.now.diff(a, b), ledger.now.diff(b, a)
            assert (found.a, found.b, found.common) == (mirrored.b, mirrored.a, mirrored.common)
            assert _numbers(found) == _numbers(mirrored)
            for side, run in ((found.a, a), (found.b, b)):
                assert sum(side.after.steps.values()) <= len(list(ledger.now.history(run).events()))


def _numbers(found: RunDiff) -> tuple[int | None, int | None]:
    parted, chose = found.divergence, found.decision_divergence
    return parted and parted.number, chose and chose.ordinal


def test_a_conversation_that_was_rewound_parts_where_the_person_went_back(ledger: Ledger, trajectories: Path) -> None:
    import_paths(ledger, "claude-code", [trajectories / REWOUND])
    ledger.fold("threads")
    (thread,) = ledger.now.threads().items
    nodes = ledger.now.tree(thread.thread_id).nodes.values()
    (second,) = [node.run_id for node in nodes if node.parent and node.parent.kind == "branches"]
    (parent,) = [node.parent.run_id for node in nodes if node.parent and node.run_id == second]
    (first,) = [node.run_id for node in nodes if node.parent and node.parent.run_id == parent and node.run_id != second]
    found = ledger.now.diff(first, second)
    assert found.common
    assert (found.common.path, found.common.messages) == ((parent,), 6)
    assert (found.a.after.steps["message"], found.b.after.steps["message"]) == (2, 2)
    assert found.divergence
    assert (found.divergence.number, found.divergence.differs) == (1, ("text",))
    assert found.divergence.a
    assert found.divergence.a.facts["role"] == "user"
    messages = {run: ledger.now.history(run).messages() for run in (first, second)}
    shared = next(index for index, pair in enumerate(zip(*messages.values(), strict=False)) if pair[0].text != pair[1].text)
    assert [messages[run][shared].id for run in (first, second)] == [
        found.divergence.a.id,
        found.divergence.b.id if found.divergence.b else None,
    ]


def test_two_attempts_at_one_real_task_part_at_the_first_word_that_differs(
    ledger: Ledger, trajectories: Path, tmp_path: Path
) -> None:
    told_by_file = []
    for number, name in enumerate(ATTEMPTS):
        results = json.loads(gzip.decompress((trajectories / name).read_bytes()))
        results["simulations"] = [trial for trial in results["simulations"] if trial["task_id"] == "51"]
        (trial,) = results["simulations"]
        told_by_file.append([(said["role"], said["content"]) for said in trial["messages"]])
        part = tmp_path / f"{number}.json"
        part.write_text(json.dumps(results))
        import_paths(ledger, "tau2", [part])
    ledger.fold("threads")
    threads = ledger.now.threads(order_by="created_position").items
    b, a = (run for thread in threads for run in ledger.now.tree(thread.thread_id).nodes)
    found = ledger.now.diff(a, b)
    first = next((one, other) for one, other in zip(*told_by_file, strict=False) if one != other)
    assert found.divergence
    assert found.divergence.a
    assert found.divergence.b
    assert [(step.facts["role"], step.facts["text"]) for step in (found.divergence.a, found.divergence.b)] == list(first)
    (solved,) = found.pairs_of("outcome")
    assert solved.differs == ("success", "summary", "result")
    assert {found.a.success_rate, found.b.success_rate} == {0.0, 1.0}
    for run, side in ((a, found.a), (b, found.b)):
        view = ledger.now.run(run)
        assert (side.after.steps["tool_call"], side.decisions) == (view.tool_calls, view.decisions)
    assert found.common is None


def test_a_run_is_compared_with_itself_as_it_was(ledger: Ledger, thread: Thread) -> None:
    run = say(thread.start_run(), "one", "two", "three")
    found = ledger.now.diff(run.id, run.id, version_a=4)
    assert found.common
    assert (found.common.version, told(found.pairs)) == (4, [("only_b", None, "three")])
    assert (found.a.after.runs, found.b.after.runs) == ((), (run.id,))
    assert ledger.now.diff(run.id, run.id, version_a=4, version_b=4).pairs == ()
