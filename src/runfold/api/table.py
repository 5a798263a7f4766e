"""Every command and question that is offered over HTTP, and where: the server and the client are both made from this."""

from collections.abc import Callable
from typing import Any

from runfold.api.route import CommandRoute, QuestionRoute, Scope
from runfold.handles.approval import Approval
from runfold.handles.decision import Decision, Problem
from runfold.handles.ledger_handle import LedgerHandle
from runfold.handles.message import Message
from runfold.handles.run import Run
from runfold.handles.step import ModelCall, Step
from runfold.handles.thread import Thread
from runfold.handles.tool_call import ToolCall
from runfold.handles.usage import Usage
from runfold.queries.reading import Reading

API_VERSION = "1"
"""Raised when a client made for the version before could no longer use a server."""


def _command(verb: str, path: str, method: Callable[..., Any], scope: Scope = "runs:write") -> CommandRoute:
    return CommandRoute(verb, path, method, scope)


_RUN = "/runs/{run_id}"
_THREAD = "/threads/{thread_id}"

COMMANDS: tuple[CommandRoute, ...] = (
    _command("POST", "/threads", LedgerHandle.create_thread),
    _command("POST", f"{_THREAD}/runs", Thread.start_run),
    _command("POST", f"{_THREAD}/run-requests", Thread.create_run),
    _command("POST", f"{_THREAD}/rename", Thread.rename),
    _command("POST", f"{_THREAD}/archive", Thread.archive),
    _command("POST", f"{_THREAD}/restore", Thread.restore),
    _command("DELETE", _THREAD, Thread.delete),
    _command("POST", f"{_THREAD}/heads", Thread.name_head),
    _command("PUT", f"{_THREAD}/heads/{{name}}", Thread.put_head),
    _command("POST", f"{_THREAD}/heads/{{name}}/move", Thread.move_head),
    _command("POST", f"{_RUN}/branches", Run.branch),
    _command("POST", f"{_RUN}/start", Run.start),
    _command("POST", f"{_RUN}/claim", Run.claim),
    _command("POST", f"{_RUN}/release", Run.release),
    _command("POST", f"{_RUN}/wait", Run.wait),
    _command("POST", f"{_RUN}/resume", Run.resume),
    _command("POST", f"{_RUN}/stuck", Run.mark_stuck),
    _command("POST", f"{_RUN}/complete", Run.complete),
    _command("POST", f"{_RUN}/fail", Run.fail),
    _command("POST", f"{_RUN}/cancel", Run.cancel),
    _command("POST", f"{_RUN}/request-cancellation", Run.request_cancellation),
    _command("POST", f"{_RUN}/link", Run.link),
    _command("POST", f"{_RUN}/metadata", Run.merge_metadata),
    _command("POST", f"{_RUN}/output", Run.record_output),
    _command("POST", f"{_RUN}/timing", Run.record_timing),
    _command("POST", f"{_RUN}/messages", Run.add_message),
    _command("POST", f"{_RUN}/messages/{{message_id}}/revisions", Message.revise),
    _command("POST", f"{_RUN}/messages/{{message_id}}/text", Message.append_text),
    _command("POST", f"{_RUN}/messages/{{message_id}}/seal", Message.seal),
    _command("POST", f"{_RUN}/messages/{{message_id}}/redact", Message.redact),
    _command("POST", f"{_RUN}/tool-calls", Run.call_tool),
    _command("POST", f"{_RUN}/tool-calls/{{call_id}}/start", ToolCall.start),
    _command("POST", f"{_RUN}/tool-calls/{{call_id}}/succeed", ToolCall.succeed),
    _command("POST", f"{_RUN}/tool-calls/{{call_id}}/fail", ToolCall.fail),
    _command("POST", f"{_RUN}/tool-calls/{{call_id}}/cancel", ToolCall.cancel),
    _command("POST", f"{_RUN}/decisions", Run.decide),
    _command("POST", f"{_RUN}/decisions/{{decision_id}}/outcome", Decision.outcome),
    _command("POST", f"{_RUN}/decisions/{{decision_id}}/outcome/correction", Decision.correct_outcome),
    _command("POST", f"{_RUN}/decisions/{{decision_id}}/evaluation", Decision.evaluate),
    _command("POST", f"{_RUN}/problems", Run.report_problem),
    _command("POST", f"{_RUN}/problems/{{problem_id}}/resolve", Problem.resolve),
    _command("POST", f"{_RUN}/constraint-violations", Run.violate_constraint),
    _command("POST", f"{_RUN}/usage", Run.usage),
    _command("POST", f"{_RUN}/usage/{{usage_id}}/correction", Usage.correct),
    _command("POST", f"{_RUN}/costs", Run.report_cost),
    _command("POST", f"{_RUN}/steps", Run.start_step),
    _command("POST", f"{_RUN}/steps/{{step_id}}/finish", Step.finish),
    _command("POST", f"{_RUN}/model-calls", Run.start_model_call),
    _command("POST", f"{_RUN}/model-calls/{{model_call_id}}/finish", ModelCall.finish),
    _command("POST", f"{_RUN}/nodes", Run.enter_node),
    _command("POST", f"{_RUN}/edges", Run.traverse_edge),
    _command("PUT", f"{_RUN}/state", Run.set_state),
    _command("PATCH", f"{_RUN}/state", Run.patch_state),
    _command("POST", f"{_RUN}/approvals", Run.request_approval),
    _command("POST", "/approvals/{approval_id}/votes", Approval.vote, "approvals:decide"),
    _command("POST", "/approvals/{approval_id}/expire", Approval.expire, "approvals:decide"),
    _command("POST", "/approvals/{approval_id}/consume", Approval.consume),
)
"""One command each."""


