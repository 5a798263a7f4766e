"""Calls of commands as requests: each goes out under the name that the table has for it."""

import inspect
from typing import Any

import pytest

from runfold.api.route import CommandRoute
from runfold.api.table import COMMANDS
from runfold.errors import RunNotFound, UsageError
from runfold.handles.calling.handle import Handle
from runfold.handles.tool_call import ToolCall
from runfold.ledger import Ledger
from runfold.method_call import MethodCall
from runfold.remote.calls import CommandRequest, request_of

pytestmark = pytest.mark.shares
OF_RUN = [route for route in COMMANDS if route.path.startswith("/runs/{run_id}/")]


def succeed(ledger: Ledger, run_id: str, call_id: str) -> CommandRequest:
    method: Any = inspect.unwrap(ToolCall.succeed)
    return request_of(MethodCall(method, ledger.run(run_id).tool_call(call_id), ("found",), {}))


def test_a_command_in_a_batch_has_its_name_its_ids_and_its_body(ledger: Ledger) -> None:
    expected = {"name": "tool_calls.succeed", "ids": {"call_id": "call_1"}, "body": {"result": "found"}}
    assert succeed(ledger, "run_1", "call_1").in_batch == expected
    with pytest.raises(RunNotFound):
        _ = succeed(ledger, "no run", "call_1").in_batch
    with pytest.raises(UsageError, match="call_id 'a/b' cannot stand in the path"):
        _ = succeed(ledger, "run_1", "a/b").in_batch


@pytest.mark.parametrize("route", OF_RUN, ids=lambda route: route.name)
def test_every_command_of_a_run_goes_into_a_batch_under_its_public_name(ledger: Ledger, route: CommandRoute) -> None:
    handle: Handle = route.handle(ledger, {name: "run_1" if name == "run_id" else "x" for name in route.handle_ids})
    sent = CommandRequest(route, route.ids(handle), {}).in_batch
    assert (sent["name"], {"run_id", *sent["ids"]}) == (route.name, set(route.path_names))
