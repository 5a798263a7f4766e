"""A fold that asks for more than the event and the row is found out; one that does not is left in peace."""

import os
import random
import re
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from runfold import Ledger
from runfold.domain.message import MessageAdded
from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ToolCalled
from runfold.errors import ImpureProjection
from runfold.projections.fold import FoldFailed
from runfold.projections.projection import AnyProjection, Key, Projection, Row
from runfold.projections.registry import known
from runfold.projector import worker
from runfold.projector.checking.purity import require_pure
from runfold.projector.folding import shard
from tests.projector.conftest import Fill, Work
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS

GLOBAL: dict[str, int] = {"calls": 0}


class Doings(Row):
    """What a run did."""

    run_id: str
    """The run."""
    number: int = 0
    """Some number."""
    text: str = ""
    """Some text."""
    facts: dict[str, int] = Field(default_factory=dict)
    """Some facts."""


Evolve = Callable[[Any, Doings, Recorded], Doings]
Keys = Callable[[Any, Recorded], Iterable[Key]]


class Doing(Projection[Doings]):
    """One row per run, made in one way or another."""

    name, row, key, events = "doing", Doings, ("run_id",), (MessageAdded, ToolCalled)

    def __init__(self, evolve: Evolve, keys: Keys | None = None) -> None:
        self.ways: tuple[Evolve, Keys | None] = (evolve, keys)
        self.state = 0
        self.known: dict[Any, Any] = {}

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        _, keys = self.ways
        return ((recorded.stream,),) if keys is None else keys(self, recorded)

    def evolve(self, row: Doings, recorded: Recorded) -> Doings:
        evolve, _ = self.ways
        return evolve(self, row, recorded)


def doing(name: str, evolve: Evolve, keys: Keys | None = None) -> Doing:
    """One under another name."""
    made: Doing = type("Named", (Doing,), {"name": name, "__doc__": "The same."})(evolve, keys)
    return made


def from_a_file(_: Any, row: Doings, __: Recorded) -> Doings:
    with Path(os.devnull).open() as file:
        return row.but(text=file.read())


def from_a_global(_: Any, row: Doings, __: Recorded) -> Doings:
    GLOBAL["calls"] += 1
    return row.but(number=GLOBAL["calls"])


def from_its_own_state(self: Doing, row: Doings, __: Recorded) -> Doings:
    self.state += 1
    return row.but(number=self.state)


def by_what_it_has_seen(self: Doing, row: Doings, recorded: Recorded) -> Doings:
    if recorded.position in self.known:
        return row
    self.known[recorded.position] = True
    return row.but(number=row.number + 1)


def in_place(_: Any, row: Doings, __: Recorded) -> Doings:
    row.__dict__["number"] += 1
    return row


def deep_in_place(_: Any, row: Doings, recorded: Recorded) -> Doings:
    row.facts[recorded.type] = recorded.position
    return row.but(facts=row.facts)


def in_the_event(_: Any, row: Doings, recorded: Recorded) -> Doings:
    if isinstance(recorded.event, ToolCalled):
        recorded.event.__dict__["name"] = "other"
    return row.but(number=row.number + 1)


def as_the_clock_says(_: Any, recorded: Recorded) -> Iterable[Key]:
    return ((f"run_{time.time_ns()}",),)


def by_a_state(self: Doing, _: Recorded) -> Iterable[Key]:
    self.state += 1
    return ((f"run_{self.state}",),)


def one(_: Any, row: Doings, __: Recorded) -> Doings:
    return row.but(number=row.number + 1)


