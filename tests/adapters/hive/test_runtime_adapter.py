"""hive's adapter of one execution, its view of a run, and an aggregator that is told."""

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from runfold import CommandRefused, Ledger
from runfold.adapters import hive
from runfold.adapters.hive import tracker as tracker_module
from runfold.adapters.hive.run_view import run_view

OPTIONS = [{"id": "howto", "description": "a how-to question", "action_type": "delegate"}, {"id": "bug"}]
HIVES_METHODS = {
    "start_run",
    "end_run",
    "set_node",
    "decide",
    "record_outcome",
    "report_problem",
    "quick_decision",
    "storage",
    "current_run",
}


@dataclass
class Aggregator:
    """Keeps what it is told."""

    decisions: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)

    def record_decision(self, stream_id: str, execution_id: str, decision: hive.Decision) -> None:
        self.decisions.append({"at": (stream_id, execution_id), "decision": decision})

    def record_outcome(self, stream_id: str, execution_id: str, decision_id: str, outcome: hive.Outcome) -> None:
        self.outcomes.append({"at": (stream_id, execution_id, decision_id), "outcome": outcome})


@pytest.mark.row("HV-02", "HV-04", "HV-05", "HV-22", "HV-44")
def test_an_execution_is_recorded_told_and_shown_as_in_hive(ledger: Ledger) -> None:
    told, storage = Aggregator(), object()
    runtime = hive.StreamRuntimeAdapter(hive.StreamDecisionTracker("webhook", storage, told, ledger=ledger), "exec_1")
    assert (runtime.storage, runtime.current_run) == (storage, None)

    run_id = runtime.start_run("support", "Answer tickets", {"ticket": 42})
    runtime.set_node("classify")
    first = runtime.decide("Classify", OPTIONS, "howto", "a pattern", decision_type=hive.DecisionType.PATH_CHOICE)
    runtime.record_outcome(first, True, {"kind": "howto"}, summary="classified", tokens_used=12, latency_ms=30)
    second = runtime.quick_decision("Answer", "write the answer", "asked to", "write")
    third, result = runtime.decide_and_execute("Send", OPTIONS, "bug", "", lambda to: f"sent to {to}", to="ada")
    runtime.record_outcome(third, False, error="bounced")
    problem = runtime.report_problem("critical", "no answer", first, "server down", "try later")
    runtime.report_problem("minor", "slow")

    assert result == "sent to ada"
    assert [(kept["at"], kept["decision"].id) for kept in told.decisions] == [
        (("webhook", "exec_1"), made) for made in (first, second, third)
    ]
    assert [(*kept["at"], kept["outcome"].success) for kept in told.outcomes] == [
        ("webhook", "exec_1", first, True),
        ("webhook", "exec_1", third, True),
        ("webhook", "exec_1", third, False),
    ]
    assert (told.outcomes[0]["outcome"].tokens_used, told.outcomes[2]["outcome"].tokens_used) == (12, 0)

    going_on = runtime.current_run
    assert going_on is not None
    assert (going_on.id, going_on.status, going_on.duration_ms, going_on.narrative) == (run_id, hive.RunStatus.RUNNING, 0, "")
    assert going_on.decisions[0].model_copy(update={"outcome": None}) == told.decisions[0]["decision"]

    ledger.run(run_id).traverse_edge("classify", "write")
    ledger.run(run_id).decision(first).evaluate(outcome_quality=0.9, better_option_id="bug", why_better="it was one")
    runtime.end_run(False, output_data={"sent": 0})
    assert runtime.current_run is None

    run = run_view(ledger.now, run_id)
    assert (run.goal_id, run.goal_description, run.input_data, run.output_data) == (
        "support",
        "Answer tickets",
        {"ticket": 42},
        {"sent": 0},
    )
    assert run.completed_at is not None
    assert run.duration_ms == round((run.completed_at - run.started_at).total_seconds() * 1000)
    assert run.status == hive.RunStatus.FAILED
    assert run.metrics.model_dump() == {
        "total_decisions": 3,
        "successful_decisions": 1,
        "failed_decisions": 1,
        "total_tokens": 12,
        "total_latency_ms": 30,
        "nodes_executed": ["classify", "write"],
        "edges_traversed": ["classify->write"],
        "success_rate": 1 / 3,
    }
    assert run.narrative == (
        "Run failed. Made 3 decisions: 1 succeeded, 1 failed. Critical issues: no answer Failed on: Answer, Send"
    )
    assert [decision.summary_for_builder() for decision in run.decisions] == [
        "✓ [classify] Classify → a how-to question [quality: 0.9]",
        "✗ [write] Answer → write the answer",
        "✗ [classify] Send → ",
    ]
    good = run.decisions[0]
    assert (good.was_successful, good.was_good_decision, good.chosen_option) == (True, True, good.options[0])
    assert good.decision_type == hive.DecisionType.PATH_CHOICE
    assert good.evaluation is not None
    assert (good.evaluation.better_option_existed, good.evaluation.better_option_id) == (True, "bug")
    assert [(kept.id == problem, kept.severity, kept.root_cause) for kept in run.problems] == [
        (True, "critical", "server down"),
        (False, "minor", None),
    ]
    assert {"duration_ms", "metrics", "narrative"} <= run.model_dump(mode="json").keys()
    # as it stood before it ended
    assert run_view(ledger.at(ledger.now.run(run_id).position - 2), run_id).status == hive.RunStatus.RUNNING


