"""A thread is a tree: any run may be continued, branched, retried, and read as it was."""

import pytest

from runfold import CommandRefused, Ledger, RunNotFound, Thread


def say(run, *words):
    for word in words:
        run.add_message("user", word)
    return run


@pytest.mark.row("RV-04", "RV-23", "RV-26", "RV-28", "RV-50")
def test_a_conversation_is_continued_branched_and_read_along_each_branch(ledger: Ledger, thread: Thread) -> None:
    root = say(thread.start_run(), "Where is my order?")
    answer = say(thread.start_run(), "It is lost.")
    kinder = say(thread.start_run(parent=root, kind="branches"), "I am sorry, it is lost.")
    assert [message.text for message in thread.messages()] == ["Where is my order?", "It is lost."]
    assert [message.text for message in thread.messages(at_run=kinder.id)] == ["Where is my order?", "I am sorry, it is lost."]
    tree = thread.tree()
    assert [node.run_id for node in tree.children(root.id)] == [answer.id, kinder.id]
    assert [node.run_id for node in tree.children(None)] == [root.id]
    elsewhere = ledger.create_thread(agent_id="support")
    with pytest.raises(RunNotFound):
        elsewhere.messages(at_run=root.id)


@pytest.mark.row("LT-120", "RV-53")
def test_a_branch_leaves_at_any_earlier_point_and_copies_nothing(ledger: Ledger, thread: Thread) -> None:
    run = say(thread.start_run(), "one", "two", "three")
    before = ledger.position()
    branch = run.branch(at_version=4)
    assert ledger.position() == before + 1
    assert [message.text for message in branch.messages()] == ["one", "two"]
    view = branch.view()
    assert view.parent is not None
    assert (view.parent.run_id, view.parent.kind, view.parent.at_version) == (run.id, "branches", 4)


@pytest.mark.row("RV-51", "RV-54")
def test_a_message_of_the_past_is_reworded_on_one_branch_alone(thread: Thread) -> None:
    root = thread.start_run()
    question = root.add_message("user", "Where is it?")
    say(root, "Please hurry.")
    branch = thread.start_run(parent=root, kind="branches")
    branch.message(question.id).revise("Where is order 7?")
    assert [message.text for message in branch.messages()] == ["Where is order 7?", "Please hurry."]
    assert [message.text for message in root.messages()] == ["Where is it?", "Please hurry."]


@pytest.mark.row("RV-52", "RV-66")
def test_the_shared_state_of_a_branch_starts_where_its_parents_was(thread: Thread) -> None:
    root = thread.start_run()
    root.set_state({"items": ["a"]})
    branch = thread.start_run(parent=root, kind="branches")
    branch.patch_state([{"op": "add", "path": "/items/-", "value": "b"}])
    with pytest.raises(CommandRefused, match="the patch does not apply"):
        branch.patch_state([{"op": "add", "path": "/items/-", "value": "c"}, {"op": "remove", "path": "/nothing"}])
    assert (root.state(), branch.state()) == ({"items": ["a"]}, {"items": ["a", "b"]})


@pytest.mark.row("RV-56")
def test_each_branch_has_a_head_of_its_own(thread: Thread) -> None:
    root = thread.start_run()
    thread.name_head("draft", thread.start_run(parent=root, kind="branches"))
    main, draft = thread.start_run(), thread.start_run(parent="draft")
    assert thread.tree().heads == {"main": main.id, "draft": draft.id}
    with pytest.raises(CommandRefused, match="head 'main' is at"):
        thread.start_run(expected_head=root.id)
    thread.move_head("main", root, reason="rewound")
    assert thread.start_run().view().parent.run_id == root.id  # type: ignore[union-attr]


@pytest.mark.row("AG-08", "LT-98")
def test_a_failed_run_is_retried_from_where_it_began_and_a_decided_one_resumed(thread: Thread) -> None:
    asked = say(thread.start_run(), "Where is it?")
    failed = say(thread.start_run(), "half an ans")
    failed.fail("the model hung up")
    retried = thread.start_run(parent=failed, kind="retries")
    assert [message.text for message in retried.messages()] == ["Where is it?"]
    approval = retried.request_approval("refund")
    approval.grant(actor="human:ada")
    resumed = thread.start_run(parent=retried, kind="resumes")
    assert [message.text for message in say(resumed, "refunded").messages()] == ["Where is it?", "refunded"]
    assert asked.view().status == "running"
