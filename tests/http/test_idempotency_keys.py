"""An idempotency key belongs to its caller: on every route two callers who use the same one are two, and one is one."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from runfold import Ledger
from runfold.access.keys import Keys
from runfold.api.route import MISSING
from runfold.api.table import COMMANDS
from runfold.domain.security import Scope
from runfold.domain.values import Actor
from runfold.http.app import create_app, described
from runfold.http.server_state import KEY_HEADER
from tests.serving import serving

ADA, BOB = {"X-Actor": "human:ada"}, {"X-Actor": "human:bob"}
ROUTES = {route.name: route for route in COMMANDS}
AT_ONCE = timedelta(microseconds=1)

SAID: dict[str, Any] = {
    "title": "another",
    "reason": "input",
    "name": "some",
    "worker": "w",
    "message": "it broke",
    "execution_id": "exec_1",
    "workflow_id": "wf_1",
    "patch": {"a": 1},
    "output": {"a": 1},
    "role": "assistant",
    "content": "words",
    "text": "more",
    "legal_basis": "GDPR 17",
    "intent": "go",
    "options": [{"id": "a", "description": "one"}],
    "chosen": "a",
    "success": False,
    "severity": "minor",
    "description": "slow",
    "resolution": "done",
    "constraint_id": "c",
    "kind": "soft",
    "amount": "0.10",
    "node_id": "n",
    "from_node_id": "a",
    "to_node_id": "b",
    "state": {"b": 2},
    "action": "refund",
    "verdict": "approve",
    "execution_key": "exec_1",
    "arguments": {"order": 7},
    "url": "https://1.1.1.1/hook",
}
"""What is said where something must be."""

MORE: dict[str, dict[str, Any]] = {
    "state.patch": {"patch": [{"op": "add", "path": "/c", "value": 3}]},
    "usage.correct": {"input_tokens": 5},
    "usage.report": {"input_tokens": 5},
    "runs.record_timing": {"ttft_ns": 5},
    "decisions.evaluate": {"goal_aligned": True},
    "messages.append_text": {"offset": 0},
    "tool_calls.append_arguments": {"name": "search"},
}
PLACES = {"decisions.record_outcome": {"decision_id": "dec_open"}, "messages.append_text": {"message_id": "msg_open"}} | {
    "messages.seal": {"message_id": "msg_open"},
    "tool_calls.append_arguments": {"call_id": "call_written"},
}
BATCHES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "runs.execute_commands": (
        "POST",
        "/runs/{run_id}/events",
        {"commands": [{"name": "messages.add", "body": {"role": "assistant"}}]},
    ),
    "approvals.vote_many": ("POST", "/approvals/resolve", {"votes": [{"approval_id": "{approval_id}", "verdict": "approve"}]}),
    "threads.delete_many": ("POST", "/threads/delete", {"thread_ids": ["{thread_id}"], "reason": "asked"}),
    "threads.update": ("PATCH", "/threads/{thread_id}", {"title": "another"}),
    "runs.update": ("PATCH", "/runs/{run_id}", {"metadata": {"a": 1}}),
    "keys.create": ("POST", "/keys", {"owner": "human:cleo", "scopes": ["runs:read"], "label": "Cleo's"}),
    "runs.cancel_many": ("POST", "/runs/cancel", {"run_ids": ["{run_id}"], "reason": "asked"}),
    "keys.revoke": ("DELETE", "/keys/{key_id}", {"reason": "lost"}),
}


def names_of_commands() -> list[str]:
    """Every operation of the service that takes an idempotency key."""
    return [
        operation["operationId"]
        for path in described()["paths"].values()
        for operation in path.values()
        if any(parameter["name"] == KEY_HEADER for parameter in operation.get("parameters", ()))
    ]


class Scene:
    """Something of everything on which each command takes effect, under ids of its own."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        with ledger.batch() as batch:
            thread = batch.create_thread(agent_id="support", thread_id=f"thread_{name}")
            run = thread.start_run(run_id=f"run_{name}", parent=None)
            run.add_message("user", "hello", message_id="msg_1")
            run.add_message("assistant", message_id="msg_open", streaming=True)
            run.start_step("look", step_id="step_1")
            run.start_model_call(provider="openai", model_call_id="mcall_1")
            run.call_tool("find_order", {"order": 7}, call_id="call_1")
            choice: dict[str, Any] = {"options": [{"id": "yes", "description": "refund"}], "chosen": "yes"}
            run.decide("refund?", **choice, decision_id="dec_1").outcome(success=True)
            run.decide("and then?", **choice, decision_id="dec_open")
            run.report_problem("warning", "slow", problem_id="prob_1")
            run.usage(provider="openai", model="gpt-4o", input_tokens=812, usage_id="usage_1")
            run.set_state({"step": 1})
            thread.name_head("other", run.id)
            asking = thread.start_run(run_id=f"run_asking_{name}", parent=None)
            asking.request_approval("refund", arguments={"order": 7}, approval_id=f"approval_{name}", quorum=2)
            asking.request_approval("late", approval_id=f"approval_late_{name}", expires_in=AT_ONCE)
            granted = asking.request_approval("use", arguments={"order": 7}, approval_id=f"approval_granted_{name}")
            granted.grant(actor="human:cleo")
            thread.create_run(run_id=f"run_new_{name}", parent=None)
            thread.start_run(run_id=f"run_waiting_{name}", parent=None).wait("input")
            thread.start_run(run_id=f"run_claimed_{name}", parent=None).claim("w", execution_id="exec_1")
            thread.start_run(run_id=f"run_lost_{name}", parent=None).claim("w", execution_id="exec_1", lease="1ms")
            batch.create_thread(agent_id="support", thread_id=f"thread_put_away_{name}").archive()
        for webhook in ("webhook", "webhook_off"):
            made = ledger.create_webhook(SAID["url"], webhook_id=f"{webhook}_{name}")
        made.disable()
        ledger.create_key(owner="human:cleo", scopes=["runs:read"], label="c", key_id=f"key_{name}")
        self.ids = {
            "thread_id": f"thread_{name}",
            "run_id": f"run_{name}",
            "approval_id": f"approval_{name}",
            "key_id": f"key_{name}",
            "webhook_id": f"webhook_{name}",
            "name": "other",
            "message_id": "msg_1",
            "call_id": "call_1",
            "decision_id": "dec_1",
            "problem_id": "prob_1",
            "usage_id": "usage_1",
            "step_id": "step_1",
            "model_call_id": "mcall_1",
        }
        self.ids_of = PLACES | {
            "threads.restore": {"thread_id": f"thread_put_away_{name}"},
            "runs.start": {"run_id": f"run_new_{name}"},
            "runs.resume": {"run_id": f"run_waiting_{name}"},
            "runs.renew": {"run_id": f"run_claimed_{name}"},
            "runs.expire_lease": {"run_id": f"run_lost_{name}"},
            "webhooks.enable": {"webhook_id": f"webhook_off_{name}"},
            "runs.release": {"run_id": f"run_claimed_{name}"},
            "approvals.expire": {"approval_id": f"approval_late_{name}"},
            "approvals.consume": {"approval_id": f"approval_granted_{name}"},
        }

    def request(self, name: str) -> tuple[str, str, dict[str, Any]]:
        """The command of a route on this scene: verb, path and body."""
        ids = {**self.ids, **self.ids_of.get(name, {})}
        if name in BATCHES:
            verb, path, body = BATCHES[name]
            return verb, path.format(**ids), filled(body, ids)
        route = ROUTES[name]
        needed = [field for field, facts in route.body.items() if facts.default is MISSING]
        said = {field: SAID[field] for field in needed if field != "run"} | MORE.get(name, {})
        if "run" in needed:
            said["run"] = self.ids["run_id"].replace("run_", "run_asking_", 1)
        return route.verb, route.path.format(**ids), said


