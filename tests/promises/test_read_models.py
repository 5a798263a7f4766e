"""What every read model promises, tried on every one that there is: on real runs, and on histories nobody would think of."""

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold import Ledger
from runfold.domain.recorded import Recorded
from runfold.projections.fold import fold_all, touched
from runfold.projections.projection import AnyProjection, Key, Row
from runfold.projections.registry import known
from runfold.projector import checkpoints, worker
from runfold.projector.checking import purity
from runfold.projector.folding import shard, team
from runfold.projector.worker import Worker
from runfold.store.datastore import Datastore
from tests.domain.steady import STEADY
from tests.projections.histories import History
from tests.projector.soundness import Books, differences
from tests.projector.ways import WAYS, Faults, Site, new_site, tried

ROOT = str(Path(__file__).parents[2])
EVERY = sorted(known())
NEVER_MADE = {
    "thread.deleted",
    "thread.imported",
    "run.lease_renewed",
    "run.metadata_merged",
    "state.patched",
}


def test_the_histories_hold_every_event_that_a_read_model_looks_at(site: Site) -> None:
    with psycopg.connect(site.url) as connection:
        there = {topic for (topic,) in connection.execute("SELECT DISTINCT topic FROM runfold.log")}
    looked_at = {event.type for projection in known().values() for event in projection.events}
    assert looked_at - there <= NEVER_MADE


