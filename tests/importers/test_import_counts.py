"""The real runs: the counts that come with them are reproduced, by the tally and by what is in the ledger."""

from collections import Counter
from decimal import Decimal

import pytest

from runfold.domain.approval_events import ApprovalDenied, ApprovalGranted, ApprovalRequested
from runfold.domain.decision import OutcomeRecorded
from runfold.domain.message import MessageAdded
from runfold.domain.run_events import RunCompleted, RunCreated
from runfold.domain.usage import CostReported, UsageRecorded
from tests.importers.conftest import SOURCES, Imported

EXPECTED = {
    "claude-code": {
        "threads": 14,
        "runs": 53,
        "messages": 900,
        "tool_calls": 429,
        "tool_errors": 29,
        "decisions": 11,
        "approvals": 11,
        "input_tokens": 13_592,
        "output_tokens": 93_649,
    },
    "tau2-retail-gpt4o": {
        "threads": 480,
        "runs": 480,
        "messages": 12_581,
        "tool_calls": 3_906,
        "tool_errors": 210,
        "decisions": 480,
        "input_tokens": 2_246_759 + 38_525_347,
        "output_tokens": 107_387 + 308_006,
    },
    "tau2-human-agent": {
        "threads": 104,
        "runs": 104,
        "messages": 3_385,
        "tool_calls": 786,
        "tool_errors": 29,
        "decisions": 0,
        "input_tokens": 606_899,
        "output_tokens": 27_955,
    },
    "tau-bench-airline": {
        "threads": 200,
        "runs": 200,
        "messages": 5_308,
        "tool_calls": 1_164,
        "tool_errors": 73,
        "decisions": 200,
        "input_tokens": 0,
        "output_tokens": 0,
    },
    "ag-ui-streams": {
        "threads": 13,
        "runs": 20,
        "messages": 48,
        "tool_calls": 9,
        "approvals": 2,
        "input_tokens": 3_647,
        "output_tokens": 4_885,
    },
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_tally_of_a_real_source_is_exact(imported: Imported, source: str) -> None:
    tally = imported.tallies[source].as_json()
    assert {name: tally[name] for name in EXPECTED[source]} == EXPECTED[source]
    assert (tally["problems"], tally["skipped"]) == (0, 0)


@pytest.mark.parametrize("source", SOURCES)
def test_importing_again_appends_nothing_and_says_the_same(imported: Imported, source: str) -> None:
    position, first = imported.ledger.position(), imported.tallies[source].as_json()
    second = imported.again(source).as_json()
    assert (second["events"], second["skipped"], second["problems"]) == (0, first["threads"], 0)
    assert {name: second[name] for name in EXPECTED[source]} == EXPECTED[source]
    assert imported.ledger.position() == position


def test_what_is_in_the_ledger_is_what_the_tallies_say(imported: Imported) -> None:
    types = Counter(recorded.type for recorded in imported.ledger.subscribe(follow=False))
    tallies = imported.tallies.values()
    assert types["thread.created"] == types["thread.imported"] == sum(tally.threads for tally in tallies)
    assert types["run.created"] == sum(tally.runs for tally in tallies)
    assert types["message.added"] == sum(tally.messages for tally in tallies)
    assert types["tool.called"] == sum(tally.tool_calls for tally in tallies)
    assert types["tool.failed"] == sum(tally.tool_errors for tally in tallies)
    assert types["tool.succeeded"] == types["tool.called"] - types["tool.failed"]
    assert types["decision.made"] == sum(tally.decisions for tally in tallies)
    assert types["approval.requested"] == sum(tally.approvals for tally in tallies)
    assert sum(types.values()) == sum(tally.events for tally in tallies) == imported.ledger.position()


def _usage(imported: Imported, agent: str) -> dict[str, int]:
    used: Counter[str] = Counter()
    for recorded in imported.ledger.subscribe(types=["usage.recorded"], follow=False):
        if isinstance(recorded.event, UsageRecorded) and (recorded.context.agent_id or "").startswith(agent):
            used.update({name: count or 0 for name, count in recorded.event.tokens.model_dump().items()})
    return dict(used)


def test_sessions_of_claude_code_match_their_counts(imported: Imported) -> None:
    counts = imported.counts()["claude-code"]["all"]
    tally = imported.tallies["claude-code"]
    assert tally.threads == counts["sessions"]
    assert tally.messages == counts["line_types"]["user"] + counts["distinct_assistant_message_ids"]
    assert tally.tool_calls == counts["block:tool_use"] == counts["block:tool_result"]
    assert tally.tool_errors == counts["tool_results_is_error"]
    used = counts["tokens_deduplicated_by_message_id (last usage wins)"]
    recorded = _usage(imported, "claude-code")
    assert {name: recorded[name] for name in used} == used


def test_plans_and_questions_of_claude_code_are_approvals_and_decisions(imported: Imported) -> None:
    counts = imported.counts()["claude-code"]["all"]
    plans, questions, verdicts = set[str](), set[str](), dict[str, str]()
    for recorded in imported.ledger.subscribe(types=["approval.*"], follow=False):
        match recorded.event:
            case ApprovalRequested(action="ExitPlanMode"):
                plans.add(recorded.stream)
            case ApprovalRequested(action="AskUserQuestion") as asked:
                questions.add(recorded.stream)
                assert len(asked.choices) >= 2
            case ApprovalGranted() | ApprovalDenied():
                verdicts[recorded.stream] = recorded.type
    approved = [plan for plan in plans if verdicts[plan] == "approval.granted"]
    assert (len(approved), len(plans) - len(approved)) == (counts["plans_approved"], counts["approvals_rejected"]) == (5, 3)
    assert [verdicts[question] for question in questions] == ["approval.granted"] * 3


def test_sub_agents_of_claude_code_are_runs_of_their_own(imported: Imported) -> None:
    created = [recorded.event for recorded in imported.ledger.subscribe(types=["run.created"], follow=False)]
    kinds = Counter(event.parent.kind for event in created if isinstance(event, RunCreated) and event.parent)
    assert kinds["spawned_by"] == imported.counts()["claude-code"]["all"]["subagent_files"] == 12
    assert kinds["branches"] == 1


def test_scores_are_outcomes_of_completed_runs(imported: Imported) -> None:
    counts = imported.counts()
    outcomes: Counter[bool] = Counter()
    for recorded in imported.ledger.subscribe(types=["decision.outcome_recorded"], follow=False):
        if isinstance(recorded.event, OutcomeRecorded):
            outcomes[recorded.event.outcome.success] += 1
    retail, airline = counts["tau2-retail-gpt4o"]["all"]["reward"], counts["tau-bench-airline"]
    assert outcomes == {True: retail["1.0"] + airline["runs_reward_1"], False: retail["0.0"] + airline["runs_reward_0"]}
    ended = Counter(recorded.type for recorded in imported.ledger.subscribe(types=["run.failed", "run.completed"], follow=False))
    assert ended["run.failed"] == 0


def test_usage_and_cost_of_both_sides_are_told_apart(imported: Imported) -> None:
    costs: dict[tuple[str | None, str | None], Decimal] = {}
    tokens: Counter[tuple[str | None, str | None]] = Counter()
    for recorded in imported.ledger.subscribe(types=["usage.*"], follow=False):
        match recorded.event:
            case CostReported() as cost:
                key = (recorded.context.agent_id, cost.node_id)
                costs[key] = costs.get(key, Decimal(0)) + cost.amount
            case UsageRecorded() as used:
                tokens[recorded.context.agent_id, used.node_id] += used.tokens.input_tokens or 0
    counts = imported.counts()["tau2-retail-gpt4o"]["all"]
    used, said = counts["usage_tokens"], counts["message_cost_usd"]
    assert tokens["gpt-4o", "agent"] == used["assistant.prompt_tokens"]
    assert tokens["gpt-4o", "user_simulator"] == used["user.prompt_tokens"]
    a_rounding = Decimal("0.000001")
    assert abs(costs["gpt-4o", "agent"] - Decimal(str(said["assistant"]))) < a_rounding
    assert abs(costs["gpt-4o", "user_simulator"] - Decimal(str(said["user"]))) < a_rounding


def test_no_cost_claims_to_be_the_providers_where_the_source_added_it_up_itself(imported: Imported) -> None:
    costs = [recorded.event for recorded in imported.ledger.subscribe(types=["usage.cost_reported"], follow=False)]
    assert len(costs) > 9000
    assert {cost.source for cost in costs if isinstance(cost, CostReported)} == {"local"}


def test_every_trial_is_tagged_with_its_task(imported: Imported) -> None:
    tasks = {
        recorded.context.goal_id
        for recorded in imported.ledger.subscribe(types=["run.created"], follow=False)
        if recorded.context.agent_id == "gpt-4o"
    }
    assert len(tasks) == imported.counts()["tau2-retail-gpt4o"]["all"]["tasks"]
    assert "task:retail:12" in tasks


def test_the_sources_own_times_are_kept_beside_the_ledgers(imported: Imported) -> None:
    counts = imported.counts()
    first, last = counts["claude-code"]["all"]["first_timestamp"], counts["claude-code"]["all"]["last_timestamp"]
    moments = [
        recorded.happened_at.isoformat()
        for recorded in imported.ledger.subscribe(types=["message.added"], follow=False)
        if (recorded.context.agent_id or "").startswith("claude-code") and isinstance(recorded.event, MessageAdded)
    ]
    assert (min(moments)[:19], max(moments)[:19]) == (first[:19], last[:19])


def test_two_interrupts_are_resumed_by_the_runs_after_them(imported: Imported) -> None:
    counts = imported.counts()["ag-ui-streams"]
    created = [
        (recorded.stream, recorded.event)
        for recorded in imported.ledger.subscribe(types=["run.created"], follow=False)
        if recorded.context.agent_id == "ag-ui" and isinstance(recorded.event, RunCreated)
    ]
    assert len(created) == counts["request_files"] == 20
    resumed = [event.parent.run_id for _, event in created if event.parent and event.parent.kind == "resumes"]
    assert len(resumed) == counts["requests_with_resume"] == counts["interrupts"] == 2
    for run_id in resumed:
        types = [recorded.type for recorded in imported.ledger.now.run_events(run_id)]
        assert types[-3:] == ["run.waiting", "run.resumed", "run.completed"]
    completed = list(imported.ledger.subscribe(types=["run.completed"], follow=False))
    assert {run_id for run_id, _ in created} <= {item.stream for item in completed if isinstance(item.event, RunCompleted)}
