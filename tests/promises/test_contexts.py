"""What happens to a tool call, a step, a message, a decision or a problem has beside it which one, and what that is."""

import random

import pytest

from runfold import Ledger
from runfold.domain.catalogue import event_types
from runfold.domain.context import Context, context_of
from runfold.domain.subjects import ABOUT
from tests.contexts import require_contexts
from tests.databases import TestDatabase
from tests.projections.histories import History

SUBJECTS = ("tool.", "step.", "model_call.", "message.", "decision.", "problem.")


def test_every_type_of_event_about_a_thing_says_which() -> None:
    assert {name for name in event_types.all() if name.startswith(SUBJECTS)} == {event.type for event in ABOUT}


def test_every_event_of_any_history_has_beside_it_what_it_is_about(database: TestDatabase) -> None:
    history = History(random.Random(41))  # noqa: S311
    seen: set[str] = set()
    for _ in range(6):  # each from a process that remembers nothing
        with Ledger.open(settings=database.settings) as ledger:
            history.go_on(ledger, 150)
            seen = require_contexts(ledger.recorder.reader.events())
    assert seen >= {"tool.succeeded", "approval.vote_cast", "message.revised", "step.finished", "decision.outcome_recorded"}


def test_a_branch_says_of_a_call_of_its_past_who_asked_and_for_which_tool(database: TestDatabase) -> None:
    with Ledger.open(settings=database.settings) as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        call, left = run.call_tool("search", {"q": 1}), run.call_tool("refund")
        branch = run.branch()
        branch.tool_call(call.id).succeed({"found": 1})
    with Ledger.open(settings=database.settings) as ledger:
        ledger.run(branch.id).tool_call(left.id).fail("no")
        ended = list(ledger.now.reader.stream(branch.id, types=("tool.*",)))
    stands = [(each.context.run_id, each.context.call_run_id, each.context.call_id, each.context.tool_name) for each in ended]
    assert stands == [(branch.id, run.id, call.id, "search"), (branch.id, run.id, left.id, "refund")]


@pytest.mark.parametrize("words", ['{"run_id": "run_1", "mood": "good"}', '{"run_id": "run_1"}'])
def test_a_context_of_a_newer_or_an_older_ledger_is_read(words: str) -> None:
    assert context_of(words) == Context(run_id="run_1")
