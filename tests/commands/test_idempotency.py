"""A command is idempotent by the id of what it creates."""

import threading
from collections.abc import Callable

import pytest

from runfold import CommandRefused, DuplicateWithDifferentContent, Ledger, Run, Thread

OPTIONS = [{"id": "a", "description": "one"}, {"id": "b", "description": "two"}]

CREATIONS: dict[str, tuple[Callable[[Run], object], Callable[[Run], object]]] = {
    "message": (
        lambda run: run.add_message("user", "hello", message_id="msg_1"),
        lambda run: run.add_message("user", "goodbye", message_id="msg_1"),
    ),
    "tool call": (
        lambda run: run.call_tool("search", {"q": 1}, call_id="call_1"),
        lambda run: run.call_tool("search", {"q": 2}, call_id="call_1"),
    ),
    "decision": (
        lambda run: run.decide("go", options=OPTIONS, chosen="a", decision_id="dec_1"),
        lambda run: run.decide("go", options=OPTIONS, chosen="b", decision_id="dec_1"),
    ),
    "problem": (
        lambda run: run.report_problem("minor", "slow", problem_id="prob_1"),
        lambda run: run.report_problem("critical", "slow", problem_id="prob_1"),
    ),
    "usage": (
        lambda run: run.usage(model="m", input_tokens=1, usage_id="usage_1"),
        lambda run: run.usage(model="m", input_tokens=2, usage_id="usage_1"),
    ),
    "cost": (
        lambda run: run.report_cost("0.10", cost_id="cost_1"),
        lambda run: run.report_cost("0.20", cost_id="cost_1"),
    ),
    "step": (lambda run: run.start_step("plan", step_id="step_1"), lambda run: run.start_step("act", step_id="step_1")),
    "model call": (
        lambda run: run.start_model_call(provider="openai", model_call_id="mcall_1"),
        lambda run: run.start_model_call(provider="other", model_call_id="mcall_1"),
    ),
    "approval": (
        lambda run: run.request_approval("send", arguments={"to": "ada"}, expires_in="1h", approval_id="approval_1"),
        lambda run: run.request_approval("send", arguments={"to": "bob"}, expires_in="1h", approval_id="approval_1"),
    ),
}


@pytest.mark.fault("H-1", "D2")
@pytest.mark.parametrize("thing", CREATIONS)
def test_repeating_a_command_returns_what_is_recorded_and_appends_nothing(ledger: Ledger, run: Run, thing: str) -> None:
    create, _ = CREATIONS[thing]
    first = create(run)
    before = ledger.position()
    again = create(ledger.run(run.id))
    assert (type(again), ledger.position()) == (type(first), before)
    one, two = (getattr(handle, "receipt", handle) for handle in (first, again))
    assert (one.appended, two.appended) in {(1, 0), (2, 0)}
    assert (two.stream, two.recorded_at) == (one.stream if thing != "approval" else "approval_1", one.recorded_at)


@pytest.mark.fault("H-2")
@pytest.mark.parametrize("thing", CREATIONS)
def test_other_content_under_a_used_id_is_refused_and_the_first_stands(ledger: Ledger, run: Run, thing: str) -> None:
    create, create_otherwise = CREATIONS[thing]
    create(run)
    before = ledger.position()
    with pytest.raises(DuplicateWithDifferentContent, match="is already recorded with a different") as refused:
        create_otherwise(run)
    assert refused.value.thing == thing
    assert ledger.position() == before


@pytest.mark.fault("H-1", "H-2")
@pytest.mark.parametrize("thing", CREATIONS)
def test_the_same_holds_in_a_process_that_never_saw_the_first(ledger: Ledger, other: Ledger, run: Run, thing: str) -> None:
    create, create_otherwise = CREATIONS[thing]
    create(run)
    before = ledger.position()
    create(other.run(run.id))
    with pytest.raises(DuplicateWithDifferentContent):
        create_otherwise(other.run(run.id))
    assert ledger.position() == before


@pytest.mark.fault("H-1", "H-2")
def test_the_same_holds_while_the_first_is_still_on_its_way(ledger: Ledger, run: Run, stalled) -> None:
    with stalled():
        first = run.submit_add_message("user", "hello", message_id="msg_1")
        again = run.submit_add_message("user", "hello", message_id="msg_1")
        otherwise = run.submit_add_message("user", "goodbye", message_id="msg_1")
        assert not first.done()
        assert not again.done()
    assert first.result(60).receipt.appended == 1
    assert again.result(60).receipt.appended == 0
    assert again.result().receipt.position == first.result().receipt.position
    with pytest.raises(DuplicateWithDifferentContent):
        otherwise.result(60)
    assert [message.text for message in run.messages()] == ["hello"]


