"""What a projection is: which events it looks at, which rows each of them touches, and how a row goes on from there.

A projection is pure. It knows no database, no clock and no chance: the same events give the same rows, whoever folds
them, in however many steps. Everything else (tables, checkpoints, rebuilds) is made from what is said here.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from runfold.domain.event import Event
from runfold.domain.recorded import Recorded

Key = tuple[Any, ...]
"""The values of a row's key columns, in their order."""

STEP_SECONDS = 10
"""How exactly indexes hold a time that moves: with fewer, more events change them; with more, a page sorts more rows. Another
number takes another version of each projection with such times."""

_NONE: Mapping[str, Any] = {}
_new, _set = object.__new__, object.__setattr__  # looked up once: rows are copied for every event


class Row(BaseModel):
    """A row of a read model: frozen, its columns typed. What stands under a field is the comment of its column.

    A table has two columns more, which the machine keeps: `tenant_id`, which is part of every key, and `position`, that
    of the last event that changed the row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)

    def but(self, changes: Mapping[str, Any] = _NONE, /, **more: Any) -> Self:
        """The same row with other values, by name or as a mapping (which is quicker where there is one already).

        They are checked when the row is written, once for all its changes.
        """
        row = _new(type(self))
        _set(row, "__dict__", {**self.__dict__, **changes, **more})
        _set(row, "__pydantic_fields_set__", self.__pydantic_fields_set__)
        _set(row, "__pydantic_extra__", None)
        _set(row, "__pydantic_private__", None)
        return row


R = TypeVar("R", bound=Row)


class Totals(NamedTuple):
    """Sums over the rows of a read model by some of their columns, for questions about more rows than can be summed each time.

    The database keeps them in the transaction that changes the rows, so they say at every moment what the rows add up to.
    They are built, switched, rolled back and dropped together with the table of the rows.
    """

    name: str
    """Its own and its table's, unlike any read model's."""
    purpose: str
    """What a row is, in a sentence for the people who read the table."""
    row: type[Row]
    """Names and comments of the columns. Numbers that are never null are added up, by the others it is grouped."""
    without: tuple[str, ...]
    """Columns of these that are left out, so that fewer rows stand for more."""
    parts: str
    """SQL: what some `{rows}` add to each column, with their tenant, and the `sign` that they count by."""


class WordIndex(NamedTuple):
    """An index of words in PostgreSQL's own full text, asked through a function (see `projector/tables/word_index.py`)."""

    words: str
    """The column with words that have a space between them, as they are to be found: nothing is made of them."""
    labels: str
    """The column of texts that what is found is narrowed by."""
    order: str
    """The column, a whole number, that what is found is sorted by."""
    time: str
    """The column that says when it was."""


class Moving(NamedTuple):
    """A time in indexes which nearly every event of a row changes while the row is of some kind, and few do afterwards.

    While it is, indexes hold only the ten seconds that the time lies in: so most events change no index, and PostgreSQL writes
    the row alone. What is asked and answered goes by the time itself.
    """

    column: str
    """The time."""
    kinds: Mapping[str, tuple[str, ...]]
    """By column: the words of which it has one while the time moves. Where there are several columns, all have."""

    @property
    def indexed(self) -> str:
        """The column that is in indexes instead: nobody but the database writes it, and views do not show it."""
        return f"indexed_{self.column}"

    @staticmethod
    def step(moment: datetime) -> datetime:
        """When the ten seconds of a moment begin."""
        moment = moment.astimezone(UTC)
        return moment.replace(second=moment.second - moment.second % STEP_SECONDS, microsecond=0)


class Projection(Generic[R]):
    """A keyed fold. Subclass it, say what follows, and write `keys` and `evolve`."""

    name: ClassVar[str]
    """Its own and its table's: small letters, digits and _."""
    version: ClassVar[int] = 1
    """Raise it whenever the same events would give other rows; the read model is then folded anew beside the old one."""
    row: type[R]
    """The class of its rows."""
    key: ClassVar[tuple[str, ...]]
    """The fields of the row that name it."""
    events: ClassVar[tuple[type[Event], ...]]
    """The classes of events that it looks at; it sees no others."""
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Columns that are searched or sorted by, each index after the tenant and before the key."""
    long_texts: ClassVar[tuple[str, ...]] = ()
    """Columns of indexes whose texts may be longer than an index takes: their beginnings are in it. What is equal is looked up
    by them; nothing is sorted by them."""
    moving: ClassVar[tuple[Moving, ...]] = ()
    """Times in indexes that change too often to be there as they are; with others, `version` is raised as well."""
    partition: ClassVar[Literal["thread", "goal"] | None] = None
    """`thread`: a row is made from the events of one thread alone; `goal`: of one goal alone; None: of any."""
    totals: ClassVar[tuple[Totals, ...]] = ()
    """Tables of sums over the rows, which the database keeps beside them."""
    holds_content: ClassVar[bool] = False
    """Whether its rows hold what people said: then it is exported only where somebody names it."""
    word_index: ClassVar[WordIndex | None] = None
    """An index of the words of a column."""
    rows_at_hand: ClassVar[int] = 50_000
    """How many rows a worker keeps in memory between two pages: fewer where rows are large."""
    depends_on: ClassVar[str] = ""
    """What else its answers depend on, such as the version of a price list; another one means folding anew."""

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """Return which rows an event touches, from the event and its context alone."""
        raise NotImplementedError(f"{type(self).__name__} must say which rows an event touches")

    def initial(self, key: Key) -> R:
        """A row before its first event. It is stored only when an event changes it."""
        return cast("R", _beginning(self.row, self.key)(key))

    def evolve(self, row: R, recorded: Recorded) -> R | None:
        """The row after an event: the same object where nothing changed, None where the row goes away."""
        raise NotImplementedError(f"{type(self).__name__} must say how a row goes on")


AnyProjection = Projection[Any]


@cache
def _beginning(row: type[Row], names: tuple[str, ...]) -> Callable[[Key], Row]:
    """Return what makes rows before their first event, as their class would.

    A row whose key is of plain texts and whole numbers is a copy of one that the class has checked: that takes a quarter as long.
    """

    def made(key: Key) -> Row:
        return row(**dict(zip(names, key, strict=True)))

    kinds = tuple([_plain_kind(row, name) for name in names])
    if None in kinds or not _only_checks_types(row):
        return made
    blank = made(tuple([kind() for kind in kinds if kind is not None]))

    def copied(key: Key) -> Row:
        return blank.but(dict(zip(names, key, strict=True))) if tuple(map(type, key)) == kinds else made(key)

    return copied


def _plain_kind(row: type[Row], name: str) -> type | None:
    """Return the type of a column that takes every value of it, as it is."""
    field = row.model_fields.get(name)
    if field is None or field.metadata:
        return None
    return str if field.annotation is str else int if field.annotation is int else None


def _only_checks_types(row: type[Row]) -> bool:
    """Return whether a row is what its fields are, and none of them is made for each row anew."""
    said = row.__pydantic_decorators__
    own = said.field_validators or said.model_validators or said.validators or said.root_validators
    return (
        not own
        and not row.__pydantic_post_init__
        and not row.__private_attributes__
        and row.__init__ is Row.__init__
        and row.model_config == Row.model_config
        and all(field.default_factory is None for field in row.model_fields.values())
    )
