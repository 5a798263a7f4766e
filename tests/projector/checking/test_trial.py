"""A fold that comes to other rows in other processes is found when it is first used, and by `check`, and named."""

import re
from collections.abc import Iterator

import pytest

from runfold import Ledger
from runfold.errors import ImpureProjection
from runfold.projections.registry import known, load
from runfold.projector import worker
from runfold.projector.checking import trial
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase, fresh_database
from tests.projector.rebuilding.rebuilds import leftovers
from tests.projector.soundness import Books
from tests.projector.toys import TOYS

HERE = "tests.projector.checking.impure"
IMPURE = {
    "SetOrder": r"gives its row \('tool_\d',\) said = .* in a process with another seed of hashes; the order of a set, hash",
    "Hashed": r"gives its row \('tool_\d',\) said = .* in a process with another seed of hashes; the order of a set, hash",
    "Environment": r"it reads os.environ\['RUNFOLDS_OTHER_REGION'\]",
    "ImportedEnvironment": r"said = 'there', and 'here' in a process with another environment and time zone; os.environ, or",
    "LocalTime": r"said = '1970-01-02T00:00:00', and '1970-01-02T14:00:00' in a process with another environment and time zone",
    "Clock": r"it calls time.time",
    "Chance": r"it calls random.random",
    "OwnChance": r"in a process that begins with that event; something that the class, the instance or the module keeps",
    "Counting": r"said = '2', and '1' in a process that begins with that event; something that the class, the instance",
    "Remembering": r"tool = None, and 'unknown' in a process that begins with that event; something that the class",
    "RememberingStrictly": r"fails with = None, and \"KeyError: 'call_.*'\" in a process that begins with that event; something",
}


def told(ledger: Ledger, runs: int = 2) -> int:
    """Runs that call tools; returns the head."""
    with ledger.batch() as batch:
        for _ in range(runs):
            run = batch.create_thread(agent_id="a").start_run()
            for number in range(5):
                run.call_tool(f"tool_{number % 3}").succeed("so")
    return ledger.position()


@pytest.fixture
def ledger(database: TestDatabase) -> Iterator[Ledger]:
    """A ledger that tries folds out."""
    with Ledger.open(settings=database.settings.model_copy(update={"try_folds": True})) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def site(admin_url: str, template: str) -> Iterator[tuple[TestDatabase, int]]:
    """A ledger with some calls, and its head."""
    with fresh_database(admin_url, template, "tried") as made, Ledger.open(settings=made.settings) as ledger:
        yield made, told(ledger)


def test_each_kind_is_found_and_named_and_what_is_pure_is_not(
    site: tuple[TestDatabase, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, head = site
    monkeypatch.setenv("RUNFOLDS_REGION", "there")
    monkeypatch.setenv("TZ", "UTC")
    tried = [load(f"{HERE}:{name}") for name in IMPURE]
    found = [str(fault) for fault in trial.findings(Datastore(database.projector_url), tried, head)]
    assert len(found) == len(IMPURE), found
    for fault, said in zip(found, IMPURE.values(), strict=True):
        assert fault.startswith("uses is not pure: ")
        assert re.search(said, fault), fault


def test_what_is_pure_is_found_to_be(site: tuple[TestDatabase, int]) -> None:
    database, head = site
    pure = [load(f"{HERE}:Pure"), *TOYS.values(), *known().values()]
    assert [str(fault) for fault in trial.findings(Datastore(database.projector_url), pure, head)] == []


def test_a_rebuild_is_refused_and_leaves_nothing_half_made(ledger: Ledger, books: Books) -> None:
    told(ledger)
    with pytest.raises(ImpureProjection, match=r"uses is not pure: the tool.called at position .* another seed of hashes"):
        ledger.rebuild(f"{HERE}:SetOrder")
    assert books.models() == []
    assert leftovers(books) == []


@pytest.mark.parametrize("page", [20, 500], ids=["more is to come", "one page"])
def test_a_worker_stops_it_before_a_row_is_stored_unless_that_is_switched_off(
    ledger: Ledger, books: Books, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAGE", page)
    assert told(ledger) > 20
    ledger.fold(f"{HERE}:SetOrder")
    stopped = books.model("uses")
    assert (stopped.trouble, stopped.error, stopped.position) == ("stopped", ImpureProjection.__name__, 0)
    assert "with another seed of hashes" in (stopped.message or "")
    with Ledger.open(settings=database.settings.model_copy(update={"try_folds": False})) as trusting:
        assert trusting.retry("uses")
        trusting.fold(f"{HERE}:SetOrder")
    assert books.model("uses").position == books.head()


def test_a_version_that_was_tried_with_little_is_tried_again_with_more(ledger: Ledger, books: Books) -> None:
    ledger.create_thread(agent_id="a").start_run().call_tool("only")
    ledger.fold(f"{HERE}:Remembering")
    assert books.model("uses").trouble is None, "one event shows nothing"
    assert list(trial.findings(Datastore(books.url), [load(f"{HERE}:Remembering")], told(ledger))) != []