@pytest.mark.row("HV-01")
def test_hives_five_states_and_a_runs_own_narrative(ledger: Ledger) -> None:
    tracker = hive.StreamDecisionTracker("webhook", ledger=ledger)
    runs = {name: tracker.start_run(name, "support") for name in ("well", "badly", "stuck", "cancelled", "waiting")}
    tracker.end_run("well", success=True, narrative="Answered")
    tracker.end_run("badly", success=False, narrative="The mailbox is full")
    ledger.run(runs["stuck"]).mark_stuck()
    ledger.run(runs["cancelled"]).cancel("not needed")
    ledger.run(runs["waiting"]).wait("input")
    shown = {name: run_view(ledger.now, run_id) for name, run_id in runs.items()}
    assert {name: (run.status.value, run.narrative) for name, run in shown.items()} == {
        "well": ("completed", "Answered"),
        "badly": ("failed", "The mailbox is full"),
        "stuck": ("stuck", ""),
        "cancelled": ("cancelled", "not needed"),
        "waiting": ("running", ""),
    }
    assert tracker.get_run("stuck") == shown["stuck"]


@pytest.mark.row("HV-03")
def test_a_runs_id_says_its_stream_and_when_and_all_that_is_recorded_of_it_has_one_trace(ledger: Ledger) -> None:
    tracker = hive.StreamDecisionTracker("Slack #help!", ledger=ledger)
    run_id = tracker.start_run("exec_1", "support")
    assert re.fullmatch(r"run_Slack-help_\d{8}_\d{6}_[0-9a-f]{8}", run_id)
    tracker.set_node("exec_1", "classify")
    decision = tracker.quick_decision("exec_1", "send", "send the mail", "")
    tracker.record_outcome("exec_1", decision, success=True)
    tracker.report_problem("exec_1", "minor", "slow")
    tracker.end_run("exec_1", success=True)

    metadata = ledger.now.run(run_id).metadata
    assert re.fullmatch("[0-9a-f]{32}", metadata["trace_id"])
    assert re.fullmatch("[0-9a-f]{32}", metadata["otel_execution_id"])
    traces = {recorded.metadata.traceparent for recorded in ledger.events(run_id=run_id)}
    assert traces == {f"00-{metadata['trace_id']}-{metadata['otel_execution_id'][:16]}-00"}


def test_everything_that_hives_adapter_has_is_there_with_its_arguments() -> None:
    assert {name for name in vars(hive.StreamRuntimeAdapter) if not name.startswith("_")} >= HIVES_METHODS
    for name in HIVES_METHODS - {"storage", "current_run"}:
        of_one = list(inspect.signature(getattr(hive.StreamRuntimeAdapter, name)).parameters)
        of_all = list(inspect.signature(getattr(hive.StreamDecisionTracker, name)).parameters)
        assert [of_all[0], *of_all[2:]] == of_one
    made = list(inspect.signature(hive.StreamDecisionTracker).parameters)
    assert made == ["stream_id", "storage", "outcome_aggregator", "ledger"]
    assert list(inspect.signature(hive.StreamRuntimeAdapter).parameters) == ["stream_runtime", "execution_id"]


def test_without_a_ledger_it_records_in_that_of_the_settings_and_all_trackers_share_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hive.StreamDecisionTracker("webhook", ledger).thread == ledger.thread(
        hive.StreamDecisionTracker("webhook", ledger=ledger).thread.id
    )
    opened: list[Ledger] = []
    monkeypatch.setattr(tracker_module.Ledger, "open", lambda: opened.append(ledger) or ledger)
    monkeypatch.setattr(tracker_module.atexit, "register", lambda _: None)
    tracker_module._shared_ledger.cache_clear()
    trackers = [hive.StreamDecisionTracker(name, storage=object()) for name in ("webhook", "mail")]
    tracker_module._shared_ledger.cache_clear()
    assert opened == [ledger]
    run_id = trackers[1].start_run("exec_1", "support")
    assert ledger.now.run(run_id).agent_id == "mail"


def test_what_an_aggregator_raises_is_raised_and_what_is_recorded_stays(ledger: Ledger) -> None:
    class Broken(Aggregator):
        def record_decision(self, stream_id: str, execution_id: str, decision: hive.Decision) -> None:
            raise RuntimeError("full")

    tracker = hive.StreamDecisionTracker("webhook", None, Broken(), ledger=ledger)
    run_id = tracker.start_run("exec_1", "support")
    with pytest.raises(RuntimeError, match="full"):
        tracker.quick_decision("exec_1", "send", "send the mail", "")
    assert ledger.now.run(run_id).decisions == 1
    with pytest.raises(CommandRefused, match="busy with"):
        hive.StreamRuntimeAdapter(tracker, "exec_1").start_run("support")
