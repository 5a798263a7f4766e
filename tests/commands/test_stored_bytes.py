"""What commands store, to the byte: the same whichever way they are given, and the same as it was before.

Where a digest is another one, the payload, the context or the metadata of such events is another: proofs over stored bytes
would not hold for the same words, and who imports something again would have it twice.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import psycopg

from runfold import Ledger
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from tests.databases import TestDatabase

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = 'Grüße, 訂單 4711: „erstattet“ \\ "€ 12,50" \u2028\t\n\x7f 😀'
JSON: Any = {"b": [1, 1.0, 1e16, 1e-7, -0.0, 2**63, True, None, {"ä/\\": WORDS}], "a": {}, "": []}
ENVELOPE: dict[str, Any] = {
    "actor": "human:Zoë",
    "occurred_at": datetime(2026, 3, 1, 9, 30, 0, 120, tzinfo=timezone(timedelta(hours=-5))),
    "causation_id": "msg_1",
    "correlation_id": "order:4711",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
PARTS = [
    {"type": "text", "text": WORDS},
    {"type": "reasoning", "text": "", "signature": "sig"},
    {"type": "file", "media_type": "image/png", "url": "https://example.org/a.png", "name": "a"},
    {"type": "source", "document_id": "doc-1", "title": "Terms"},
    {"type": "data", "data": JSON},
    {"type": "data", "data": None},
]
OPTIONS = [
    {"id": "one", "description": WORDS, "action_type": "tool", "action_params": JSON, "pros": ["+"], "confidence": 0.1},
    {"id": "other", "description": ""},
]
GOAL = {"id": "g1", "description": "a refund", "constraints": [{"id": "c1", "description": "within budget"}]}

Command = tuple[str, str, tuple[Any, ...], dict[str, Any]]
"""Of what (a way from the ledger to a handle), which method, and with what."""


def _of(what: str, method: str, *args: Any, **kwargs: Any) -> Command:
    return what, method, args, kwargs


STORY: list[Command] = [
    _of("", "create_thread", agent_id="support", user_id="mira", title="Refund €", thread_id="thread_1", **ENVELOPE),
    _of(
        "thread:thread_1", "start_run", JSON, run_id="run_1", parent=None, goal=GOAL, metadata={"n": 1}, request_config={"t": 0.7}
    ),
    _of("run:run_1", "claim", "worker-1", execution_id="exec_0"),
    _of("run:run_1", "add_message", "user", WORDS, message_id="msg_1", **ENVELOPE),
    _of("run:run_1", "add_message", "assistant", "plain", message_id="msg_2", name="bot", author="it", encrypted_value="x"),
    _of("run:run_1", "add_message", "reasoning", "", message_id="msg_3", occurred_at=NOON),
    _of("run:run_1", "add_message", "activity", PARTS, message_id="msg_4", activity_type="PLAN"),
    _of("run:run_1", "add_message", "tool", [], message_id="msg_5", tool_call_id="call_0"),
    _of("run:run_1", "add_message", "assistant", streaming=True, message_id="msg_6"),
    _of("run:run_1 message:msg_6", "append_text", WORDS),
    _of("run:run_1 message:msg_6", "append_text", "end", offset=len(WORDS)),
    _of("run:run_1 message:msg_6", "seal", finish_reason="stop"),
    _of("run:run_1", "add_message", "assistant", WORDS, streaming=True, message_id="msg_7"),
    _of("run:run_1 message:msg_7", "append_text", "more"),
    _of("run:run_1 message:msg_2", "revise", "other words", reason="typo"),
    _of("run:run_1 message:msg_2", "revise", PARTS),
    _of("run:run_1 message:msg_1", "redact", legal_basis="asked", fields=("content", "name")),
    _of("run:run_1 message:msg_2", "redact", legal_basis="asked", revision=1),
    _of("run:run_1", "call_tool", "search", {"q": WORDS}, call_id="call_1", message_id="msg_2", provider_call_id="p-1"),
    _of("run:run_1 tool_call:call_1", "start", execution_key="exec_1"),
    _of("run:run_1 tool_call:call_1", "succeed", JSON),
    _of("run:run_1", "call_tool", "refund", ' {"order": 7}', call_id="call_2", needs_approval=True),
    _of("run:run_1", "call_tool", "wait", call_id="call_3"),
    _of("run:run_1 tool_call:call_3", "fail", "broken", code="timeout", error_type="E", result=JSON, retriable=True),
    _of("run:run_1", "call_tool", "wait", "no json", call_id="call_4"),
    _of("run:run_1 tool_call:call_4", "cancel", "no need"),
    _of(
        "run:run_1", "request_approval", "refund", arguments=' {"order": 7}', call_id="call_2", approval_id="approval_1", quorum=2
    ),
    _of("approval:approval_1", "grant", arguments={"order": 8}, comment=WORDS, actor="human:ada", occurred_at=NOON),
    _of("approval:approval_1", "grant", arguments={"order": 8}, response=JSON, actor="human:bob"),
    _of("run:run_1 tool_call:call_2", "start", execution_key="exec_2", approval="approval_1"),
    _of("run:run_1", "request_approval", "pay", approval_id="approval_2", expires_at=NOON + timedelta(days=9)),
    _of("approval:approval_2", "deny", "no", actor="human:ada"),
    _of(
        "run:run_1",
        "decide",
        "what to do",
        options=OPTIONS,
        chosen="one",
        reasoning=WORDS,
        decision_id="dec_1",
        node_id="plan",
        context=JSON,
    ),
    _of("run:run_1 decision:dec_1", "outcome", success=True, result=JSON, summary=WORDS, latency_ms=340, state_changes={"a": 1}),
    _of("run:run_1 decision:dec_1", "correct_outcome", success=False, error="it broke", tokens_used=0, reason="seen late"),
    _of("run:run_1 decision:dec_1", "evaluate", alignment_score=0.3, better_option_id="other", why_better="cheap"),
    _of("run:run_1", "report_problem", "warning", "slow", problem_id="prob_1", decision_id="dec_1", suggested_fix="wait"),
    _of("run:run_1 problem:prob_1", "resolve", "mended"),
    _of("run:run_1", "violate_constraint", "c1", "soft", "over budget", details=JSON),
    _of("run:run_1", "start_model_call", provider="openai", request_model="gpt", model_call_id="m_1", prompt_message_ids="msg_1"),
    _of("run:run_1", "usage", provider="openai", model="gpt-4o", input_tokens=12, output_tokens=8, usage_id="u_1", raw=JSON),
    _of("run:run_1 recorded_usage:u_1", "correct", reason="counted again", input_tokens=13, output_tokens=8),
    _of("run:run_1", "report_cost", Decimal("0.0000012"), "EUR", usage_id="u_1", cost_id="cost_1", source="provider"),
    _of("run:run_1", "start_step", "a step", step_id="step_1", node_id="act"),
    _of("run:run_1", "enter_node", "act"),
    _of("run:run_1", "traverse_edge", "act", "plan", condition="done"),
    _of("run:run_1", "set_state", JSON),
    _of("run:run_1", "patch_state", [{"op": "add", "path": "/n", "value": JSON}]),
    _of("run:run_1", "compact_context", "auto", tokens_before=9, kept_from_message_id="msg_3", compaction_id="comp_1"),
    _of("run:run_1", "link", "flow-1"),
    _of("run:run_1", "merge_metadata", {"n": None, "m": JSON}),
    _of("run:run_1", "record_output", JSON, schema={"type": "object"}),
    _of("run:run_1", "record_timing", ttft_ns=5, total_duration_ns=10**9),
    _of("run:run_1", "mark_stuck", "idle", WORDS),
    _of("run:run_1", "request_cancellation", "please"),
    _of("run:run_1", "wait", "input"),
    _of("run:run_1", "resume"),
    _of("run:run_1", "complete", JSON, narrative=WORDS),
    _of("thread:thread_1", "start_run", "go on", run_id="run_2"),
    _of("run:run_2 message:msg_1", "revise", "in the next run"),
    _of("run:run_2", "call_tool", "wait", call_id="call_5"),
    _of("run:run_2", "fail", WORDS, code="E1", error_type="Broken", retriable=False),
    _of("thread:thread_1", "start_run", run_id="run_3", parent="run_1", kind="branches", at_version=9, background=True),
    _of("run:run_3", "request_approval", "pay", approval_id="approval_3", reason="confirmation"),
    _of("run:run_3", "cancel", "enough"),
    _of("thread:thread_1", "name_head", "other", "run_3"),
    _of("thread:thread_1", "rename", "Order"),
    _of("thread:thread_1", "archive", "done"),
    _of("thread:thread_1", "restore"),
]


def _give(ledger: Any, command: Command, how: str = "") -> Any:
    what, method, args, kwargs = command
    handle = ledger
    for step in what.split():
        kind, named = step.split(":")
        handle = getattr(handle, kind)(named)
    return getattr(handle, how + method)(*args, **kwargs)


def _one_by_one(ledger: Any) -> None:
    for command in STORY:
        _give(ledger, command)


def _awaited(ledger: Any) -> None:
    async def all_commands() -> None:
        for command in STORY:
            await _give(ledger, command, "submit_") if command[0] else _give(ledger, command)

    asyncio.run(all_commands())


def _in_a_batch(ledger: Any) -> None:
    with ledger.batch() as batch:
        _one_by_one(batch)


WAYS: dict[str, Callable[[Any], None]] = {
    "one_by_one": _one_by_one,
    "awaited": _awaited,
    "in_a_batch": _in_a_batch,
}
_STORED = """
    SELECT topic, originator_id, originator_version, schema_version, state, thread_id, context::text, metadata::text
    FROM runfold.log WHERE tenant_id = %s ORDER BY notification_id
