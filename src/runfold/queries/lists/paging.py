"""Lists from read models in pages: in which order, and where the next page begins.

A cursor holds what its list is sorted by and the key, of the last row of a page. So it never expires, and rows that come or
go meanwhile make no other row show twice or not at all; only a row that was itself moved by what happened to it can.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, get_args

from pydantic import ConfigDict, TypeAdapter

from runfold.domain.values import json_fault
from runfold.errors import UsageError, shortened
from runfold.projections.columns import columns_of
from runfold.projections.projection import Projection, R
from runfold.queries.lists.index_walk import Sorted, walks
from runfold.queries.lists.parameters import Parameter, parameters_of
from runfold.queries.lists.where import Where, words
from runfold.queries.page import Page, page_of
from runfold.queries.sources.snapshot import Snapshot

DEFAULT_LIMIT, MOST = 100, 1000
Direction = Literal["asc", "desc"]
_KINDS: dict[str, type[int] | type[str] | type[date]] = {"bigint": int, "text": str, "date": date}
"""What may stand in a key."""
_LIST: TypeAdapter[list[str | int | None]] = TypeAdapter(list[str | int | None], config=ConfigDict(strict=True))


class Waiting(TypedDict, total=False):
    """The position that an answer must hold, and for how long to wait until it does."""

    min_position: Annotated[int | None, Parameter("Only an answer that holds what happened up to this position.", least=0)]
    wait_seconds: Annotated[float | None, Parameter("For how many seconds to wait until the answer does.", least=0)]


class OverThreads(Waiting, total=False):
    """Whether what is listed or added up over many threads holds those that others stand for."""

    include_superseded: Annotated[
        bool | None,
        Parameter(
            "Whether threads that others stand for are in it, too; left out if not given, unless a thread or run is named."
        ),
    ]


class Paging(OverThreads, total=False):
    """Where a page begins. Each list says by itself how many rows a page has, and in which order they come."""

    cursor: Annotated[str | None, Parameter("The next page: `next_cursor` of the page before, asked for in the same order.")]


def limit(default: int) -> Parameter:
    """How many rows a page has where nobody says."""
    return Parameter(f"How many at most, 1 to {MOST}; {default} if not given.", least=1, most=MOST, default=default)


def direction(default: Direction, but: str = "") -> Parameter:
    """Which way round a list is where nobody says; `but` is when it is not."""
    return Parameter(f"Which way round; {default} if not given{but}.", default=default)


def ordered(order: Any) -> Literal[1, -1]:
    """The step through a list that is at hand in ascending order. Raises UsageError for what is no order."""
    ways = words("order", order, get_args(Direction))
    if len(ways) != 1:
        raise UsageError(f"order takes one of {', '.join(get_args(Direction))}, not {shortened(repr(order))}", name="order")
    return 1 if ways == ("asc",) else -1


def ordered_by(default: str, more: str = "") -> Parameter:
    """Return the default order of a list, and what is to be known of its orders."""
    return Parameter(f"What to sort by; {default} if not given.{more and ' '}{more}", default=default)


class Sort(NamedTuple):
    """What rows are sorted by. Where it may be missing, rows without it come after all others, as PostgreSQL has it."""

    column: str
    kind: type[int] | type[str] | type[datetime] | type[date] = int
    nullable: bool = False
    is_required: bool = False
    """Whether rows without it are left out."""
    ranks: tuple[str, ...] = ()
    """All the words of the column, where it is not their letters that sort them."""

    def value(self, row: Any) -> Any:
        """Return the value of the column in a row."""
        value = getattr(row, self.column)
        return self.ranks.index(value) + 1 if self.ranks else value

    def read(self, stored: Any) -> Any:
        """A value as a cursor holds it. Raises ValueError."""
        if stored is None and self.nullable and not self.is_required:
            return None
        if self.kind in {datetime, date}:
            stored = self.kind.fromisoformat(stored) if type(stored) is str else None
        fits = type(stored) is self.kind and json_fault(stored if self.kind is int else str(stored)) is None
        if not fits or (self.kind is datetime and stored.tzinfo is None):
            raise ValueError("not what the list is sorted by")
        return stored


@dataclass(frozen=True)
class Listing(Generic[R]):
    """A read model as a list, and the orders it can be asked for in. Every order ends with the key, so that it is one."""

    projection: Projection[R]
    parameters: type
    """The `TypedDict` of its parameters."""
    orders: Mapping[str, tuple[Sort, ...]]
    """The words of `order_by`; of a list that has one order only, that one."""

    def page(self, snapshot: Snapshot, where: Where, asked: Mapping[str, Any], *others: Where) -> Page[R]:
        """The rows for which all conditions hold, as checked parameters ask for them. Raises UsageError.

        With `others`, the rows of each of these as well. A row may be of one of them only.
        """
        by, way, limit = (self._said(asked, name) for name in ("order_by", "order", "limit"))
        sorts = (*self.orders[by], *_by_key(self.projection))
        head = [self.projection.name, by, way]
        after = None if (cursor := asked.get("cursor")) is None else _decoded(cursor, head, sorts)
        found: list[R] = []
        for parts in zip(*(_parts(each, sorts, way, after) for each in (where, *others)), strict=True):
            if len(found) <= limit:
                found += self._rows(snapshot, parts, way, limit + 1 - len(found))
        following = None
        if len(found) > limit:
            following = cursor_of([*head, *(sort.value(found[limit - 1]) for sort in sorts)])
        return page_of(self.projection.row, found[:limit], following, snapshot.standing)

    def _said(self, asked: Mapping[str, Any], name: str) -> Any:
        """What is asked for, else what the list does by itself."""
        if name in asked:
            return asked[name]
        known = parameters_of(self.parameters)
        return known[name].default if name in known else {"order_by": next(iter(self.orders)), "order": "asc"}[name]

    def _rows(self, snapshot: Snapshot, parts: Sequence["_Part"], way: str, most: int) -> list[R]:
        """Return the first rows of parts that are alike in all but their conditions."""
        first = parts[0]
        sorts = [Sorted(sort.column, sort.kind, sort.nullable) for sort in first.sorts]
        moving = self.projection.moving if snapshot.has_moving(self.projection) else ()
        asked = [walk for part in parts for walk in walks(self.projection, part.where, sorts, way, part.after, moving)]
        if len(asked) > 1 and any(walk.in_steps for walk in asked):
            order_by = ", ".join(f't."{sort.column}" {way.upper()}' for sort in first.sorts)
            together = [(walk.where, walk.parameters, walk.order_by, walk.apart) for walk in asked]
            return snapshot.rows_together(self.projection, together, order_by=order_by, limit=most)
        found = [
            row
            for walk in asked
            for row in snapshot.rows(
                self.projection,
                walk.where,
                walk.parameters,
                order_by=walk.order_by,
                limit=most,
                apart=walk.apart,
                in_steps=walk.in_steps,
            )
        ]
        if len(asked) > 1:
            found.sort(key=lambda row: [getattr(row, sort.column) for sort in first.sorts], reverse=way == "desc")
        return found[:most]


class _Part(NamedTuple):
    """Rows that come before or after all others of a list: those of one rank, those that lack what it is sorted by."""

    where: Where
    sorts: Sequence[Sort]
    after: Sequence[Any] | None


def _parts(where: Where, sorts: Sequence[Sort], way: str, after: Sequence[Any] | None) -> Iterator[_Part]:
    """The parts of a list in their order, as far as they come after some values of a row."""
    first, rest = sorts[0], None if after is None else after[1:]
    if first.ranks:
        for rank in range(1, len(first.ranks) + 1)[:: 1 if way == "asc" else -1]:
            if after is None or (rank >= after[0] if way == "asc" else rank <= after[0]):
                same = after is not None and rank == after[0]
                yield _Part(where.but(**{first.column: first.ranks[rank - 1]}), sorts[1:], rest if same else None)
        return
    if not first.nullable:
        yield _Part(where, sorts, after)
        return
    is_lacking = after is not None and after[0] is None
    having = _Part(where, sorts, None if is_lacking else after)
    if first.is_required:
        yield having
        return
    lacking = _Part(where.but(**{first.column: None}), sorts[1:], rest if is_lacking else None)
    if way == "asc":
        yield from (lacking,) if is_lacking else (having, lacking)
    else:
        yield from (having,) if after is not None and not is_lacking else (lacking, having)


def _by_key(projection: Projection[Any]) -> list[Sort]:
    types = {column.name: column.type for column in columns_of(projection.row)}
    return [Sort(name, _KINDS[types[name]]) for name in projection.key]


def cursor_of(parts: list[Any]) -> str:
    """What says where a page ends, as text that goes anywhere."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), default=_written)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _written(value: date) -> str:
    """A day or a time as `Sort.read` reads it."""
    return value.isoformat()


def read_cursor_parts(cursor: Any) -> list[str | int | None]:
    """What a cursor was made of. Raises UsageError for what is no cursor."""
    try:
        return _LIST.validate_json(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (TypeError, ValueError):
        raise invalid_cursor(cursor) from None


def invalid_cursor(cursor: Any) -> UsageError:
    """The error for text that no page has given as its next cursor."""
    return UsageError(f"invalid cursor {repr(cursor)[:60]}; pass `next_cursor` from the previous page, or none for the first")


def _decoded(cursor: Any, head: list[str], sorts: Sequence[Sort]) -> list[Any]:
    """The values that a cursor holds. Raises UsageError for what is no cursor, or one of another list or order."""
    parts = read_cursor_parts(cursor)
    if len(parts) < len(head):
        raise invalid_cursor(cursor)
    if parts[: len(head)] != head:
        name, by, way = parts[: len(head)]
        raise UsageError(
            f"the cursor is of {name} by {by} {way}, not of {head[0]} by {head[1]} {head[2]}; "
            "go on in the order of the page before, or begin without a cursor"
        )
    try:
        return [sort.read(value) for sort, value in zip(sorts, parts[len(head) :], strict=True)]
    except ValueError:
        raise invalid_cursor(cursor) from None
