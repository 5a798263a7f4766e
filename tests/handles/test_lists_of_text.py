"""One text that is given where a list of texts is taken is a list of one, everywhere in Python: never its letters."""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, get_type_hints

import pytest

from runfold import Ledger, RemoteLedger, Run
from runfold.adapters.hive import StreamDecisionTracker
from runfold.api.table import COMMANDS
from runfold.domain.approval_events import ApprovalRequested
from runfold.domain.decision import DecisionMade
from runfold.domain.message import MessageRedacted
from runfold.handles.approval import Approval
from runfold.handles.decision import Decision, Problem
from runfold.handles.ledgers.batch import Batch
from runfold.handles.message import Message
from runfold.handles.step import ModelCall, Step
from runfold.handles.thread import Thread
from runfold.handles.tool_call import ToolCall
from runfold.method_call import MethodCall, takes_list_of_text
from runfold.queries.reading import Reading

FACES = (Ledger, RemoteLedger, Batch, Thread, Run, Approval, Decision, Problem, Message, Step, ModelCall, ToolCall)
OTHERS = {
    ("Ledger", "create_key", "scopes"),
    ("Ledger", "cancel_runs", "run_ids"),
    ("RemoteLedger", "cancel_runs", "run_ids"),
    ("RemoteLedger", "make_bundle", "answer"),
    ("RemoteLedger", "make_bundle", "sample"),
    ("RemoteLedger", "make_bundle", "leave_out"),
    ("RemoteLedger", "prove_absence", "leave_out"),
    ("StreamDecisionTracker", "decide", "constraints"),
}
"""What is no command of a handle, and is tried below, or, of bundles, in tests/http/test_bundles.py."""


@cache
def named_for_types(module: str) -> dict[str, Any]:
    """What a module imports only where types are checked, for it takes a while to load."""
    found: dict[str, Any] = {}
    for part in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING":
            for line in part.body:
                if isinstance(line, ast.ImportFrom):
                    found |= {alias.name: getattr(importlib.import_module(line.module or ""), alias.name) for alias in line.names}
                elif isinstance(line, ast.Import):
                    found |= {alias.asname or alias.name: importlib.import_module(alias.name) for alias in line.names}
    return found


def lists_of_text() -> Iterator[tuple[type, str, Any, str]]:
    """Every parameter of what people hold that takes a list of texts: class, method, the method itself, parameter."""
    for face in (*FACES, Reading, StreamDecisionTracker):
        for name, method in inspect.getmembers(face, callable):
            if name.startswith("_"):
                continue
            plain = inspect.unwrap(method)
            for parameter, hint in get_type_hints(plain, localns=named_for_types(plain.__module__)).items():
                if parameter != "return" and takes_list_of_text(hint):
                    yield face, name, method, parameter


def test_every_list_of_texts_that_a_command_takes_is_known_to_take_one() -> None:
    found = list(lists_of_text())
    assert {parameter for *_, parameter in found} >= {"eligible", "constraints", "fields", "finish_reasons", "by_thread_ids"}
    for face, name, method, parameter in found:
        if (face.__name__, name, parameter) in OTHERS:
            continue
        assert hasattr(method, "__wrapped__"), f"{face.__name__}.{name} takes {parameter}, and is no command: try it below"
        call = MethodCall(inspect.unwrap(method), None, (), {parameter: "one"})
        assert call.with_lists().kwargs == {parameter: ("one",)}, (face, name)


@pytest.mark.parametrize("route", COMMANDS, ids=lambda route: route.name)
def test_a_text_stays_a_text_where_a_text_is_taken(route: Any) -> None:
    hints = get_type_hints(route.plan_method)
    for parameter in inspect.signature(route.plan_method).parameters:
        if parameter in hints and not takes_list_of_text(hints[parameter]):
            call = MethodCall(route.plan_method, None, (), {parameter: "one"})
            assert call.with_lists().kwargs == {parameter: "one"}


def test_by_place_too_and_what_is_too_much_is_refused_as_before() -> None:
    call = MethodCall(inspect.unwrap(Thread.supersede), None, ("thread_1", "read otherwise", "more"), {})
    assert call.with_lists().args == (("thread_1",), "read otherwise", "more")


def test_one_text_is_recorded_as_one(ledger: Ledger, run: Run) -> None:
    run.request_approval("send", eligible="human:ada", approver_kinds="human").grant(actor="human:ada")
    options = [{"id": each, "description": each} for each in ("a", "b")]
    run.decide("which", options=options, chosen="a", also_chosen="b", constraints="budget", reasoning="both")
    run.add_message("user", "secret").redact(legal_basis="by law", fields="content")
    events = {type(each.event): each.event for each in ledger.events()}
    assert events[ApprovalRequested].rule.eligible == ("human:ada",)
    assert events[DecisionMade].active_constraints == ("budget",)
    assert MessageRedacted in events
    assert ledger.create_key(owner="human:ada", scopes="events:read", label="x").text
    ledger.cancel_runs(run.id)
    assert {"run.cancelled", "run.cancellation_requested"} & {event.type for event in ledger.events(run_id=run.id)}