def _question(path: str, method: Callable[..., Any], narrowed: str | None = None, scope: Scope = "runs:read") -> QuestionRoute:
    return QuestionRoute("GET", path, method, scope, narrowed)


def _of_log(path: str, method: Callable[..., Any]) -> QuestionRoute:
    return QuestionRoute("GET", path, method, "runs:read", log=True)


QUESTIONS: tuple[QuestionRoute, ...] = (
    _question("/threads", Reading.thread_list),
    _of_log(_THREAD, Reading.thread),
    _question(f"{_THREAD}/runs", Reading.runs, "thread_id"),
    _of_log(f"{_THREAD}/tree", Reading.tree),
    _of_log(f"{_THREAD}/heads", Reading.heads),
    _of_log(f"{_THREAD}/messages", Reading.messages),
    _question("/runs", Reading.runs),
    _of_log(_RUN, Reading.run),
    _of_log(f"{_RUN}/messages", Reading.conversation),
    _of_log(f"{_RUN}/state", Reading.state),
    _of_log(f"{_RUN}/tool-calls", Reading.tool_calls),
    _of_log(f"{_RUN}/steps", Reading.steps),
    _question(f"{_RUN}/metrics", Reading.metrics),
    _question(f"{_RUN}/summary", Reading.summary),
    _question(f"{_RUN}/decisions", Reading.decisions, "run_id"),
    _question(f"{_RUN}/trace", Reading.trace),
    _question(f"{_RUN}/problems", Reading.problems, "run_id"),
    _question(f"{_RUN}/approvals", Reading.approvals, "run_id"),
    _question(f"{_RUN}/usage", Reading.usage, "run"),
    _question(f"{_RUN}/failure", Reading.analyze_failure),
    _of_log("/runs/{run_a}/diff/{run_b}", Reading.diff),
    _question("/runs/{run_a}/comparison/{run_b}", Reading.compare),
    _question("/approvals", Reading.approvals),
    _of_log("/approvals/{approval_id}", Reading.approval),
    _question("/tool-calls", Reading.calls),
    _question("/decisions", Reading.decisions),
    _question("/problems", Reading.problems),
    _question("/failures", Reading.failures),
    _question("/attention", Reading.attention),
    _question("/usage", Reading.usage),
    _question("/goals", Reading.goals),
    _question("/goals/{goal_id}/progress", Reading.goal_progress),
    _question("/goals/{goal_id}/patterns", Reading.patterns),
    _question("/goals/{goal_id}/improvements", Reading.improvements),
    _question("/nodes/{node_id}/performance", Reading.node_performance),
)
"""One question each."""