@pytest.fixture(scope="module", params=WAYS)
def faults(request: pytest.FixtureRequest, site: Site) -> Faults:
    """Of every read model, when it came about in one of the ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(team, "BEAT_SECONDS", 0.1)
        return tried(site, WAYS[request.param], known())


@pytest.mark.fault("A4", "G3", "G4", "G5")
@pytest.mark.parametrize("name", EVERY)
def test_it_is_what_the_fold_says_however_it_came_about(faults: Faults, name: str) -> None:
    assert faults[name] == []


# As of a position


@pytest.fixture(scope="module")
def short(site: Site, admin_url: str, template: str) -> tuple[Faults, int]:
    """Of every read model in a ledger that holds only the first events, against the fold of as many of the whole one."""
    cut = site.length() * 2 // 3
    other = new_site(admin_url, template, "short")
    with psycopg.connect(site.database.admin_url) as source, psycopg.connect(other.database.admin_url) as target:
        target.execute("UPDATE runfold.head SET position = %s", [cut])
        with (
            source.cursor().copy(f"COPY (SELECT * FROM runfold.log WHERE notification_id <= {cut}) TO STDOUT") as rows,
            target.cursor().copy("COPY runfold.log FROM STDIN") as into,
        ):
            for data in rows:
                into.write(data)
    folding = Worker(Datastore(other.url), known())
    folding.catch_up()
    folding.close()
    with Books(site.url) as whole, Books(other.url) as books:
        due = {name: whole.due(projection, cut) for name, projection in known().items()}
        return {name: books.faults(projection, cut, due[name]) for name, projection in known().items()}, cut


@pytest.mark.parametrize("name", EVERY)
def test_as_of_a_position_it_is_that_of_a_ledger_that_ends_there(short: tuple[Faults, int], name: str) -> None:
    faults, cut = short
    assert cut > 1000
    assert faults[name] == []


# Poison


class Fails(Exception):
    """What a planted fault raises."""


def poisoned(projection: AnyProjection, position: int) -> AnyProjection:
    """The same, but that it raises at one event."""

    class Poisoned(type(projection)):  # type: ignore[misc]  # of whatever class it is
        __doc__ = type(projection).__doc__

        def evolve(self, row: Row, recorded: Recorded) -> Any:
            if recorded.position == position:
                raise Fails(f"planted at {position}")
            return super().evolve(row, recorded)

    return Poisoned()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def stopped(admin_url: str, template: str) -> tuple[dict[str, int], Faults, Faults, dict[str, Any]]:
    """Every read model fails at an event of its own: where, what is wrong when all have stopped, and when all are mended."""
    site = new_site(admin_url, template, "poisoned")
    with Ledger.open(site.database.url) as ledger:
        history = History(random.Random(5))  # noqa: S311
        for _ in range(5):
            history.go_on(ledger, 100)
    with Books(site.url) as books, pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard, "PAUSES", (0.0, 0.0, 0.0))
        at = {}
        for name, projection in known().items():
            touches = touched(projection, books.events(projection, site.length()))
            at[name] = touches[len(touches) // 2][1].position
        folding = Worker(Datastore(site.url), {name: poisoned(projection, at[name]) for name, projection in known().items()})
        folding.catch_up()
        folding.close()
        troubles = {model.name: model for model in books.models()}
        before = {name: books.faults(projection, at[name] - 1) for name, projection in known().items()}
        for model in troubles.values():
            checkpoints.end_trouble(books.connection, model.name, model.generation)
        mended = Worker(Datastore(site.url), known())
        mended.catch_up()
        mended.close()
    return at, before, site.faults(known(), site.length()), troubles


@pytest.mark.fault("G1")
@pytest.mark.parametrize("name", EVERY)
def test_an_event_that_makes_it_raise_stops_it_alone_and_mended_it_goes_on_from_there(stopped: Any, name: str) -> None:
    at, before, after, troubles = stopped
    assert before[name] == [], "it holds what came before, whatever befell the others"
    trouble = troubles[name]
    assert (trouble.trouble, trouble.trouble_position, trouble.error) == ("stopped", at[name], "PoisonEvent")
    assert f"{name} failed on the {trouble.event_type} at position {at[name]}: Fails: planted at {at[name]}; " in trouble.message
    assert after[name] == []


# Purity


@pytest.fixture(scope="module")
def digests(site: Site) -> list[dict[str, str]]:
    """Of every read model, folded in processes of other hash seeds, time zones, clocks and languages."""
    found = []
    for seed, zone, days, language in (("0", "Pacific/Kiritimati", "0", "C"), ("1", "America/St_Johns", "-40000", "C.UTF-8")):
        said = subprocess.run(
            [sys.executable, "-m", "tests.projector.digests", site.url, days],
            env={**os.environ, "PYTHONPATH": ROOT, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(said.stdout))
    return found


@pytest.mark.fault("E2", "G6")
@pytest.mark.parametrize("name", EVERY)
def test_every_process_folds_the_same_rows(digests: list[dict[str, str]], name: str) -> None:
    one, other = digests
    assert one[name] == other[name]


@pytest.fixture(scope="module")
def made_up(site: Site) -> list[Recorded]:
    """The events of the second made-up history."""
    with Ledger.open(site.database.url, tenant="other") as ledger:
        return ledger.events(limit=10_000)


@pytest.mark.fault("G6")
@pytest.mark.parametrize("name", EVERY)
def test_it_asks_for_no_clock_no_chance_and_no_file_at_any_event(
    made_up: list[Recorded], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purity, "SAMPLE", len(made_up))
    purity.require_pure(known()[name], made_up, {})


@pytest.mark.parametrize("name", EVERY)
def test_a_row_is_made_from_one_thread_or_one_goal_where_it_says_so(site: Site, name: str) -> None:
    """What lets a rebuild fold threads apart from each other."""
    projection = known()[name]
    of: dict[Key, set[str | None]] = defaultdict(set)
    with Books(site.url) as books:
        for key, recorded in touched(projection, books.events(projection, site.length())):
            of[key].add(recorded.thread_id if projection.partition == "thread" else recorded.context.goal_id)
    assert projection.partition is None or all(len(parts) == 1 for parts in of.values())


# Histories


def test_any_history_in_any_pieces_gives_the_rows_of_the_fold(admin_url: str, template: str) -> None:
    site = new_site(admin_url, template, "any")
    tenants = (f"tenant_{number}" for number in range(10_000))

    @settings(STEADY, max_examples=max(12, STEADY.max_examples // 8))
    @given(st.randoms(use_true_random=False), st.lists(st.integers(1, 40), min_size=1, max_size=4), st.sampled_from([1, 5, 500]))
    def hold(dice: random.Random, pieces: list[int], size: int) -> None:
        history, tenant = History(dice), next(tenants)
        with pytest.MonkeyPatch.context() as patch, Ledger.open(site.database.url, tenant=tenant) as ledger:
            patch.setattr(worker, "FIRST_PAGE", size)
            patch.setattr(worker, "LARGEST_PAGE", size)
            for moves in pieces:
                history.go_on(ledger, moves)
                folding = Worker(Datastore(site.url), known())
                folding.catch_up()
                folding.close()
            events = list(ledger.recorder.reader.events())
        with Books(site.url) as books:
            for projection in known().values():
                rows = {key: row for key, row in books.rows(projection).items() if key[0] == tenant}
                own = [recorded for recorded in events if recorded.tenant_id == tenant]
                assert differences(fold_all(projection, own), rows) == [], projection.name

    hold()
    assert [fault for faults in site.faults(known(), site.length()).values() for fault in faults] == []