def filled(body: Any, ids: Mapping[str, str]) -> Any:
    """A body with its ids in their places."""
    if isinstance(body, str):
        return body.format(**ids)
    if isinstance(body, list):
        return [filled(member, ids) for member in body]
    return {name: filled(value, ids) for name, value in body.items()} if isinstance(body, Mapping) else body


def ask(client: httpx2.Client, request: tuple[str, str, dict[str, Any]], who: dict[str, str], key: str) -> httpx2.Response:
    verb, path, body = request
    return client.request(verb, path, json=body, headers={**who, KEY_HEADER: key})


def told(answer: httpx2.Response) -> tuple[int, Any]:
    """How an answer ends, and how many events it recorded."""
    return answer.status_code, answer.json().get("appended")


@pytest.mark.fault("K10")
@pytest.mark.shares
@pytest.mark.parametrize("name", names_of_commands())
def test_two_callers_with_one_key_and_body_are_two_and_one_caller_is_one(
    client: httpx2.Client, ledger: Ledger, name: str
) -> None:
    one, two, three = (f"{number} of {name}" for number in ("one", "two", "three"))
    together, apart = (
        Scene(ledger, f"{scene}_{name.lower().replace('.', '_')}").request(name) for scene in ("together", "apart")
    )
    first = ask(client, together, ADA, one)
    assert first.is_success, first.text
    before = ledger.position()
    again = ask(client, together, ADA, one)
    assert (again.status_code, without_secret(again)) == (first.status_code, without_secret(first))
    assert ledger.position() == before
    second = ask(client, together, BOB, one)
    for_comparison = [ask(client, apart, ADA, two), ask(client, apart, BOB, three)]
    assert [told(first), told(second)] == [told(answer) for answer in for_comparison]
    if second.is_success and second.json().get("appended"):
        assert second.json()["position"] == before + second.json()["appended"]
        assert ledger.events(after=before, limit=1)[0].metadata.actor == Actor.parse("human:bob")
    assert ask(client, together, ADA, one).json().get("position") == first.json().get("position")


