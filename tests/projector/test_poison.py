"""An event that a projection cannot take in stops that projection there, says why, and holds up nothing else."""

import re
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field

from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ToolCalled
from runfold.projections.projection import AnyProjection, Key, Projection, Row
from runfold.projector import checkpoints, worker
from runfold.projector.folding import shard
from tests.projector.conftest import Fill, Work, running
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import INCOMPRESSIBLE, TOYS, Tally, TallyRow, Tools
from tests.waiting import until

POISON = 18
"""The position of a tool call in what `fill` appends."""
CALLS = {5, 7, 8, 16, 18, 28, 30}
"""Some of their positions."""

Fault = Callable[[TallyRow, Recorded], Any]


class Faulty(Tally):
    """The tally with something wrong at one event."""

    name = "faulty"

    def __init__(self, fault: Fault | None = None, in_keys: Callable[[Recorded], Any] | None = None, at: int = POISON) -> None:
        self.fault, self.in_keys, self.at = fault, in_keys, at

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        if self.in_keys and recorded.position == self.at:
            return self.in_keys(recorded)  # type: ignore[no-any-return]  # whatever a fault gives
        return super().keys(recorded)

    def evolve(self, row: TallyRow, recorded: Recorded) -> TallyRow | None:
        if self.fault and recorded.position == self.at:
            return self.fault(row, recorded)  # type: ignore[no-any-return]
        return super().evolve(row, recorded)


class LooseRow(Row):
    """A row with anything in it."""

    run_id: str
    """The run."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """Whatever."""


class Loose(Projection[LooseRow]):
    """One row per run, with what JSON has no word for from one event on."""

    name, row, key, events = "loose", LooseRow, ("run_id",), (ToolCalled,)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.stream,),)

    def evolve(self, row: LooseRow, recorded: Recorded) -> LooseRow:
        return row.but(facts={"at": (1, 2)} if recorded.position >= POISON else {"at": [1, 2]})


def refuses(value: dict[str, Any]) -> dict[str, Any]:
    """What a row's class does with a value: look up what is not there."""
    return value if value.get("at") != [1] else value["order"]  # type: ignore[no-any-return]


class StrictRow(Row):
    """A row whose class fails over some values."""

    run_id: str
    """The run."""
    facts: Annotated[dict[str, Any], AfterValidator(refuses)] = Field(default_factory=dict)
    """Whatever."""


class Nested(Projection[LooseRow]):
    """One row per run, nested one deeper at each event than JSON can be read from one event on."""

    name, row, key, events = "nested", LooseRow, ("run_id",), (ToolCalled,)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.stream,),)

    def evolve(self, row: LooseRow, recorded: Recorded) -> LooseRow:
        facts: dict[str, Any] = {}
        for _ in range(100_000 if recorded.position >= POISON else 10):
            facts = {"before": facts}
        return row.but(facts=facts)


class Strict(Projection[StrictRow]):
    """One row per run, whose class fails from one event on."""

    name, row, key, events = "strict", StrictRow, ("run_id",), (ToolCalled,)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.stream,),)

    def evolve(self, row: StrictRow, recorded: Recorded) -> StrictRow:
        return row.but(facts={"at": [1] if recorded.position >= POISON else []})


def called(name: str, like: Faulty | None = None) -> Faulty:
    """The same under another name; without faults, or with those of another."""
    made: Faulty = type("Called", (Faulty,), {"name": name, "__doc__": "The same."})()
    made.__dict__.update(like.__dict__ if like else {})
    return made


def fails(row: object, recorded: object = None) -> Any:
    raise KeyError("order")


