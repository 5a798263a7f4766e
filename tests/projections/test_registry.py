"""Which projections there are, and what is said to who brings one that cannot be."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from runfold import projections
from runfold.domain.run_events import RunStarted
from runfold.errors import InvalidProjection, ProjectionNotFound
from runfold.projections import registry
from runfold.projections.projection import Projection, Row
from runfold.projections.registry import checked, chosen, known, load, named, source_of

GOOD = '''
"""Somebody's own."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunStarted
from runfold.projections.projection import Key, Moving, Projection, Row


class Attempt(Row):
    """How often a run began."""

    run_id: str
    attempts: int = 0


class Attempts(Projection[Attempt]):
    """One row per run: how often it began."""

    name, row, key, events = "attempts", Attempt, ("run_id",), (RunStarted,)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.stream,),)

    def evolve(self, row: Attempt, recorded: Recorded) -> Attempt:
        return row.but(attempts=row.attempts + 1)
'''

Write = Callable[..., str]
BUILT_IN = {
    path.stem: found[1]
    for path in Path(projections.__file__).parent.glob("*.py")
    if (found := re.search(r"^class (\w+)\(Projection\[", path.read_text(encoding="utf-8"), re.MULTILINE))
}
"""All that the package brings: each file is named as its projection."""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module of a user's; answers with its name. A part may be put in another's place."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def module(*parts: tuple[str, str], name: str = "theirs") -> str:
        text = GOOD
        for old, new in parts:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / f"{name}.py").write_text(text)
        made.append(name)
        return name

    known.cache_clear()
    yield module
    known.cache_clear()
    for name in made:
        sys.modules.pop(name, None)


def refused(source: str) -> str:
    with pytest.raises(InvalidProjection) as caught:
        load(source)
    assert caught.value.source == source
    assert str(caught.value) == f"the projection {source} {caught.value.fact}"
    return caught.value.fact


def test_a_projection_is_loaded_by_module_and_class(write: Write) -> None:
    found = load(f"{write()}:Attempts")
    assert (found.name, found.version, source_of(found)) == ("attempts", 1, "theirs:Attempts")
    assert chosen(["theirs:Attempts"]).keys() == {"attempts"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere:Attempts", "cannot be imported (No module named 'nowhere'); name it as module:Class, on the Python path"),
        ("theirs:Nothing", "cannot be imported (module 'theirs' has no attribute 'Nothing'); name it as module:Class"),
        ("theirs", "cannot be imported ("),
        (":Attempts", "cannot be imported (Empty module name); name it as module:Class"),
        ("theirs:", "cannot be imported ("),
        ("theirs:Attempt", "is <class 'theirs.Attempt'>, and no subclass of runfold.Projection; make it one"),
        ("theirs:Iterable", "and no subclass of runfold.Projection; make it one"),
        ("theirs:Projection", "does not say its name; see runfold.Projection"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(write: Write, source: str, said: str) -> None:
    write()
    assert said in refused(source)


def test_a_module_that_raises_is_refused_with_what_it_raised(write: Write) -> None:
    write(("class Attempt(Row)", "1 / 0\n\n\nclass Attempt(Row)"))
    assert refused("theirs:Attempts") == "cannot be imported: its module raised ZeroDivisionError('division by zero')"


FIELD = "    attempts: int = 0\n"
SAID = 'name, row, key, events = "attempts", Attempt, ("run_id",), (RunStarted,)'
KEY, NAME = '("run_id",)', '"attempts"'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name, row, key, events = ", "version, row, key, events = ", "does not say its name; see runfold.Projection"),
        (SAID, 'name, key, events = "attempts", ("run_id",), (RunStarted,)', "does not say its row; see runfold.Projection"),
        (SAID, 'name, row, events = "attempts", Attempt, (RunStarted,)', "does not say its key; see runfold.Projection"),
        (SAID, 'name, row, key = "attempts", Attempt, ("run_id",)', "does not say its events; see runfold.Projection"),
        (NAME, '"Attempts"', "is called 'Attempts'; a name is up to 39 small letters, digits and _, a letter first"),
        (NAME, '"1st"', "is called '1st'; a name is up to 39 small letters, digits and _, a letter first"),
        (NAME, '"a b"', "is called 'a b'; a name is"),
        (NAME, f'"{"a" * 40}"', "; a name is up to 39 small letters"),
        (NAME, "7", "is called 7; a name is"),
        (SAID, f"{SAID}\n    version = 0", "has version 0; it is a whole number from 1"),
        (SAID, f"{SAID}\n    version = '2'", "has version '2'; it is a whole number from 1"),
        ('"""One row per run: how often it began."""', "", "has no docstring; say in a sentence what a row is"),
        ('"""One row per run: how often it began."""', '"  "', "has no docstring; say in a sentence what a row is"),
        ("Attempt, (", "dict, (", "has rows of <class 'dict'>, which is no subclass of runfold.Row; make it one"),
        ("(RunStarted,)", "()", "looks at the events (); name a tuple of classes of events, at least one"),
        ("(RunStarted,)", "RunStarted", "name a tuple of classes of events, at least one"),
        ("(RunStarted,)", "('run.started',)", "looks at the events ('run.started',); name a tuple of classes of events"),
        ("(RunStarted,)", "(RunStarted, Attempt)", "name a tuple of classes of events, at least one"),
        (KEY, "()", "has the key (), which is no tuple of fields of its row; its fields are run_id, attempts"),
        (KEY, '"run_id"', "has the key 'run_id', which is no tuple of fields of its row; its fields are run_id, attempts"),
        (KEY, '("run",)', "has the key ('run',), which is no tuple of fields of its row; its fields are run_id, attempts"),
        (KEY, "(['run_id'],)", "has the key (['run_id'],), which is no tuple of fields of its row"),
        (SAID, f"{SAID}\n    indexes = (('attempt',),)", "has the index ('attempt',), which is no tuple of fields of its row"),
        (SAID, f"{SAID}\n    indexes = ('attempts',)", "has the index 'attempts', which is no tuple of fields of its row"),
        (SAID, f"{SAID}\n    long_texts = ('attempts',)", "; name a tuple of texts of its row that are not in its key"),
        (SAID, f"{SAID}\n    long_texts = ('run_id',)", "has the long_texts ('run_id',); name a tuple of texts of its row"),
        (SAID, f"{SAID}\n    long_texts = 'run_id'", "has the long_texts 'run_id'; name a tuple of texts of its row"),
        (FIELD, "    attempts: set[int] = set()\n", "cannot have a table: Attempt.attempts is set[int], for which there is"),
        (FIELD, "    attempts: int | str = 0\n", "for which there is no column type; use str, int, bool, float, Decimal"),
        (FIELD, "    attempts: tuple[float, ...] = ()\n", "for which there is no column type; use"),
        (FIELD, "    attempts: Any = 0\n", "for which there is no column type; use"),
        (FIELD, "    position: int = 0\n", "has rows with position, which every table has by itself; call it something else"),
        (FIELD, "    tenant_id: str = ''\n", "has rows with tenant_id, which every table has by itself; call it something else"),
        (FIELD, "    xmin: int = 0\n", "has rows with xmin, which every table has by itself; call it something else"),
        (FIELD, f"    {'é' * 30}: int = 0\n", "which is longer than a column's name may be; use up to 59 bytes"),
        (KEY, '("run_id", "run_id")', "has the key ('run_id', 'run_id'), which names a field twice; name each once"),
        (FIELD, "    attempts: int\n", "cannot make a row from its key alone (1 validation error for Attempt attempts"),
        ("    run_id: str\n", "    run_id: str | None = None\n", "has run_id in its key, which must be a str, an int or a date"),
        ("    run_id: str\n", "    run_id: float = 0.0\n", "has run_id in its key, which must be a str, an int or a date"),
        ("    def keys", "    def __init__(self, url: str) -> None: ...\n\n    def keys", "; it is made without arguments"),
    ],
)
def test_what_a_projection_cannot_be_is_said_with_what_to_do(write: Write, old: str, new: str, said: str) -> None:
    fact = refused(f"{write((old, new))}:Attempts")
    assert said in fact
    assert ";" in fact or "must be" in fact, "the next step"


@pytest.mark.parametrize(
    ("moving", "said"),
    [
        (("began_at", {"state": ("on",)}), "says that 'began_at' moves, which must be a time of its row"),
        (("attempts", {"state": ("on",)}), "says that 'attempts' moves, which must be a time of its row"),
        (("at", {"attempts": ("on",)}), "says that at moves by 'attempts', which must be a text of its row"),
        (("at", {"state": ()}), "says that at moves while state is (); name words of small letters, digits and _"),
        (("at", {"state": ("it's on",)}), """while state is ("it's on",); name words of small letters, digits and _"""),
        (("to", {"state": ("on",)}), "has rows with indexed_to, which its table has for to, which moves; call it something else"),
    ],
)
def test_a_time_that_moves_is_one_and_moves_by_words(write: Write, moving: tuple[Any, ...], said: str) -> None:
    times = "    state: str = ''\n    at: datetime | None = None\n    to: datetime | None = None\n    indexed_to: int = 0\n"
    module = write((FIELD, FIELD + times), (SAID, f"{SAID}\n    moving = (Moving(*{moving!r}),)"))
    assert refused(f"{module}:Attempts").endswith(said)


def test_a_default_that_is_missing_is_noticed_under_any_key(write: Write) -> None:
    days = ("    run_id: str\n", "    day: date\n    count: int\n    run_id: Literal['a', 'b']\n")
    module = write(days, (KEY, '("day", "count", "run_id")'), (FIELD, "    attempts: int\n"))
    fact = refused(f"{module}:Attempts")
    assert "attempts Field required" in fact
    assert fact.endswith("; give every other field a default")


@pytest.mark.parametrize("key", ["Literal['a', 'b']", "int", "date", "str"])
def test_a_key_may_be_text_a_number_a_day_or_one_of_some_words(write: Write, key: str) -> None:
    assert load(f"{write(('    run_id: str', f'    run_id: {key}'))}:Attempts").name == "attempts"


def test_every_type_of_column_may_stand_in_a_row(write: Write) -> None:
    fields = "".join(
        f"    a{number}: {kind} | None = None\n"
        for number, kind in enumerate(
            ["str", "int", "bool", "float", "Decimal", "date", "dict[str, Any]", "tuple[str, ...]", "tuple[int, ...]", "dict"]
        )
    )
    assert load(f"{write((FIELD, fields))}:Attempts").name == "attempts"


# By plain name


def test_the_built_in_ones_are_known_by_name_and_each_says_all_it_must() -> None:
    assert {"run_summaries", "messages", "approval_queue", "usage"} <= BUILT_IN.keys()
    assert known().keys() == BUILT_IN.keys()
    for name, projection in known().items():
        assert checked(projection) is projection
        assert named(name) is projection
        assert source_of(projection) == f"runfold.projections.{name}:{BUILT_IN[name]}"
    assert chosen() == dict(known())


def test_a_name_that_nobody_has_is_refused() -> None:
    with pytest.raises(ProjectionNotFound, match="there is no projection 'nothing'; `runfold projections` lists them all"):
        chosen(["run_summaries", "nothing"])


@dataclass(frozen=True)
class Group:
    """Packages that bring projections."""

    values: tuple[str, ...]

    def __call__(self, *, group: str) -> list[EntryPoint]:
        return [EntryPoint(name=value, value=value, group=group) for value in self.values if group == "runfold.projections"]


def test_a_package_brings_its_own_by_an_entry_point(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", Group((f"{write()}:Attempts",)))
    assert known().keys() == {*BUILT_IN, "attempts"}
    assert chosen(["attempts", "run_summaries"]).keys() == {"attempts", "run_summaries"}


def test_a_package_whose_projection_is_wrong_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", Group((f"{write((NAME, '7'))}:Attempts",)))
    with pytest.raises(InvalidProjection, match="the projection theirs:Attempts is called 7; a name is"):
        known()


@pytest.mark.parametrize("first", ["run_summaries", "attempts"])
def test_two_of_one_name_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """They would fold into one table."""
    one, other = write((NAME, f'"{first}"'), name="one"), write((NAME, f'"{first}"'), name="other")
    monkeypatch.setattr(registry, "entry_points", Group((f"{one}:Attempts", f"{other}:Attempts")))
    there = "runfold.projections.run_summaries:RunSummaries" if first == "run_summaries" else "one:Attempts"
    with pytest.raises(InvalidProjection, match=f"is called {first}, as {there} is; give it another name"):
        known()


def test_two_of_one_name_cannot_be_chosen_together(write: Write) -> None:
    one, other = write(name="one"), write(name="other")
    with pytest.raises(InvalidProjection, match="other:Attempts is called attempts, as one:Attempts is; give it another name"):
        chosen([f"{one}:Attempts", f"{other}:Attempts"])
    assert chosen([f"{one}:Attempts", f"{one}:Attempts"]).keys() == {"attempts"}, "the same twice is one"


def test_one_of_a_built_in_ones_name_cannot_be_chosen(write: Write) -> None:
    module = write((NAME, '"usage"'))
    with pytest.raises(InvalidProjection, match=r"is called usage, as runfold\.projections\.usage:Usage is; give it another"):
        chosen([f"{module}:Attempts"])
    assert chosen(["runfold.projections.usage:Usage"]).keys() == {"usage"}


def test_one_that_is_called_as_totals_are_cannot_be_chosen(write: Write) -> None:
    module = write((NAME, '"usage_by_model"'))
    with pytest.raises(InvalidProjection, match="is called usage_by_model, as totals of usage are; give it another name"):
        chosen([f"{module}:Attempts"])


def test_the_columns_words_are_the_fields_words() -> None:
    """Every column of a read model of ours says what it means, for the people who read the table."""
    for projection in known().values():
        columns = [column for column in registry.columns_of(projection.row) if not column.comment]
        assert [f"{projection.name}.{column.name}" for column in columns] == []


def test_what_a_projection_leaves_out_is_said_when_it_is_asked() -> None:
    class Empty(Projection[Row]):
        """Nothing."""

        name, row, key, events = "empty", Row, (), (RunStarted,)

    anything: Any = None
    with pytest.raises(NotImplementedError, match="Empty must say which rows an event touches"):
        Empty().keys(anything)
    with pytest.raises(NotImplementedError, match="Empty must say how a row goes on"):
        Empty().evolve(anything, anything)
