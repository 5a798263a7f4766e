"""An event of AG-UI that is kept whole as a message: it goes out as it came, until the message is revised or redacted."""

import json
from typing import Any

import pytest

from runfold import Ledger, Run
from runfold.agui.run_events import RunEvents
from runfold.domain.message import MessageRedacted
from runfold.domain.parts import DataPart

EVENTS: dict[str, dict[str, Any]] = {
    "RAW": {"event": {"said": "secret"}},
    "CUSTOM": {"name": "secret", "value": ["secret"]},
    "REASONING_ENCRYPTED_VALUE": {"subtype": "message", "entityId": "msg_said", "encryptedValue": "secret"},
    "OF_TOMORROW": {"x": "secret"},
}
KEPT = pytest.mark.parametrize("kind", EVENTS)


@pytest.fixture
def run(ledger: Ledger) -> Run:
    run = ledger.create_thread(agent_id="a").start_run()
    run.add_message("assistant", "words", message_id="msg_said")
    return run


def keep(run: Run, kind: str) -> Any:
    return run.add_message("activity", (DataPart(data={"type": kind, **EVENTS[kind]}, name=kind),), activity_type=kind)


@KEPT
def test_it_goes_out_as_it_came(run: Run, kind: str) -> None:
    keep(run, kind)
    (found,) = [{**event} for event in run.ag_ui() if event["type"] == kind]
    del found["metadata"]
    assert found == {"type": kind, **EVENTS[kind]}


@KEPT
def test_what_was_redacted_goes_out_no_more(ledger: Ledger, run: Run, kind: str) -> None:
    keep(run, kind).redact(legal_basis="asked")
    run.complete()
    assert "secret" not in json.dumps(run.ag_ui())
    told = RunEvents(run.id)
    for recorded in ledger.events():
        told.take(recorded)
        if isinstance(recorded.event, MessageRedacted):
            assert "secret" not in json.dumps(told.join()), "who joins sees it no more"


@KEPT
def test_what_was_revised_goes_out_in_its_new_words(run: Run, kind: str) -> None:
    kept = keep(run, kind)
    kept.revise("other words")
    (snapshot,) = [event for event in run.ag_ui() if event["type"] == "ACTIVITY_SNAPSHOT"]
    assert (snapshot["messageId"], snapshot["activityType"]) == (kept.id, kind)
    assert "other words" in json.dumps(snapshot)
