"""Many writers: automatic retry, expected versions, and refusals that are never judged by what is out of date."""

import threading

import pytest

from runfold import ApprovalNotFound, CommandRefused, InvalidEvent, Ledger, Run, RunNotFound, Thread, VersionConflict
from runfold.errors import QueueFull


def at_once(*works) -> list[Exception]:
    """Run them in parallel, and give what they raised."""
    start = threading.Barrier(len(works))
    raised: list[Exception] = []

    def run(work) -> None:
        start.wait()
        try:
            work()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def versions(ledger: Ledger, run: Run) -> list[int]:
    return [recorded.version for recorded in ledger.now.reader.stream(run.id)]


@pytest.mark.fault("C-1")
def test_fifty_writers_of_two_processes_on_one_run_lose_nothing(ledger: Ledger, other: Ledger, run: Run) -> None:
    handles = [(ledger, other)[number % 2].run(run.id) for number in range(50)]
    raised = at_once(
        *(
            lambda handle=handle, number=number: [handle.add_message("user", f"{number}.{count}") for count in range(4)]
            for number, handle in enumerate(handles)
        )
    )
    assert raised == []
    assert versions(ledger, run) == list(range(1, 203))
    texts = [message.text for message in run.messages()]
    assert sorted(texts) == sorted(f"{number}.{count}" for number in range(50) for count in range(4))
    for number in range(50):
        assert [text for text in texts if text.startswith(f"{number}.")] == [f"{number}.{count}" for count in range(4)]


@pytest.mark.fault("C-1")
def test_of_fifty_writers_that_expect_one_version_one_wins(ledger: Ledger, other: Ledger, run: Run) -> None:
    handles = [(ledger, other)[number % 2].run(run.id) for number in range(50)]
    raised = at_once(*(lambda handle=handle: handle.add_message("user", "me", expected_version=2) for handle in handles))
    assert len(raised) == 49
    assert all(isinstance(error, VersionConflict) and (error.expected, error.actual) == (2, 3) for error in raised)
    assert versions(ledger, run) == [1, 2, 3]


@pytest.mark.row("RV-56")
@pytest.mark.fault("C-1")
@pytest.mark.parametrize("name", ["main", "draft"])
def test_of_many_who_continue_from_where_they_saw_a_head_one_wins(
    ledger: Ledger, other: Ledger, thread: Thread, name: str
) -> None:
    at = thread.start_run()
    if name != "main":
        thread.name_head(name, at)
    handles = [(ledger, other)[number % 2].thread(thread.id) for number in range(12)]
    for turn in range(1, 6):
        raised = at_once(
            *(lambda handle=handle, at=at: handle.start_run(parent=name, expected_head=at.id) for handle in handles[:8]),
            *(lambda handle=handle, at=at: handle.run(at.id).add_message("user", "hello") for handle in (ledger, other)),
            *(lambda handle=handle: handle.start_run(parent=None) for handle in handles[8:]),
        )
        assert [type(error) for error in raised] == [CommandRefused] * 7
        tree = thread.tree()
        (following,) = [run_id for run_id, node in tree.nodes.items() if node.parent and node.parent.run_id == at.id]
        assert len(tree.nodes) == 1 + 5 * turn
        assert tree.heads[name] == following
        at = ledger.run(following)


def test_a_head_is_moved_only_from_where_it_was_expected(ledger: Ledger, other: Ledger, thread: Thread) -> None:
    at, *roots = [thread.start_run(parent=None) for _ in range(4)]
    thread.name_head("draft", at)
    others = other.thread(thread.id)
    raised = at_once(
        lambda: thread.move_head("draft", roots[0], expected=at.id),
        lambda: others.move_head("draft", roots[1], expected=at.id),
        lambda: thread.put_head("draft", roots[2], expected=at.id),
        lambda: others.start_run(parent="draft", expected_head=at.id),
    )
    assert [type(error) for error in raised] == [CommandRefused] * 3
    tree = thread.tree()
    assert tree.heads["draft"] != at.id
    assert len(tree.nodes) == 4 + (tree.heads["draft"] not in {root.id for root in roots})


@pytest.mark.row("RV-56")
@pytest.mark.fault("C-1")
def test_a_head_that_a_batch_expects_somewhere_must_be_there_when_it_is_stored(ledger: Ledger, other: Ledger, run: Run) -> None:
    thread_id = run.view().thread_id
    fact = f"with head 'main' at run_theirs; the batch expects it at {run.id}; begin another"
    with pytest.raises(CommandRefused, match=fact), ledger.batch() as batch:  # noqa: PT012
        batch.thread(thread_id).start_run(run_id="run_mine", expected_head=run.id)
        other.thread(thread_id).start_run(run_id="run_theirs", expected_head=run.id)
    tree = ledger.thread(thread_id).tree()
    assert (tree.heads["main"], "run_mine" in tree.nodes) == ("run_theirs", False)


