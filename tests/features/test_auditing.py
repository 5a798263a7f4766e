"""An auditor reads what was, and misses nothing."""

from datetime import UTC, datetime

import pytest

from runfold import Ledger, Run, Thread


@pytest.mark.row("LT-81")
def test_everything_is_replayed_in_order_and_resumed_after_any_position(ledger: Ledger, run: Run) -> None:
    for number in range(20):
        run.add_message("user", str(number))
    seen = []
    for recorded in ledger.subscribe():
        seen.append(recorded)
        if recorded.position == 10:
            break
    seen += list(ledger.subscribe(after=10, follow=False))
    assert [recorded.position for recorded in seen] == list(range(1, 24))


def test_a_reader_that_leaves_does_not_disturb_the_run(ledger: Ledger, run: Run) -> None:
    with ledger.subscribe(run_id=run.id) as subscription:
        next(subscription)
    run.add_message("user", "still here")
    run.complete()
    assert run.view().status == "completed"


@pytest.mark.row("RV-26")
def test_any_question_is_answered_as_of_any_moment(ledger: Ledger, thread: Thread, run: Run) -> None:
    run.add_message("user", "hello")
    moment = ledger.events()[-1].recorded_at
    waiting_since = ledger.position()
    run.request_approval("send")
    run.cancel()
    thread.rename("closed")
    then = ledger.at(moment)
    assert (then.run(run.id).status, then.thread(thread.id).title) == ("running", "Orders")
    assert ledger.at(waiting_since + 2).run(run.id).status == "waiting"
    assert [message.text for message in thread.messages(at=moment)] == ["hello"]
    assert ledger.at(moment.isoformat()).tree(thread.id).heads == {"main": run.id}


def test_who_did_what_and_when_by_their_own_clock_is_kept(ledger: Ledger, run: Run) -> None:
    yesterday = datetime(2026, 1, 30, 9, 30, tzinfo=UTC)
    run.add_message("user", "hello", actor="human:ada", occurred_at=yesterday, correlation_id="ticket-42")
    (recorded,) = ledger.events(types=["message.added"])
    assert (str(recorded.metadata.actor), recorded.metadata.correlation_id) == ("human:ada", "ticket-42")
    assert recorded.happened_at == yesterday < recorded.recorded_at


@pytest.mark.row("LT-40")
def test_nothing_is_ever_deleted_only_marked_and_hidden(ledger: Ledger, thread: Thread, run: Run) -> None:
    message = run.add_message("user", "my number is 555-0100")
    run.complete()
    message.redact(legal_basis="art17")
    thread.delete("asked to")
    assert [shown.text for shown in run.messages()] == ["[redacted]"]
    assert [recorded.type for recorded in ledger.events()][-2:] == ["message.redacted", "thread.deleted"]
    assert [recorded.position for recorded in ledger.events()] == list(range(1, ledger.position() + 1))


def test_an_event_is_shown_in_plain_words(ledger: Ledger, run: Run) -> None:
    recorded = ledger.events()[-1]
    shown = recorded.as_json()
    assert (shown["type"], shown["position"], shown["stream"], shown["data"]) == ("run.started", 3, run.id, {"attempt": 1})
