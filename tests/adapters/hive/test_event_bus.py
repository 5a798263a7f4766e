"""hive's event bus over the ledger's feed."""

import asyncio
from collections.abc import Callable

import pytest

from runfold import Ledger
from runfold.adapters.hive import AgentEvent, EventBus, EventType, StreamDecisionTracker
from runfold.adapters.hive.event_words import NEVER_RECORDED, types_for, word_of
from runfold.domain.catalogue import event_types
from runfold.errors import LedgerUnavailable, UsageError

SECONDS = 60.0
ALL = tuple(EventType)


async def soon(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, and fail if it does not in time."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def gather(kept: list[AgentEvent]) -> Callable[[AgentEvent], "asyncio.Future[None]"]:
    """A handler that keeps what it is told."""

    async def handler(event: AgentEvent) -> None:
        kept.append(event)

    return handler  # type: ignore[return-value]


@pytest.mark.row("HV-90", "HV-92")
def test_handlers_are_told_by_type_stream_node_and_execution_and_one_that_fails_disturbs_no_other(ledger: Ledger) -> None:
    mail, chat = (StreamDecisionTracker(name, ledger=ledger) for name in ("mail", "chat"))
    chat.start_run("exec_before", "support")
    chat.set_node("exec_before", "wait")
    everything, of_mail, at_send, of_two = (list[AgentEvent]() for _ in range(4))
    tried: list[int] = []

    async def broken(event: AgentEvent) -> None:
        tried.append(event.seq)
        raise RuntimeError("no")

    async def listen() -> None:
        bus = EventBus(ledger)
        bus.subscribe(ALL, broken)
        bus.subscribe(ALL, gather(everything))
        async with bus:
            bus.subscribe([EventType.EXECUTION_COMPLETED, EventType.EXECUTION_FAILED], gather(of_mail), filter_stream="mail")
            bus.subscribe(ALL, gather(at_send), filter_node="send")
            of_second = bus.subscribe([EventType.EXECUTION_STARTED], gather(of_two), filter_execution="exec_2")
            record(mail, chat)
            await soon(lambda: all(kept and kept[-1] == ledger.position() for kept in (tried, [e.seq for e in everything])))
            assert bus.unsubscribe(of_second)
            assert not bus.unsubscribe(of_second)
            stats = bus.get_stats()
            assert (stats["subscriptions"], stats["subscriptions_by_type"]["execution_failed"]) == (4, 4)
            assert stats["failed"] == len(tried) == len(everything)

    asyncio.run(listen())
    assert [event.seq for event in everything] == sorted({event.seq for event in everything})
    assert [(event.type, event.execution_id) for event in of_mail] == [(EventType.EXECUTION_COMPLETED, "exec_1")]
    assert [event.data["event"] for event in at_send] == [
        "node.entered",
        "decision.made",
        "decision.outcome_recorded",
        "run.completed",
    ]
    assert [(event.execution_id, event.data["attempt"]) for event in of_two] == [("exec_2", 1)]
    of_before = next(event for event in everything if event.execution_id == "exec_before")
    assert (of_before.type, of_before.node_id) == (EventType.CUSTOM, "wait")
    assert (of_before.to_dict()["type"], of_before.to_dict()["seq"]) == ("custom", of_before.seq)


@pytest.mark.row("HV-92")
def test_one_event_is_waited_for_and_what_was_is_asked_for_and_gone_on_from(ledger: Ledger) -> None:
    mail, chat = (StreamDecisionTracker(name, ledger=ledger) for name in ("mail", "chat"))
    chat.start_run("exec_before", "support")
    again: list[AgentEvent] = []

    async def listen() -> None:
        bus = EventBus(ledger)
        with pytest.raises(UsageError, match="async with"):
            _ = bus.cursor
        async with bus:
            failing = asyncio.create_task(bus.wait_for(EventType.EXECUTION_FAILED, execution_id="exec_2", timeout=SECONDS))
            await asyncio.sleep(0)
            record(mail, chat)
            failed = await failing
            assert failed is not None
            assert (failed.stream_id, failed.execution_id, failed.data["error"]["message"]) == ("chat", "exec_2", "nobody there")
            assert await bus.wait_for(EventType.EXECUTION_FAILED, stream_id="nobody", timeout=0.01) is None

        history = bus.get_history(EventType.EXECUTION_STARTED, stream_id="chat")
        assert [event.execution_id for event in history] == ["exec_2", "exec_before"]
        assert [event.seq for event in bus.get_history(limit=2)] == [ledger.position(), ledger.position() - 1]
        assert bus.get_history(EventType.WEBHOOK_RECEIVED) == []

        later = EventBus(ledger, after=ledger.cursor())
        later.subscribe(ALL, gather(again))
        chat.start_run("exec_4", "support")
        async with later:
            await soon(lambda: again and again[-1].type is EventType.EXECUTION_STARTED)

    asyncio.run(listen())
    assert {event.execution_id for event in again} == {"exec_4"}


def record(mail: StreamDecisionTracker, chat: StreamDecisionTracker) -> None:
    """Two executions that end, and more of one that began before."""
    mail.start_run("exec_1", "support")
    mail.set_node("exec_1", "send")
    decision = mail.quick_decision("exec_1", "send", "send the mail", "")
    mail.record_outcome("exec_1", decision, success=True)
    mail.end_run("exec_1", success=True)
    chat.start_run("exec_2", "support")
    chat.end_run("exec_2", success=False, narrative="nobody there")
    chat.quick_decision("exec_before", "answer", "say hello", "")


@pytest.mark.row("HV-92")
def test_at_most_ten_handlers_work_at_a_time_and_a_slow_one_holds_up_only_itself(ledger: Ledger) -> None:
    tracker = StreamDecisionTracker("mail", ledger=ledger)

    async def listen() -> None:
        working = most = 0
        go_on = asyncio.Event()

        async def slow(_: AgentEvent) -> None:
            nonlocal working, most
            working += 1
            most = max(most, working)
            await go_on.wait()
            working -= 1

        async with EventBus(ledger) as bus:
            for _ in range(9):
                bus.subscribe([EventType.EXECUTION_STARTED], slow)
            quick: list[AgentEvent] = []
            bus.subscribe([EventType.EXECUTION_COMPLETED], gather(quick))
            for number in range(3):
                tracker.start_run(f"exec_{number}", "support")
                tracker.end_run(f"exec_{number}", success=True)
            await soon(lambda: len(quick) == 3)
            assert working == 9
            for _ in range(9):
                bus.subscribe([EventType.EXECUTION_STARTED], slow)
            tracker.start_run("exec_3", "support")
            await soon(lambda: working == 10)
            go_on.set()
        assert (most, working, bus.get_stats()["handled"]) == (10, 0, 9 * 4 + 9 + 3)

    asyncio.run(listen())


def test_who_waits_hears_that_reading_has_ended(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen() -> None:
        async with EventBus(ledger) as bus:
            waiting = asyncio.create_task(bus.wait_for(EventType.EXECUTION_STARTED))
            await asyncio.sleep(0)
            bus._places.look_up = _unavailable  # type: ignore[method-assign]
            StreamDecisionTracker("mail", ledger=ledger).start_run("exec_1", "support")
            with pytest.raises(LedgerUnavailable):
                await asyncio.wait_for(waiting, SECONDS)
            with pytest.raises(LedgerUnavailable):
                await bus.wait_for(EventType.EXECUTION_STARTED)
        async with EventBus(ledger) as bus:
            waiting = asyncio.create_task(bus.wait_for(EventType.EXECUTION_STARTED))
            await asyncio.sleep(0)
        assert await waiting is None

    asyncio.run(listen())


def _unavailable(_: object) -> None:
    raise LedgerUnavailable("the database is away", "wait for it")


@pytest.mark.row("HV-91")
def test_each_of_hives_words_stands_for_events_of_ours_or_says_why_it_never_comes(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")
    run = thread.start_run()
    run.add_message("user", "hello")
    run.start_step("think", node_id="talk").finish()
    run.enter_node("talk")
    call = run.call_tool("look_up", {"a": 1})
    call.start()
    call.succeed({})
    model_call = run.start_model_call(request_model="m")
    model_call.finish()
    for role in ("assistant", "reasoning"):
        said = run.add_message(role, "", streaming=True)
        said.append_text("hm")
        said.seal()
    run.add_message("assistant", "hello")
    run.set_state({"a": 1})
    run.traverse_edge("talk", "end")
    run.violate_constraint("c", "soft", "late")
    decision = run.decide("d", options=[{"id": "a", "description": "a"}], chosen="a")
    decision.evaluate()
    run.compact_context("auto")
    run.record_output({"a": 1})
    run.mark_stuck("identical_tool_calls")
    run.mark_stuck("identical_responses")
    run.enter_node("talk")
    run.mark_stuck("identical_responses")
    run.enter_node("talk")
    run.wait("input")
    run.resume()
    run.start(attempt=2)
    run.request_approval("send").grant(actor="human:ada")
    run.complete()
    run.branch().start()
    thread.start_run(parent=None).fail("no")

    found = {word_of(recorded) for recorded in ledger.events()}
    assert found == set(EventType) - NEVER_RECORDED.keys()
    for word in found - {EventType.CUSTOM}:
        of_word = {recorded.position for recorded in ledger.events() if word_of(recorded) is word}
        asked_for = {recorded.position for recorded in ledger.events(types=types_for([word]))}
        assert of_word <= asked_for
    assert all(name in event_types for name in types_for(set(EventType) - {EventType.CUSTOM}))