def test_a_batch_may_move_a_head_that_it_expects_somewhere_again_and_again(ledger: Ledger, other: Ledger, run: Run) -> None:
    thread_id = run.view().thread_id
    with ledger.batch() as batch:
        thread, at = batch.thread(thread_id), run.id
        for number in range(6):
            at = thread.start_run(run_id=f"run_{number}", expected_head=at).id
            batch.run(at).add_message("user", "hello")
            if number % 3 == 2:
                batch.store()
        thread.move_head("main", "run_1", expected=at)
    other.run(at).add_message("user", "hello again")
    ledger.run(at).add_message("user", "and again")
    assert ledger.thread(thread_id).tree().heads["main"] == "run_1"
    assert versions(ledger, ledger.run(at)) == [1, 2, 3, 4, 5]


def test_of_a_command_that_a_batch_refused_nothing_is_expected(ledger: Ledger, other: Ledger, run: Run) -> None:
    thread_id = run.view().thread_id
    with ledger.batch() as batch:
        with pytest.raises(CommandRefused):
            batch.thread(thread_id).start_run(expected_head="run_none")
        batch.run(run.id).add_message("user", "hello")
        other.thread(thread_id).start_run(run_id="run_theirs", expected_head=run.id)
    assert ledger.thread(thread_id).tree().heads["main"] == "run_theirs"
    assert versions(ledger, run) == [1, 2, 3]


def test_of_batches_that_expect_one_head_one_is_stored(ledger: Ledger, other: Ledger, run: Run) -> None:
    thread_id = run.view().thread_id

    def continue_it(opened: Ledger) -> None:
        with opened.batch() as batch:
            batch.thread(thread_id).start_run(expected_head=run.id)

    raised = at_once(*(lambda opened=opened: continue_it(opened) for opened in (ledger, other) * 4))
    assert [type(error) for error in raised] == [CommandRefused] * 7
    assert len(ledger.thread(thread_id).tree().nodes) == 2


def test_a_head_that_is_expected_belongs_to_a_head(thread: Thread) -> None:
    run = thread.start_run()
    for parent in (run, run.id, None):
        with pytest.raises(InvalidEvent, match="expected_head: says where a head is"):
            thread.start_run(parent=parent, expected_head=run.id)


def test_an_expected_version_that_is_wrong_is_a_conflict_that_names_the_right_one(ledger: Ledger, run: Run) -> None:
    run.add_message("user", "one", expected_version=2)
    for wrong in (2, 4):
        with pytest.raises(VersionConflict, match=f"{run.id} is at version 3, not {wrong}") as conflict:
            run.add_message("user", "two", expected_version=wrong)
        assert (conflict.value.stream, conflict.value.expected, conflict.value.actual) == (run.id, wrong, 3)
    assert versions(ledger, run) == [1, 2, 3]


def test_an_expected_version_that_another_process_reached_is_right(other: Ledger, run: Run) -> None:
    other.run(run.id).add_message("user", "theirs")
    run.add_message("user", "mine", expected_version=3)
    assert [message.text for message in run.messages()] == ["theirs", "mine"]


# A process's memory may be out of date. That must never decide a command.


def test_a_run_that_another_process_created_since_is_found(ledger: Ledger, other: Ledger, thread: Thread) -> None:
    with pytest.raises(RunNotFound):
        other.run("run_later").add_message("user", "too early")
    thread.start_run(run_id="run_later")
    other.run("run_later").add_message("user", "in time")
    with pytest.raises(ApprovalNotFound):
        other.approval("approval_later").grant()
    ledger.run("run_later").request_approval("send", approval_id="approval_later")
    other.approval("approval_later").grant(actor="human:ada")


def test_an_agent_goes_on_once_another_process_granted(ledger: Ledger, other: Ledger, run: Run) -> None:
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    approval = run.request_approval("refund", arguments={"order": 7}, call_id=call.id)
    with pytest.raises(CommandRefused, match="waiting"):
        run.complete()
    other.approval(approval.id).grant(actor="human:ada")
    call.start(approval=approval)
    call.succeed()
    run.complete()
    assert other.now.run(run.id).status == "completed"


def test_a_run_that_another_process_resumed_completes(other: Ledger, run: Run) -> None:
    run.wait("input")
    with pytest.raises(CommandRefused):
        run.complete()
    other.run(run.id).resume()
    run.complete()
    assert run.view().status == "completed"