IMPURE: dict[str, tuple[Evolve, Keys | None, str]] = {
    "datetime.now": (lambda _, row, __: row.but(text=str(datetime.now(UTC))), None, "it calls datetime.now"),
    "the year of now": (lambda _, row, __: row.but(number=datetime.now().year), None, "it calls datetime.now"),
    "date.today": (lambda _, row, __: row.but(number=date.today().year), None, "it calls date.today"),
    "time.time": (lambda _, row, __: row.but(number=int(time.time() // 1e9)), None, "it calls time.time"),
    "time.monotonic": (lambda _, row, __: row.but(number=time.monotonic_ns()), None, "it calls time.monotonic_ns"),
    "random.random": (lambda _, row, __: row.but(number=int(random.random())), None, "it calls random.random"),  # noqa: S311
    "random.choice": (lambda _, row, __: row.but(text=random.choice(["a"])), None, "it calls random.getrandbits"),  # noqa: S311
    "random.Random": (lambda _, row, __: row.but(number=random.Random().getrandbits(60)), None, "and then"),  # noqa: S311
    "uuid4": (lambda _, row, __: row.but(text=uuid.uuid4().hex), None, "it calls posix.urandom"),
    "uuid1": (lambda _, row, __: row.but(text=uuid.uuid1().hex), None, "it calls"),
    "os.urandom": (lambda _, row, __: row.but(number=len(os.urandom(8))), None, "it calls posix.urandom"),
    "secrets": (lambda _, row, __: row.but(text=secrets.token_hex()), None, "it calls posix.urandom"),
    "os.getpid": (lambda _, row, __: row.but(number=os.getpid()), None, "it calls posix.getpid"),
    "a file": (from_a_file, None, "it calls io.open"),
    "a global": (from_a_global, None, r"the same events gave the row \('run_.*',\) number = .*, and then"),
    "its own state": (from_its_own_state, None, r"the same events gave the row \('run_.*',\) number = .*, and then"),
    "what it has seen": (by_what_it_has_seen, None, r"the same events gave the row \('run_.*',\) .* and then"),
    "the row in place": (in_place, None, "evolve changes the row that it is given"),
    "deep in the row": (deep_in_place, None, "evolve changes the row that it is given"),
    "the event in place": (in_the_event, None, "evolve changes the event that it is given"),
    "keys by the clock": (one, as_the_clock_says, "it calls time.time_ns"),
    "keys by a state": (one, by_a_state, "the same events touched other rows the second time"),
}


def importing(_: Any, row: Doings, __: Recorded) -> Doings:
    """The first time it is loaded, the module asks for the time and opens files; that is no part of the fold."""
    import this_asks_for_the_time  # type: ignore[import-not-found]  # noqa: PLC0415

    return row.but(number=this_asks_for_the_time.ANSWER)


def remembering(self: Doing, row: Doings, recorded: Recorded) -> Doings:
    """A memory of what was worked out before is as pure as the working out."""
    known: int = self.known.setdefault(recorded.position, recorded.position * 2)
    return row.but(number=row.number + known)


PURE: dict[str, Evolve] = {
    "counting": one,
    "the event's own time": lambda _, row, recorded: row.but(text=recorded.happened_at.strftime("%Y-%m-%d %H:%M")),
    "times computed": lambda _, row, recorded: row.but(text=str(recorded.recorded_at.astimezone(UTC).date())),
    "an id computed": lambda _, row, recorded: row.but(text=uuid.uuid5(uuid.NAMESPACE_URL, recorded.stream).hex),
    "seeded chance": lambda _, row, recorded: row.but(number=random.Random(recorded.position).getrandbits(60)),  # noqa: S311
    "a memory": remembering,
    "an import": importing,
    "nothing changed": lambda _, row, __: row,
    "a new dict": lambda _, row, recorded: row.but(facts={**row.facts, recorded.type: recorded.position}),
}


@pytest.mark.fault("G6")
def test_an_impure_fold_is_stopped_and_told_what_it_did(fill: Fill, work: Work, books: Books) -> None:
    impure = {f"doing_{number}": what for number, what in enumerate(IMPURE.values())}
    head = fill()
    work(TOYS | {name: doing(name, evolve, keys) for name, (evolve, keys, _) in impure.items()}).catch_up()
    for name, (evolve, _, said) in impure.items():
        model = books.model(name)
        assert (model.trouble, model.error, model.position) == ("stopped", "ImpureProjection", 0), evolve
        assert model.message is not None
        assert model.message.startswith(f"{name} is not pure: ")
        assert model.message.endswith(
            "; use only what the event says (recorded.happened_at for a time), raise its version, and restart the worker"
        )
        assert re.search(said, model.message), model.message
        assert books.rows(doing(name, one)) == {}, "nothing of it was stored"
    assert [fault for toy in TOYS.values() for fault in books.faults(toy, head)] == []


@pytest.mark.fault("G6")
@pytest.mark.parametrize("among", [{}, TOYS], ids=["alone", "among others"])
def test_it_is_believed_the_first_time_for_the_second_time_it_may_know_better(
    fill: Fill, work: Work, books: Books, among: dict[str, AnyProjection]
) -> None:
    fill()
    work({"doing": Doing(by_what_it_has_seen), **among}).catch_up()
    assert (books.model("doing").error, books.model("doing").position) == ("ImpureProjection", 0)


def test_a_pure_fold_is_never_accused(
    fill: Fill, work: Work, books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "this_asks_for_the_time.py").write_text(
        "import os, time\nfrom datetime import datetime\nopen(os.devnull).close()\n"
        "ANSWER = int(time.time() > 0) + bool(datetime.now()) + len(os.urandom(2))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "this_asks_for_the_time", raising=False)
    fill()
    pure = {f"doing_{number}": doing(f"doing_{number}", evolve) for number, evolve in enumerate(PURE.values())}
    work(pure).catch_up()
    assert [model.message for model in books.models() if model.trouble] == []
    require_sound(books.url, pure.values())


@pytest.mark.fault("G6")
def test_it_is_looked_at_from_the_first_event_that_concerns_it(
    ledger: Ledger, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many pages without anything for it do not make it trusted."""
    monkeypatch.setattr(worker, "FIRST_PAGE", 1)
    monkeypatch.setattr(worker, "LARGEST_PAGE", 1)
    thread = ledger.create_thread(agent_id="a")
    for number in range(shard.LOOKED_AT_EVERY // 4):
        thread.rename(f"title {number}")
    fill(1)
    work({"doing": Doing(from_its_own_state)}).catch_up()
    assert books.model("doing").error == "ImpureProjection"


@pytest.mark.fault("G6")
def test_it_is_looked_at_again_now_and_then(fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "FIRST_PAGE", 1)
    monkeypatch.setattr(worker, "LARGEST_PAGE", 1)
    late = 60

    def late_by_the_clock(_: Any, row: Doings, recorded: Recorded) -> Doings:
        return row.but(number=time.time_ns() if recorded.position > late else 1)

    fill(shard.LOOKED_AT_EVERY)
    work({"doing": Doing(late_by_the_clock)}).catch_up()
    model = books.model("doing")
    assert model.error == "ImpureProjection"
    assert late < (model.position or 0) < late + 11 * shard.LOOKED_AT_EVERY // 4


def events(ledger: Ledger) -> list[Recorded]:
    return ledger.events()


def test_a_page_that_holds_nothing_for_it_is_not_looked_at(fill: Fill, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to fold again, and it would take a small page longer than all else."""
    monkeypatch.setattr(worker, "FIRST_PAGE", 2)
    monkeypatch.setattr(worker, "LARGEST_PAGE", 2)
    looked_at: list[int] = []

    def noting(projection: AnyProjection, sample: Iterable[Recorded], before: Any) -> None:
        looked_at.append(len(found := list(sample)))
        require_pure(projection, found, before)

    monkeypatch.setattr(shard, "require_pure", noting)
    fill(5)
    work().catch_up()
    assert looked_at
    assert 0 not in looked_at


def test_nobody_waits_at_the_first_events_for_a_look_at_what_comes_with_runfold(
    fill: Fill, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: set[str] = set()
    monkeypatch.setattr(shard, "require_pure", lambda projection, *_: looked_at.add(projection.name))
    monkeypatch.setattr(shard, "LOOKED_AT_EVERY", 10**6)
    fill()
    work(TOYS | known()).catch_up()
    assert looked_at
    assert looked_at <= TOYS.keys(), "the others were tried by the tests of Runfold"


def test_a_profiler_that_is_at_work_goes_on_and_folding_does_too(ledger: Ledger, fill: Fill) -> None:
    fill()
    seen = []

    def profile(_: Any, event: str, called: Any) -> None:
        seen.append(event)

    sys.setprofile(profile)
    try:
        require_pure(Doing(one), events(ledger), {})
        require_pure(Doing(IMPURE["time.time"][0]), events(ledger), {})  # it cannot be watched now
        with pytest.raises(ImpureProjection, match="and then"):
            require_pure(Doing(from_its_own_state), events(ledger), {})
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
    assert "c_call" in seen


def test_nothing_watches_once_it_was_looked_at(ledger: Ledger, fill: Fill) -> None:
    fill()
    require_pure(Doing(one), events(ledger), {})
    assert sys.getprofile() is None
    with pytest.raises(FoldFailed, match="division by zero"):
        require_pure(Doing(lambda *_: 1 / 0), events(ledger), {})  # type: ignore[arg-type, return-value]
    assert sys.getprofile() is None