"""


def _stored(database: TestDatabase, tenant_id: str) -> dict[str, str]:
    """A digest for each event type of all that such events are stored with, beside what is each time another."""
    found: dict[str, Any] = defaultdict(hashlib.sha256)
    with psycopg.connect(database.admin_url) as connection:
        for event_type, *columns in connection.execute(_STORED, [tenant_id]):
            found[event_type].update(repr(columns).encode())
    return {event_type: digest.hexdigest()[:16] for event_type, digest in sorted(found.items())}


RECORDED: dict[str, str] = {
    "approval.consumed": "915473521c24f136",
    "approval.denied": "ed9bc6b47a174cd5",
    "approval.granted": "7cd856a9dd914320",
    "approval.requested": "74c235196b8a7030",
    "approval.vote_cast": "6038dd2d0dc7f4d8",
    "approval.withdrawn": "58542854e3f25a94",
    "constraint.violated": "7b0bf9ca82cf68c0",
    "context.compacted": "4824d56b2daf1516",
    "decision.evaluated": "886242924508f30f",
    "decision.made": "f17863f4e0092d44",
    "decision.outcome_corrected": "4a86dd8cda893dc9",
    "decision.outcome_recorded": "6408911d2c198c8e",
    "message.added": "4a9abbc60d267102",
    "message.part_appended": "c60bfc80fc48dda8",
    "message.redacted": "1b28e2fef19a174a",
    "message.revised": "3ac75da94f32f45b",
    "message.sealed": "9d69cd7e2099b8a1",
    "model_call.started": "9c335605c1d0ae44",
    "node.edge_traversed": "2c85d6a4745b0df3",
    "node.entered": "58f56b966036934e",
    "problem.reported": "e145f52889ee479e",
    "problem.resolved": "adc5d0a18b31f96f",
    "run.cancellation_requested": "b0261b8bdc2658b1",
    "run.cancelled": "bfa2fe4e24077852",
    "run.claimed": "32c66f2f4b725ec0",
    "run.completed": "b6987390b03b54f3",
    "run.created": "a64c441104afac1b",
    "run.failed": "50d038a3446ff821",
    "run.linked": "3aa612a86e58ac3f",
    "run.metadata_merged": "55e728b7436d6501",
    "run.output_recorded": "5bee58a3ab3deb02",
    "run.resumed": "6a8c739808b3ceaf",
    "run.started": "625e06b82ee3b333",
    "run.stuck": "ff2430577587e015",
    "run.timing_recorded": "ba8fc98e2ece4e62",
    "run.waiting": "6cd46c77304b913c",
    "state.patched": "f35f92af7eac500c",
    "state.snapshot_taken": "02656b34c8f4a0fd",
    "step.started": "d1a71270eb9e6094",
    "thread.archived": "9a663446015d486e",
    "thread.created": "05880dcdcb7a4355",
    "thread.head_named": "23f93e6a9664bb5d",
    "thread.renamed": "3f77698c71f82503",
    "thread.restored": "cdbbdf329bcac32c",
    "tool.called": "bfadab355e435c0f",
    "tool.cancelled": "c8f1abc7eed84aac",
    "tool.failed": "d9aeafb0cb263a32",
    "tool.started": "8865077a423c8dfb",
    "tool.succeeded": "959c145d09b5a51c",
    "usage.corrected": "51f11039b95dd0b5",
    "usage.cost_reported": "715e68ae6b4272df",
    "usage.recorded": "49c04ee414ce2a9c",
}
"""As it was before commands were made quick."""


def test_whichever_way_commands_are_given_they_store_what_they_ever_stored(ledger: Ledger, database: TestDatabase) -> None:
    ledger.command_executor.clock = lambda: NOON
    for way, carry_out in WAYS.items():
        carry_out(ledger.on_behalf(Caller(way, Actor.parse("agent:support"))))
    stored = {way: _stored(database, way) for way in WAYS}
    assert stored == dict.fromkeys(WAYS, RECORDED)