def test_a_thread_that_another_process_restored_takes_runs(other: Ledger, thread: Thread) -> None:
    thread.archive()
    with pytest.raises(CommandRefused):
        thread.start_run()
    other.thread(thread.id).restore()
    thread.start_run()


def test_what_another_process_undid_is_not_taken_for_true(other: Ledger, thread: Thread) -> None:
    thread.archive()
    other.thread(thread.id).restore()
    assert thread.archive().appended == 1
    assert thread.view().state == "archived"


def test_a_run_starts_in_no_thread_that_another_process_archived(ledger: Ledger, other: Ledger, thread: Thread) -> None:
    other.thread(thread.id).start_run()  # now it has the open thread in memory
    thread.archive()
    with pytest.raises(CommandRefused, match="archived at version 2; restore it first"):
        other.thread(thread.id).start_run()
    assert len(thread.tree().nodes) == 1


# What is on its way


def test_what_is_true_only_of_a_command_on_its_way_is_answered_after_it_is_stored(run: Run, stalled) -> None:
    with stalled():
        first = run.submit_complete()
        again = run.submit_complete()
        refused = run.submit_add_message("user", "late")
        assert not first.done()
        assert not again.done()
        assert not refused.done()
    assert (first.result(60).appended, again.result(60).appended) == (1, 0)
    assert again.result().version == first.result().version == 3
    with pytest.raises(CommandRefused):
        refused.result(60)


def test_a_refused_command_does_no_harm_to_those_on_their_way(ledger: Ledger, run: Run, stalled) -> None:
    with stalled():
        submitted = [run.submit_add_message("user", str(number), expected_version=number + 2) for number in range(5)]
        with pytest.raises(InvalidEvent):
            run.add_message("user", "x" * 3_000_000)
        submitted += [run.submit_add_message("user", str(number), expected_version=number + 2) for number in range(5, 10)]
    for message in submitted:
        message.result(60)
    assert [message.text for message in run.messages()] == [str(number) for number in range(10)]


def test_a_full_queue_does_no_harm_to_those_on_their_way(settings, run: Run, stalled) -> None:
    with Ledger.open(settings=settings.model_copy(update={"queue_size": 5})) as small:
        handle = small.run(run.id)
        handle.add_message("user", "first")
        submitted = []
        with stalled(), pytest.raises(QueueFull):  # noqa: PT012
            for number in range(20):
                message = handle.submit_add_message("user", str(number), expected_version=number + 3)
                if message.done():
                    message.result()
                submitted.append(message)
        for message in submitted:
            message.result(60)
    assert [message.text for message in run.messages()] == ["first", *(str(number) for number in range(len(submitted)))]


# A small memory


def test_states_that_were_forgotten_are_read_again(settings) -> None:
    with Ledger.open(settings=settings.model_copy(update={"cached_streams": 3})) as small:
        thread = small.create_thread(agent_id="support")
        runs = [thread.start_run(parent=None) for _ in range(10)]
        for count in range(3):
            for run in runs:
                run.add_message("user", str(count), expected_version=count + 2)
        assert all([message.text for message in run.messages()] == ["0", "1", "2"] for run in runs)


def test_a_state_that_is_forgotten_while_its_command_is_on_its_way_does_no_harm(settings, stalled) -> None:
    with Ledger.open(settings=settings.model_copy(update={"cached_streams": 2})) as small:
        thread = small.create_thread(agent_id="support")
        runs = [thread.start_run(parent=None) for _ in range(6)]
        with stalled():
            submitted = [run.submit_add_message("user", str(count)) for count in range(3) for run in runs]
        for message in submitted:
            message.result(60)
        assert all([message.text for message in run.messages()] == ["0", "1", "2"] for run in runs)


@pytest.mark.shares
@pytest.mark.parametrize(
    "run_id", ["thread_1", "run_\0", "run_ ", "run_" + "x" * 300, "", "run_1'; DROP TABLE runfold.log; --", "run_../x"]
)
@pytest.mark.fault("F15")
def test_an_id_that_can_be_no_runs_is_not_found(ledger: Ledger, run_id: str) -> None:
    ledger.create_thread(thread_id="thread_1")
    with pytest.raises(RunNotFound):
        ledger.run(run_id).add_message("user", "x")
    with pytest.raises(RunNotFound):
        ledger.now.run(run_id)
    with pytest.raises(InvalidEvent, match="run_id"):
        ledger.thread("thread_1").start_run(run_id=run_id or "-", agent_id="a")
