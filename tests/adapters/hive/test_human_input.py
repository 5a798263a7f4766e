"""hive's questions to a person over approvals."""

import pytest

from runfold import ApprovalNotFound, CommandRefused, InvalidEvent, Ledger
from runfold.adapters.hive.human_input import (
    HITLInputType,
    HITLQuestion,
    HITLRequest,
    HITLResponse,
    answer,
    ask,
    request_of,
    response_to,
)


@pytest.mark.row("HV-94")
def test_a_run_asks_a_person_waits_and_hears_the_answer(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="mail").start_run()
    request = HITLRequest(
        objective="Send the answer",
        current_state="it is written",
        questions=[
            HITLQuestion(id="tone", question="Which tone?", input_type=HITLInputType.SELECTION, options=["warm", "cool"]),
            HITLQuestion(id="send", question="Send it?", input_type=HITLInputType.APPROVAL),
            HITLQuestion(id="who", question="To whom?", input_type=HITLInputType.MULTI_FIELD, fields={"name": "the name"}),
            HITLQuestion(id="more", question="Anything else?", required=False, help_text="leave it empty for no"),
            HITLQuestion(id="parts", question="Which parts?", input_type=HITLInputType.STRUCTURED, required=False),
        ],
        missing_info=["the tone"],
        instructions="choose",
        examples=["warm"],
        node_id="send",
    )
    asked = ask(run, request, expires_in="1h")
    assert run.view().status == "waiting"
    assert request_of(ledger, asked.id) == request.model_copy(update={"request_id": asked.id})
    assert response_to(ledger, asked.id) is None
    ledger.fold()
    (open_one,) = ledger.now.approvals(status="open", action="human_input").items
    assert open_one.approval_id == asked.id

    whole = {"tone": "warm", "send": True, "who": {"name": "ada"}}
    for wrong in (
        {**whole, "tone": "loud"},
        {"tone": "warm"},
        {**whole, "who": {}},
        {**whole, "else": 1},
        {**whole, "send": "yes"},
        {**whole, "parts": "all"},
        {**whole, "more": 7},
    ):
        with pytest.raises(InvalidEvent, match="response_schema"):
            answer(ledger, HITLResponse(request_id=asked.id, answers=wrong), actor="human:ada")
    answer(ledger, HITLResponse(request_id=asked.id, answers=whole, raw_input="warm, yes"), actor="human:ada")
    assert run.view().status == "running"
    heard = response_to(ledger, asked.id)
    assert heard is not None
    assert (heard.request_id, heard.answers, heard.raw_input) == (asked.id, whole, "warm, yes")
    assert heard.response_time_ms >= 0

    in_words = ask(run, request)
    answer(ledger, HITLResponse(request_id=in_words.id, raw_input="do as you like"), actor="human:ada")
    assert response_to(ledger, in_words.id) is not None

    other = run.request_approval("send")
    with pytest.raises(CommandRefused, match="something else"):
        request_of(ledger, other.id)
    with pytest.raises(ApprovalNotFound):
        response_to(ledger, "approval_none")
