"""Which events are wanted, and the query that finds them in the log: along the one index that has their order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from runfold.domain.event import is_of_type
from runfold.domain.recorded import Recorded
from runfold.store.codec import COLUMNS

LAST_CHARACTER = "\U0010ffff"
"""Sorts after all others, in the order that ids and types are kept in."""
PAGE_BYTES = 16 * 1024 * 1024
"""No stretch of the log holds more payload than this, unless its first event does."""


_ACTOR = "(metadata -> 'actor' ->> 'kind') || ':' || (metadata -> 'actor' ->> 'id')"


@dataclass(frozen=True)
class Filter:
    """Which events are wanted. What is not set does not narrow. A type may end in `.*`."""

    stream: str | None = None
    thread_id: str | None = None
    run_id: str | None = None
    tenant_id: str | None = None
    agent_ids: tuple[str, ...] = ()
    goal_ids: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    """Who recorded it, as in `human:ada`."""
    types: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Types that are passed over, whatever else is wanted."""

    @property
    def is_of_thread(self) -> bool:
        """Return whether it is of one thread, for which there is an index."""
        return self.thread_id is not None and self.tenant_id is not None

    def conditions(self) -> Iterator[tuple[str, Any]]:
        """SQL conditions, each with its one parameter."""
        if self.stream is not None:
            yield "originator_id = %b", self.stream
        if self.thread_id is not None:
            yield "thread_id = %b", self.thread_id
        if self.run_id is not None:
            yield "context ->> 'run_id' = %b", self.run_id
        if self.tenant_id is not None:
            yield "tenant_id = %b", self.tenant_id
        for key, values in self._keys().items():
            if values:
                yield f"context ->> '{key}' = ANY(%b)", list(values)
        if self.actors:
            yield f"{_ACTOR} = ANY(%b)", list(self.actors)
        if self.types:
            yield "topic LIKE ANY(%b)", [like(name) for name in self.types]
        if self.without:
            yield "topic NOT LIKE ALL(%b)", [like(name) for name in self.without]

    def takes(self, recorded: Recorded) -> bool:
        """Return whether an event is wanted: the same answer as the conditions give."""
        return (
            (self.tenant_id is None or self.tenant_id == recorded.tenant_id)
            and (self.thread_id is None or self.thread_id == recorded.thread_id)
            and (not (self.types or self.without) or _takes_type(recorded.type, self.types, self.without))
            and (not self._asks_for_more or self._takes_more(recorded))
        )

    @cached_property
    def _asks_for_more(self) -> bool:
        return self.stream is not None or bool(self.actors) or self._asks_for_keys

    def _takes_more(self, recorded: Recorded) -> bool:
        return (
            (self.stream is None or self.stream == recorded.stream)
            and (not self.actors or str(recorded.metadata.actor) in self.actors)
            and (not self._asks_for_keys or self._has_keys(recorded))
        )

    def _keys(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of an event's context that it may be narrowed by, each with the values that will do."""
        return {"agent_id": self.agent_ids, "goal_id": self.goal_ids, "user_id": self.user_ids}

    @property
    def _asks_for_keys(self) -> bool:
        return self.run_id is not None or bool(self.agent_ids or self.goal_ids or self.user_ids)

    def _has_keys(self, recorded: Recorded) -> bool:
        context = recorded.context
        return self.run_id in {None, context.run_id} and all(
            not values or getattr(context, key) in values for key, values in self._keys().items()
        )


@lru_cache(maxsize=8192)
def _takes_type(name: str, types: tuple[str, ...], without: tuple[str, ...]) -> bool:
    """Return whether a type is wanted; there are few, and it is asked of every event."""
    is_wanted = not types or any(is_of_type(name, wanted) for wanted in types)
    return is_wanted and not any(is_of_type(name, passed_over) for passed_over in without)


class Range(NamedTuple):
    """Where in the log something is looked for: between two entries of the one index that has this order."""

    where: str
    values: list[Any]
    order: tuple[str, ...]
    end: int
    """Where it ends; descending, where it begins."""
    is_dense: bool
    """Whether all that lies there is wanted."""

    def query(self, way: str = "ASC", most_bytes: int | None = None) -> str:
        """Return its events, for `parameters`."""
        order = [f"{column} {way}" for column in self.order]
        if not self.is_dense:
            return bounded_query(self.where, order, most_bytes)
        return _dense_query(self.where, order, self.order[-1], most_bytes)

    def parameters(self, limit: int) -> list[Any]:
        """Return what its query takes, for as many events."""
        given = [*self.values, limit]
        return [*self.values, *given, limit] if self.is_dense else given


_THREAD: tuple[str, ...] = ("thread_id", "tenant_id", "notification_id")
"""As in the index `log_tenant_thread`."""


def range_of(wanted: Filter, after: int, up_to: int, positions: int, *, descending: bool = False) -> Range:
    """Cover one thread all at once; else so many positions, which are dense. All other conditions are kept from any index."""
    if wanted.is_of_thread:
        thread, columns = [wanted.thread_id, wanted.tenant_id], f"({', '.join(_THREAD)})"
        where, values = f"{columns} > (%b, %b, %b) AND {columns} <= (%b, %b, %b)", [*thread, after, *thread, up_to]
        order, wanted = _THREAD, replace(wanted, thread_id=None, tenant_id=None)
    else:
        after, up_to = (max(after, up_to - positions), up_to) if descending else (after, min(up_to, after + positions))
        where, values, order = "notification_id > %b AND notification_id <= %b", [after, up_to], _THREAD[2:]
    conditions = list(wanted.conditions())
    texts = "".join(f" AND ({text}) IS TRUE" for text, _ in conditions)
    end = after if descending else max(after, up_to)
    return Range(where + texts, [*values, *(value for _, value in conditions)], order, end, is_dense=not conditions)


def bounded_query(where: str, order: Iterable[str], most_bytes: int | None = None) -> str:
    """A query for rows up to the one with which they are so many bytes, or PAGE_BYTES.

    They are counted when they are no more than a page.
    """
    order = ", ".join(order)
    return (
        f"SELECT {COLUMNS} FROM (SELECT *, sum(octet_length(state)) OVER (ORDER BY {order}) - octet_length(state) AS bytes_before"
        f" FROM (SELECT * FROM runfold.log WHERE {where} ORDER BY {order} LIMIT %b) AS log) AS log"
        f" WHERE bytes_before < {most_bytes or PAGE_BYTES} ORDER BY {order}"
    )


def _dense_query(where: str, order: Sequence[str], last: str, most_bytes: int | None) -> str:
    """The same where each row that is looked at is wanted: counted without their contents, which saves a quarter of it."""
    way, end = ("<=", "max") if order[-1].endswith("ASC") else (">=", "min")
    by, rows = ", ".join(order), f"FROM runfold.log WHERE {where}"
    return (
        f"SELECT {COLUMNS} {rows} AND {last} {way} (SELECT {end}({last}) FROM (SELECT {last},"
        f" sum(octet_length(state)) OVER (ORDER BY {order[-1]} ROWS UNBOUNDED PRECEDING) - octet_length(state) AS bytes_before"
        f" FROM (SELECT {last}, state {rows} ORDER BY {by} LIMIT %b) AS log) AS log"
        f" WHERE bytes_before < {most_bytes or PAGE_BYTES}) ORDER BY {by} LIMIT %b"
    )


def size_of(rows: Sequence[tuple[Any, ...]]) -> int:
    """The bytes of their payloads."""
    return sum(len(row[5]) for row in rows)


def is_all(rows: Sequence[tuple[Any, ...]], limit: int, most_bytes: int | None = None) -> bool:
    """Return whether a bounded query found all there is: neither its limit nor its bytes ended it."""
    return len(rows) < limit and size_of(rows) < (most_bytes or PAGE_BYTES)


def like(name: str) -> str:
    """The pattern of LIKE for a type that may end in `.*`."""
    return name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
