"""Every command and question that is offered over HTTP, by its public name, and where: server and client are made from this.

A name is the noun of the path in the plural, as the path has it, and a verb: `messages.add`, `runs.list_of_thread`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from runfold.api.route import CommandRoute, QuestionRoute, Scope
from runfold.handles.approval import Approval
from runfold.handles.decision import Decision, Problem
from runfold.handles.ledgers.ledger_handle import LedgerHandle
from runfold.handles.message import Message
from runfold.handles.run import Run
from runfold.handles.step import ModelCall, Step
from runfold.handles.thread import Thread
from runfold.handles.tool_call import ToolCall
from runfold.handles.usage import Usage
from runfold.handles.webhook import Webhook
from runfold.queries.reading import Reading

API_VERSION = "1"
"""Raised when a client made for the version before could no longer use a server."""


def _command(name: str, verb: str, path: str, method: Callable[..., Any], scope: Scope = "runs:write") -> CommandRoute:
    return CommandRoute(name, verb, path, method, scope)


_RUN = "/runs/{run_id}"
_THREAD = "/threads/{thread_id}"
_WEBHOOK = "/webhooks/{webhook_id}"
_MANAGE: Scope = "webhooks:manage"
_DIFF = "/runs/{run_a}/diff/{run_b}"

COMMANDS: tuple[CommandRoute, ...] = (
    _command("threads.create", "POST", "/threads", LedgerHandle.create_thread),
    _command("runs.create_and_start", "POST", f"{_THREAD}/runs", Thread.start_run),
    _command("run_requests.create", "POST", f"{_THREAD}/run-requests", Thread.create_run),
    _command("threads.rename", "POST", f"{_THREAD}/rename", Thread.rename),
    _command("threads.archive", "POST", f"{_THREAD}/archive", Thread.archive),
    _command("threads.restore", "POST", f"{_THREAD}/restore", Thread.restore),
    _command("threads.delete", "DELETE", _THREAD, Thread.delete),
    _command("heads.create", "POST", f"{_THREAD}/heads", Thread.name_head),
    _command("heads.put", "PUT", f"{_THREAD}/heads/{{name}}", Thread.put_head),
    _command("heads.move", "POST", f"{_THREAD}/heads/{{name}}/move", Thread.move_head),
    _command("branches.create", "POST", f"{_RUN}/branches", Run.branch),
    _command("runs.start", "POST", f"{_RUN}/start", Run.start),
    _command("runs.claim", "POST", f"{_RUN}/claim", Run.claim),
    _command("runs.renew", "POST", f"{_RUN}/renew", Run.renew),
    _command("runs.expire_lease", "POST", f"{_RUN}/expire-lease", Run.expire_lease),
    _command("runs.release", "POST", f"{_RUN}/release", Run.release),
    _command("runs.wait", "POST", f"{_RUN}/wait", Run.wait),
    _command("runs.resume", "POST", f"{_RUN}/resume", Run.resume),
    _command("runs.mark_stuck", "POST", f"{_RUN}/stuck", Run.mark_stuck),
    _command("runs.complete", "POST", f"{_RUN}/complete", Run.complete),
    _command("runs.fail", "POST", f"{_RUN}/fail", Run.fail),
    _command("runs.cancel", "POST", f"{_RUN}/cancel", Run.cancel),
    _command("runs.request_cancellation", "POST", f"{_RUN}/request-cancellation", Run.request_cancellation),
    _command("runs.link", "POST", f"{_RUN}/link", Run.link),
    _command("runs.merge_metadata", "POST", f"{_RUN}/metadata", Run.merge_metadata),
    _command("runs.record_output", "POST", f"{_RUN}/output", Run.record_output),
    _command("runs.record_timing", "POST", f"{_RUN}/timing", Run.record_timing),
    _command("messages.add", "POST", f"{_RUN}/messages", Run.add_message),
    _command("messages.revise", "POST", f"{_RUN}/messages/{{message_id}}/revisions", Message.revise),
    _command("messages.append_text", "POST", f"{_RUN}/messages/{{message_id}}/text", Message.append_text),
    _command("messages.seal", "POST", f"{_RUN}/messages/{{message_id}}/seal", Message.seal),
    _command("messages.redact", "POST", f"{_RUN}/messages/{{message_id}}/redact", Message.redact),
    _command("tool_calls.create", "POST", f"{_RUN}/tool-calls", Run.call_tool),
    _command("tool_calls.append_arguments", "POST", f"{_RUN}/tool-calls/{{call_id}}/arguments", ToolCall.append_arguments),
    _command("tool_calls.start", "POST", f"{_RUN}/tool-calls/{{call_id}}/start", ToolCall.start),
    _command("tool_calls.succeed", "POST", f"{_RUN}/tool-calls/{{call_id}}/succeed", ToolCall.succeed),
    _command("tool_calls.fail", "POST", f"{_RUN}/tool-calls/{{call_id}}/fail", ToolCall.fail),
    _command("tool_calls.cancel", "POST", f"{_RUN}/tool-calls/{{call_id}}/cancel", ToolCall.cancel),
    _command("decisions.record", "POST", f"{_RUN}/decisions", Run.decide),
    _command("decisions.record_outcome", "POST", f"{_RUN}/decisions/{{decision_id}}/outcome", Decision.outcome),
    _command(
        "decisions.correct_outcome", "POST", f"{_RUN}/decisions/{{decision_id}}/outcome/correction", Decision.correct_outcome
    ),
    _command("decisions.evaluate", "POST", f"{_RUN}/decisions/{{decision_id}}/evaluation", Decision.evaluate),
    _command("problems.report", "POST", f"{_RUN}/problems", Run.report_problem),
    _command("problems.resolve", "POST", f"{_RUN}/problems/{{problem_id}}/resolve", Problem.resolve),
    _command("constraint_violations.report", "POST", f"{_RUN}/constraint-violations", Run.violate_constraint),
    _command("usage.report", "POST", f"{_RUN}/usage", Run.usage),
    _command("usage.correct", "POST", f"{_RUN}/usage/{{usage_id}}/correction", Usage.correct),
    _command("costs.report", "POST", f"{_RUN}/costs", Run.report_cost),
    _command("steps.start", "POST", f"{_RUN}/steps", Run.start_step),
    _command("steps.finish", "POST", f"{_RUN}/steps/{{step_id}}/finish", Step.finish),
    _command("model_calls.start", "POST", f"{_RUN}/model-calls", Run.start_model_call),
    _command("model_calls.finish", "POST", f"{_RUN}/model-calls/{{model_call_id}}/finish", ModelCall.finish),
    _command("nodes.enter", "POST", f"{_RUN}/nodes", Run.enter_node),
    _command("edges.traverse", "POST", f"{_RUN}/edges", Run.traverse_edge),
    _command("state.set", "PUT", f"{_RUN}/state", Run.set_state),
    _command("state.patch", "PATCH", f"{_RUN}/state", Run.patch_state),
    _command("compactions.record", "POST", f"{_RUN}/compactions", Run.compact_context),
    _command("approvals.request", "POST", f"{_RUN}/approvals", Run.request_approval),
    _command("approvals.vote", "POST", "/approvals/{approval_id}/votes", Approval.vote, "approvals:decide"),
    _command("approvals.expire", "POST", "/approvals/{approval_id}/expire", Approval.expire, "approvals:decide"),
    _command("approvals.consume", "POST", "/approvals/{approval_id}/consume", Approval.consume),
    _command("webhooks.create", "POST", "/webhooks", LedgerHandle.create_webhook, _MANAGE),
    _command("webhooks.disable", "POST", f"{_WEBHOOK}/disable", Webhook.disable, _MANAGE),
    _command("webhooks.enable", "POST", f"{_WEBHOOK}/enable", Webhook.enable, _MANAGE),
    _command("webhooks.rotate_secret", "POST", f"{_WEBHOOK}/rotate-secret", Webhook.rotate_secret, _MANAGE),
    _command("webhooks.test", "POST", f"{_WEBHOOK}/test", Webhook.test, _MANAGE),
    _command("webhooks.replay", "POST", f"{_WEBHOOK}/replay", Webhook.replay, _MANAGE),
    _command("webhooks.delete", "DELETE", _WEBHOOK, Webhook.delete, _MANAGE),
)
"""One command each."""

NOT_OVER_HTTP: Mapping[Callable[..., Any], str] = {
    Thread.record_import: "importers read files where the database is",
    Thread.supersede: "importers say so, in the transaction in which they make the threads that stand for it",
}
"""Commands that have no route, and why."""


def _question(
    name: str, path: str, method: Callable[..., Any], narrowed: str | None = None, *, deprecated_path: str | None = None
) -> QuestionRoute:
    return QuestionRoute(name, "GET", path, method, "runs:read", narrowed, deprecated_path=deprecated_path)


def _of_log(
    name: str, path: str, method: Callable[..., Any], *, without: tuple[str, ...] = (), deprecated_path: str | None = None
) -> QuestionRoute:
    return QuestionRoute(name, "GET", path, method, "runs:read", log=True, without=without, deprecated_path=deprecated_path)


def _managed(name: str, path: str, method: Callable[..., Any]) -> QuestionRoute:
    return QuestionRoute(name, "GET", path, method, _MANAGE, log=True)


QUESTIONS: tuple[QuestionRoute, ...] = (
    _question("threads.list", "/threads", Reading.threads),
    _of_log("threads.get", _THREAD, Reading.thread),
    _question("runs.list_of_thread", f"{_THREAD}/runs", Reading.runs, "thread_id"),
    _of_log("threads.get_tree", f"{_THREAD}/tree", Reading.tree),
    _of_log("heads.list", f"{_THREAD}/heads", Reading.heads),
    _of_log("messages.list_of_thread", f"{_THREAD}/messages", Reading.messages),
    _of_log("compactions.list_of_thread", f"{_THREAD}/compactions", Reading.compactions),
    _of_log("context.get_of_thread", f"{_THREAD}/context", Reading.context),
    _of_log("items.get_of_thread", f"{_THREAD}/items", Reading.items),
    _of_log("stretches.get_of_thread", f"{_THREAD}/stretches", Reading.stretches),
    _of_log("run_states.list_of_thread", f"{_THREAD}/run-states", Reading.run_states),
    _question("runs.list", "/runs", Reading.runs),
    _question("run_counts.get", "/run-counts", Reading.count_runs),
    _question("search.list", "/search", Reading.search),
    _question("run_samples.draw", "/run-samples", Reading.sample_runs),
    _of_log("runs.get", _RUN, Reading.run),
    _of_log("messages.list_of_run", f"{_RUN}/messages", Reading.messages, without=("thread_id", "head")),
    _of_log("compactions.list_of_run", f"{_RUN}/compactions", Reading.compactions, without=("thread_id", "head")),
    _of_log("context.get_of_run", f"{_RUN}/context", Reading.context, without=("thread_id", "head")),
    _of_log("state.get", f"{_RUN}/state", Reading.state),
    _of_log("ag_ui.list_of_run", f"{_RUN}/ag-ui", Reading.ag_ui),
    _question("tool_calls.list_of_run", f"{_RUN}/tool-calls", Reading.tool_calls, "run_id"),
    _of_log("steps.list_of_run", f"{_RUN}/steps", Reading.steps),
    _question("runs.get_metrics", f"{_RUN}/metrics", Reading.metrics),
    _question("runs.get_summary", f"{_RUN}/summary", Reading.summary),
    _question("decisions.list_of_run", f"{_RUN}/decisions", Reading.decisions, "run_id"),
    _question("runs.get_trace", f"{_RUN}/trace", Reading.trace),
    _question("problems.list_of_run", f"{_RUN}/problems", Reading.problems, "run_id"),
    _question("approvals.list_of_run", f"{_RUN}/approvals", Reading.approvals, "run_id"),
    _question("usage.get_of_run", f"{_RUN}/usage", Reading.usage, "run"),
    _question("runs.analyze_failure", f"{_RUN}/failure", Reading.analyze_failure),
    _of_log("runs.diff", _DIFF, Reading.diff, deprecated_path="/runs/{run_a}/comparison/{run_b}"),
    _question("approvals.list", "/approvals", Reading.approvals),
    _of_log("approvals.get", "/approvals/{approval_id}", Reading.approval),
    _question("tool_calls.list", "/tool-calls", Reading.tool_calls),
    _question("decisions.list", "/decisions", Reading.decisions),
    _question("problems.list", "/problems", Reading.problems),
    _question("failures.list", "/failures", Reading.failures),
    _question("attention.list", "/attention", Reading.attention),
    _question("usage.get", "/usage", Reading.usage),
    _managed("webhooks.list", "/webhooks", Reading.webhooks),
    _managed("webhooks.get", _WEBHOOK, Reading.webhook),
    _managed("webhooks.list_attempts", f"{_WEBHOOK}/attempts", Reading.webhook_attempts),
    _of_log("callback.get_of_run", f"{_RUN}/callback", Reading.callback),
    _question("goals.list", "/goals", Reading.goals),
    _question("goals.get_progress", "/goals/{goal_id}/progress", Reading.goal_progress),
    _question("goals.list_patterns", "/goals/{goal_id}/patterns", Reading.patterns),
    _question("goals.list_improvements", "/goals/{goal_id}/improvements", Reading.improvements),
    _question("nodes.get_performance", "/nodes/{node_id}/performance", Reading.node_performance),
)
"""One question each."""

DEPRECATED_QUESTIONS: tuple[QuestionRoute, ...] = tuple(
    former for route in QUESTIONS if (former := route.at_deprecated_path()) is not None
)
"""Questions at the paths where they were served before."""

QUESTIONS_NOT_OVER_HTTP: Mapping[Callable[..., Any], str] = {
    Reading.approval_words: "it takes rows, to look up what they say in the log: ask `approval`",
    Reading.decision_words: "it takes rows, to look up what they say in the log: ask `trace`",
    Reading.problem_words: "it takes rows, to look up what they say in the log: ask for events",
    Reading.history: "it answers with an object that reads the log",
    Reading.rows: "of projections that only the caller's program has",
    Reading.require: "the server asks it of what a path names",
}
"""Questions that have no route, and why. The events of a thread and of a run are served with all events."""