def without_secret(answer: httpx2.Response) -> dict[str, Any]:
    """An answer without the text of a key, which is told once."""
    return {name: value for name, value in answer.json().items() if name not in {"key", "note"}}


def test_the_first_caller_always_takes_effect_and_the_second_wherever_something_new_is_made(
    client: httpx2.Client, ledger: Ledger
) -> None:
    """Else the comparison above would compare nothing with nothing."""
    effects = {}
    for name in names_of_commands():
        request = Scene(ledger, name.lower().replace(".", "_")).request(name)
        before = ledger.position()
        ask(client, request, ADA, name)
        between = ledger.position()
        assert between > before, name
        ask(client, request, BOB, name)
        effects[name] = ledger.position() - between
    made_anew = {name for name, route in ROUTES.items() if route.creates}
    expected = made_anew - {"heads.create"} | {"approvals.vote", "approvals.vote_many", "runs.execute_commands", "keys.create"}
    assert expected <= {name for name, appended in effects.items() if appended}


@pytest.fixture
def keyed(ledger: Ledger) -> Iterator[httpx2.Client]:
    """A client of a service that asks for keys."""
    with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=60) as client:
        yield client


def key_for(ledger: Ledger, owner: str, *scopes: Scope) -> dict[str, str]:
    """The headers of a new key of somebody."""
    text = ledger.create_key(owner=owner, scopes=scopes or ("admin",), label=owner).text
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.fault("K10")
def test_a_new_key_of_the_same_owner_is_the_same_caller(keyed: httpx2.Client, ledger: Ledger) -> None:
    old, new = key_for(ledger, "agent:support"), key_for(ledger, "agent:support")
    request = ("POST", "/threads", {"agent_id": "support"})
    first = ask(keyed, request, old, "one")
    ledger.revoke_key(ledger.keys()[0].id)
    before = ledger.position()
    again = ask(keyed, request, new, "one")
    assert (again.content, ledger.position()) == (first.content, before)
    other = ask(keyed, request, key_for(ledger, "agent:sales"), "one")
    assert other.json()["id"] != first.json()["id"]
    assert ask(keyed, ("POST", "/threads", {"agent_id": "x"}), new, "one").status_code == 409


@pytest.mark.fault("K10", "H-5")
def test_two_people_who_vote_with_one_key_and_body_are_two_votes(keyed: httpx2.Client, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    request = ("POST", f"/approvals/{run.request_approval('refund', quorum=2).id}/votes", {"verdict": "approve"})
    answers = [ask(keyed, request, key_for(ledger, owner), "yes") for owner in ("human:ada", "human:bob")]
    assert [answer.json()["appended"] for answer in answers] == [1, 3]
    assert run.view().status == "running"


@pytest.mark.fault("K10")
def test_the_same_key_through_two_connected_ledgers_of_two_people_is_two(
    keyed: httpx2.Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.remote.executor.uuid7", lambda: UUID(int=7))
    monkeypatch.setattr("runfold.remote.batch.uuid7", lambda: UUID(int=8))
    run = ledger.create_thread(agent_id="support").start_run()
    for number, owner in enumerate(("agent:a", "agent:b"), start=1):
        text = ledger.create_key(owner=owner, scopes=["admin"], label=owner).text
        with Ledger.connect(str(keyed.base_url), text) as connected:
            for _ in range(2):
                assert connected.run(run.id).add_message("assistant", "done").receipt.appended == 1
                with connected.batch() as batch:
                    batch.run(run.id).add_message("assistant", "in a batch", message_id=f"msg_{number}")
        assert len(run.messages()) == 2 * number


@pytest.mark.parametrize("name", [KEY_HEADER, "If-Match"])
def test_a_header_that_takes_one_value_is_refused_where_it_is_sent_twice(keyed: httpx2.Client, ledger: Ledger, name: str) -> None:
    owner, thread = key_for(ledger, "agent:support"), ledger.create_thread(agent_id="support")
    before = ledger.position()
    values = ("one", "two") if name == KEY_HEADER else ('"1"', '"99"')
    headers = [*owner.items(), *((name, value) for value in values)]
    refused = keyed.patch(f"/threads/{thread.id}", json={"title": "another"}, headers=headers)
    assert (refused.status_code, refused.json()["path"], ledger.position()) == (422, name, before), refused.text
    assert refused.json()["reason"] == "is sent 2 times, and takes one value; send it once"
