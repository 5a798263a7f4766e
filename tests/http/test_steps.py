"""What a run did step by step, over HTTP: steps, model calls, what they used and took."""

from typing import Any

import httpx2
import pytest

from runfold import Ledger, Run


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


class Clock:
    """A producer's clock: each command happens some seconds after the last one."""

    def __init__(self, client: httpx2.Client, run: Run) -> None:
        self.client, self.run, self.seconds = client, run, 0

    def __call__(self, path: str, after: int = 1, **body: Any) -> httpx2.Response:
        self.seconds += after
        when = f"2026-03-01T09:00:{self.seconds:02}Z"
        answer = self.client.post(f"/runs/{self.run.id}{path}", json={**body, "occurred_at": when})
        assert answer.status_code in {200, 201}, answer.text
        return answer


@pytest.fixture
def at_work(client: httpx2.Client, run: Run) -> Clock:
    return Clock(client, run)


def steps(client: httpx2.Client, run: Run, **asked: Any) -> dict[str, dict[str, Any]]:
    answer = client.get(f"/runs/{run.id}/steps", params=asked)
    assert answer.status_code == 200, answer.text
    return {item["id"]: item for item in answer.json()["items"]}


@pytest.mark.row("LT-50", "LT-52")
def test_a_step_tells_what_it_used_cost_and_took_with_its_model_calls_and_tools(
    client: httpx2.Client, run: Run, at_work: Clock
) -> None:
    """What the provider said of itself (endpoint, handle, context window) is in `raw` of its usage, in the log.

    A tenant, not an organisation and a project; times in microseconds, durations in nanoseconds.
    """
    at_work("/nodes", node_id="triage")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    at_work("/steps", name="answer", step_id="step_1", traceparent=trace)
    at_work("/model-calls", provider="openai", request_model="gpt-4o", model_call_id="mcall_1", prompt_message_ids=["msg_1"])
    at_work("/model-calls/mcall_1/finish", after=3, response_model="gpt-4o-2024-08-06", finish_reasons=["tool-calls"], ttft_ns=7)
    counts = {"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 0}
    usage = at_work("/usage", model_call_id="mcall_1", provider="openai", model="gpt-4o", service_tier="flex", **counts).json()
    at_work("/costs", amount="0.0042", currency="EUR", usage_id=usage["id"])
    at_work("/tool-calls", name="look_up", call_id="call_1")
    at_work("/tool-calls/call_1/start", execution_key="exec_1")
    at_work("/tool-calls/call_1/succeed", after=5, result="sent")
    at_work("/usage", step_id="step_1", input_tokens=1, reasoning_output_tokens=4)
    at_work("/steps/step_1/finish", after=2)

    told = steps(client, run)
    assert list(told) == ["step_1", "mcall_1"]
    call, step = told["mcall_1"], told["step_1"]
    asked = {"kind": "model_call", "step_id": "step_1", "node_id": "triage", "provider": "openai", "request_model": "gpt-4o"}
    answered = {"response_model": "gpt-4o-2024-08-06", "finish_reasons": ["tool-calls"], "ttft_ns": 7, "service_tier": "flex"}
    measured = {"status": "succeeded", "duration_ns": 3_000_000_000, "started_at": "2026-03-01T09:00:03Z"}
    assert {**asked, **answered, **measured}.items() <= call.items()
    assert call["prompt_message_ids"] == ["msg_1"]
    nothing_said = {
        "total_tokens": None,
        "cache_creation_input_tokens": None,
        "cache_creation_1h_input_tokens": None,
        "web_search_requests": None,
        "reasoning_beside": False,
    }
    assert call["tokens"] == {**counts, **nothing_said, "reasoning_output_tokens": None}
    assert step["tokens"] == {**counts, **nothing_said, "input_tokens": 101, "reasoning_output_tokens": 4}
    assert step["costs"] == call["costs"] == [{"amount": "0.0042", "currency": "EUR", "source": None}]
    assert (step["name"], step["run_id"], step["traceparent"]) == ("answer", run.id, trace)
    assert (step["tool_calls"], step["tool_execution_ns"]) == (["call_1"], 5_000_000_000)
    assert (step["status"], step["duration_ns"]) == ("succeeded", 16_000_000_000)


@pytest.mark.row("LT-51", "LT-07")
def test_a_step_is_started_and_then_succeeded_failed_or_cancelled(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    """Our words for pending, success, failed and cancelled. A run that ends takes the steps along that are open."""
    run.start_step("good", step_id="good").finish()
    run.start_step("bad", step_id="bad").finish(error="the tool is gone", code="tool_error")
    run.start_model_call(model_call_id="refused").finish(error="overloaded", code="llm_api_error")
    run.start_step("open", step_id="open")
    told = steps(client, run)
    statuses = {"good": "succeeded", "bad": "failed", "refused": "failed", "open": "started"}
    assert {name: step["status"] for name, step in told.items()} == statuses
    assert told["bad"]["error"] == {"code": "tool_error", "message": "the tool is gone", "type": None, "retriable": None}
    assert (told["open"]["finished_at"], told["open"]["duration_ns"]) == (None, None)
    run.cancel()
    assert steps(client, run)["open"]["status"] == "cancelled"
    other = run.branch()
    other.start_step("under way", step_id="under_way")
    other.fail("no such order", code="not_found")
    under_way = steps(client, other)["under_way"]
    assert (under_way["status"], under_way["error"]["code"]) == ("failed", "not_found")
    again = client.post(f"/runs/{run.id}/steps/good/finish", json={"error": "no, it did not"})
    assert again.status_code == 409


@pytest.mark.row("LT-36")
def test_steps_come_in_pages_in_either_order_and_as_of_any_moment(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    for number in range(120):
        run.start_step("think", step_id=f"step_{number}").finish()
    first = client.get(f"/runs/{run.id}/steps").json()
    assert len(first["items"]) == 100
    run.start_step("late", step_id="late")  # what comes in between moves no page
    rest = client.get(f"/runs/{run.id}/steps", params={"cursor": first["next_cursor"]}).json()
    assert rest["next_cursor"] is None
    assert [item["id"] for item in first["items"] + rest["items"]] == [f"step_{number}" for number in range(120)]
    assert list(steps(client, run, order="desc", limit=2)) == ["late", "step_119"]
    early = first["items"][2]["started_position"]
    assert [step["status"] for step in steps(client, run, as_of=early).values()] == ["succeeded", "succeeded", "started"]
    assert client.get("/runs/run_0/steps").status_code == 404


def test_steps_in_each_other_tools_and_usage_belong_where_they_were_begun(
    client: httpx2.Client, run: Run, at_work: Clock
) -> None:
    at_work("/steps", name="outer", step_id="outer", node_id="plan")
    at_work("/steps", name="inner", step_id="inner")
    at_work("/model-calls", model_call_id="mcall_1")
    at_work("/tool-calls", name="search", call_id="call_1")
    at_work("/tool-calls/call_1/start", execution_key="exec_1")
    at_work("/steps/inner/finish")
    at_work("/tool-calls/call_1/succeed", after=4)
    at_work("/usage", usage_id="usage_1", model_call_id="mcall_1", step_id="outer", input_tokens=5)
    at_work("/usage/usage_1/correction", reason="counted twice", input_tokens=3)
    at_work("/usage", usage_id="usage_2", input_tokens=1_000)  # of no step at all
    told = steps(client, run)
    assert {name: step["node_id"] for name, step in told.items()} == {"outer": "plan", "inner": "plan", "mcall_1": "plan"}
    assert (told["inner"]["tool_calls"], told["inner"]["tool_execution_ns"]) == (["call_1"], 5_000_000_000)
    assert (told["outer"]["tool_calls"], told["outer"]["tool_execution_ns"]) == ([], None)
    assert told["mcall_1"]["step_id"] == "outer"  # its usage says so
    assert {name: step["tokens"]["input_tokens"] for name, step in told.items()} == {"outer": 3, "inner": None, "mcall_1": 3}


@pytest.mark.row("LT-38", "LT-63")
def test_a_run_in_numbers_is_exact_however_long_the_run_is(
    client: httpx2.Client, ledger: Ledger, run: Run, at_work: Clock
) -> None:
    """Tools are known by the names that calls used: the ledger keeps no registry of tools that a name could be missing from."""
    with ledger.batch() as batch:
        for number in range(60):
            step = batch.run(run.id).start_step("think", step_id=f"step_{number}")
            batch.run(run.id).call_tool(("search", "refund")[number % 2], call_id=f"call_{number}").succeed(None)
            batch.run(run.id).usage(input_tokens=10)
            step.finish()
    at_work("/timing", ttft_ns=12, total_duration_ns=3_456_789_012)
    running = client.get(f"/runs/{run.id}/metrics", params={"min_position": 0})
    assert running.status_code == 503  # no worker has folded this run yet, and it says so rather than invent
    ledger.fold("run_summaries")
    figures = client.get(f"/runs/{run.id}/metrics").json()
    assert (figures["status"], figures["duration_ns"]) == ("running", None)
    ended = at_work("/complete").json()["position"]
    ledger.fold("run_summaries")
    answer = client.get(f"/runs/{run.id}/metrics", params={"min_position": ended})
    figures = answer.json()
    counts = {"steps": 60, "tool_calls": 60, "input_tokens": 600, "output_tokens": None, "tools_used": ["search", "refund"]}
    times = {"duration_ns": 3_456_789_012, "ttft_ns": 12, "attempt": 1, "finished_at": "2026-03-01T09:00:02Z"}
    assert {**counts, **times}.items() <= figures.items()
    assert answer.headers["runfold-position"] == str(figures["standing"]["position"]) == str(ended)


@pytest.mark.row("LT-37", "LT-61")
def test_the_usage_of_a_run_is_the_sum_over_its_model_calls_and_null_where_nobody_reported(
    client: httpx2.Client, ledger: Ledger, run: Run
) -> None:
    """Providers' words are mapped by whoever records: one name for each count, and the provider's own report kept as `raw`."""
    openai = {"prompt_tokens": 50, "prompt_tokens_details": {"cached_tokens": 30}}
    anthropic = {"input_tokens": 20, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7}
    for _ in range(60):
        used = {"provider": "openai", "input_tokens": 50, "cache_read_input_tokens": 30, "raw": openai}
        assert client.post(f"/runs/{run.id}/usage", json=used).status_code == 201
    client.post(f"/runs/{run.id}/usage", json={"provider": "anthropic", **anthropic, "raw": anthropic})
    client.post(f"/runs/{run.id}/usage", json={"provider": "google", "output_tokens": 9, "reasoning_output_tokens": 0})
    ledger.fold()
    total = client.get(f"/runs/{run.id}/usage").json()["total"]
    assert (total["input_tokens"], total["cache_read_input_tokens"]) == (60 * 50 + 20, 60 * 30 + 5)
    assert (total["cache_creation_input_tokens"], total["reasoning_output_tokens"], total["total_tokens"]) == (7, 0, None)
    assert total["calls"] == 62
    by = client.get(f"/runs/{run.id}/usage", params={"by": "provider"}).json()["rows"]
    assert len(by) == 3
    kept = [recorded.event for recorded in ledger.events(types=["usage.recorded"])]
    assert kept[-2].raw == anthropic
    beyond = client.post(f"/runs/{run.id}/usage", json={"output_tokens": 3, "reasoning_output_tokens": 4})
    assert beyond.status_code == 422
