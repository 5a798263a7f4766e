"""The owner's questions are answered in a ledger that nobody has folded; those of others are left to workers."""

from collections.abc import Iterator

import pytest

from runfold import Ledger, Settings
from runfold.commands.caller import Caller
from runfold.errors import ReadModelBehind


@pytest.fixture
def owned(settings: Settings) -> Iterator[Ledger]:
    """A ledger as it is opened without any setting."""
    with Ledger.open(settings=settings.model_copy(update={"fold_on_read": 10})) as opened:
        yield opened


def test_the_first_question_folds_what_it_needs_and_later_ones_are_as_current_as_they_say(owned: Ledger) -> None:
    thread = owned.create_thread(agent_id="support")
    thread.start_run()
    assert len(owned.now.runs().items) == 1
    assert {status.name for status in owned.projections() if status.state != "not begun"} == {"run_summaries"}
    receipt = thread.start_run().receipt
    stale = owned.now.runs()
    assert (len(stale.items), stale.standing.behind_events) == (1, 2)
    assert len(owned.now.runs(min_position=receipt.position).items) == 2
    assert owned.now.rows("tests.projector.toys:Tally").standing.behind_events == 0


@pytest.mark.row("HV-45")
def test_a_summary_is_answered_from_read_models_and_made_from_the_log_where_they_lack_it(owned: Ledger) -> None:
    run = owned.create_thread(agent_id="support").start_run()
    run.decide("sort it", options=[{"id": "a", "description": "a"}], chosen="a").outcome(success=True, summary="sorted")
    run.complete()
    made = owned.now.summary(run.id)
    assert (made.decision_count, made.successes) == (1, ("sorted",))
    run.report_problem("critical", "fire")
    loaded = owned.now.summary(run.id)
    assert (loaded.problem_count, loaded.standing.behind_events) == (0, 1)
    owned.fold()
    assert owned.now.summary(run.id).critical_problems == ("fire",)


def test_more_than_a_little_and_whoever_asks_for_another_is_left_to_workers(owned: Ledger) -> None:
    owned.create_thread(agent_id="support").start_run()
    caller = owned.on_behalf(Caller(owned.caller.tenant_id, owned.caller.actor))
    with pytest.raises(ReadModelBehind, match="has not been built yet"):
        caller.now.runs()
    for _ in range(4):
        owned.create_thread(agent_id="support").start_run()
    with pytest.raises(ReadModelBehind, match="has not been built yet"):
        owned.now.runs()
    found = owned.fold_to_read("run_summaries")
    assert (found.folded, found.backlog.events, found.backlog.names) == (False, owned.position(), ("run_summaries",))
