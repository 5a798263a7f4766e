"""Commands over HTTP: recorded once, answered with where they stand."""

import asyncio

import httpx2
import pytest

from runfold import Ledger


def test_what_is_recorded_over_http_stands_in_the_ledger(client: httpx2.Client, ledger: Ledger) -> None:
    thread = client.post("/threads", json={"agent_id": "support"}).json()["id"]
    started = client.post(f"/threads/{thread}/runs", json={"input": {"ticket": 42}})
    assert started.status_code == 201
    run = started.json()["id"]
    added = client.post(f"/runs/{run}/messages", json={"role": "user", "content": "Where is my order?"})
    assert added.headers["etag"] == '"3"'
    assert added.headers["runfold-position"] == "4"
    assert [message.text for message in ledger.run(run).messages()] == ["Where is my order?"]
    assert ledger.events()[-1].metadata.actor.id == "ada"


@pytest.mark.fault("H-1")
def test_a_hundred_requests_under_one_key_take_effect_once_and_get_equal_answers(address: str, ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")

    async def ask() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=100)
        async with httpx2.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
            body, headers = {"input": "hello"}, {"Idempotency-Key": "one"}
            return await asyncio.gather(
                *(client.post(f"/threads/{thread.id}/runs", json=body, headers=headers) for _ in range(100))
            )

    answers = asyncio.run(ask())
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert len(thread.tree().nodes) == 1


@pytest.mark.fault("H-2")
def test_another_request_under_a_used_key_is_refused(client: httpx2.Client, ledger: Ledger) -> None:
    headers = {"Idempotency-Key": "one"}
    client.post("/threads", json={"agent_id": "support"}, headers=headers)
    refused = client.post("/threads", json={"agent_id": "sales"}, headers=headers)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:runfold:error:KeyReused"
    assert ledger.position() == 1


@pytest.mark.fault("H-3")
def test_the_same_key_of_another_tenant_is_another_key(client: httpx2.Client, ledger: Ledger) -> None:
    for tenant in ("default", "acme"):
        headers = {"Idempotency-Key": "one", "X-Tenant": tenant}
        assert client.post("/threads", json={"agent_id": "support"}, headers=headers).status_code == 201
    assert ledger.position() == 2