@pytest.mark.fault("H-1")
def test_a_hundred_threads_with_one_id_record_it_once(ledger: Ledger, other: Ledger, run: Run) -> None:
    start = threading.Barrier(100)
    receipts = []

    def add(number: int) -> None:
        handle = (ledger, other)[number % 2].run(run.id)
        start.wait()
        receipts.append(handle.add_message("user", "hello", message_id="msg_1").receipt)

    workers = [threading.Thread(target=add, args=[number]) for number in range(100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(receipt.appended for receipt in receipts) == [0] * 99 + [1]
    assert len({(receipt.position, receipt.version) for receipt in receipts}) == 1
    assert len(run.messages()) == 1


@pytest.mark.fault("H-2")
def test_of_a_hundred_threads_with_one_id_and_two_contents_one_content_stands(ledger: Ledger, run: Run) -> None:
    start = threading.Barrier(100)
    outcomes = []

    def add(number: int) -> None:
        text = ("hello", "goodbye")[number % 2]
        start.wait()
        try:
            run.add_message("user", text, message_id="msg_1")
            outcomes.append((text, "recorded"))
        except DuplicateWithDifferentContent:
            outcomes.append((text, "refused"))

    workers = [threading.Thread(target=add, args=[number]) for number in range(100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    (message,) = run.messages()
    lost = {"hello": "goodbye", "goodbye": "hello"}[message.text]
    assert sorted(outcomes) == sorted([(message.text, "recorded")] * 50 + [(lost, "refused")] * 50)


@pytest.mark.row("CV-21")
def test_a_run_asked_for_twice_under_one_key_is_one_run(ledger: Ledger, other: Ledger, thread: Thread) -> None:
    first = thread.start_run({"q": 1, "r": 2}, key="order-7")
    again = other.thread(thread.id).start_run({"r": 2, "q": 1}, key="order-7")
    assert first.id == again.id
    with pytest.raises(DuplicateWithDifferentContent, match="different request"):
        thread.start_run({"q": 2}, key="order-7")
    assert thread.start_run({"q": 1, "r": 2}, key="order-7", agent_id="sales") != first
    assert ledger.create_thread(agent_id="support").start_run({"q": 1, "r": 2}, key="order-7") != first


def test_a_run_id_that_another_thread_uses_is_refused(ledger: Ledger, thread: Thread) -> None:
    thread.start_run("same", run_id="run_1", parent=None)
    with pytest.raises(DuplicateWithDifferentContent):
        ledger.create_thread(agent_id="support").start_run("same", run_id="run_1", parent=None)


def test_threads_are_idempotent_by_id(ledger: Ledger) -> None:
    ledger.create_thread(thread_id="thread_1", title="one")
    assert ledger.create_thread(thread_id="thread_1", title="one").receipt.appended == 0
    with pytest.raises(DuplicateWithDifferentContent, match=r"thread thread_1 .* different title"):
        ledger.create_thread(thread_id="thread_1", title="two")


TRUE_ALREADY: dict[str, tuple[Callable[[Run], object], Callable[[Run], object]]] = {
    "started": (lambda _: None, lambda run: run.start()),
    "waiting": (lambda run: run.wait("input"), lambda run: run.wait("input")),
    "stuck": (lambda run: run.mark_stuck(), lambda run: run.mark_stuck()),
    "cancellation requested": (lambda run: run.request_cancellation(), lambda run: run.request_cancellation()),
    "completed": (lambda run: run.complete({"a": 1}), lambda run: run.complete({"a": 1})),
    "failed": (lambda run: run.fail("no"), lambda run: run.fail("no")),
    "cancelled": (lambda run: run.cancel("enough"), lambda run: run.cancel("again")),
    "linked": (lambda run: run.link("wf"), lambda run: run.link("wf")),
    "metadata": (lambda run: run.merge_metadata({"a": 1}), lambda run: run.merge_metadata({"a": 1, "b": None})),
    "state": (lambda run: run.set_state({"a": 1}), lambda run: run.set_state({"a": 1})),
}


@pytest.mark.row("CV-26", "CV-28", "LT-102")
@pytest.mark.parametrize("fact", TRUE_ALREADY)
def test_repeating_what_is_already_true_appends_nothing(ledger: Ledger, run: Run, fact: str) -> None:
    make_true, repeat = TRUE_ALREADY[fact]
    make_true(run)
    before = ledger.position()
    assert repeat(run).appended == 0
    assert ledger.position() == before


@pytest.mark.row("CV-27")
def test_another_ending_is_refused_and_the_first_stands(run: Run) -> None:
    run.complete({"a": 1})
    with pytest.raises(DuplicateWithDifferentContent, match="different output"):
        run.complete({"a": 2})
    for late in (lambda: run.fail("no"), run.cancel, lambda: run.add_message("user", "late")):
        with pytest.raises(CommandRefused, match=r"completed \(end_turn\)"):
            late()
    assert run.view().output == {"a": 1}
