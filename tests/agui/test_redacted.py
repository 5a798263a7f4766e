"""What may no longer be shown is told to nobody who comes later, whichever run of the thread recorded that, and when."""

import json

import pytest

from runfold import Ledger, Run
from runfold.agui.run_events import RunEvents


def joined(ledger: Ledger, run: Run) -> str:
    """What is told to who joins when all was taken in."""
    told = RunEvents(run.id)
    for recorded in ledger.events():
        told.take(recorded)
    return json.dumps(told.join())


def gone_on_with(run: Run, message_id: str) -> Run:
    """A run that branches, and goes on with a message of its past."""
    other = run.branch()
    other.start()
    other.message(message_id).append_text(" and more")
    return other


@pytest.mark.parametrize("when", ["before its end", "after its end", "by a run that branches"])
def test_who_joins_is_not_told_what_was_redacted(ledger: Ledger, when: str) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    message = run.add_message("assistant", "a secret", name="its name", streaming=when == "by a run that branches")
    assert "a secret" in joined(ledger, run)
    if when == "after its end":
        run.complete()
    by = gone_on_with(run, message.id) if when == "by a run that branches" else run
    by.message(message.id).redact(legal_basis="asked", fields=("content", "name"))
    assert "a secret" not in joined(ledger, run)
    assert "its name" not in joined(ledger, run)
    assert "a secret" not in json.dumps(run.ag_ui())


def test_a_client_that_is_there_has_it_taken_away(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    message = run.add_message("assistant", "a secret", streaming=True)
    told, seen = RunEvents(run.id), 0
    for recorded in ledger.events():
        told.take(recorded)
        seen = recorded.position
    told.settle()
    gone_on_with(run, message.id).message(message.id).redact(legal_basis="asked")
    after = [event for recorded in ledger.events(after=seen) for event in told.take(recorded)] + told.settle()
    (snapshot,) = [event for event in after if event["type"] == "MESSAGES_SNAPSHOT"]
    assert "a secret" not in json.dumps(snapshot)
    assert message.id in json.dumps(snapshot)
