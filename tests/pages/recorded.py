"""What agents did, for pages to show: runs that failed, a claim that was allowed, texts that try to be more than text."""

from datetime import UTC, datetime, timedelta

from runfold import Ledger

LAST_MONTH = datetime(2026, 10, 14, 9, tzinfo=UTC)
HOSTILE = (
    "<script>document.title='taken'</script><img src=//evil.example/x onerror=alert(1)>",
    "\x1b[2J\x1b]0;taken\x07 \u202egnp.exe\u2066 {{ 7 * 7 }} javascript:alert(1)",
    "</pre></main><form action=//evil.example><button>Sign in</button></form>",
)
PLAN = {"plan": "refund order 95319 in full", "amount": "119.00 EUR"}
MODELS = ("run_summaries", "threads", "decision_log", "problems", "approval_queue", "usage", "tool_calls", "attention", "search")


def record(ledger: Ledger) -> None:
    """Record it, and fold what the pages read."""
    claim = ledger.create_thread(agent_id="support", title="Refund for order 95319", thread_id="thread_claim")
    _failed(ledger)
    run = claim.start_run(run_id="run_claim", occurred_at=LAST_MONTH)
    run.add_message("user", "Please refund my trail shoes", occurred_at=LAST_MONTH)
    step = run.start_step("look up the order", step_id="step_1", occurred_at=LAST_MONTH + timedelta(seconds=1))
    call = run.call_tool("find_order", {"order": 95319}, call_id="call_find", occurred_at=LAST_MONTH + timedelta(seconds=2))
    call.succeed({"state": "delivered"}, occurred_at=LAST_MONTH + timedelta(seconds=4))
    step.finish(occurred_at=LAST_MONTH + timedelta(seconds=5))
    asked = run.request_approval(
        "refund",
        arguments=PLAN,
        message="May I refund it?",
        approval_id="approval_plan",
        occurred_at=LAST_MONTH + timedelta(seconds=6),
    )
    asked.vote("approve", actor="human:grace", occurred_at=LAST_MONTH + timedelta(hours=3))
    sub = claim.start_run(
        run_id="run_policy",
        parent=run,
        kind="spawned_by",
        agent_id="policy-reader",
        occurred_at=LAST_MONTH + timedelta(hours=3, seconds=1),
    )
    sub.complete(occurred_at=LAST_MONTH + timedelta(hours=3, seconds=9))
    run.usage(model="gpt-4o", provider="openai", input_tokens=812, output_tokens=64)
    run.complete(occurred_at=LAST_MONTH + timedelta(hours=3, minutes=1))
    again = run.branch(run_id="run_again", at_version=4, occurred_at=LAST_MONTH + timedelta(hours=5))
    again.start()
    again.call_tool("find_parcel", {"parcel": "P95319"}, occurred_at=LAST_MONTH + timedelta(hours=5)).succeed({"state": "lost"})
    again.usage(model="gpt-4o", provider="openai", input_tokens=90, output_tokens=12)
    again.complete()
    strange = ledger.create_thread(agent_id=HOSTILE[0], title=HOSTILE[1], thread_id="thread_strange").start_run(
        run_id="run_strange"
    )
    for text in HOSTILE:
        strange.add_message("assistant", text)
        strange.call_tool(text[:60], {"say": text}).fail(text, code="strange")
    strange.report_problem("critical", HOSTILE[2])
    ledger.fold(*MODELS)


def _failed(ledger: Ledger) -> None:
    """Runs that failed last month, one of them worst."""
    thread = ledger.create_thread(agent_id="support", title="Deliveries that went wrong", thread_id="thread_wrong")
    for number in range(4):
        began = LAST_MONTH + timedelta(days=number)
        run = thread.start_run(run_id=f"run_wrong_{number}", parent=None, occurred_at=began)
        for call in range(number + 1):
            run.call_tool("book_courier", {"try": call}, occurred_at=began).fail("no courier", code="refused", occurred_at=began)
        if number == 3:
            run.report_problem("critical", "The parcel was sent to somebody else")
        run.fail("no courier took it", code="gave_up", occurred_at=began + timedelta(minutes=number + 1))
