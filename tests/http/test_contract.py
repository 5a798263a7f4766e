"""The service does what its OpenAPI document says, whatever it is sent: requests are made from the document, good ones and bad.

Without RUNFOLD_TEST_EXAMPLES it is a short look: a few requests by chance to every operation, and the edges of some. With
it, such as RUNFOLD_TEST_EXAMPLES=50, so many requests by chance, the edges of every operation, and operations in a row.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from runfold import Ledger
from runfold.http.app import create_app, described
from tests.http.every_route import AGENTS
from tests.serving import Anybody, serving

EXAMPLES = int(os.environ.get("RUNFOLD_TEST_EXAMPLES", "0"))
SOME = [
    "threads.create",
    "threads.rename",
    "runs.claim",
    "decisions.record",
    "approvals.vote",
    "approvals.get",
    "heads.list",
]
"""Operations whose edges are looked at in short."""

THREADS = [f"thread_{name}" for name in ("ada", "bob", "cleo", "dan")]
KNOWN = {
    "thread_id": THREADS,
    "run_id": [f"run_{name}" for name in ("ada", "bob", "cleo", "dan")],
    "run_a": ["run_ada", "run_bob"],
    "run_b": ["run_ada", "run_dan"],
    "approval_id": ["approval_ada", "approval_bob", "approval_cleo", "approval_dan"],
    "message_id": ["msg_1", "msg_open"],
    "call_id": ["call_1", "call_open"],
    "decision_id": ["dec_1", "dec_open"],
    "problem_id": ["prob_1"],
    "usage_id": ["usage_1"],
    "step_id": ["step_1"],
    "model_call_id": ["mcall_1"],
    "goal_id": ["goal_1"],
    "node_id": ["node_1"],
    "name": ["main", "other"],
    "agent": [*AGENTS],
}
SETTINGS: Mapping[str, Any] = {
    "seed": 7,
    "generation": {
        "deterministic": True,
        "max-examples": EXAMPLES or 2,
        "no-shrink": True,
        "allow-x00": False,
        "with-security-parameters": False,
    },
    "checks": {
        "ignored_auth": {"enabled": False},  # everybody is let in here
        "missing_required_header": {"enabled": False},
        # What JSON Schema cannot say of a request (no integer beyond 64 bits, a cursor that is one) is refused in words.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "409", "412", "422"]},
    },
    "dictionaries": {name: {"values": values} for name, values in KNOWN.items()},
    "parameters": {"follow": False, **{f"path.{name}": {"dictionary": name, "probability": 0.7} for name in KNOWN}},
}


def fill(ledger: Ledger) -> None:
    """Something of everything, under the ids above."""
    for thread_id in THREADS:
        name = thread_id.removeprefix("thread_")
        thread = ledger.create_thread(agent_id="support", user_id="ada", title="Refund", thread_id=thread_id)
        run = thread.start_run(input={"ticket": 42}, run_id=f"run_{name}", goal={"id": "goal_1", "description": "refund"})
        run.enter_node("node_1")
        run.add_message("user", "Where is my order?", message_id="msg_1")
        run.add_message("assistant", message_id="msg_open", streaming=True)
        run.start_step("look", step_id="step_1")
        run.start_model_call(provider="openai", request_model="gpt-4o", model_call_id="mcall_1")
        run.call_tool("find_order", arguments={"order": 7}, call_id="call_1").succeed({"paid": "19.90 EUR"})
        run.call_tool("refund", arguments={"order": 7}, call_id="call_open")
        choice = {"options": [{"id": "yes", "description": "refund"}, {"id": "no", "description": "do not"}], "chosen": "yes"}
        run.decide("refund?", **choice, decision_id="dec_1").outcome(success=True, summary="refunded")
        run.decide("and then?", **choice, decision_id="dec_open")
        run.report_problem("warning", "slow", problem_id="prob_1")
        run.usage(provider="openai", model="gpt-4o", input_tokens=812, output_tokens=64, usage_id="usage_1")
        run.set_state({"step": 1})
        thread.name_head("other", run.id)
        run.request_approval("refund", arguments={"order": 7}, call_id="call_open", approval_id=f"approval_{name}")
    ledger.run("run_bob").cancel()
    ledger.fold()


@contextlib.contextmanager
def folding(ledger: Ledger) -> Iterator[None]:
    """Meanwhile read models follow what is recorded."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(0.2):
            ledger.fold()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def address(ledger: Ledger) -> Iterator[str]:
    """Where a service is that has something to tell."""
    fill(ledger)
    with serving(create_app(ledger, Anybody(), agents=AGENTS)) as address, folding(ledger):
        yield address


def breaches(address: str, phases: set[str], operations: list[str] | None = None) -> Iterator[str]:
    """Where the service does not do as its document says, each kind once an operation."""
    wanted = {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")}
    schema = schemathesis.openapi.from_dict(described(), config=schemathesis.Config.from_dict({**SETTINGS, "phases": wanted}))
    schema.config.update(base_url=address)
    known = set()
    for event in from_schema(schema.include(operation_id=operations) if operations else schema).execute():
        if isinstance(event, NonFatalError | FatalError):
            yield str(event)
        elif isinstance(event, ScenarioFinished):
            for kind, words in _of_scenario(event):
                if kind not in known:
                    known.add(kind)
                    yield words


def _of_scenario(event: ScenarioFinished) -> Iterator[tuple[tuple[str, str], str]]:
    for case_id, checks in event.recorder.checks.items():
        response = event.recorder.interactions[case_id].response
        for found in (check.failure_info for check in checks if check.failure_info is not None):
            said = response.content[:500] if response and response.content else b""
            words = f"{event.recorder.label}: {found.failure}\n  {found.code_sample}\n  {said!r}"
            yield (event.recorder.label, found.failure.title), words


@pytest.mark.timeout(3600 if EXAMPLES else 300)
def test_any_request_is_answered_as_the_document_says(address: str) -> None:
    found = list(breaches(address, {"fuzzing", "stateful"} if EXAMPLES else {"fuzzing"}))
    assert not found, "\n\n".join(found)


@pytest.mark.timeout(3600 if EXAMPLES else 300)
@pytest.mark.long
def test_requests_at_the_edges_are_answered_as_the_document_says(address: str) -> None:
    found = list(breaches(address, {"coverage"}, None if EXAMPLES else SOME))
    assert not found, "\n\n".join(found)
