"""A database full of runs, and the ways in which its read models may come about."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
import pytest

from runfold.projections.projection import AnyProjection
from runfold.projections.registry import known, source_of
from runfold.projector import worker
from runfold.projector.folding import shard
from runfold.projector.rebuilding.rebuild import Rebuild
from runfold.projector.tables import generations
from runfold.projector.worker import Worker
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase, create_database
from tests.projector.conftest import running
from tests.projector.killing import kill_at_random
from tests.projector.soundness import Books, Due
from tests.waiting import until

Faults = dict[str, list[str]]
"""By read model, in what it is not what it must be."""


@dataclass
class Site:
    """A database full of runs, whose read models may be folded again and again."""

    database: TestDatabase
    _due: dict[tuple[str, int], Due] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """As the projector."""
        return self.database.projector_url

    def end_at(self, position: int) -> None:
        """To whoever folds, the log ends there."""
        with psycopg.connect(self.database.admin_url, autocommit=True) as admin:
            admin.execute("UPDATE runfold.head SET position = %s", [position])

    def length(self) -> int:
        """The last position there is."""
        with psycopg.connect(self.url) as connection:
            return int(connection.execute("SELECT max(notification_id) FROM runfold.log").fetchone()[0])  # type: ignore[index]

    def clear(self) -> None:
        """Drop all read models."""
        with Books(self.url) as books:
            for model in books.models():
                generations.remove(books.connection, model)
        self.end_at(self.length())

    def faults(self, projections: Mapping[str, AnyProjection], at: int) -> Faults:
        """Of each read model, in what it is not what it must be."""
        with Books(self.url) as books:
            for name in known().keys() & projections.keys():
                if (name, at) not in self._due:
                    self._due[name, at] = books.due(known()[name], at)
            return {name: books.faults(each, at, self._due.get((name, at))) for name, each in projections.items()}


def new_site(admin_url: str, template: str, name: str) -> Site:
    """An empty one."""
    return Site(create_database(admin_url, template, f"promises_{name}"))


Way = Callable[[Site, Mapping[str, AnyProjection], random.Random], Iterator[int]]
"""It yields the positions at which each read model must be what the fold says."""


def in_pieces(site: Site, projections: Mapping[str, AnyProjection], dice: random.Random) -> Iterator[int]:
    """By one worker after another, in pages of any size, with stops anywhere: as of each, as if the log ended there."""
    cuts = sorted(dice.sample(range(1, site.length()), 2))
    folding: Worker | None = None
    for cut in [0, *cuts, site.length()]:
        with pytest.MonkeyPatch.context() as patch:
            size = dice.choice([7, 113, 1000, 5000])
            patch.setattr(worker, "FIRST_PAGE", size)
            patch.setattr(worker, "LARGEST_PAGE", size)
            patch.setattr(shard, "ROWS_AT_HAND", dice.choice([5, 50_000]))
            site.end_at(cut)
            if folding is None or dice.random() < 0.5:
                if folding is not None:
                    folding.close()
                folding = Worker(Datastore(site.url), projections)
            folding.catch_up()
        yield cut
    if folding is not None:
        folding.close()


def by_three_at_once(site: Site, projections: Mapping[str, AnyProjection], dice: random.Random) -> Iterator[int]:
    """By workers that share them, while the log grows."""
    with pytest.MonkeyPatch.context() as patch, Books(site.url) as books:
        patch.setattr(worker, "FIRST_PAGE", dice.choice([50, 500]))
        site.end_at(0)  # else they may be beyond the first cut before it is made
        with running(*(Worker(Datastore(site.url), projections) for _ in range(3))):
            for cut in [*sorted(dice.sample(range(1, site.length()), 5)), site.length()]:
                site.end_at(cut)
                until(lambda cut=cut: {model.position for model in books.models()} == {cut})
    yield site.length()


def killed_again_and_again(site: Site, projections: Mapping[str, AnyProjection], dice: random.Random) -> Iterator[int]:
    """By two processes, one of which is killed at any time, and another begun."""
    sources = tuple(source_of(projection) for projection in projections.values())
    for _ in kill_at_random(site.url, dice, sources, rounds=8):
        pass
    last = Worker(Datastore(site.url), projections)
    last.catch_up()
    last.close()
    yield site.length()


def rebuilt(site: Site, projections: Mapping[str, AnyProjection], dice: random.Random) -> Iterator[int]:
    """Anew beside the one in use, which had come to some place, and then goes on."""
    site.end_at(dice.randrange(1, site.length()))
    Rebuild(Datastore(site.url), projections).run()
    site.end_at(site.length())
    last = Worker(Datastore(site.url), projections)
    last.catch_up()
    last.close()
    yield site.length()


WAYS: dict[str, Way] = {way.__name__: way for way in (in_pieces, by_three_at_once, killed_again_and_again, rebuilt)}


def tried(site: Site, way: Way, projections: Mapping[str, AnyProjection], seed: int = 7) -> Faults:
    """What is wrong with each read model when it came about in some way."""
    found: Faults = defaultdict(list)
    site.clear()
    for position in way(site, projections, random.Random(seed)):  # noqa: S311
        for name, faults in site.faults(projections, position).items():
            found[name] += faults
    return found
