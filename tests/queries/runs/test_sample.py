"""A sample of runs is what anybody draws from the same runs by the same seed, however these were narrowed."""

import hashlib
from typing import Any

import pytest

from runfold import Ledger
from runfold.errors import UsageError
from tests.databases import TestDatabase
from tests.queries.listed import DAWN, MINUTE, Listed

NARROWED: tuple[dict[str, Any], ...] = (
    {},
    {"status": ["failed", "completed"]},
    {"agent_id": "support", "active": True},
    {"tool": "search", "created_from": DAWN + MINUTE},
    {"goal_id": "g1", "steps": 1, "steps_operator": "gte"},
    {"duration_percentile": 50, "user_id": "mira"},
    {"run_id": "run_nobody"},
)


def drawn(seed: str, runs: list[str], n: int) -> list[str]:
    """As the guide says it."""
    return sorted(runs, key=lambda run_id: hashlib.sha256(seed.encode() + run_id.encode()).digest())[:n]


@pytest.mark.parametrize("narrowed", NARROWED, ids=lambda narrowed: "-".join(narrowed) or "all")
def test_the_lowest_digests_of_all_that_the_list_finds_are_drawn(listed: Listed, narrowed: dict[str, Any]) -> None:
    runs = [run.run_id for run in listed.all("runs", 1000, **narrowed)]
    for seed, n in (("2026-Q3", 5), ("größer", 1), ("2026-Q3", 10_000)):
        sample = listed.ledger.now.sample_runs(seed, n=n, **narrowed)
        assert [run.run_id for run in sample.runs] == drawn(seed, runs, n)
        assert (sample.population, sample.n, sample.seed) == (len(runs), n, seed)
        assert all(run.digest == hashlib.sha256(f"{seed}{run.run_id}".encode()).hexdigest() for run in sample.runs)


def test_a_sample_says_what_it_was_narrowed_by(listed: Listed) -> None:
    sample = listed.ledger.now.sample_runs("s", created_from=DAWN, status="success", n=1)
    assert sample.filters == {"created_from": "2026-03-01T06:00:00+00:00", "status": ["completed"]}


def test_a_sample_as_of_a_position_is_drawn_from_the_runs_that_there_were(database: TestDatabase) -> None:
    with Ledger.open(settings=database.settings) as ledger:
        thread = ledger.create_thread(agent_id="a")
        first = [thread.start_run(run_id=f"run_{number}", parent=None).id for number in range(5)]
        then = ledger.position()
        later = [thread.start_run(run_id=f"run_later_{number}", parent=None).id for number in range(5)]
        ledger.fold("run_summaries")
        for reading, runs in ((ledger.at(then), first), (ledger.now, first + later)):
            for narrowed in ({}, {"thread_id": thread.id}):
                sample = reading.sample_runs("x", n=3, **narrowed)  # type: ignore[arg-type]  # a filter of text
                assert ([run.run_id for run in sample.runs], sample.population) == (drawn("x", runs, 3), len(runs))
        assert ledger.at(then).sample_runs("x").standing.position == then


def test_another_tenant_s_runs_are_not_in_the_population(listed: Listed) -> None:
    settings = listed.ledger.settings.model_copy(update={"tenant": "other"})
    own = {run.run_id for run in listed.all("runs", 1000)}
    with Ledger.open(settings=settings) as other:
        theirs = other.now.sample_runs("x", n=10_000)
        assert theirs.population > 0
        assert own.isdisjoint(run.run_id for run in theirs.runs)
        one = next(iter(own))
        assert other.now.sample_runs("x", run_id=one).population == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seed": "x", "n": 0}, "n takes a whole number from 1 to 10000, not 0"),
        ({"seed": "x", "n": 10_001}, "n takes a whole number from 1 to 10000"),
        ({"seed": ""}, "a seed has 1 to 200 characters, not 0"),
        ({"seed": "x" * 201}, "a seed has 1 to 200 characters, not 201"),
        ({"seed": "a\0b"}, "seed: "),
        ({"seed": "\ud800"}, "seed: "),
        ({"seed": 7}, "seed takes text"),
        ({"seed": "x", "limit": 3}, "unknown parameter 'limit'"),
        ({"seed": "x", "status": "asleep"}, "unknown status 'asleep'"),
    ],
)
def test_what_no_sample_can_be_drawn_by_is_refused(listed: Listed, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        listed.ledger.now.sample_runs(**asked)