class Unsayable(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        return f"no order {self.order}"  # type: ignore[attr-defined]  # nobody set it


def raises(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


MENDED = Faulty()
IN_EVOLVE: dict[str, tuple[Fault, str]] = {
    "raises": (fails, "KeyError: 'order'"),
    "says nothing": (lambda *_: 1 / 0, "ZeroDivisionError: division by zero"),
    "wrong type of answer": (lambda *_: {"calls": 1}, "TypeError: evolve returned dict; it returns TallyRow, or None to remove"),
    "another row class": (lambda *_: Tools.row(tool="a", day="b"), "ValidationError: .* day Input should be a valid date"),  # type: ignore[attr-defined]
    "wrong type of field": (lambda row, _: row.but(calls="x"), "InvalidRow: the row .* has calls = 'x': Input should be a valid"),
    "beyond bigint": (lambda row, _: row.but(calls=2**63), "NumericValueOutOfRange: .*out of range"),
    "changes its key": (lambda row, _: row.but(run_id="run_b"), "InvalidRow: evolve changed the key of the row .* keeps its key"),
    "says what no text can hold": (raises(ValueError("a\0b \ud800")), r"ValueError: a\\x00b \\ud800; fix"),
    "cannot say what it is": (raises(Unsayable()), "Unsayable: nothing, for its own __str__ raised AttributeError; fix"),
    "ends the process": (raises(SystemExit("usage: tool NAME")), "SystemExit: usage: tool NAME; fix"),
    "is no error": (raises(GeneratorExit()), "GeneratorExit: no reason given; fix"),
    "no text that can be stored": (lambda row, _: row.but(run_id=row.run_id, seen=("\ud800",)), "InvalidRow: the row .* seen"),
}
IN_KEYS: dict[str, tuple[Callable[[Recorded], Any], str]] = {
    "raises": (fails, "KeyError: 'order'"),
    "raises on the way": (lambda recorded: (fails(recorded) for _ in "a"), "KeyError: 'order'"),
    "ends the process": (raises(SystemExit(2)), "SystemExit: 2; fix"),
    "nothing": (lambda _: None, "TypeError: 'NoneType' object is not iterable"),
    "no tuple": (lambda _: ["run_a"], "TypeError: keys gave 'run_a'; it gives tuples of run_id"),
    "too long": (lambda _: [("run_a", 1)], r"TypeError: keys gave \('run_a', 1\); it gives tuples of run_id"),
    "unhashable": (lambda _: [(["run_a"],)], "TypeError: unhashable type: 'list'"),
    "none": (lambda _: [(None,)], "ValidationError: .* run_id Input should be a valid string"),
    "a number": (lambda _: [(7,)], "ValidationError: .* run_id Input should be a valid string"),
    "nul": (lambda _: [("a\0b",)], "CharacterNotInRepertoire: invalid byte sequence .*0x00"),
    "more than an index takes": (lambda _: [(INCOMPRESSIBLE,)], "InvalidRow: a row is more than the database takes .*index row"),
    "half a character": (lambda _: [("\ud800",)], "UnicodeEncodeError: .*surrogates not allowed"),
}
FAULTS = {f"evolve: {name}": (Faulty(fault), said) for name, (fault, said) in IN_EVOLVE.items()}
FAULTS |= {f"keys: {name}": (Faulty(in_keys=fault), said) for name, (fault, said) in IN_KEYS.items()}


@pytest.fixture(autouse=True)
def hardly_any_pause(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "PAUSES", (0.01, 0.01, 0.01))


@pytest.mark.fault("G1", "G2")
def test_each_stops_before_the_event_says_why_and_goes_on_from_there_once_mended(fill: Fill, work: Work, books: Books) -> None:
    faulty = {f"faulty_{number}": fault for number, fault in enumerate(FAULTS.values())}
    head = fill(5)
    first = work(TOYS | {name: called(name, fault) for name, (fault, _) in faulty.items()})
    first.catch_up()
    first.close()
    for name, (_, said) in faulty.items():
        model = books.model(name)
        assert (model.trouble, model.error, model.trouble_position, model.event_type, model.attempts) == (
            "stopped",
            "PoisonEvent",
            POISON,
            "tool.called",
            4,
        )
        assert model.message is not None
        assert model.message.startswith(f"{name} failed on the tool.called at position {POISON}: ")
        assert model.message.endswith(f"; fix the projection, restart the worker, and run `runfold projections retry {name}`")
        assert re.search(said, model.message), model.message
        assert books.faults(called(name), POISON - 1) == [], "what came before is right, and nothing after is in"
    assert [fault for toy in TOYS.values() for fault in books.faults(toy, head)] == [], "the others went on"
    head = fill(1)
    mended = work(TOYS | {name: called(name) for name in faulty})
    mended.catch_up()
    assert {books.model(name).position for name in faulty} == {POISON - 1}, "not before it is asked for"
    assert all(checkpoints.end_trouble(books.connection, name, 1) for name in faulty)
    mended.catch_up()
    assert {model.trouble for model in books.models()} == {None}
    require_sound(books.url, [*(called(name) for name in faulty), *TOYS.values()], head)


@pytest.mark.fault("G1")
def test_it_is_tried_again_with_pauses_before_it_stops(
    fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "PAUSES", (0.1, 0.2, 0.4))
    tries: dict[tuple[str | None, int | None], list[float]] = {}
    fill(5)

    def note(*_: Any) -> Any:
        model = books.model("faulty")
        tries.setdefault((model.trouble, model.attempts), []).append(time.monotonic())
        fails(None)

    with running(work({**TOYS, "faulty": Faulty(note)})):
        until(lambda: ("stopped", 4) in {(model.trouble, model.attempts) for model in books.models()})
    assert list(tries) == [(None, None), ("retrying", 1), ("retrying", 2), ("retrying", 3)]
    for pause, (before, after) in zip(shard.PAUSES, pairwise(tries.values()), strict=True):
        assert after[0] - before[-1] >= pause


def test_a_fault_that_passes_is_overcome_and_forgotten(fill: Fill, work: Work, books: Books) -> None:
    left = [1, 2]

    def fail_twice(row: TallyRow, recorded: Recorded) -> TallyRow | None:
        if left and books.models() and books.model("faulty").attempts == left[0]:
            left.pop(0)
        if left:
            fails(row)
        return Tally().evolve(row, recorded)

    fill(5)
    work({"faulty": Faulty(fail_twice)}).catch_up()
    assert (books.model("faulty").trouble, left) == (None, [])
    require_sound(books.url, [MENDED])


@pytest.mark.fault("G1")
def test_a_retry_that_another_worker_began_is_gone_on_with(fill: Fill, work: Work, books: Books) -> None:
    fill(5)
    first = work({"faulty": Faulty(fails)})
    first._team.beat_if_due(first._connection)
    first._step()
    assert (books.model("faulty").trouble, books.model("faulty").attempts) == ("retrying", 1)
    first.close()
    second = work({"faulty": Faulty(fails)})
    second._team.beat_if_due(second._connection)
    second._step()
    assert (books.model("faulty").trouble, books.model("faulty").attempts) == ("retrying", 2)
    second.close()
    work({"faulty": MENDED}).catch_up()
    assert books.model("faulty").trouble is None
    require_sound(books.url, [MENDED])


@pytest.mark.fault("G1")
@pytest.mark.parametrize("size", [1, 3, 64, 5000])
def test_the_event_is_found_whatever_the_page_and_wherever_in_it(
    fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAGE", size)
    monkeypatch.setattr(worker, "LARGEST_PAGE", size)
    head = fill(5)
    for position in (5, 8, POISON, 30):
        name = f"faulty_{position}"
        work({name: called(name, Faulty(fails, at=position)), "tools": Tools()}).catch_up()
        assert books.faults(called(name), position - 1) == []
        assert books.model(name).trouble_position == position
        assert books.faults(Tools(), head) == []


@pytest.mark.fault("G1", "G2")
def test_several_that_fail_at_different_events_each_stop_at_their_own(fill: Fill, work: Work, books: Books) -> None:
    head = fill(5)
    faulty = {f"faulty_{at}": called(f"faulty_{at}", Faulty(fails, at=at)) for at in CALLS}
    first = work({**faulty, **TOYS})
    first.catch_up()
    first.close()
    assert {model.name: model.trouble_position for model in books.models() if model.trouble} == {
        name: int(name.partition("_")[2]) for name in faulty
    }
    assert [fault for toy in TOYS.values() for fault in books.faults(toy, head)] == []


def test_a_fault_in_the_first_version_of_a_row_is_found_too(fill: Fill, work: Work, books: Books) -> None:
    class NoBeginning(Faulty):
        """Its rows cannot begin."""

        def initial(self, key: Key) -> TallyRow:
            raise LookupError("no beginning")

    fill()
    work({"faulty": NoBeginning()}).catch_up()
    assert "LookupError: no beginning" in (books.model("faulty").message or "")
    assert books.model("faulty").trouble_position == 2


def test_a_raised_version_does_away_with_the_trouble(fill: Fill, work: Work, books: Books) -> None:
    class Second(Faulty):
        """The same, mended."""

        version = 2

    fill(5)
    first = work({"faulty": Faulty(fails)})
    first.catch_up()
    first.close()
    work({"faulty": Second()}).catch_up()
    assert (books.model("faulty").version, books.model("faulty").trouble) == (2, None)
    require_sound(books.url, [Second()])


def test_a_value_that_its_column_gives_back_as_another_stops_it_where_it_first_stood(
    fill: Fill, work: Work, books: Books
) -> None:
    """Else the rows would depend on where a page ends: what is at hand is one thing, what is read another."""

    fill(5)
    work({"loose": Loose()}).catch_up()
    model = books.model("loose")
    assert (model.trouble_position, model.position) == (POISON, POISON - 1)
    assert "has facts = {'at': (1, 2)}, which its column gives back as {'at': [1, 2]}; fix" in (model.message or "")


@pytest.mark.parametrize(
    ("projection", "said"),
    [(Strict(), "a row cannot be made: KeyError: 'order'; fix"), (Nested(), "RecursionError: .*; fix")],
    ids=lambda given: getattr(given, "name", ""),
)
def test_whatever_the_class_of_a_row_raises_or_what_is_in_it_stops_it_at_the_event(
    fill: Fill, work: Work, books: Books, projection: AnyProjection, said: str
) -> None:
    head = fill(5)
    work({projection.name: projection, "tools": Tools()}).catch_up()
    model = books.model(projection.name)
    assert (model.trouble, model.trouble_position, model.position) == ("stopped", POISON, POISON - 1)
    assert re.search(said, model.message or ""), model.message
    assert books.faults(Tools(), head) == []


def test_a_table_that_was_dropped_by_hand_is_a_trouble_of_its_own(fill: Fill, work: Work, books: Books) -> None:
    fill()
    first = work()
    first.catch_up()
    first.close()
    books.connection.execute("DROP TABLE runfold_tally_1.tally CASCADE")
    head = fill()
    work().catch_up()
    model = books.model("tally")
    assert (model.trouble, model.error) == ("stopped", "PoisonEvent")
    assert 'relation "runfold_tally_1.tally" does not exist' in (model.message or "")
    assert [fault for name, toy in TOYS.items() if name != "tally" for fault in books.faults(toy, head)] == []
