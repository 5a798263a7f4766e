"""hive's human input: questions that a run asks a person and waits for, and the answers.

A request is an approval whose reason is `input_required`: it is listed, expires and is answered as any, by who may answer it. The
questions are what is asked to the letter, and the answers are held to them.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from runfold.adapters.hive.schemas import View
from runfold.commands.submitted import Receipt
from runfold.domain.approval_events import ApprovalRequested, ApprovalVoteCast
from runfold.domain.recorded import Recorded
from runfold.errors import CommandRefused
from runfold.handles.approval import Approval
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.handles.run import Run
from runfold.remote.ledger import RemoteLedger

ACTION, REASON = "human_input", "input_required"


class HITLInputType(StrEnum):
    """What kind of answer a question wants."""

    FREE_TEXT = "free_text"
    STRUCTURED = "structured"
    SELECTION = "selection"
    APPROVAL = "approval"
    MULTI_FIELD = "multi_field"


class HITLQuestion(View):
    """A question."""

    id: str
    question: str
    input_type: HITLInputType = HITLInputType.FREE_TEXT
    options: list[str] = Field(default_factory=list)
    """The answers that may be selected."""
    fields: dict[str, str] = Field(default_factory=dict)
    """The fields of an answer that has several, each with what is to be in it."""
    required: bool = True
    help_text: str = ""


class HITLRequest(View):
    """What a run asks a person. Its `request_id` is given when it is asked."""

    objective: str
    current_state: str = ""
    questions: list[HITLQuestion] = Field(default_factory=list)
    missing_info: list[str] = Field(default_factory=list)
    instructions: str = ""
    examples: list[str] = Field(default_factory=list)
    request_id: str = ""
    node_id: str = ""


class HITLResponse(View):
    """What a person answered."""

    request_id: str
    answers: dict[str, Any] = Field(default_factory=dict)
    raw_input: str = ""
    response_time_ms: int = 0
    """The time between the question and the answer."""


def ask(run: Run, request: HITLRequest, *, expires_in: str | timedelta | None = None) -> Approval:
    """Ask a person, and wait for the answer. The approval's id is the request's id. Raises LedgerError."""
    return run.request_approval(
        ACTION,
        arguments=request.model_dump(mode="json", exclude={"request_id"}),
        reason=REASON,
        message=request.objective,
        expires_in=expires_in,
        response_schema=_schema(request),
    )


def answer(ledger: TenantLedger | RemoteLedger, response: HITLResponse, *, actor: str | None = None) -> Receipt:
    """Answer as the ledger's own actor or as another, `human:ada`; the run goes on once nothing else is open.

    An answer that does not fit its question is refused with InvalidEvent, and the question stays open. Raises CommandRefused.
    """
    said = {"answers": response.answers, "raw_input": response.raw_input}
    approval = ledger.approval(response.request_id)
    return approval.grant(response=said) if actor is None else approval.grant(response=said, actor=actor)


def request_of(ledger: TenantLedger | RemoteLedger, request_id: str) -> HITLRequest:
    """Return what was asked. Raises ApprovalNotFound, and CommandRefused where it is no request for input."""
    asked = _events(ledger, request_id)[0].event
    if not isinstance(asked, ApprovalRequested) or asked.action != ACTION:
        raise CommandRefused("read_request", f"approval {request_id}", "it asks for something else than input", "not a question")
    return HITLRequest.model_validate_json(asked.arguments_text).model_copy(update={"request_id": request_id})


def response_to(ledger: TenantLedger | RemoteLedger, request_id: str) -> HITLResponse | None:
    """Return the answer; None while there is none. Raises ApprovalNotFound."""
    asked, *later = _events(ledger, request_id)
    for recorded in reversed(later):
        if isinstance(recorded.event, ApprovalVoteCast) and recorded.event.response is not None:
            took = recorded.happened_at - asked.happened_at
            said = recorded.event.response
            return HITLResponse(request_id=request_id, response_time_ms=max(0, took // timedelta(milliseconds=1)), **said)
    return None


def _events(ledger: TenantLedger | RemoteLedger, request_id: str) -> list[Recorded]:
    run_id = ledger.now.approval(request_id).run_id
    with ledger.subscribe(run_id=run_id, types="approval.*", follow=False) as told:
        return [recorded for recorded in told if recorded.stream == request_id]


def _schema(request: HITLRequest) -> dict[str, Any]:
    """Return the JSON Schema that the answers are held to. What comes as free text may answer everything."""
    answers = {question.id: _answer(question) for question in request.questions}
    required = [question.id for question in request.questions if question.required]
    told = {"type": "object", "properties": answers, "additionalProperties": False}
    whole = {"type": "object", "properties": {"answers": {**told, "required": required}}, "required": ["answers"]}
    in_words = {
        "type": "object",
        "properties": {"answers": told, "raw_input": {"type": "string", "minLength": 1}},
        "required": ["raw_input"],
    }
    return {"anyOf": [whole, in_words]}


def _answer(question: HITLQuestion) -> dict[str, Any]:
    match question.input_type:
        case HITLInputType.SELECTION if question.options:
            return {"enum": question.options}
        case HITLInputType.APPROVAL:
            return {"type": "boolean"}
        case HITLInputType.MULTI_FIELD:
            return {"type": "object", "properties": {name: {} for name in question.fields}, "required": list(question.fields)}
        case HITLInputType.STRUCTURED:
            return {"type": ["object", "array"]}
    return {"type": "string"}
