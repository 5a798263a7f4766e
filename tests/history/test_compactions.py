"""Where a model's memory was cut, and what it saw afterwards: the summary, what was kept, what came later."""

from runfold import Ledger, Run, Thread


def said(run: Run, *words: str) -> None:
    for word in words:
        run.add_message("assistant", word, message_id=f"msg_{word}")


def seen(run: Run, at: int | None = None) -> list[str]:
    return [message.text for message in run.context(at).messages]


def test_a_model_whose_memory_was_never_cut_sees_everything(run: Run) -> None:
    said(run, "one", "two")
    context = run.context()
    assert (context.compaction, context.left_out) == (None, 0)
    assert [message.text for message in context.messages] == ["one", "two"]


def test_after_a_cut_it_sees_the_summary_and_what_follows(ledger: Ledger, run: Run) -> None:
    said(run, "one", "two")
    run.call_tool("search", call_id="call_1", message_id="msg_two")
    before = ledger.position()
    run.compact_context("auto", tokens_before=155_000, tokens_after=9_000, summary_message_id="msg_summary")
    said(run, "summary", "three")
    run.call_tool("search", call_id="call_2", message_id="msg_three")
    assert seen(run) == ["summary", "three"]
    assert seen(run, before) == ["one", "two"]
    context = run.context()
    assert [call.id for call in context.tool_calls] == ["call_2"]
    assert context.left_out == 2
    assert [(cut.trigger, cut.tokens_before, cut.tokens_after) for cut in run.compactions()] == [("auto", 155_000, 9_000)]
    assert [message.text for message in run.messages()] == ["one", "two", "summary", "three"], "the ledger forgets nothing"
    assert run.view().compactions == 1


def test_what_was_kept_is_seen_after_the_summary(run: Run) -> None:
    said(run, "one", "two", "three", "summary")
    run.compact_context("manual", summary_message_id="msg_summary", kept_from_message_id="msg_two")
    said(run, "four")
    assert seen(run) == ["summary", "two", "three", "four"]


def test_the_last_cut_is_the_one_that_counts(run: Run) -> None:
    said(run, "one")
    run.compact_context("auto", summary_message_id="msg_first")
    said(run, "first", "two")
    run.compact_context("limit", summary_message_id="msg_second")
    said(run, "second", "three")
    assert seen(run) == ["second", "three"]
    assert [cut.trigger for cut in run.compactions()] == ["auto", "limit"]


def test_a_cut_without_a_summary_leaves_what_follows(run: Run) -> None:
    said(run, "one")
    run.compact_context("limit")
    said(run, "two")
    assert seen(run) == ["two"]


def test_a_branch_from_before_the_cut_has_seen_no_cut(thread: Thread) -> None:
    run = thread.start_run()
    said(run, "one")
    branch = run.branch()
    run.compact_context("auto", summary_message_id="msg_summary")
    said(run, "summary")
    branch.start()
    said(branch, "other")
    after = thread.start_run(parent=run)
    said(after, "next")
    assert seen(branch) == ["one", "other"]
    assert seen(after) == ["summary", "next"]
    assert [message.text for message in thread.context(at_run=after.id).messages] == ["summary", "next"]


def test_it_is_asked_elsewhere_too(address: str, run: Run) -> None:
    said(run, "one")
    with Ledger.connect(address) as remote:
        far = remote.run(run.id)
        far.compact_context("auto", summary_message_id="msg_summary")
        said(far, "summary")
        assert far.context() == run.context()
        assert far.compactions() == run.compactions()
        assert [message.text for message in far.context().messages] == ["summary"]
