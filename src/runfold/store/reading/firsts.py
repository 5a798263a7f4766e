"""The first event of each of several kinds, in two questions at most, however many kinds there are."""

from collections.abc import Sequence
from typing import Any

from runfold.domain.event import is_of_type
from runfold.store.queries import named_queries
from runfold.store.reading.by_type import NEAR, narrows_by_type
from runfold.store.reading.filter import LAST_CHARACTER, Filter, range_of
from runfold.store.reading.reader import SEARCHED, Reader

_QUERIES = named_queries("runfold.store.reading", "by_type.sql")


def firsts(reader: Reader, wanted: Sequence[tuple[Filter, int]], up_to: int) -> list[int | None]:
    """Return for each the position of its first event after a position and up to another, where that can be found soon.

    What is narrowed by types alone is found by the index of types, however far it is; all else among so many positions.
    """
    types = _types(reader, {name for each, after in wanted if _is_by_type(each, after, up_to) for name in each.types})
    queries, values = list[str](), list[Any]()
    for number, (each, after) in enumerate(wanted):
        if _is_by_type(each, after, up_to):
            names = sorted({name for pattern in each.types for name in types[pattern]})
            names = [name for name in names if not any(is_of_type(name, passed_over) for passed_over in each.without)]
            query = _QUERIES["positions"].format(way="ASC").replace("wanted.type, found.position", f"{number}, found.position")
            queries.append(f"({query} ORDER BY found.position LIMIT 1)")
            values += [names, each.tenant_id, after, each.tenant_id, up_to, 1]
        else:
            place = range_of(each, after, up_to, SEARCHED)
            order = ", ".join(place.order)
            queries.append(f"(SELECT {number}, notification_id FROM runfold.log WHERE {place.where} ORDER BY {order} LIMIT 1)")
            values += place.values
    found: dict[int, int] = dict(reader.rows(" UNION ALL ".join(queries), values)) if queries else {}
    return [found.get(number) for number in range(len(wanted))]


def _is_by_type(wanted: Filter, after: int, up_to: int) -> bool:
    alone = Filter(tenant_id=wanted.tenant_id, types=wanted.types, without=wanted.without)
    return narrows_by_type(wanted) and wanted == alone and up_to - after > NEAR


def _types(reader: Reader, patterns: set[str]) -> dict[str, list[str]]:
    """Return the types that are named, and for each pattern those of the tenant's events that fit it."""
    found = {name: [] if name.endswith("*") else [name] for name in patterns}
    queries, values = list[str](), list[Any]()
    for pattern in sorted(name for name in patterns if name.endswith("*")):
        first, tenant = pattern.removesuffix("*"), reader.tenant
        end = first + LAST_CHARACTER
        queries.append(f"(SELECT %b::text, t.type FROM ({_QUERIES['types']}) AS t)")
        values += [pattern, tenant, first, tenant, end, tenant, tenant, end]
    for pattern, name in reader.rows(" UNION ALL ".join(queries), values) if queries else ():
        if is_of_type(name, pattern):
            found[pattern].append(name)
    return found
