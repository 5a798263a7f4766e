"""Events that are looked for by type, or by a tenant who has few: found however rare they are, none missed, none too many."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from runfold import Ledger
from runfold.commands.caller import Caller
from runfold.domain.recorded import Recorded
from runfold.domain.values import Actor
from runfold.store.reading import by_type, reader
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader
from tests.databases import TestDatabase
from tests.projections.histories import History

TYPES = ("message.added", "message.*", "tool.*", "*.added", "*ed", "problem.*", "run.created", "security.*", "no.such", "*")
TENANTS = ("default", "other", "nobody")


@pytest.fixture(scope="module")
def told(shared_database: TestDatabase) -> Iterator[tuple[Reader, list[Recorded]]]:
    """A log of two tenants, one of which has little in it; only to be read."""
    dice = random.Random(3)  # noqa: S311
    with Ledger.open(settings=shared_database.settings) as ledger:
        other = ledger.on_behalf(Caller("other", Actor.parse("human:ada")))
        histories = [(History(dice), ledger, 120), (History(dice), other, 10)]
        for history, where, moves in histories * 3:
            history.go_on(where, moves)  # type: ignore[arg-type]
        log = ledger.recorder.reader
        yield log, list(log.events())


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a log of millions."""
    monkeypatch.setattr(reader, "NEAR", 5)
    monkeypatch.setattr(by_type, "LEAST", 2)
    monkeypatch.setattr(reader, "SEARCHED", 120)
    monkeypatch.setattr(reader, "SPARSE", 4)


def asked(dice: random.Random) -> Filter:
    """What somebody may be after."""
    return Filter(
        tenant_id=dice.choice(TENANTS),
        types=tuple(dice.sample(TYPES, dice.choice([0, 1, 1, 2, 3]))),
        without=tuple(dice.sample(TYPES[:-1], dice.choice([0, 0, 1]))),
        agent_ids=dice.choice([(), (), ("sales",)]),
    )


@pytest.mark.fault("C-6")
def test_every_stretch_holds_all_that_is_wanted_as_far_as_it_says(told: tuple[Reader, list[Recorded]]) -> None:
    log, events = told
    dice, found = random.Random(9), 0  # noqa: S311
    for _ in range(100):
        wanted, limit = asked(dice), dice.choice([1, 2, 7, 500])
        after, up_to = sorted(dice.choices(range(len(events) + 3), k=2))
        within = [each for each in events if after < each.position <= up_to and wanted.takes(each)]
        stretch = log.stretch(wanted, after=after, up_to=up_to, limit=limit)
        assert stretch.events == [each for each in within if each.position <= stretch.position], (wanted, after, up_to, limit)
        assert stretch.position > after or after == up_to
        back = log.stretch_back(wanted, after=after, up_to=up_to, limit=limit)
        assert back.events == [each for each in within[::-1] if each.position > back.position], (wanted, after, up_to, limit)
        assert log.page(wanted, after=after, up_to=up_to, limit=limit) == within[:limit]
        assert log.page(wanted, after=after, up_to=up_to, limit=limit, descending=True) == within[::-1][:limit]
        assert len(stretch.events) <= limit
        found += len(within)
    assert found > 500


def test_what_is_rare_is_found_at_once_and_not_step_by_step(
    told: tuple[Reader, list[Recorded]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, events = told
    asked: list[str] = []
    rows = Reader.rows

    def counted(self: Reader, query: str, parameters: Any = ()) -> Any:
        asked.append(query)
        return rows(self, query, parameters)

    monkeypatch.setattr(Reader, "rows", counted)
    last = events[-1].position
    for wanted, most in (
        (Filter(tenant_id="default", types=("security.key_revoked",)), 2),
        (Filter(tenant_id="default", types=("security.*",)), 2),
        (Filter(tenant_id="nobody"), 3),
    ):
        asked.clear()
        assert log.stretch(wanted, up_to=last) == ([], last, 0)
        assert len(asked) <= most, asked


def test_a_small_tenant_finds_its_events_among_those_of_large_ones(told: tuple[Reader, list[Recorded]]) -> None:
    log, events = told
    own = [each for each in events if each.tenant_id == "other"]
    assert 0 < len(own) * 4 < len(events)
    assert list(TenantReader.of(log, "other").events()) == own


def test_no_stretch_found_by_type_holds_more_than_was_asked_for(told: tuple[Reader, list[Recorded]]) -> None:
    log, events = told
    wanted = Filter(tenant_id="default", types=("message.*",))
    own = [each for each in events if wanted.takes(each)]
    for most in (1, 700, 10**6):
        stretches, after = [], 0
        while after < events[-1].position:
            stretches.append(log.within(most).stretch(wanted, after=after, up_to=events[-1].position))
            after = stretches[-1].position
        assert [each for stretch in stretches for each in stretch.events] == own
        for stretch in stretches:
            assert stretch.size - sum(each.payload_bytes for each in stretch.events[-1:]) < most
