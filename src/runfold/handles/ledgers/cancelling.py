"""Many runs cancelled at once, each by itself: at once where nobody works on it, else its worker is asked to stop."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Literal, TypedDict

from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.run import ENDED
from runfold.domain.run_events import RunCancellationRequested, RunCancelled, Status
from runfold.domain.values import narrowing, texts
from runfold.errors import RunNotFound, UsageError
from runfold.handles.calling.local import CallerExecutor
from runfold.handles.run_lifecycle import ending
from runfold.history.views import View
from runfold.queries.lists.where import OneOrMore
from runfold.queries.reading import Reading

MOST = 1000
"""Runs that are cancelled at once."""
LOOK_SECONDS = 0.05
Outcome = Literal["cancelled", "cancelling", "ended", "not_found"]


class CancelledRun(View):
    """What became of one run."""

    run_id: str
    outcome: Outcome
    """`cancelled`; `cancelling`: its worker was asked to stop, and hears of it when it renews its lease; `ended`: it was over
    already, otherwise than by cancelling; `not_found`."""
    status: Status | None = None
    """How it stands; null where there is no such run."""


class RunChoice(TypedDict, total=False):
    """Which runs: those that have not ended, narrowed by any of these."""

    thread_id: OneOrMore
    agent_id: OneOrMore
    user_id: OneOrMore
    goal_id: OneOrMore
    workflow_id: OneOrMore
    status: OneOrMore


def chosen_runs(reading: Reading, run_ids: Iterable[str] | None, choice: RunChoice, limit: int) -> list[str]:
    """Return the ids of the runs to cancel, as they were given, or found. Raises UsageError, ReadModelBehind.

    What is None says nothing.
    """
    said = {name: narrowing(name, value) for name, value in choice.items() if value is not None}  # type: ignore[arg-type]
    if (run_ids is None) == (not said):
        raise UsageError("name runs to cancel, or say which by thread, agent, user, goal, workflow or status; not both")
    if not 1 <= limit <= MOST:
        raise UsageError(f"limit is {limit}; it is 1 to {MOST}")
    if run_ids is None:
        return [row.run_id for row in reading.runs(active=True, order="asc", limit=limit, **said).items]  # type: ignore[arg-type]
    found = list(dict.fromkeys(texts("run_ids", run_ids)))
    if len(found) > limit:
        raise UsageError(f"{len(found)} runs are more than can be cancelled at once; name at most {limit}")
    return found


def cancel_one(executor: CallerExecutor, run_id: str, reason: str | None, *, force: bool, dry_run: bool = False) -> CancelledRun:
    """Cancel one run, or ask its worker to stop; with `dry_run` only say what would come of it. Raises LedgerError."""
    status: list[Status] = []
    caller = executor.caller
    if caller.key is not None:  # each run has a key of its own, so that the same request again finds each
        executor = CallerExecutor(executor.commands, caller._replace(key=f"{caller.key} {run_id}"), executor.clock)
    try:
        if dry_run:
            view = executor.reading().run(run_id)
            is_asked = view.worker is not None and not force
            outcome = _outcome(view.status, None if view.status in ENDED else is_asked)
            return CancelledRun(run_id=run_id, outcome=outcome, status=view.status)
        receipt = executor.execute_plan(_stopping(executor, run_id, reason, status, force=force))
    except RunNotFound:
        return CancelledRun(run_id=run_id, outcome="not_found")
    for event in receipt.events:
        if isinstance(event, RunCancelled):
            return CancelledRun(run_id=run_id, outcome="cancelled", status="cancelled")
    is_asked = any(isinstance(event, RunCancellationRequested) for event in receipt.events)
    now = status[-1] if status else executor.reading().run(run_id).status
    return CancelledRun(run_id=run_id, outcome=_outcome(now, True if is_asked else None), status=now)


def wait_until_ended(found: Sequence[CancelledRun], status_of: Callable[[str], Status], length: timedelta) -> list[CancelledRun]:
    """Wait for runs whose workers were asked to stop, for so long at most, and return how all stand then."""
    end = time.monotonic() + length.total_seconds()
    while any(each.outcome == "cancelling" for each in found) and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        found = [_looked_again(each, status_of) if each.outcome == "cancelling" else each for each in found]
    return list(found)


def _looked_again(one: CancelledRun, status_of: Callable[[str], Status]) -> CancelledRun:
    status = status_of(one.run_id)
    return CancelledRun(run_id=one.run_id, outcome=_outcome(status, None), status=status)


def _outcome(status: Status, is_asked: bool | None) -> Outcome:
    """Return what becomes of a run: where nobody need be asked, it is cancelled."""
    if status in ENDED:
        return "cancelled" if status == "cancelled" else "ended"
    return "cancelled" if is_asked is False else "cancelling"


def _stopping(executor: CallerExecutor, run_id: str, reason: str | None, status: list[Status], *, force: bool) -> Plan[Receipt]:
    """Plan the end of a run, or the request for it; `status` is told how the run stands then."""

    def work(session: Session) -> None:
        run = session.run(run_id)
        held = run.lease.held
        if run.status in ENDED:
            status.append(run.status)
        elif held is not None and executor.clock() < held.lease_expires_at and not force:
            session.record(run, run.request_cancellation(reason, str(executor.actor)))
            status.append(run.status)
        else:
            ending(run_id, lambda run: run.cancel(reason), "run_cancelled", {}).decide(session)
            status.append("cancelled")

    return Plan(run_id, work, itself, {})
