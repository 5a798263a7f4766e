"""What happens by itself, rule by rule: when it is due, and the command that does it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from runfold.commands.submitted import Receipt
from runfold.delivery.sweeper import Due, Findings, Rule
from runfold.domain.durations import write_duration
from runfold.domain.run_events import StuckRule
from runfold.domain.sweep_policy import SweepPolicy
from runfold.handles.approval import Approval
from runfold.handles.calling.local import CallerExecutor
from runfold.handles.run import Run

_ENDINGS: dict[StuckRule, str] = {
    "idle": "stalled",
    "lease_expired": "lease_expired",
    "identical_responses": "stalled",
    "identical_tool_calls": "tool_doom_loop",
    "manual": "stalled",
}
"""The stop reason of a run that failed for having been stuck too long."""


def late_approvals(found: Findings, policy: SweepPolicy) -> Iterator[Due]:
    """Find approvals that nobody decided in time."""
    if not policy.approvals:
        return
    kinds = _live(policy)
    for tenant_id, approval_id, expires_at in found.rows("late approvals", kinds):
        yield Due(tenant_id, expires_at, approval_id, f"expiry of {approval_id}", _expiring(approval_id))


def lost_leases(found: Findings, policy: SweepPolicy) -> Iterator[Due]:
    """Find runs whose worker did not renew its lease in time."""
    if policy.lost_leases is None:
        return
    kinds = ["leased", "imported"] if policy.runs == "all" else ["leased"]
    for tenant_id, run_id, execution_id, expires_at in found.rows("lost leases", kinds):
        key = f"loss of {run_id} by {execution_id} at {expires_at.isoformat()}"
        yield Due(tenant_id, expires_at, run_id, key, _losing(run_id, execution_id, policy.lost_leases))


def idle_runs(found: Findings, policy: SweepPolicy) -> Iterator[Due]:
    """Find running runs of which nothing was recorded for long."""
    if policy.idle_after is None:
        return
    rows = found.rows("silent runs", _stuck_kinds(policy), status="running", heard_by=found.now - policy.idle_after)
    for tenant_id, run_id, heard_at, heard_position, _, _, _, version in rows:
        detail = f"nothing was recorded for {write_duration(policy.idle_after)} after {heard_at.isoformat()}"
        act = _marking(run_id, "idle", detail, version)
        yield Due(tenant_id, heard_at + policy.idle_after, run_id, f"silence of {run_id} after {heard_position}", act)


def repeating_runs(found: Findings, policy: SweepPolicy) -> Iterator[Due]:
    """Find running runs that give the same response, or call the same tools, again and again."""
    limits = [most for most in (policy.identical_responses, policy.identical_tool_calls) if most is not None]
    if not limits:
        return
    for row in found.rows("repeating runs", _stuck_kinds(policy), times=min(limits)):
        tenant_id, run_id, heard_at, responses, responses_since, calls, calls_since, _ = row
        if policy.identical_tool_calls is not None and calls >= policy.identical_tool_calls:
            detail = f"the same tool calls in {calls} turns in a row, from position {calls_since}"
            key = f"identical tool calls of {run_id} from {calls_since}"
            yield Due(tenant_id, heard_at, run_id, key, _marking(run_id, "identical_tool_calls", detail))
        elif policy.identical_responses is not None and responses >= policy.identical_responses:
            detail = f"the same response {responses} times in a row, from position {responses_since}"
            key = f"identical responses of {run_id} from {responses_since}"
            yield Due(tenant_id, heard_at, run_id, key, _marking(run_id, "identical_responses", detail))


def long_stuck_runs(found: Findings, policy: SweepPolicy) -> Iterator[Due]:
    """Find runs that have been stuck for long."""
    if policy.fail_stuck_after is None:
        return
    by = found.now - policy.fail_stuck_after
    for row in found.rows("silent runs", _stuck_kinds(policy), status="stuck", heard_by=by):
        tenant_id, run_id, _, _, stuck_at, stuck_position, rule, version = row
        told = f"it was stuck ({rule}) for {write_duration(policy.fail_stuck_after)} after {stuck_at.isoformat()}"
        act = _failing(run_id, told, _ENDINGS[rule], version)
        yield Due(tenant_id, stuck_at + policy.fail_stuck_after, run_id, f"end of {run_id}, stuck at {stuck_position}", act)


RULES: Sequence[Rule] = (
    Rule("sweeper.approvals", "approvals_expired", late_approvals),
    Rule("sweeper.leases", "leases_lost", lost_leases),
    Rule("sweeper.idle", "runs_idle", idle_runs),
    Rule("sweeper.repeats", "runs_repeating", repeating_runs),
    Rule("sweeper.stuck", "runs_failed", long_stuck_runs),
)
"""All of them."""


def _live(policy: SweepPolicy) -> list[str]:
    return ["leased", "live", "imported"] if policy.runs == "all" else ["leased", "live"]


def _stuck_kinds(policy: SweepPolicy) -> list[str]:
    return ["leased"] if policy.runs == "leased" else _live(policy)


def _expiring(approval_id: str) -> Callable[[CallerExecutor], Receipt]:
    return lambda executor: Approval(approval_id, executor).expire()


def _losing(run_id: str, execution_id: str, then: Literal["claimable", "failed"]) -> Callable[[CallerExecutor], Receipt]:
    return lambda executor: Run(run_id, executor).expire_lease(execution_id, then=then)


def _marking(run_id: str, rule: StuckRule, detail: str, version: int | None = None) -> Callable[[CallerExecutor], Receipt]:
    def act(executor: CallerExecutor) -> Receipt:
        run = Run(run_id, executor)
        if version is None:
            return run.mark_stuck(rule, detail)
        return run.mark_stuck(rule, detail, expected_version=version)

    return act


def _failing(run_id: str, told: str, stop_reason: str, version: int) -> Callable[[CallerExecutor], Receipt]:
    return lambda executor: Run(run_id, executor).fail(told, code=stop_reason, stop_reason=stop_reason, expected_version=version)
