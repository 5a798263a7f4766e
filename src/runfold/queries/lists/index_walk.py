"""Which index a page of a list is read from, and from where to where in it.

A list is asked for with any filters and in several orders. PostgreSQL would choose by what it believes of the rows; where
its statistics are old or absent, it sorts all of them for one page. So it is decided here, by rule: the index that begins
with columns of which one value is asked for, and goes on with what the list is sorted by, is walked between two of its
entries. No other index gives that order, and conditions that do not belong to it are kept from suggesting others.

Where no index has both, the rows that a telling column names are found first and sorted then, however many these are; and
where no telling column is named, the index of the order is walked, past the rows that are not asked for.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from math import prod
from typing import Any, Literal, NamedTuple, get_args, get_origin

from runfold.projections.projection import AnyProjection, Moving
from runfold.projector.tables.indexes import settled, still_moving
from runfold.queries.lists.where import Where

MOST_WALKS = 12
"""Where several values of a column are asked for, the index is walked for each, and what is found put into one order."""
_LAST: dict[type, Any] = {int: 2**63 - 1, datetime: datetime.max.replace(tzinfo=UTC)}
"""Of the kinds that may be missing: what comes before nothing but the rows that lack it."""


class Sorted(NamedTuple):
    """A column that rows are sorted by. `may_lack` it: rows without it are not among these."""

    column: str
    kind: type
    may_lack: bool = False


class Walk(NamedTuple):
    """One query: its conditions on `t` with their values, and its order."""

    where: str
    parameters: list[Any]
    order_by: str
    apart: bool = False
    """Whether rows are found first and sorted then."""
    in_steps: bool = False
    """Whether the index has the beginning of the order, and rows that are alike in it are sorted as they come."""


def walks(
    projection: AnyProjection,
    where: Where,
    sorts: Sequence[Sorted],
    way: str,
    after: Sequence[Any] | None,
    moving: Sequence[Moving] = (),
) -> Iterator[Walk]:
    """The queries that together give all rows in this order, after those values of another row, if any.

    `moving` are the times that indexes do not hold as they are.
    """
    where = where.but()
    for column in projection.long_texts:
        if column in where.equal:
            where.begins_as(column, where.equal[column])
    pinned = _pinned(projection, where, [sort.column for sort in sorts])
    if pinned is None:
        yield _apart(where, sorts, way, after)
        return
    for values in product(*(where.equal[column] for column in pinned)):
        pins = dict(zip(pinned, values, strict=True))
        if (past := _past(pins, sorts, way, after)) is None:
            continue
        rest = [sort for sort in sorts if sort.column not in pins]
        moves = next((each for each in moving if rest and each.column == rest[0].column), None)
        if moves is None:
            yield _along(pins, where, rest, way, past)
        else:
            yield from _along_moving(moves, pins, where, rest, way, past)


def _pinned(projection: AnyProjection, where: Where, order: list[str]) -> tuple[str, ...] | None:
    """The columns of which a value is asked for and with which the index begins that then gives the order.

    None where there is no such index, and rows must be sorted.
    """
    indexes = [tuple(dict.fromkeys((*index, *projection.key))) for index in ((), *projection.indexes)]
    whole = [index for index in indexes if not {*index} & {*projection.long_texts}]
    found = [columns for index in whole if (columns := _beginning(index, where, order)) is not None]
    best = max(found, key=lambda columns: (sum(_tells(projection, column) for column in columns), len(columns)), default=None)
    tells = any(_tells(projection, column) for column in {index[0] for index in indexes} & where.equal.keys())
    return None if best == () and tells else best


def _beginning(index: tuple[str, ...], where: Where, order: list[str]) -> tuple[str, ...] | None:
    for length in range(len(index), -1, -1):
        pinned = index[:length]
        if any(column not in where.equal for column in pinned):
            continue
        if prod(len(where.equal[column]) for column in pinned) > MOST_WALKS:
            continue
        rest = [column for column in order if column not in pinned]
        if not rest or index[length:][: len(rest)] == tuple(rest):
            return pinned
    return None


def _tells(projection: AnyProjection, column: str) -> bool:
    """Whether few rows have one value of it: it is no word of a few, and neither true nor false."""
    kind = projection.row.model_fields[column].annotation
    return all(get_origin(each) is not Literal and each is not bool for each in (kind, *get_args(kind)))


class _Past(NamedTuple):
    """Where the rest of a walk begins: the values of a row in the first of the columns that are not pinned."""

    values: Sequence[Any] = ()
    is_included: bool = False
    """Whether rows with these values are of the rest too."""


def _past(pins: dict[str, Any], sorts: Sequence[Sorted], way: str, after: Sequence[Any] | None) -> _Past | None:
    """Where a walk goes on after a row that may have other values than it where it is pinned; None where it is done."""
    values: list[Any] = []
    for sort, value in zip(sorts, after or (), strict=False):
        if sort.column not in pins:
            values.append(value)
        elif (pin := pins[sort.column]) != value:
            is_to_come = (pin > value) == (way == "asc")
            return _Past(values, is_to_come) if values or is_to_come else None
    return _Past(values)


def _along(pins: dict[str, Any], where: Where, rest: Sequence[Sorted], way: str, past: _Past) -> Walk:
    """Between two entries of an index, which its columns name together, as one row each."""
    columns = [*pins, *(sort.column for sort in rest)]
    lower, upper = list(pins.values()), list(pins.values())
    used: set[tuple[str, str]] = set()
    if rest:
        first = rest[0]
        for side, values in ((">=", lower), ("<=", upper)):
            if not (past.values and side == (">=" if way == "asc" else "<=")) and (first.column, side) in where.bounds:
                values.append(where.bounds[first.column, side])
                used.add((first.column, side))
        if first.may_lack and len(upper) == len(pins) and not (past.values and way == "desc"):
            upper.append(_LAST[first.kind])
    conditions, parameters = ["true"], []
    if None in pins.values():  # rows that lack a value have no place between two others
        return _equal(pins, where, columns, way, past)
    for values, is_end in ((lower, way == "asc"), (upper, way == "desc")):
        is_past = bool(past.values) and is_end
        given = [*pins.values(), *past.values] if is_past else values
        if given:
            conditions.append(_compared(columns[: len(given)], _beyond(values is lower, is_past and not past.is_included)))
            parameters += given
    texts, more = where.hidden(pins, used)
    order_by = ", ".join(f't."{column}" {way.upper()}' for column in columns)
    return Walk(" AND ".join([*conditions, *texts]), [*parameters, *more], order_by)


def _along_moving(
    moving: Moving, pins: dict[str, Any], where: Where, rest: Sequence[Sorted], way: str, past: _Past
) -> Iterator[Walk]:
    """Where the first of what rows are sorted by moves: those that it has settled for, and those that it still moves for."""
    known = {**where.among, **where.equal, **{column: (value,) for column, value in pins.items()}}
    said = [
        {value in words for value in known[column]} if column in known else {True, False}
        for column, words in moving.kinds.items()
    ]
    is_one_index = moving.kinds.keys() <= pins.keys()
    if any(False in each for each in said):
        walk = _settled(moving, pins, where, rest, way, past)
        yield walk if is_one_index else walk._replace(where=f"{settled(moving, 't.')} AND {walk.where}")
    if all(True in each for each in said):
        walk = _in_steps(moving, pins, where, rest, way, past)
        yield walk if is_one_index else walk._replace(where=f"{still_moving(moving, 't.')} AND {walk.where}")


def _settled(moving: Moving, pins: dict[str, Any], where: Where, rest: Sequence[Sorted], way: str, past: _Past) -> Walk:
    """The index holds the time itself, under another name."""
    first, *others = rest
    where = where.but()
    for side in (">=", "<="):
        if (first.column, side) in where.bounds:
            where.bounds[moving.indexed, side] = where.bounds.pop((first.column, side))
    return _along(pins, where, [first._replace(column=moving.indexed), *others], way, past)


def _in_steps(moving: Moving, pins: dict[str, Any], where: Where, rest: Sequence[Sorted], way: str, past: _Past) -> Walk:
    """The index holds when its ten seconds begin: within these, rows are looked at one by one, and sorted."""
    first = rest[0]
    where = where.but()
    for side in (">=", "<="):
        if (first.column, side) in where.bounds:
            where.bounds[moving.indexed, side] = moving.step(where.bounds[first.column, side])
    if past.values:
        names = [sort.column for sort in rest][: len(past.values)]
        where.add(_compared(names, _beyond(way == "asc", not past.is_included)), *past.values)
        past = _Past((moving.step(past.values[0]),), is_included=True)
    walk = _along(pins, where, [first._replace(column=moving.indexed)], way, past)
    within = [f't."{sort.column}" {way.upper()}' for sort in rest]
    return walk._replace(order_by=", ".join([walk.order_by, *within]), in_steps=True)


def _equal(pins: dict[str, Any], where: Where, columns: list[str], way: str, past: _Past) -> Walk:
    conditions = [f't."{column}" {"IS NULL" if value is None else "= %b"}' for column, value in pins.items()]
    parameters = [*(value for value in pins.values() if value is not None), *past.values]
    if past.values:
        names = columns[len(pins) :][: len(past.values)]
        conditions.append(_compared(names, _beyond(way == "asc", not past.is_included)))
    texts, more = where.hidden(pins, ())
    order_by = ", ".join(f't."{column}" {way.upper()}' for column in columns)
    return Walk(" AND ".join([*conditions, *texts]), [*parameters, *more], order_by)


def _beyond(is_above: bool, is_strict: bool) -> str:
    return (">" if is_above else "<") + ("" if is_strict else "=")


def _apart(where: Where, sorts: Sequence[Sorted], way: str, after: Sequence[Any] | None) -> Walk:
    conditions, parameters = [where.text], list(where.parameters)
    conditions += [f't."{sort.column}" IS NOT NULL' for sort in sorts if sort.may_lack]
    if after is not None:
        conditions.append(_compared([sort.column for sort in sorts], ">" if way == "asc" else "<"))
        parameters += after
    order_by = ", ".join(f't."{sort.column}" {way.upper()}' for sort in sorts)
    return Walk(" AND ".join(conditions), parameters, order_by, apart=True)


def _compared(columns: Sequence[str], how: str) -> str:
    names = ", ".join(f't."{column}"' for column in columns)
    return f"({names}) {how} ({', '.join(['%b'] * len(columns))})"
