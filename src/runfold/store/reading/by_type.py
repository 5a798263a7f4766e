"""Events of some types found by the index of types, past all that lies between: however rare they are, and however long the log.

Of each type the next positions are looked up. Where one type has more, what is known of all ends with what was looked up of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from runfold.domain.event import is_of_type
from runfold.store.queries import named_queries
from runfold.store.reading.filter import LAST_CHARACTER, Filter, bounded_query, is_all

_QUERIES = named_queries("runfold.store.reading", "by_type.sql")
NEAR = 2_000
"""So few positions are looked through more quickly than by type."""
SPARSE = 50
"""A tenant of which there is less than one event among so many is looked for by type."""
LEAST, MOST = 32, 4_000
"""Of each type at least so many positions are looked up, and of all types at most about so many."""

Rows = Callable[[str, Sequence[Any]], Sequence[tuple[Any, ...]]]
"""Asks the database."""


def narrows_by_type(wanted: Filter) -> bool:
    """Return whether the index of types leads to what is wanted."""
    return bool(wanted.types) and wanted.tenant_id is not None and not wanted.is_of_thread


def is_of_tenant_alone(wanted: Filter) -> bool:
    """Return whether all of a tenant's events are wanted, or all but some types."""
    return wanted.tenant_id is not None and wanted == Filter(tenant_id=wanted.tenant_id, without=wanted.without)


def stretch_by_type(
    rows: Rows,
    wanted: Filter,
    after: int,
    up_to: int,
    limit: int,
    *,
    descending: bool = False,
    most_bytes: int | None = None,
) -> tuple[Sequence[tuple[Any, ...]], int]:
    """Return rows, and the position up to which these are all; descending, from which on."""
    positions, end = _positions(rows, wanted, after, up_to, limit, descending=descending)
    if not positions:
        return [], end
    conditions = list(wanted.conditions())
    where = "notification_id = ANY(%b::bigint[])" + "".join(f" AND ({text}) IS TRUE" for text, _ in conditions)
    query = bounded_query(where, [f"notification_id {'DESC' if descending else 'ASC'}"], most_bytes)
    found = rows(query, [positions, *(value for _, value in conditions), len(positions) + 1])
    if not is_all(found, len(positions) + 1, most_bytes):
        return found, found[-1][0] - descending
    return found, end


def _positions(rows: Rows, wanted: Filter, after: int, up_to: int, limit: int, *, descending: bool) -> tuple[list[int], int]:
    """The next positions, and where what is known of all types ends."""
    types = _types(rows, wanted)
    limit = min(limit, MOST)
    most = max(LEAST, min(4 * limit, MOST) // max(1, len(types)))
    way, found = "DESC" if descending else "ASC", dict[str, list[int]]()
    if types:
        tenant = wanted.tenant_id
        query = _QUERIES["positions"].format(way=way)
        for name, position in rows(query, [types, tenant, after, tenant, up_to, most]):
            found.setdefault(name, []).append(position)
    ends = [positions[-1] for positions in found.values() if len(positions) == most]
    if descending:
        first = max(ends, default=after + 1)
        known = sorted((each for positions in found.values() for each in positions if each >= first), reverse=True)
        return (known[:limit], known[limit - 1] - 1) if len(known) > limit else (known, first - 1)
    last = min(ends, default=up_to)
    known = sorted(each for positions in found.values() for each in positions if each <= last)
    return (known[:limit], known[limit - 1]) if len(known) > limit else (known, last)


def _types(rows: Rows, wanted: Filter) -> list[str]:
    """The types that are wanted: as they are named, and those of the tenant's events that fit a pattern."""
    found: set[str] = set()
    for name in wanted.types or ("*",):
        first, star, _ = name.partition("*")
        tenant, end = wanted.tenant_id, first + LAST_CHARACTER
        if not star:
            found.add(name)
            continue
        there = rows(_QUERIES["types"], [tenant, first, tenant, end, tenant, tenant, end])
        found.update(each for (each,) in there if is_of_type(each, name))
    return sorted(each for each in found if not any(is_of_type(each, name) for name in wanted.without))
