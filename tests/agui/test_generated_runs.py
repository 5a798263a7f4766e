"""Whatever a run did, what AG-UI is told of it breaks no rule, and who joins in the middle ends with what everybody has."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runfold import Ledger
from runfold.agui.checker import Checker
from runfold.agui.fields import MODELS
from runfold.agui.run_events import RunEvents
from runfold.domain.message import MessageRedacted
from runfold.domain.recorded import Recorded
from runfold.history.path import History as Past
from runfold.store.reading.tenant_reader import TenantReader

from .client import Client
from .runs import recorded_history

FORGIVING = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),  # a seed is not made smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SEEN: Counter[str] = Counter()


@pytest.mark.row("AG-03")
@FORGIVING
@given(seed=st.integers(0, 2**32))
def test_what_goes_out_of_any_run_breaks_no_rule(ledger: Ledger, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    history = recorded_history(dice, ledger, 100)
    for thread_id in history.threads:
        events = list(ledger.thread(thread_id).events())
        for run_id in (run_id for run_id, home in history.thread_of.items() if home == thread_id):
            past = list(Past(TenantReader.of(ledger.recorder.reader, "default"), thread_id, run_id).past_events())
            for with_past in (False, True):
                _try_run(RunEvents(run_id, past=past, with_past=with_past), events, dice)
            for at in range(dice.randrange(3), len(events) + 1, 3):
                _try_joining(run_id, events, past, at, dice)


def _try_run(run: RunEvents, events: list[Recorded], dice: random.Random) -> None:
    _require_right(_told(run, events, dice, 0.1), has_ended=run.has_ended)


def _told(run: RunEvents, events: list[Recorded], dice: random.Random, settling: float) -> list[Any]:
    """What a client is told, and of what waits for more, now and then, before more comes."""
    told: list[Any] = []
    for recorded in events:
        told += run.take(recorded)
        if dice.random() < settling:
            told += run.settle()
    return told + run.settle()


def _try_joining(run_id: str, events: list[Recorded], past: list[Recorded], at: int, dice: random.Random) -> None:
    """One client sees all of it, the other comes somewhere in the middle; with or without what waits for more told meanwhile."""
    settling = dice.choice((0.0, 0.1))
    here, there = RunEvents(run_id, past=past, with_past=True), RunEvents(run_id, past=past, with_past=True)
    all_of_it = _told(here, events, dice, settling)
    _told(there, events[:at], dice, settling)
    joined = there.join()
    begun = Client().take_all(joined)
    joined += _told(there, events[at:], dice, settling)
    _require_right(joined, has_ended=there.has_ended)
    one, other = Client().take_all(all_of_it), Client().take_all(joined)
    if any(isinstance(recorded.event, MessageRedacted) for recorded in events):
        one.take_all(here.join())  # whose stream is over is not told what is redacted afterwards, until they come again
        other.take_all(there.join())
    assert sorted(map(str, one.told())) == sorted(map(str, other.told()))
    assert (one.state, one.activities()) == (other.state, other.activities())
    assert settling or other.pending == one.pending or other.pending == begun.pending != [], (
        "once it waits, nobody is told of less to wait for"
    )
    rejoined = Client().take_all(there.join())
    assert sorted(map(str, one.told())) == sorted(map(str, rejoined.told()))
    assert one.state == rejoined.state
    assert settling or one.pending == rejoined.pending


def _require_right(told: list[Any], *, has_ended: bool) -> None:
    SEEN.update(event["type"] for event in told)
    checker = Checker()
    for event in told:
        assert checker.take(event) is None, checker.violation
    found = checker.end()
    if told and has_ended:
        assert found is None, found
    elif found is not None:
        assert found.rule == "terminal"


def test_the_runs_hold_every_type_of_event_that_is_made(ledger: Ledger) -> None:
    dice = random.Random(3)  # noqa: S311  the same each time
    history = recorded_history(dice, ledger, 900)
    SEEN.clear()
    for thread_id in history.threads:
        events = list(ledger.thread(thread_id).events())
        for run_id in (run_id for run_id, home in history.thread_of.items() if home == thread_id):
            _try_run(RunEvents(run_id), events, dice)
    chunks = {"TEXT_MESSAGE_CHUNK", "TOOL_CALL_CHUNK", "REASONING_MESSAGE_CHUNK", "ACTIVITY_DELTA"}
    assert MODELS.keys() - chunks - SEEN.keys() == set()
