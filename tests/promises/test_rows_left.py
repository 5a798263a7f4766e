"""What there is instead of what is left out of other systems, and why it is left out."""

import pytest

from runfold import CommandRefused, Ledger
from runfold.api.table import COMMANDS, QUESTIONS
from runfold.domain.run_events import ENDING_OF_STOP_REASON, STATUS_ALIASES


@pytest.mark.row_left("LT-06", why="jobs and batches are no runs; the words of theirs that fit a run are understood")
def test_words_of_jobs_that_fit_a_run_are_understood(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").create_run()
    ledger.fold()
    assert STATUS_ALIASES["pending"] == "created"
    assert [row.run_id for row in ledger.now.runs(status="pending").items] == [run.id]
    assert (ENDING_OF_STOP_REASON["lease_expired"], ENDING_OF_STOP_REASON["incomplete"]) == ("failed", "failed")


@pytest.mark.row_left(
    "LT-39", why="spans stay in the store of traces; what is recorded has the trace context by which they are found there"
)
@pytest.mark.row_left(
    "LT-41",
    why="steps are listed of one run and not over all runs; judgements are of decisions and not of steps; payloads of providers"
    " are not kept",
)
def test_the_steps_of_a_run_say_in_which_trace_they_are(ledger: Ledger) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    run = ledger.create_thread(agent_id="support").start_run()
    run.start_step("look", traceparent=traceparent).finish()
    run.decide("d", options=[{"id": "a", "description": "a"}], chosen="a").evaluate(outcome_quality=0.2)
    (step,) = ledger.now.steps(run.id)
    assert (step.name, step.traceparent) == ("look", traceparent)
    ledger.fold()
    assert [row.outcome_quality for row in ledger.now.decisions(run_id=run.id).items] == [0.2]


@pytest.mark.row_left(
    "HV-54", why="no run is deleted: its thread is marked deleted, its words are redacted, and the log stays whole"
)
def test_a_run_stays_where_its_thread_is_deleted_and_goes_on_no_more(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")
    run = thread.start_run()
    run.complete()
    thread.delete("asked to")
    ledger.fold()
    assert [row.run_id for row in ledger.now.runs().items] == [run.id]
    assert ledger.now.threads().items == ()
    with pytest.raises(CommandRefused, match="deleted"):
        thread.start_run()


@pytest.mark.row("CV-55")
def test_who_may_ask_files_retrieval_limits_billing_and_workflows_are_left_to_the_program(ledger: Ledger) -> None:
    """A program that has its own needs none of ours: what it says of usage is recorded, and nothing is charged for."""
    nouns = {route.path.split("/")[1] for route in (*COMMANDS, *QUESTIONS)}
    assert not nouns & {"files", "documents", "embeddings", "invoices", "billing", "workflows"}
    run = ledger.create_thread(agent_id="support").start_run()
    run.link("workflow-7")
    for _ in range(100):
        run.usage(model="a-model-of-its-own", provider="its-own", input_tokens=10, output_tokens=1)
    assert run.view().workflow_id == "workflow-7"
    ledger.fold()
    used = ledger.now.usage("model", run=run.id).total
    assert (used.calls, used.input_tokens, used.output_tokens, used.calls_without_cost) == (100, 1000, 100, 100)


@pytest.mark.row_left("RV-09", why="positions without a hole are PostgreSQL's locks; a PostgreSQL comes with the program")
@pytest.mark.row_left("RV-31", why="a ledger that stores nothing is none")
def test_what_is_recorded_is_in_a_postgresql(ledger: Ledger) -> None:
    assert ledger.recorder.reader.rows("SELECT current_setting('server_version_num')::int >= 140000") == [(True,)]
