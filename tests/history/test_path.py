"""The tree of runs, its heads, and the path that a run inherits. Against a naive model, on random trees."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold import CommandRefused, Ledger, Run, RunNotFound, Thread


def texts(run: Run) -> list[str]:
    return [message.text for message in run.messages()]


def said(run: Run, *words: str) -> Run:
    for word in words:
        run.add_message("user", word)
    return run


# Paths


@pytest.mark.row("RV-50", "RV-04")
def test_a_branch_sees_its_path_and_never_a_sibling(thread: Thread) -> None:
    root = said(thread.start_run(), "root")
    left = said(thread.start_run(parent=root), "left")
    right = said(thread.start_run(parent=root, kind="branches"), "right")
    assert texts(said(thread.start_run(parent=left), "left leaf")) == ["root", "left", "left leaf"]
    assert texts(right) == ["root", "right"]
    assert texts(root) == ["root"]
    assert texts(said(thread.start_run(parent=None), "elsewhere")) == ["elsewhere"]


def test_a_branch_at_a_version_sees_its_parent_up_to_there_for_ever(ledger: Ledger, thread: Thread) -> None:
    root = said(thread.start_run(), "one", "two")
    before = ledger.position()
    branch = root.branch(at_version=3)
    assert [recorded.type for recorded in ledger.events(after=before)] == ["run.created"]
    said(root, "three")
    branch.start()
    said(branch, "other two")
    assert texts(branch) == ["one", "other two"]
    assert texts(root) == ["one", "two", "three"]
    with pytest.raises(CommandRefused, match="it cannot be left at version 99, which it has not reached"):
        root.branch(at_version=99)


@pytest.mark.parametrize(
    ("kind", "inherited"),
    [
        ("continues", ["past", "ended"]),
        ("branches", ["past", "ended"]),
        ("resumes", ["past", "ended"]),
        ("retries", ["past"]),
        ("spawned_by", []),
    ],
)
@pytest.mark.row("AG-08")
def test_what_is_inherited_depends_on_the_kind_of_parent(thread: Thread, kind: str, inherited: list[str]) -> None:
    past = said(thread.start_run(), "past")
    past.complete()
    ended = said(thread.start_run(parent=past), "ended")
    ended.fail("no")
    child = thread.start_run(parent=ended, kind=kind)  # type: ignore[arg-type]
    assert texts(said(child, "mine")) == [*inherited, "mine"]
    assert texts(said(thread.start_run(parent=child), "next")) == [*inherited, "mine", "next"]


def test_only_an_ended_run_is_retried(thread: Thread) -> None:
    run = thread.start_run()
    with pytest.raises(CommandRefused, match="only an ended run is retried"):
        thread.start_run(parent=run, kind="retries")


@pytest.mark.row("RV-05", "RV-50", "RV-51", "RV-53", "RV-54")
def test_the_nearest_revision_wins_and_keeps_its_place(ledger: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    first, second = root.add_message("user", "frist"), root.add_message("user", "second")
    left, right = thread.start_run(parent=root), thread.start_run(parent=root, kind="branches")
    left.message(first.id).revise("first")
    right.message(first.id).revise("FIRST")
    right.message(first.id).revise("FIRST!")
    assert texts(root) == ["frist", "second"]
    assert texts(left) == ["first", "second"]
    assert texts(right) == ["FIRST!", "second"]
    shown = {message.id: message for message in right.messages()}
    assert (shown[first.id].revision, shown[first.id].run_id) == (3, right.id)
    assert (shown[second.id].revision, shown[second.id].run_id) == (1, root.id)
    assert [recorded.event.message_id for recorded in ledger.now.run_events(left.id) if recorded.type.startswith("message")] == [
        first.id
    ]
    with pytest.raises(CommandRefused, match="has no message 'msg_none'"):
        left.message("msg_none").revise("x")


def test_what_a_child_does_not_see_it_cannot_revise(thread: Thread) -> None:
    root = thread.start_run()
    early = thread.start_run(parent=root)
    late = root.add_message("user", "later")
    with pytest.raises(CommandRefused, match="has no message"):
        early.message(late.id).revise("x")


def test_a_redaction_hides_the_words_from_runs_that_left_before_it_too(thread: Thread) -> None:
    root = thread.start_run()
    secret = root.add_message("user", "my number is 555-0100")
    root.complete()
    child = said(thread.start_run(), "thanks")
    secret.redact(legal_basis="art17")
    assert texts(root) == ["[redacted]"]
    assert texts(child) == ["[redacted]", "thanks"]
    assert [message.is_redacted for message in child.messages()] == [True, False]


@pytest.mark.row("RV-55")
def test_a_run_answers_a_tool_call_of_its_past_and_no_other(thread: Thread) -> None:
    root = thread.start_run()
    call = root.call_tool("search")
    child = thread.start_run(parent=root)
    stranger = thread.start_run(parent=None)
    child.tool_call(call.id).succeed({"hits": 1})
    with pytest.raises(CommandRefused, match="neither this run nor its ancestors have a tool call"):
        stranger.tool_call(call.id).succeed({})


@pytest.mark.row("RV-52", "RV-66")
def test_the_shared_state_starts_from_the_parents_and_goes_its_own_way(thread: Thread) -> None:
    root = thread.start_run()
    root.set_state({"count": 1})
    left, right = thread.start_run(parent=root), thread.start_run(parent=root, kind="branches")
    assert left.state() == {"count": 1}
    left.patch_state([{"op": "replace", "path": "/count", "value": 2}, {"op": "add", "path": "/left", "value": True}])
    right.patch_state([{"op": "add", "path": "/right", "value": True}])
    root.set_state({"count": 99})
    assert (left.state(), right.state(), root.state()) == ({"count": 2, "left": True}, {"count": 1, "right": True}, {"count": 99})
    with pytest.raises(CommandRefused, match="the patch does not apply"):
        left.patch_state([{"op": "replace", "path": "/count", "value": 3}, {"op": "remove", "path": "/none"}])
    assert left.state() == {"count": 2, "left": True}
    assert thread.start_run(parent=root, kind="spawned_by").state() == {}


# Heads


@pytest.mark.row("RV-28", "RV-23")
def test_the_main_head_follows_the_runs_that_continue_it(thread: Thread) -> None:
    assert thread.messages() == []
    root = said(thread.start_run(), "root")
    assert thread.tree().heads == {"main": root.id}
    following = said(thread.start_run(), "next")
    assert thread.tree().nodes[following.id].parent.run_id == root.id  # type: ignore[union-attr]
    assert thread.tree().heads == {"main": following.id}
    branch = said(thread.start_run(parent=root, kind="branches"), "branch")
    thread.start_run(parent=following, kind="spawned_by")
    assert thread.tree().heads == {"main": following.id}
    assert [message.text for message in thread.messages()] == ["root", "next"]
    assert [message.text for message in thread.messages(at_run=branch.id)] == ["root", "branch"]


@pytest.mark.row("RV-56")
def test_clients_on_two_branches_keep_their_own_heads(ledger: Ledger, other: Ledger, thread: Thread) -> None:
    root = said(thread.start_run(), "root")
    branch = thread.start_run(parent=root, kind="branches")
    thread.name_head("draft", branch)
    for number in range(3):
        said(thread.start_run(), f"main {number}")
        said(other.thread(thread.id).start_run(parent="draft"), f"draft {number}")
    assert [message.text for message in thread.messages()] == ["root", "main 0", "main 1", "main 2"]
    assert [message.text for message in thread.messages(head="draft")] == ["root", "draft 0", "draft 1", "draft 2"]


@pytest.mark.row("RV-56")
def test_a_run_may_expect_the_head_to_be_where_it_was_seen(other: Ledger, thread: Thread) -> None:
    root = thread.start_run()
    following = thread.start_run(expected_head=root.id)
    with pytest.raises(CommandRefused, match=f"head 'main' is at {following.id}, not {root.id}"):
        other.thread(thread.id).start_run(expected_head=root.id)


def test_heads_are_named_once_and_moved_by_hand(ledger: Ledger, thread: Thread) -> None:
    root, side = thread.start_run(), thread.start_run(parent=None)
    thread.name_head("best", side)
    for refused in (
        lambda: thread.name_head("best", root),
        lambda: thread.move_head("none", root),
        lambda: thread.move_head("best", root, expected=root.id),
        lambda: thread.start_run(parent="none"),
    ):
        with pytest.raises(CommandRefused, match="head"):
            refused()
    thread.move_head("best", root, expected=side.id, reason="rewound")
    assert thread.tree().heads == {"main": root.id, "best": root.id}
    following = thread.start_run()
    assert thread.tree().heads == {"main": following.id, "best": following.id}
    elsewhere = ledger.create_thread(agent_id="support").start_run()
    for work in (lambda: thread.name_head("theirs", elsewhere), lambda: thread.move_head("main", elsewhere)):
        with pytest.raises(RunNotFound):
            work()


@pytest.mark.row("RV-25", "RV-26")
def test_a_run_of_another_thread_is_not_found_in_this_one(ledger: Ledger, thread: Thread) -> None:
    run = thread.start_run()
    elsewhere = ledger.create_thread(agent_id="support")
    with pytest.raises(RunNotFound):
        elsewhere.messages(at_run=run.id)
    with pytest.raises(RunNotFound):
        elsewhere.start_run(parent=run)


# Random trees


@dataclass
class ModelRun:
    """A run as a naive person would keep it: a copy of all that it inherits, and everything it did since."""

    parent: "ModelRun | None"
    kind: str
    inherited: dict[str, str]
    snapshots: list[dict[str, str]] = field(default_factory=list)
    """The conversation after each version, from version 1."""

    @property
    def now(self) -> dict[str, str]:
        return self.snapshots[-1]

    def inheritance(self, kind: str, at_version: int) -> dict[str, str]:
        """What a child of this kind starts with: a copy."""
        if kind == "spawned_by":
            return {}
        return dict(self.inherited if kind == "retries" else self.snapshots[at_version - 1])


KINDS = ["continues", "branches", "resumes", "retries", "spawned_by"]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from(KINDS), st.integers(0, 99), st.integers(0, 99)),
        st.tuples(st.just("add"), st.integers(0, 99)),
        st.tuples(st.just("revise"), st.integers(0, 99), st.integers(0, 99)),
        st.tuples(st.just("end"), st.integers(0, 99)),
    ),
    min_size=5,
    max_size=40,
)


@pytest.mark.row("RV-50")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_every_run_of_a_random_tree_reads_as_a_naive_model_says(ledger: Ledger, actions: list[tuple[Any, ...]]) -> None:
    with ledger.batch() as batch:
        thread = batch.create_thread(agent_id="support")
        runs = [thread.start_run(parent=None)]
        models = [ModelRun(None, "", {}, [{}, {}])]
        ended: set[int] = set()
        for count, (action, *choices) in enumerate(actions):
            if action == "run":
                kind, which, version = choices
                parent = which % len(runs)
                if kind == "retries" and parent not in ended:
                    continue
                at_version = version % len(models[parent].snapshots) + 1
                runs.append(thread.start_run(parent=runs[parent].id, kind=kind, at_version=at_version))
                inherited = models[parent].inheritance(kind, at_version)
                models.append(ModelRun(models[parent], kind, inherited, [dict(inherited)] * 2))
                continue
            which = choices[0] % len(runs)
            run, model, text = runs[which], models[which], f"text {count}"
            if which in ended:
                continue
            if action == "end":
                run.complete()
                ended.add(which)
                model.snapshots.append(model.now)
            elif action == "add":
                model.snapshots.append({**model.now, run.add_message("user", text).id: text})
            elif model.now:
                message_id = sorted(model.now)[choices[1] % len(model.now)]
                run.message(message_id).revise(text)
                model.snapshots.append({**model.now, message_id: text})
    for run, model in zip(runs, models, strict=True):
        stored = ledger.run(run.id)
        assert [(message.id, message.text) for message in stored.messages()] == list(model.now.items())
        middle = len(model.snapshots) // 2
        assert {message.id: message.text for message in stored.messages(at_version=middle)} == model.snapshots[middle - 1]
